//! What a database that was restored takes over from what was published, and what came of it.

use portcullis_ca::{issuer_key_id::IssuerKeyId, revocation::RevocationReason, serial::Serial};

use crate::domain::{Timestamp, high_water::ListLevel};

/// What is to be taken over.
#[derive(Debug, Clone)]
pub struct Reconcile {
    /// Every revocation that was found; what the store knows already is passed over.
    pub revocations: Vec<FoundRevocation>,
    /// The lists that count as the last ones from now on, so that numbers go on after them.
    pub lists: Vec<ListCopy>,
    /// Lists of which no copy was found: their numbers go on after these.
    pub raised: Vec<ListLevel>,
    /// The number of the event that it is.
    pub epoch: u64,
    /// When.
    pub at: Timestamp,
}

/// A published list.
#[derive(Debug, Clone)]
pub struct ListCopy {
    /// Whose.
    pub issuer: IssuerKeyId,
    /// Which of its shards.
    pub shard: u32,
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one was due at the latest.
    pub next_update: Timestamp,
    /// The list.
    pub der: Vec<u8>,
}

/// An entry of a published list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundRevocation {
    /// Whose certificate.
    pub issuer: IssuerKeyId,
    /// Which of the issuer's lists has it.
    pub shard: u32,
    /// Its serial.
    pub serial: Serial,
    /// Since when it is revoked.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// The issuer's notAfter: no certificate of it ends later.
    pub issuer_not_after: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Certificates that the store has, and that it did not know to be revoked.
    pub revoked: Vec<Serial>,
    /// Revoked certificates that the store never saw.
    pub unseen: Vec<Serial>,
    /// How many enrolments ended with them.
    pub enrolments_ended: usize,
    /// How many lists it has a younger copy of now.
    pub lists: usize,
    /// The epoch from now on.
    pub epoch: u64,
}
