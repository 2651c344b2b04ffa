//! The attestation object (WebAuthn section 6.5.4), as read.

use super::{
    AttestationError, AttestationFormat,
    cbor::{self, Key, Map, Value},
};

/// The most octets that an attestation object may have. Real ones have under 10,000.
pub const MAX_OBJECT_OCTETS: usize = 64 * 1024;

/// An attestation object as it came: read, and nothing of it believed. It borrows from what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationObject<'a> {
    format: &'a str,
    statement: Map<'a>,
    authenticator_data: Option<&'a [u8]>,
}

impl<'a> AttestationObject<'a> {
    /// Reads an attestation object: a map with `fmt`, `attStmt` and perhaps `authData`. Other members are not looked at.
    ///
    /// # Errors
    /// [`AttestationError::TooLarge`], [`AttestationError::Cbor`], [`AttestationError::Member`].
    pub fn from_cbor(octets: &'a [u8]) -> Result<Self, AttestationError> {
        if octets.len() > MAX_OBJECT_OCTETS {
            return Err(AttestationError::TooLarge(octets.len()));
        }
        let Value::Map(object) = cbor::read(octets).map_err(AttestationError::Cbor)? else {
            return Err(AttestationError::Cbor("it is no map"));
        };
        let missing = |name, wanted| AttestationError::Member { name, wanted };
        let authenticator_data = match object.get(Key::Text("authData")) {
            None => None,
            Some(Value::Bytes(octets)) => Some(*octets),
            Some(
                Value::Integer(_)
                | Value::Text(_)
                | Value::Array(_)
                | Value::Map(_)
                | Value::Simple,
            ) => return Err(missing("authData", "byte string")),
        };
        Ok(Self {
            format: object
                .text(Key::Text("fmt"))
                .ok_or_else(|| missing("fmt", "text"))?,
            statement: object
                .map(Key::Text("attStmt"))
                .cloned()
                .ok_or_else(|| missing("attStmt", "map"))?,
            authenticator_data,
        })
    }

    /// Its format.
    ///
    /// # Errors
    /// [`AttestationError::UnknownFormat`] for one that is not verified here.
    pub fn format(&self) -> Result<AttestationFormat, AttestationError> {
        self.format.parse().map_err(AttestationError::UnknownFormat)
    }

    pub(super) fn authenticator_data(&self) -> Option<&'a [u8]> {
        self.authenticator_data
    }

    pub(super) fn bytes(&self, name: &'static str) -> Result<&'a [u8], AttestationError> {
        self.statement
            .bytes(Key::Text(name))
            .filter(|octets| !octets.is_empty())
            .ok_or(AttestationError::Member {
                name,
                wanted: "byte string with something in it",
            })
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, AttestationError> {
        self.statement
            .text(Key::Text(name))
            .ok_or(AttestationError::Member {
                name,
                wanted: "text",
            })
    }

    /// A member that is a number; nothing where there is no such member.
    pub(super) fn optional_integer(
        &self,
        name: &'static str,
    ) -> Result<Option<i64>, AttestationError> {
        match self.statement.get(Key::Text(name)) {
            None => Ok(None),
            Some(_) => self.integer(name).map(Some),
        }
    }

    pub(super) fn integer(&self, name: &'static str) -> Result<i64, AttestationError> {
        self.statement
            .integer(Key::Text(name))
            .ok_or(AttestationError::Member {
                name,
                wanted: "number",
            })
    }

    /// `x5c`: certificates in DER, the one that speaks for the device first.
    pub(super) fn certificates(&self) -> Result<Vec<&'a [u8]>, AttestationError> {
        let missing = AttestationError::Member {
            name: "x5c",
            wanted: "array of certificates in DER, with at least one in it",
        };
        let certificates: Option<Vec<&[u8]>> = self
            .statement
            .array(Key::Text("x5c"))
            .ok_or_else(|| missing.clone())?
            .iter()
            .map(|value| match value {
                Value::Bytes(der) => Some(*der),
                Value::Integer(_)
                | Value::Text(_)
                | Value::Array(_)
                | Value::Map(_)
                | Value::Simple => None,
            })
            .collect();
        certificates
            .filter(|certificates| !certificates.is_empty())
            .ok_or(missing)
    }
}
