//! Names: what a certificate says that its subject is called. Subject alternative names only; a common name is
//! decoration (RFC 9525 section 2).

use std::{fmt, net::IpAddr, str::FromStr};

/// A subject alternative name (RFC 5280 section 4.2.1.6) of a kind that we issue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GeneralName {
    /// A DNS name, perhaps a wildcard.
    Dns(DnsName),
    /// An address.
    Ip(IpAddr),
    /// An absolute URI: for us always a SPIFFE ID.
    Uri(String),
}

impl fmt::Display for GeneralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
        }
    }
}

/// A DNS name in the preferred syntax (RFC 1034 section 3.5, RFC 5890's A-labels), lower-case, without a dot at its
/// end; its first label may be `*`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its first label is `*`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
}

impl FromStr for DnsName {
    type Err = InvalidDnsName;

    fn from_str(text: &str) -> Result<Self, InvalidDnsName> {
        let invalid = |reason| InvalidDnsName {
            name: text.chars().take(300).collect(),
            reason,
        };
        if text.len() > 253 {
            return Err(invalid("it has more than 253 octets"));
        }
        if !text.is_ascii() {
            return Err(invalid(
                "it has letters outside ASCII; write it as A-labels (xn--…)",
            ));
        }
        let name = text.to_ascii_lowercase();
        if name.parse::<IpAddr>().is_ok() {
            return Err(invalid(
                "it is an address; ask for the identifier type \"ip\"",
            ));
        }
        let labels = name.strip_prefix("*.").unwrap_or(&name);
        for label in labels.split('.') {
            if label.is_empty() || label.len() > 63 {
                return Err(invalid("each label has 1 to 63 octets"));
            }
            let inner = label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !inner || label.starts_with('-') || label.ends_with('-') {
                return Err(invalid(
                    "a label is letters, digits and hyphens, without a hyphen at its ends",
                ));
            }
        }
        if labels
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(invalid("its last label is a number"));
        }
        Ok(Self(name))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Text that is no DNS name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no DNS name: {reason}")]
pub struct InvalidDnsName {
    name: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_are_read_strictly() {
        for (text, read) in [
            ("Example.Internal", Some("example.internal")),
            ("*.example.internal", Some("*.example.internal")),
            ("localhost", Some("localhost")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("example.internal.", None),
            ("a..b", None),
            ("a_b.example", None),
            ("-a.example", None),
            ("bücher.example", None),
            ("127.0.0.1", None),
            ("::1", None),
            ("1.2.3", None),
            ("a.*.example", None),
            ("a b", None),
            ("a\0b", None),
            ("", None),
        ] {
            assert_eq!(
                text.parse::<DnsName>().ok().as_ref().map(DnsName::as_str),
                read,
                "{text:?}"
            );
        }
    }
}
