//! What a device's maker calls a device: the identifiers of draft-ietf-acme-device-attest, to the octet.

use std::fmt;

use super::AttestationError;
use crate::oid::Oid;

/// What a device's maker calls a device, or its security module.
///
/// Values are letters, digits, `-`, `.`, `_` and `:`, and nothing else: they become part of principals, log lines and rules,
/// and no two of them look alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceIdentity {
    /// `permanent-identifier` (RFC 4043).
    Permanent {
        /// The identifier, usually a serial number.
        value: String,
        /// Who gave it, where that is said.
        assigner: Option<Oid>,
    },
    /// `hardware-module` (RFC 4108).
    HardwareModule {
        /// The module's serial number.
        serial: String,
        /// What kind of module it is.
        kind: Oid,
    },
}

impl DeviceIdentity {
    /// The most octets of a value.
    pub const MAX_OCTETS: usize = 255;

    pub(super) fn permanent(value: &[u8], assigner: Option<Oid>) -> Result<Self, AttestationError> {
        Ok(Self::Permanent {
            value: plain(value).map_err(|error| AttestationError::Identity(error.to_string()))?,
            assigner,
        })
    }

    pub(super) fn hardware_module(serial: &[u8], kind: Oid) -> Result<Self, AttestationError> {
        Ok(Self::HardwareModule {
            serial: plain(serial).map_err(|error| AttestationError::Identity(error.to_string()))?,
            kind,
        })
    }

    /// The identifier's type on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Permanent { .. } => "permanent-identifier",
            Self::HardwareModule { .. } => "hardware-module",
        }
    }

    /// What the maker calls it, without who the maker is.
    #[must_use]
    pub fn bare(&self) -> &str {
        match self {
            Self::Permanent { value, .. } => value,
            Self::HardwareModule { serial, .. } => serial,
        }
    }

    /// The identifier's value on the wire: the value, and behind a slash the assigner or the kind of module.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Permanent {
                value,
                assigner: None,
            } => value.clone(),
            Self::Permanent {
                value,
                assigner: Some(oid),
            } => format!("{value}/{oid}"),
            Self::HardwareModule { serial, kind } => format!("{serial}/{kind}"),
        }
    }

    /// Reads the value of a `permanent-identifier`.
    ///
    /// # Errors
    /// [`InvalidIdentity`].
    pub fn parse_permanent(text: &str) -> Result<Self, InvalidIdentity> {
        let (value, assigner) = match text.split_once('/') {
            None => (text, None),
            Some((value, oid)) => (
                value,
                Some(oid.parse().map_err(|_| InvalidIdentity(shortened(text)))?),
            ),
        };
        Ok(Self::Permanent {
            value: plain(value.as_bytes())?,
            assigner,
        })
    }

    /// Reads the value of a `hardware-module`.
    ///
    /// # Errors
    /// [`InvalidIdentity`].
    pub fn parse_hardware_module(text: &str) -> Result<Self, InvalidIdentity> {
        let invalid = || InvalidIdentity(shortened(text));
        let (serial, kind) = text.split_once('/').ok_or_else(invalid)?;
        Ok(Self::HardwareModule {
            serial: plain(serial.as_bytes())?,
            kind: kind.parse().map_err(|_| invalid())?,
        })
    }
}

impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.value())
    }
}

fn plain(value: &[u8]) -> Result<String, InvalidIdentity> {
    let is_plain = (1..=DeviceIdentity::MAX_OCTETS).contains(&value.len())
        && value
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'));
    match std::str::from_utf8(value) {
        Ok(text) if is_plain => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(InvalidIdentity(shortened(&String::from_utf8_lossy(value)))),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Text that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is none of a device's names: 1 to 255 letters, digits, '-', '.', '_' and ':', and for a hardware module (or an identifier whose assigner is named) a slash and an object identifier, as in ABC123/1.2.3.4"
)]
pub struct InvalidIdentity(String);
