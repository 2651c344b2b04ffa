//! Name constraints (RFC 5280 section 4.2.1.10): for which names a CA may issue. DNS names and addresses only.

use std::{fmt, str::FromStr};

use ipnet::IpNet;

use super::DnsPattern;
use crate::{
    der::{self, tag},
    name::{DnsName, GeneralName, InvalidDnsName},
};

/// The subtrees of names for which everything below a CA may, and may not, be issued. Of a kind without permitted
/// subtrees every name is permitted; what is excluded is excluded even where it is permitted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameConstraints {
    /// DNS names.
    pub permitted_dns: Vec<DnsSubtree>,
    /// DNS names.
    pub excluded_dns: Vec<DnsSubtree>,
    /// Networks.
    pub permitted_ip: Vec<IpNet>,
    /// Networks.
    pub excluded_ip: Vec<IpNet>,
}

impl NameConstraints {
    /// Whether nothing is constrained; then there is no extension.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permitted_dns.is_empty()
            && self.excluded_dns.is_empty()
            && self.permitted_ip.is_empty()
            && self.excluded_ip.is_empty()
    }

    /// Whether a name may stand in a certificate below the CA. No constraint of ours is about URIs.
    #[must_use]
    pub fn allow(&self, name: &GeneralName) -> bool {
        match name {
            GeneralName::Dns(name) => {
                !self
                    .excluded_dns
                    .iter()
                    .any(|subtree| subtree.touches(name))
                    && (self.permitted_dns.is_empty()
                        || self.permitted_dns.iter().any(|subtree| subtree.holds(name)))
            }
            GeneralName::Ip(address) => {
                !self
                    .excluded_ip
                    .iter()
                    .any(|network| network.contains(address))
                    && (self.permitted_ip.is_empty()
                        || self
                            .permitted_ip
                            .iter()
                            .any(|network| network.contains(address)))
            }
            GeneralName::Uri(_) => true,
        }
    }

    /// Whether all names of a pattern are permitted, and none of them can be excluded.
    #[must_use]
    pub fn allow_all_of(&self, pattern: &DnsPattern) -> bool {
        (self.permitted_dns.is_empty()
            || self
                .permitted_dns
                .iter()
                .any(|subtree| pattern.is_within(subtree)))
            && !self
                .excluded_dns
                .iter()
                .any(|subtree| pattern.is_within(subtree))
    }

    /// Whether all names of a subtree are permitted, and the subtree is not excluded.
    #[must_use]
    pub fn allow_subtree(&self, subtree: &DnsSubtree) -> bool {
        (self.permitted_dns.is_empty() || self.permitted_dns.iter().any(|it| it.includes(subtree)))
            && !self.excluded_dns.iter().any(|it| it.includes(subtree))
    }

    /// Whether all addresses of a network may stand in a certificate below the CA.
    #[must_use]
    pub fn allow_all_of_network(&self, network: &IpNet) -> bool {
        (self.permitted_ip.is_empty()
            || self
                .permitted_ip
                .iter()
                .any(|permitted| permitted.contains(network)))
            && !self
                .excluded_ip
                .iter()
                .any(|excluded| excluded.contains(network))
    }

    /// The extension's value in DER.
    pub(crate) fn to_der(&self) -> Vec<u8> {
        let subtrees = |context: u8, dns: &[DnsSubtree], ip: &[IpNet]| {
            let mut subtrees = Vec::new();
            for name in dns {
                let base = der::encode(tag::DNS_NAME, &[name.to_string().as_bytes()]);
                subtrees.extend(der::encode(tag::SEQUENCE, &[&base]));
            }
            for network in ip {
                let base = der::encode(tag::IP_NAME, &[&address_and_mask(network)]);
                subtrees.extend(der::encode(tag::SEQUENCE, &[&base]));
            }
            if subtrees.is_empty() {
                Vec::new()
            } else {
                der::encode(tag::CONTEXT_CONSTRUCTED | context, &[&subtrees])
            }
        };
        der::encode(
            tag::SEQUENCE,
            &[
                &subtrees(0, &self.permitted_dns, &self.permitted_ip),
                &subtrees(1, &self.excluded_dns, &self.excluded_ip),
            ],
        )
    }
}

/// A DNS name with all the names below it.
#[derive(Clone, PartialEq, Eq)]
pub struct DnsSubtree {
    /// Empty for all names.
    pub(super) name: String,
    /// Written with a dot in front, as other CAs do: the name itself does not belong to it.
    pub(super) below_only: bool,
}

impl DnsSubtree {
    /// Whether all that `name` stands for is in it: labels added to the left of the subtree's name make its names (RFC
    /// 5280 section 4.2.1.10).
    fn holds(&self, name: &DnsName) -> bool {
        if self.name.is_empty() {
            return true;
        }
        match name.as_str().strip_suffix(self.name.as_str()) {
            Some("") => !self.below_only,
            Some(left) => left.ends_with('.'),
            None => false,
        }
    }

    /// Whether all names of `other` are in it.
    fn includes(&self, other: &Self) -> bool {
        match other.name.strip_suffix(self.name.as_str()) {
            Some("") => !self.below_only || other.below_only || self.name.is_empty(),
            Some(left) => self.name.is_empty() || left.ends_with('.'),
            None => false,
        }
    }

    /// Whether something that `name` stands for is in it: `*.example` is good for `secret.example` too.
    fn touches(&self, name: &DnsName) -> bool {
        let of_wildcard = name.as_str().strip_prefix("*.").is_some_and(|parent| {
            !self.below_only
                && self
                    .name
                    .split_once('.')
                    .is_some_and(|(_, own_parent)| own_parent == parent)
        });
        of_wildcard || self.holds(name)
    }
}

impl FromStr for DnsSubtree {
    type Err = InvalidDnsName;

    fn from_str(text: &str) -> Result<Self, InvalidDnsName> {
        let (name, below_only) = match text.strip_prefix('.') {
            Some(name) => (name, true),
            None => (text, false),
        };
        if text.is_empty() {
            return Ok(Self {
                name: String::new(),
                below_only,
            });
        }
        // A wildcard is no subtree: it reads as one label that is called "*".
        let read: DnsName = format!("x.{name}").parse()?;
        Ok(Self {
            name: read.as_str()["x.".len()..].to_owned(),
            below_only,
        })
    }
}

impl fmt::Display for DnsSubtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below_only {
            f.write_str(".")?;
        }
        f.write_str(&self.name)
    }
}

impl fmt::Debug for DnsSubtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DnsSubtree({:?})", self.to_string())
    }
}

/// 8 or 32 octets, the network's own bits only (RFC 4632).
fn address_and_mask(network: &IpNet) -> Vec<u8> {
    match network.trunc() {
        IpNet::V4(network) => [network.network().octets(), network.netmask().octets()].concat(),
        IpNet::V6(network) => [network.network().octets(), network.netmask().octets()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_both_lists() {
        let dns = |text: &str| text.parse::<DnsName>().expect("a name");
        let tree = |text: &str| text.parse::<DnsSubtree>().expect("a subtree");
        let net = |text: &str| text.parse::<IpNet>().expect("a network");
        let constraints = NameConstraints {
            permitted_dns: vec![tree("fra.example"), tree(".lon.example")],
            excluded_dns: vec![tree("secret.fra.example")],
            permitted_ip: vec![net("10.0.0.0/8")],
            excluded_ip: vec![net("10.9.0.0/16")],
        };
        for (name, allowed) in [
            (GeneralName::Dns(dns("fra.example")), true),
            (GeneralName::Dns(dns("a.b.fra.example")), true),
            (GeneralName::Dns(dns("*.b.fra.example")), true),
            (GeneralName::Dns(dns("a.lon.example")), true),
            (GeneralName::Dns(dns("lon.example")), false),
            (GeneralName::Dns(dns("xfra.example")), false),
            (GeneralName::Dns(dns("example")), false),
            (GeneralName::Dns(dns("secret.fra.example")), false),
            (GeneralName::Dns(dns("a.secret.fra.example")), false),
            (GeneralName::Dns(dns("*.fra.example")), false),
            (GeneralName::Ip([10, 0, 0, 1].into()), true),
            (GeneralName::Ip([10, 9, 0, 1].into()), false),
            (GeneralName::Ip([11, 0, 0, 1].into()), false),
            (GeneralName::Uri("spiffe://x/device/1".to_owned()), true),
        ] {
            assert_eq!(constraints.allow(&name), allowed, "{name}");
        }
        for (pattern, allowed) in [
            ("*.fra.example", true),
            ("fra.example", true),
            ("lon.example", false),
            ("*.lon.example", true),
            ("**.fra.example", true),
            ("**.secret.fra.example", false),
            ("*.example", false),
        ] {
            let pattern = pattern.parse().expect("a pattern");
            assert_eq!(constraints.allow_all_of(&pattern), allowed, "{pattern}");
        }
        for (subtree, allowed) in [
            ("a.fra.example", true),
            ("fra.example", true),
            (".fra.example", true),
            ("x.secret.fra.example", false),
            ("lon.example", false),
            (".lon.example", true),
            ("example", false),
        ] {
            assert_eq!(
                constraints.allow_subtree(&tree(subtree)),
                allowed,
                "{subtree}"
            );
        }
        for (text, good) in [
            ("", true),
            (".a", true),
            ("a.b", true),
            ("*.a", false),
            ("..", false),
        ] {
            assert_eq!(text.parse::<DnsSubtree>().is_ok(), good, "{text:?}");
        }
    }
}
