//! What an order asks to have certified (RFC 8555 section 9.7.7, RFC 8738, draft-ietf-acme-device-attest).

use std::{fmt, net::IpAddr};

use portcullis_ca::{
    attestation::DeviceIdentity,
    name::{DnsName, GeneralName},
};
use serde::{Deserialize, Serialize};

/// An identifier of an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub enum Identifier {
    /// `dns`: a host name, perhaps a wildcard.
    Dns(DnsName),
    /// `ip`: an address (RFC 8738).
    Ip(IpAddr),
    /// `permanent-identifier`: the path of a principal, as it was invited; or what a device's maker calls it, as its statement
    /// has it.
    PermanentIdentifier(String),
    /// `hardware-module`: a module's serial number, a slash and its type (RFC 4108), as a device's statement has them.
    HardwareModule(String),
}

impl Identifier {
    /// The wire's types.
    pub const KINDS: [&str; 4] = ["dns", "ip", "permanent-identifier", "hardware-module"];

    /// Reads the wire's `type` and `value`.
    ///
    /// # Errors
    /// [`InvalidIdentifier`]: a type that we don't know, or a value that isn't one of its type.
    pub fn parse(kind: &str, value: &str) -> Result<Self, InvalidIdentifier> {
        let malformed = |reason: String| InvalidIdentifier::Malformed {
            kind: kind.to_owned(),
            reason,
        };
        match kind {
            "dns" => value
                .parse()
                .map(Self::Dns)
                .map_err(|error| malformed(format!("{error}"))),
            "ip" => {
                let address: IpAddr = value
                    .parse()
                    .map_err(|_| malformed(format!("{value:?} is no IP address")))?;
                // RFC 8738 section 3: the canonical text of RFC 5952, so that one address is one identifier.
                if address.to_string() == value {
                    Ok(Self::Ip(address))
                } else {
                    Err(malformed(format!(
                        "write the address in its canonical form, {address}"
                    )))
                }
            }
            "permanent-identifier" => {
                let plain = !value.is_empty()
                    && value.len() <= 1024
                    && value.bytes().all(|b| {
                        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'/' | b':')
                    });
                if plain {
                    Ok(Self::PermanentIdentifier(value.to_owned()))
                } else {
                    Err(malformed(
                        "a permanent identifier is a path such as fra/sensor-42: letters, digits, '-', '.', '_', '/'"
                            .to_owned(),
                    ))
                }
            }
            "hardware-module" => DeviceIdentity::parse_hardware_module(value)
                .map(|module| Self::HardwareModule(module.value()))
                .map_err(|error| malformed(error.to_string())),
            _ => Err(InvalidIdentifier::Unsupported(kind.to_owned())),
        }
    }

    /// The wire's `type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
            Self::PermanentIdentifier(_) => "permanent-identifier",
            Self::HardwareModule(_) => "hardware-module",
        }
    }

    /// The wire's `value`.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Dns(name) => name.to_string(),
            Self::Ip(address) => address.to_string(),
            Self::PermanentIdentifier(value) | Self::HardwareModule(value) => value.clone(),
        }
    }

    /// The subject alternative name that certifies it. A permanent identifier has none: the principal's URI, which the
    /// profile adds, says who the device is.
    #[must_use]
    pub fn general_name(&self) -> Option<GeneralName> {
        match self {
            Self::Dns(name) => Some(GeneralName::Dns(name.clone())),
            Self::Ip(address) => Some(GeneralName::Ip(*address)),
            Self::PermanentIdentifier(_) | Self::HardwareModule(_) => None,
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.value())
    }
}

/// An identifier as it is serialised.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

impl TryFrom<Wire> for Identifier {
    type Error = InvalidIdentifier;

    fn try_from(wire: Wire) -> Result<Self, InvalidIdentifier> {
        Self::parse(&wire.kind, &wire.value)
    }
}

impl From<Identifier> for Wire {
    fn from(identifier: Identifier) -> Self {
        Self {
            kind: identifier.kind().to_owned(),
            value: identifier.value(),
        }
    }
}

/// Why something is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentifier {
    /// A type that this server does not do.
    #[error(
        "identifiers of the type {0:?} are not supported; dns, ip, permanent-identifier and hardware-module are"
    )]
    Unsupported(String),
    /// A value that isn't one of its type.
    #[error("the {kind} identifier is malformed: {reason}")]
    Malformed {
        /// The identifier's type.
        kind: String,
        /// What is wrong with the value.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read_in_their_canonical_form_only() {
        for (kind, value, good) in [
            ("dns", "a.example", true),
            ("dns", "a_b.example", false),
            ("ip", "10.0.0.1", true),
            ("ip", "2001:db8::1", true),
            ("ip", "2001:0db8::1", false),
            ("ip", "a.example", false),
            ("permanent-identifier", "fra/sensor-42", true),
            ("permanent-identifier", "fra/*", false),
            ("permanent-identifier", "", false),
            ("hardware-module", "ABCD/1.2.3.4", true),
            ("hardware-module", "ABCD", false),
            ("hardware-module", "1.2.3.4:ABCD", false),
            ("email", "a@b.example", false),
        ] {
            assert_eq!(
                Identifier::parse(kind, value).is_ok(),
                good,
                "{kind} {value}"
            );
        }
    }
}
