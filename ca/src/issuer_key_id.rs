//! What an issuer is known by: the hash of its public key, never a name that two of them may share.

use std::{fmt, str::FromStr};

use crate::key::sha256;

/// SHA-256 of an issuer's DER SubjectPublicKeyInfo. It prints as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssuerKeyId(pub [u8; 32]);

impl IssuerKeyId {
    /// Of a DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn of(subject_public_key_info: &[u8]) -> Self {
        Self(sha256(subject_public_key_info))
    }

    /// The first 16 digits: enough to tell the issuers of one authority apart in a path or a log line.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..8])
    }
}

impl fmt::Display for IssuerKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for IssuerKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerKeyId({})", self.short())
    }
}

impl FromStr for IssuerKeyId {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut octets = [0; 32];
        hex::decode_to_slice(text, &mut octets)?;
        Ok(Self(octets))
    }
}
