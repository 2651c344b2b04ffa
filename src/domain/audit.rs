//! The audit trail: an entry for every change of state, each carrying the hash of the one before, so that it can't be
//! edited without it showing.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::{Timestamp, principal::Principal};

mod checkpoint;
mod verification;

pub use checkpoint::{AuditKey, AuditPublicKey, Checkpoint, InvalidAuditKey};
pub use verification::{
    KeptCheckpoint, KeptEntry, TrailFault, TrailSummary, TrailVerification, Witness,
};

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A principal, by way of the admin API.
    Principal(Principal),
    /// An ACME account, by its id.
    Account(String),
    /// The holder of a certificate's private key, by its serial.
    KeyHolder(String),
    /// The authority itself: a job of its own.
    Authority,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Principal(principal) => write!(f, "{principal}"),
            Self::Account(id) => write!(f, "account:{id}"),
            Self::KeyHolder(serial) => write!(f, "key-holder:{serial}"),
            Self::Authority => f.write_str("authority"),
        }
    }
}

/// What is to be written down about a change. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDraft {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What was done, such as `certificate.issue`.
    pub action: &'static str,
    /// To what: a serial, an id, a principal.
    pub subject: String,
    /// What else is worth knowing.
    pub detail: serde_json::Value,
}

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number; they follow one another without gaps.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What else is worth knowing, as JSON text, to the byte as it was hashed.
    pub detail: String,
    /// The hash of this entry and all before it.
    #[serde(with = "hash")]
    pub hash: [u8; 32],
}

impl AuditEntry {
    /// The entry that follows one with `previous` as its hash.
    #[must_use]
    pub fn chain(number: u64, previous: &[u8; 32], draft: &AuditDraft) -> Self {
        let mut entry = Self {
            number,
            at: draft.at,
            actor: draft.actor.to_string(),
            action: draft.action.to_owned(),
            subject: draft.subject.clone(),
            detail: draft.detail.to_string(),
            hash: [0; 32],
        };
        entry.hash = entry.hash_after(previous);
        entry
    }

    /// The hash that the entry must have after one with `previous` as its hash. Each field goes in with its length, so
    /// that no two entries give the same octets.
    #[must_use]
    pub fn hash_after(&self, previous: &[u8; 32]) -> [u8; 32] {
        let fields = [&self.actor, &self.action, &self.subject, &self.detail];
        link(
            previous,
            self.number.to_be_bytes(),
            self.at.unix_millis(),
            fields.map(String::as_bytes),
        )
    }
}

/// The hash of an entry after the one before it.
fn link(previous: &[u8; 32], number: [u8; 8], at: i64, fields: [&[u8]; 4]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(previous);
    context.update(&number);
    context.update(&at.to_be_bytes());
    for field in fields {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The hash before the first entry.
pub const BEFORE_THE_FIRST: [u8; 32] = [0; 32];

/// A hash as hexadecimal text.
pub(super) mod hash {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(in crate::domain) fn serialize<S: Serializer>(
        hash: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(hash))
    }

    pub(in crate::domain) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(D::Error::custom)?;
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_boundary_between_fields_changes_the_hash() {
        let draft = AuditDraft {
            at: Timestamp::from_unix_seconds(1),
            actor: Actor::Authority,
            action: "crl.publish",
            subject: "ab".to_owned(),
            detail: serde_json::json!({}),
        };
        let entry = AuditEntry::chain(1, &BEFORE_THE_FIRST, &draft);
        assert_eq!(entry.hash, entry.hash_after(&BEFORE_THE_FIRST));
        let mut moved = entry.clone();
        moved.action = "crl.publisha".to_owned();
        moved.subject = "b".to_owned();
        assert_ne!(moved.hash_after(&BEFORE_THE_FIRST), entry.hash);
        assert_ne!(entry.hash_after(&entry.hash), entry.hash);
    }
}
