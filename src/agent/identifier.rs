//! What an invitation lets a device order a certificate for: the identifiers of RFC 8555 section 7.1.3.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

/// The longest identifier that is accepted, in octets: twice what a DNS name may have.
const LONGEST: usize = 512;

/// One identifier, as ACME writes it: `{"type": "permanent-identifier", "value": "fra/sensor-42"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "kebab-case")]
pub enum Identifier {
    /// The path of a device or service, which the server knows (draft-ietf-acme-device-attest section 3).
    PermanentIdentifier(String),
    /// A DNS name (RFC 8555 section 7.1.3).
    Dns(String),
    /// An address (RFC 8738).
    Ip(IpAddr),
}

impl Identifier {
    /// Reads an identifier from its ACME type and value.
    ///
    /// # Errors
    /// Says what is wrong with the type or the value.
    pub fn new(kind: &str, value: &str) -> Result<Self, IdentifierError> {
        if value.is_empty() {
            return Err(IdentifierError::Empty);
        }
        if value.len() > LONGEST {
            return Err(IdentifierError::TooLong(value.len()));
        }
        if let Some(position) = value.bytes().position(|octet| !octet.is_ascii_graphic()) {
            return Err(IdentifierError::Character(position));
        }
        match kind {
            "permanent-identifier" => Ok(Self::PermanentIdentifier(value.to_owned())),
            "dns" => Ok(Self::Dns(value.to_owned())),
            "ip" => value
                .parse()
                .map(Self::Ip)
                .map_err(|_| IdentifierError::Address(value.to_owned())),
            other => Err(IdentifierError::Type(other.to_owned())),
        }
    }

    /// The ACME name of the identifier's type.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PermanentIdentifier(_) => "permanent-identifier",
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
        }
    }

    /// The identifier's value as text.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::PermanentIdentifier(value) | Self::Dns(value) => value.clone(),
            Self::Ip(address) => address.to_string(),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.value())
    }
}

impl From<&Identifier> for instant_acme::Identifier {
    fn from(identifier: &Identifier) -> Self {
        match identifier {
            Identifier::PermanentIdentifier(value) => Self::PermanentIdentifier(value.clone()),
            Identifier::Dns(value) => Self::Dns(value.clone()),
            Identifier::Ip(address) => Self::Ip(*address),
        }
    }
}

/// What is wrong with an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Its value is empty.
    #[error("its value is empty")]
    Empty,
    /// Its value is longer than 512 octets.
    #[error("its value has {0} octets; at most {LONGEST} are allowed")]
    TooLong(usize),
    /// Its value has a character that is neither a letter, a digit nor a mark of ASCII.
    #[error("its value has a space, control or non-ASCII character at octet {0}")]
    Character(usize),
    /// Its value should be an address and isn't.
    #[error("{0:?} is no IPv4 or IPv6 address")]
    Address(String),
    /// Its type isn't one that this program orders.
    #[error("its type is {0:?}; this program orders permanent-identifier, dns and ip")]
    Type(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_read_by_type_and_value_or_says_why_not() {
        let cases = [
            (
                "permanent-identifier",
                "fra/sensor-42",
                Ok(Identifier::PermanentIdentifier("fra/sensor-42".into())),
            ),
            ("dns", "a.example", Ok(Identifier::Dns("a.example".into()))),
            (
                "ip",
                "2001:db8::1",
                Ok(Identifier::Ip("2001:db8::1".parse().unwrap())),
            ),
            ("dns", "", Err(IdentifierError::Empty)),
            ("dns", "a\nb", Err(IdentifierError::Character(1))),
            ("dns", "caf\u{e9}", Err(IdentifierError::Character(3))),
            ("ip", "a.b", Err(IdentifierError::Address("a.b".into()))),
            ("email", "a@b", Err(IdentifierError::Type("email".into()))),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(Identifier::new(kind, value), expected, "{kind} {value:?}");
        }
        assert_eq!(
            Identifier::new("dns", &"a".repeat(513)),
            Err(IdentifierError::TooLong(513))
        );
    }

    #[test]
    fn an_identifier_is_written_as_acme_writes_it() {
        let identifiers = [
            Identifier::PermanentIdentifier("fra/sensor-42".into()),
            Identifier::Ip("192.0.2.1".parse().unwrap()),
        ];
        let ours = serde_json::to_value(&identifiers).unwrap();
        let theirs: Vec<_> = identifiers
            .iter()
            .map(instant_acme::Identifier::from)
            .collect();
        assert_eq!(ours, serde_json::to_value(theirs).unwrap());
        assert_eq!(
            ours,
            serde_json::json!([
                {"type": "permanent-identifier", "value": "fra/sensor-42"},
                {"type": "ip", "value": "192.0.2.1"}
            ])
        );
    }
}
