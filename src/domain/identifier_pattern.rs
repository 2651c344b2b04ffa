//! Many identifiers in one line: what an enrolment key allows beside those that it names.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use portcullis_ca::profile::DnsPattern;
use serde::{Deserialize, Serialize};

use super::identifier::Identifier;

/// A pattern of DNS names or a network. It is kept, and prints, as `dns:**.dev.example` or `ip:10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum IdentifierPattern {
    /// `dns`: labels, `*` for exactly one, a `**` at the beginning for one or more. A wildcard name is one of a pattern's
    /// only if every name that it stands for is.
    Dns(DnsPattern),
    /// `ip`: every address of a network.
    Ip(IpNet),
}

impl IdentifierPattern {
    /// Whether an identifier is one of those that are meant.
    #[must_use]
    pub fn covers(&self, identifier: &Identifier) -> bool {
        match (self, identifier) {
            (Self::Dns(pattern), Identifier::Dns(name)) => pattern.covers(name),
            (Self::Ip(network), Identifier::Ip(address)) => network.contains(address),
            (Self::Dns(_), Identifier::Ip(_))
            | (Self::Ip(_), Identifier::Dns(_))
            | (
                Self::Dns(_) | Self::Ip(_),
                Identifier::PermanentIdentifier(_) | Identifier::HardwareModule(_),
            ) => false,
        }
    }
}

impl FromStr for IdentifierPattern {
    type Err = InvalidIdentifierPattern;

    fn from_str(text: &str) -> Result<Self, InvalidIdentifierPattern> {
        let invalid = |reason: String| InvalidIdentifierPattern(reason);
        match text.split_once(':') {
            Some(("dns", pattern)) => pattern
                .parse()
                .map(Self::Dns)
                .map_err(|error| invalid(format!("{error}"))),
            // A single address is the network of that address.
            Some(("ip", network)) => network
                .parse::<IpNet>()
                .ok()
                .or_else(|| network.parse::<IpAddr>().ok().map(IpNet::from))
                .map(|network| Self::Ip(network.trunc()))
                .ok_or_else(|| {
                    invalid(format!(
                        "{network:?} is no network; for example 10.20.0.0/16 or fd00::/8"
                    ))
                }),
            Some(_) | None => Err(invalid(format!(
                "{text:?} is no pattern; for example dns:*.dev.example or ip:10.20.0.0/16"
            ))),
        }
    }
}

impl fmt::Display for IdentifierPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(pattern) => write!(f, "dns:{pattern}"),
            Self::Ip(network) => write!(f, "ip:{network}"),
        }
    }
}

impl TryFrom<String> for IdentifierPattern {
    type Error = InvalidIdentifierPattern;

    fn try_from(text: String) -> Result<Self, InvalidIdentifierPattern> {
        text.parse()
    }
}

impl From<IdentifierPattern> for String {
    fn from(pattern: IdentifierPattern) -> Self {
        pattern.to_string()
    }
}

/// Text that is no pattern: what is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidIdentifierPattern(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_is_below_it_and_nothing_of_another_type() {
        for (pattern, kind, value, covered) in [
            ("dns:*.dev.example", "dns", "a.dev.example", true),
            ("dns:*.dev.example", "dns", "*.dev.example", true),
            ("dns:*.dev.example", "dns", "a.b.dev.example", false),
            ("dns:*.dev.example", "dns", "dev.example", false),
            ("dns:**.dev.example", "dns", "a.b.dev.example", true),
            ("dns:**.dev.example", "dns", "dev.example", false),
            ("dns:**.dev.example", "dns", "a.xdev.example", false),
            ("dns:a.dev.example", "dns", "*.dev.example", false),
            ("ip:10.20.0.0/16", "ip", "10.20.3.4", true),
            ("ip:10.20.0.0/16", "ip", "10.21.0.1", false),
            ("ip:10.20.0.0/16", "ip", "::ffff:10.20.3.4", false),
            ("ip:fd00::/8", "ip", "fd00::1", true),
            ("ip:10.20.0.0/16", "dns", "a.dev.example", false),
            (
                "dns:**.dev.example",
                "permanent-identifier",
                "a.dev.example",
                false,
            ),
        ] {
            let pattern: IdentifierPattern = pattern.parse().unwrap();
            let identifier = Identifier::parse(kind, value).unwrap();
            assert_eq!(
                pattern.covers(&identifier),
                covered,
                "{pattern} {identifier}"
            );
        }
    }

    #[test]
    fn a_pattern_is_read_back_as_it_was_written_and_nonsense_is_not() {
        for (text, kept) in [
            ("dns:**.dev.example", Some("dns:**.dev.example")),
            ("ip:10.20.3.4/16", Some("ip:10.20.0.0/16")),
            ("ip:10.20.3.4", Some("ip:10.20.3.4/32")),
            ("dns:**", None),
            ("dns:*", None),
            ("ip:10.0.0.0/99", None),
            ("uri:spiffe://x/**", None),
            ("*.dev.example", None),
        ] {
            let read = text.parse::<IdentifierPattern>().ok();
            assert_eq!(
                read.map(|pattern| pattern.to_string()).as_deref(),
                kept,
                "{text}"
            );
        }
    }
}
