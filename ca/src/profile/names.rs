//! Which names a profile lets stand in a certificate: lists of what is allowed and of what is denied.

use std::{fmt, str::FromStr};

use ipnet::IpNet;

use super::DnsSubtree;
use crate::name::{DnsName, GeneralName};

/// Allow and deny lists. A list of allowed names that is empty allows everything that was authorized; what is denied is
/// denied even where it is allowed. Whoever ordered a name was authorized for it besides: no list gives a name away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameRules {
    /// DNS names that are allowed.
    pub allow_dns: Vec<DnsPattern>,
    /// DNS names that are denied.
    pub deny_dns: Vec<DnsPattern>,
    /// Addresses that are allowed.
    pub allow_ip: Vec<IpNet>,
    /// Addresses that are denied.
    pub deny_ip: Vec<IpNet>,
}

impl NameRules {
    /// Whether a name may stand in a certificate. URIs are none of these lists' business: the authority writes them.
    ///
    /// # Errors
    /// [`NameRefused`] with the name and the rule.
    pub fn check(&self, name: &GeneralName) -> Result<(), NameRefused> {
        let (denied, allowed) = match name {
            GeneralName::Dns(dns) => (
                self.deny_dns
                    .iter()
                    .find(|pattern| pattern.touches(dns))
                    .map(ToString::to_string),
                listed(&self.allow_dns, |pattern| pattern.covers(dns)),
            ),
            GeneralName::Ip(address) => (
                self.deny_ip
                    .iter()
                    .find(|network| network.contains(address))
                    .map(ToString::to_string),
                listed(&self.allow_ip, |network| network.contains(address)),
            ),
            GeneralName::Uri(_) => (None, None),
        };
        let refuse = |reason: String| {
            Err(NameRefused {
                name: name.clone(),
                reason,
            })
        };
        // Some verifiers take it for that address (Go's net.IP.Equal), which neither these lists nor an issuer's
        // constraints would.
        if let GeneralName::Ip(address) = name
            && address.to_canonical() != *address
        {
            let canonical = address.to_canonical();
            return refuse(format!("it is the IPv4 address {canonical}; ask for that"));
        }
        match (denied, allowed) {
            (Some(rule), _) => refuse(format!("it denies {rule}")),
            (None, Some(list)) => refuse(format!("it allows {list}")),
            (None, None) => Ok(()),
        }
    }

    /// The first pattern that can never matter, because what is denied covers all of it: a contradiction.
    pub(super) fn allowed_in_vain(&self) -> Option<(&'static str, String)> {
        let dns = self
            .allow_dns
            .iter()
            .find(|allowed| self.deny_dns.iter().any(|denied| denied.includes(allowed)));
        let ip = self
            .allow_ip
            .iter()
            .find(|allowed| self.deny_ip.iter().any(|denied| denied.contains(*allowed)));
        dns.map(|pattern| ("allow_dns", pattern.to_string()))
            .or_else(|| ip.map(|network| ("allow_ip", network.to_string())))
    }
}

/// What is allowed, for saying it, when nothing of it fits.
fn listed<T: fmt::Display>(list: &[T], fits: impl Fn(&T) -> bool) -> Option<String> {
    if list.is_empty() || list.iter().any(fits) {
        return None;
    }
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    Some(list.join(", "))
}

/// A name that the profile does not let stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the profile does not certify {name}: {reason}")]
pub struct NameRefused {
    /// Which.
    pub name: GeneralName,
    /// The rule, as "it denies …" or "it allows …".
    pub reason: String,
}

/// A pattern of DNS names: labels, where `*` stands for exactly one, and a `**` at the beginning for one or more.
#[derive(Clone, PartialEq, Eq)]
pub struct DnsPattern {
    /// From the last label of the name to the first.
    labels: Vec<Label>,
    any_depth: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Label {
    Any,
    Exactly(String),
}

impl DnsPattern {
    /// Whether every name that `name` stands for is one of the pattern's. A wildcard certificate's first label is
    /// covered by a wildcard only.
    #[must_use]
    pub fn covers(&self, name: &DnsName) -> bool {
        self.matches(name, false)
    }

    /// Whether some name that `name` stands for is one of the pattern's: `*.example` is good for `secret.example` too.
    #[must_use]
    pub fn touches(&self, name: &DnsName) -> bool {
        self.matches(name, true)
    }

    fn matches(&self, name: &DnsName, wildcard_is_any: bool) -> bool {
        let labels: Vec<&str> = name.as_str().rsplit('.').collect();
        let depth_fits = if self.any_depth {
            labels.len() > self.labels.len()
        } else {
            labels.len() == self.labels.len()
        };
        depth_fits
            && labels
                .iter()
                .zip(&self.labels)
                .all(|(label, pattern)| match pattern {
                    Label::Any => true,
                    Label::Exactly(exactly) => {
                        exactly == label || (wildcard_is_any && *label == "*")
                    }
                })
    }

    /// Whether every name of `other` is a name of this pattern.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let enough = |own: usize| match (self.any_depth, other.any_depth) {
            // `**.a` has names of at least two labels.
            (true, true) => other.labels.len() >= own,
            (true, false) => other.labels.len() > own,
            (false, true) => false,
            (false, false) => other.labels.len() == own,
        };
        enough(self.labels.len())
            && self
                .labels
                .iter()
                .zip(&other.labels)
                .all(|(own, theirs)| match (own, theirs) {
                    (Label::Any, _) => true,
                    (Label::Exactly(own), Label::Exactly(theirs)) => own == theirs,
                    (Label::Exactly(_), Label::Any) => false,
                })
    }

    /// Whether every name of the pattern is in the subtree.
    pub(super) fn is_within(&self, subtree: &DnsSubtree) -> bool {
        if subtree.name.is_empty() {
            return true;
        }
        let suffix: Vec<&str> = subtree.name.rsplit('.').collect();
        let deep_enough = !subtree.below_only || self.any_depth || self.labels.len() > suffix.len();
        deep_enough
            && suffix.len() <= self.labels.len()
            && suffix
                .iter()
                .zip(&self.labels)
                .all(|(wanted, label)| matches!(label, Label::Exactly(own) if own == wanted))
    }
}

impl FromStr for DnsPattern {
    type Err = InvalidDnsPattern;

    fn from_str(text: &str) -> Result<Self, InvalidDnsPattern> {
        let invalid = || InvalidDnsPattern(text.chars().take(300).collect());
        let (any_depth, rest) = match text.strip_prefix("**.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // With a letter for each wildcard it must be a DNS name.
        let name: Vec<&str> = rest
            .split('.')
            .map(|label| if label == "*" { "x" } else { label })
            .collect();
        name.join(".")
            .parse::<DnsName>()
            .ok()
            .filter(|name| !name.is_wildcard())
            .ok_or_else(invalid)?;
        let labels: Vec<Label> = rest
            .rsplit('.')
            .map(|label| match label {
                "*" => Label::Any,
                _ => Label::Exactly(label.to_ascii_lowercase()),
            })
            .collect();
        // A pattern of wildcards alone would say nothing that an empty list does not say better.
        if text.len() > 253 || labels.iter().all(|label| *label == Label::Any) {
            return Err(invalid());
        }
        Ok(Self { labels, any_depth })
    }
}

impl fmt::Display for DnsPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.any_depth {
            f.write_str("**.")?;
        }
        for (index, label) in self.labels.iter().rev().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(match label {
                Label::Any => "*",
                Label::Exactly(label) => label,
            })?;
        }
        Ok(())
    }
}

impl fmt::Debug for DnsPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DnsPattern({self})")
    }
}

/// Text that is no pattern of DNS names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no pattern of DNS names; for example camera.example.internal, *.example.internal for one label, **.example.internal for one or more"
)]
pub struct InvalidDnsPattern(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(text: &str) -> GeneralName {
        GeneralName::Dns(text.parse().expect("a name"))
    }

    #[test]
    fn what_is_denied_is_denied_even_where_it_is_allowed() {
        let patterns = |list: &[&str]| {
            list.iter()
                .map(|text| text.parse().expect("a pattern"))
                .collect::<Vec<DnsPattern>>()
        };
        let networks = |list: &[&str]| {
            list.iter()
                .map(|text| text.parse().expect("a network"))
                .collect::<Vec<IpNet>>()
        };
        let rules = NameRules {
            allow_dns: patterns(&["*.cam.example", "**.lab.example", "shop.example"]),
            deny_dns: patterns(&["secret.cam.example", "*.*.lab.example"]),
            allow_ip: networks(&["10.0.0.0/8"]),
            deny_ip: networks(&["10.9.0.0/16"]),
        };
        for (name, reason) in [
            (dns("a.cam.example"), None),
            (dns("shop.example"), None),
            (dns("a.lab.example"), None),
            (dns("a.b.c.lab.example"), None),
            (GeneralName::Ip([10, 1, 2, 3].into()), None),
            (GeneralName::Uri("spiffe://x/device/1".to_owned()), None),
            (dns("cam.example"), Some("it allows")),
            (dns("lab.example"), Some("it allows")),
            (dns("a.b.cam.example"), Some("it allows")),
            (dns("a.shop.example"), Some("it allows")),
            (dns("xcam.example"), Some("it allows")),
            (
                dns("secret.cam.example"),
                Some("it denies secret.cam.example"),
            ),
            (dns("a.b.lab.example"), Some("it denies *.*.lab.example")),
            // The wildcard is good for the denied name too.
            (dns("*.cam.example"), Some("it denies secret.cam.example")),
            (dns("*.lab.example"), None),
            (
                GeneralName::Ip([10, 9, 2, 3].into()),
                Some("it denies 10.9.0.0/16"),
            ),
            (
                GeneralName::Ip([192, 168, 0, 1].into()),
                Some("it allows 10.0.0.0/8"),
            ),
            // Go takes it for 10.9.2.3.
            (
                GeneralName::Ip("::ffff:10.9.2.3".parse().expect("an address")),
                Some("it is the IPv4 address 10.9.2.3"),
            ),
        ] {
            let said = rules.check(&name).err().map(|refused| refused.reason);
            assert!(
                match (&said, reason) {
                    (None, None) => true,
                    (Some(said), Some(reason)) => said.starts_with(reason),
                    (Some(_), None) | (None, Some(_)) => false,
                },
                "{name}: {said:?}, not {reason:?}"
            );
        }
        assert_eq!(NameRules::default().check(&dns("any.example")), Ok(()));
        let mapped = GeneralName::Ip("::ffff:10.9.2.3".parse().expect("an address"));
        assert!(NameRules::default().check(&mapped).is_err());
        // A wildcard certificate needs a wildcard's permission.
        let exact = NameRules {
            allow_dns: patterns(&["a.cam.example"]),
            ..NameRules::default()
        };
        assert!(exact.check(&dns("*.cam.example")).is_err());
    }

    #[test]
    fn patterns_are_read_strictly() {
        for (text, read) in [
            ("a.example", true),
            ("*.Example", true),
            ("**.example", true),
            ("a.*.example", true),
            ("**.a.*.example", true),
            ("10.example", true),
            ("*", false),
            ("**", false),
            ("*.*", false),
            ("a.**.example", false),
            ("a*.example", false),
            (".example", false),
            ("a..b", false),
            ("", false),
        ] {
            let pattern = text.parse::<DnsPattern>();
            assert_eq!(pattern.is_ok(), read, "{text:?}: {pattern:?}");
            if let Ok(pattern) = pattern {
                assert_eq!(pattern.to_string(), text.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn a_denial_that_covers_a_permission_is_seen() {
        for (denied, allowed, covers) in [
            ("*.example", "a.example", true),
            ("**.example", "*.b.example", true),
            ("**.example", "**.example", true),
            ("**.example", "**.b.example", true),
            ("*.example", "**.example", false),
            ("a.example", "*.example", false),
            ("**.example", "example", false),
        ] {
            let pattern = |text: &str| text.parse::<DnsPattern>().expect("a pattern");
            assert_eq!(
                pattern(denied).includes(&pattern(allowed)),
                covers,
                "{denied} over {allowed}"
            );
        }
    }
}
