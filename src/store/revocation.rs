//! What is asked and told about revocations and the lists that they are on.

use bytes::Bytes;
use portcullis_ca::{
    crl::RevokedEntry, issuer_key_id::IssuerKeyId, revocation::RevocationReason, serial::Serial,
};

use crate::domain::{Timestamp, principal::Principal};

/// What the store knows about a certificate, by issuer and serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateStatusAnswer {
    /// It never saw it. That is not good (RFC 6960 section 2.2).
    Unknown,
    /// It was issued, and is not revoked. It may have expired.
    Good,
    /// It is revoked, seen or not.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
}

/// What belongs on the list of an issuer's shard, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedOfShard {
    /// The number of the last trust event: every revocation up to it is in `entries`.
    pub covers: u64,
    /// The revoked certificates, ascending by serial, each once.
    pub entries: Vec<RevokedEntry>,
}

/// Which certificates are to be revoked: those that meet every condition, are not revoked and have not expired. What is
/// part of the authority itself, CAs and OCSP responders, is never among them; it is revoked by serial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationQuery {
    /// Those of a principal.
    pub principal: Option<Principal>,
    /// Those of an issuer.
    pub issuer: Option<IssuerKeyId>,
    /// Those with a key, by the SHA-256 of its SubjectPublicKeyInfo.
    pub key: Option<[u8; 32]>,
    /// Those of a profile, by its name.
    pub profile: Option<String>,
    /// Those issued at this moment or later.
    pub issued_from: Option<Timestamp>,
    /// Those issued before this moment.
    pub issued_before: Option<Timestamp>,
}

/// What a [`RevocationQuery`] finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocable {
    /// How many.
    pub count: u64,
    /// The first of them, by the order that the store has them in; all of them where no limit was given.
    pub serials: Vec<Serial>,
}

/// Which certificates to revoke, and why.
#[derive(Debug, Clone)]
pub struct RevokeCertificates {
    /// Which.
    pub serials: Vec<Serial>,
    /// Which besides, of those that the store never saw.
    pub unseen: Vec<UnseenCertificate>,
    /// Which keys to block, certificates with them or not; only where the reason is a compromise.
    pub keys: Vec<[u8; 32]>,
    /// Why.
    pub reason: RevocationReason,
    /// Since when.
    pub at: Timestamp,
}

/// A certificate that the store never saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnseenCertificate {
    /// Whose.
    pub issuer: IssuerKeyId,
    /// Its serial.
    pub serial: Serial,
    /// Which of its issuer's lists it names; all of them where that is not known.
    pub list_shard: Option<u32>,
    /// Its notAfter, or where that is not known its issuer's.
    pub not_after: Timestamp,
}

/// What a revocation did.
#[derive(Debug, Clone, Default)]
pub struct RevokedCertificates {
    /// The events, one for each issuer; none when nothing was left to change.
    pub events: Vec<RevocationEvent>,
    /// What was revoked already.
    pub already: Vec<Serial>,
    /// How many enrolments ended.
    pub enrolments_ended: usize,
    /// How many keys were blocked that were not before.
    pub keys_blocked: usize,
}

impl RevokedCertificates {
    /// The number of the last event; nothing when nothing was left to change.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.events.last().map(|event| event.number)
    }

    /// What is revoked now and was not before.
    pub fn revoked(&self) -> impl Iterator<Item = (IssuerKeyId, Serial)> {
        self.events
            .iter()
            .flat_map(|event| event.serials.iter().map(|serial| (event.issuer, *serial)))
    }
}

/// The trust event of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationEvent {
    /// Its number.
    pub number: u64,
    /// Whose certificates.
    pub issuer: IssuerKeyId,
    /// Which are revoked now and were not before; none where only a reason grew worse.
    pub serials: Vec<Serial>,
}

/// How an issuer's shard stands: what is revoked, and what its published list covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardState {
    /// Whose.
    pub issuer: IssuerKeyId,
    /// Which shard.
    pub shard: u32,
    /// The number of the last event that revoked something of it; zero where nothing is revoked.
    pub revoked_up_to: u64,
    /// The list last published, without its octets.
    pub published: Option<ListHead>,
}

/// A published list, without its octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListHead {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one will be there.
    pub next_update: Timestamp,
    /// Up to which trust event every revocation is on it; nothing where that was not written down.
    pub covers: Option<u64>,
    /// Certificates that ended before this moment are not on it.
    pub keeps_from: Timestamp,
}

/// A list as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredList {
    /// All but its octets.
    pub head: ListHead,
    /// The list.
    pub der: Vec<u8>,
}

/// Who wants to publish the next list of an issuer's shard.
#[derive(Debug, Clone)]
pub struct LeaseList {
    /// Whose list.
    pub issuer: IssuerKeyId,
    /// Of which shard.
    pub shard: u32,
    /// Who: a node, by a name of its own.
    pub holder: String,
    /// The moment of asking.
    pub now: Timestamp,
    /// How long it may take.
    pub until: Timestamp,
}

/// A list to be published.
#[derive(Debug, Clone)]
pub struct PublishedList {
    /// Whose.
    pub issuer: IssuerKeyId,
    /// Which of its shards.
    pub shard: u32,
    /// Who publishes it: the holder of the lease.
    pub holder: String,
    /// Its number: one more than the last one's.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one will be there.
    pub next_update: Timestamp,
    /// Up to which trust event every revocation is on it.
    pub covers: u64,
    /// Certificates that ended before this moment are not on it.
    pub keeps_from: Timestamp,
    /// The list.
    pub der: Bytes,
}
