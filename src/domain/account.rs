//! An ACME account: a key that orders certificates (RFC 8555 section 7.1.2).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Timestamp,
    directory::DirectoryName,
    id::{AccountId, EnrolmentId},
};

/// An account as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Names it.
    pub id: AccountId,
    /// Where it was opened; it works there only.
    pub directory: DirectoryName,
    /// The thumbprint of its key (RFC 7638); no two accounts of a directory share one.
    pub thumbprint: Thumbprint,
    /// Its public key as a JWK.
    pub jwk: serde_json::Value,
    /// Where its owner says they can be reached: `mailto:` URIs.
    pub contacts: Vec<String>,
    /// Whether it may still act.
    pub status: AccountStatus,
    /// The enrolment that its external account binding began, if it has one.
    pub enrolment: Option<EnrolmentId>,
    /// The terms of service that its owner agreed to last: where they can be read.
    #[serde(default)]
    pub terms_of_service: Option<String>,
    /// The external account binding that it was opened with, as it was sent (RFC 8555 section 7.3.4).
    #[serde(default)]
    pub external_account_binding: Option<serde_json::Value>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What is to change of an account. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// Where its owner can be reached from now on.
    pub contacts: Option<Vec<String>>,
    /// Its new status.
    pub status: Option<AccountStatus>,
    /// The terms of service that its owner has agreed to.
    pub terms_of_service: Option<String>,
}

impl Account {
    /// The account after a change.
    #[must_use]
    pub fn changed(mut self, change: AccountChange) -> Self {
        let AccountChange {
            contacts,
            status,
            terms_of_service,
        } = change;
        self.contacts = contacts.unwrap_or(self.contacts);
        self.status = status.unwrap_or(self.status);
        self.terms_of_service = terms_of_service.or(self.terms_of_service);
        self
    }
}

/// Whether an account may act (RFC 8555 section 7.1.6). Both ends are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// It may.
    Valid,
    /// Its owner ended it.
    Deactivated,
    /// The server ended it.
    Revoked,
}

impl AccountStatus {
    /// As RFC 8555 spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
        }
    }
}

/// The SHA-256 thumbprint of a JWK (RFC 7638).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint(pub [u8; 32]);

impl Thumbprint {
    /// base64url without padding, as a key authorization has it (RFC 8555 section 8.1).
    #[must_use]
    pub fn to_base64url(self) -> String {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64url())
    }
}

impl Serialize for Thumbprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Thumbprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut octets = [0; 32];
        hex::decode_to_slice(&text, &mut octets).map_err(serde::de::Error::custom)?;
        Ok(Self(octets))
    }
}
