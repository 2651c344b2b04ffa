//! Looking up: one trait for each noun.

use portcullis_ca::{issuer_key_id::IssuerKeyId, revocation::RevocationReason, serial::Serial};

use super::{
    Answer, CertificateStatusAnswer, InvitationQuery, Revocable, RevocationQuery, RevokedOfShard,
    ShardState, StoredList,
};
use crate::domain::{
    ProfileName, Timestamp,
    account::{Account, Thumbprint},
    api_key::{ApiKey, ApiKeyId},
    audit::{AuditEntry, Checkpoint},
    authorization::Authorization,
    certificate::{CertificateRecord, CertificateStatus},
    directory::DirectoryName,
    enrolment::Enrolment,
    high_water::WaterLevel,
    id::{AccountId, AuthorizationId, EnrolmentId, OrderId},
    identifier::Identifier,
    invitation::{Invitation, InvitationId},
    issuer::IssuerRecord,
    order::Order,
    principal::Principal,
};

/// Accounts.
pub trait Accounts: Send + Sync {
    /// The account with this id.
    fn account<'a>(&'a self, id: &'a AccountId) -> Answer<'a, Option<Account>>;
    /// The account with this key.
    fn account_by_key<'a>(
        &'a self,
        directory: &'a DirectoryName,
        thumbprint: Thumbprint,
    ) -> Answer<'a, Option<Account>>;
    /// Whether a key is that of an account, of whatever directory and state.
    fn is_account_key(&self, thumbprint: Thumbprint) -> Answer<'_, bool>;
}

/// Invitations.
pub trait Invitations: Send + Sync {
    /// The invitation with this id.
    fn invitation(&self, id: InvitationId) -> Answer<'_, Option<Invitation>>;
    /// The invitations that a query asks for at a moment, newest first.
    fn invitations(&self, query: InvitationQuery, now: Timestamp) -> Answer<'_, Vec<Invitation>>;
}

/// Issuers.
pub trait Issuers: Send + Sync {
    /// Every issuer that there is or was, oldest first.
    fn issuers(&self) -> Answer<'_, Vec<IssuerRecord>>;
    /// Which principals with a good certificate have fetched a trust bundle, by its SHA-256; at most `limit` of those that
    /// have not are named.
    fn bundle_readiness(
        &self,
        bundle: [u8; 32],
        at: Timestamp,
        limit: usize,
    ) -> Answer<'_, BundleReadiness>;
}

/// How many have fetched a trust bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleReadiness {
    /// How many principals have a good certificate.
    pub all: u64,
    /// How many of them have not fetched the bundle.
    pub missing: u64,
    /// The first of those.
    pub first_missing: Vec<Principal>,
}

/// Enrolments.
pub trait Enrolments: Send + Sync {
    /// The enrolment with this id.
    fn enrolment<'a>(&'a self, id: &'a EnrolmentId) -> Answer<'a, Option<Enrolment>>;
    /// Those that were begun with an invitation, oldest first, at most `limit`.
    fn enrolments_of(&self, invitation: InvitationId, limit: usize) -> Answer<'_, Vec<Enrolment>>;
    /// Those that wait for an operator's approval and can still get it at a moment, oldest first, at most `limit`.
    fn awaiting_approval(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<Enrolment>>;
}

/// Orders.
pub trait Orders: Send + Sync {
    /// The order with this id.
    fn order<'a>(&'a self, id: &'a OrderId) -> Answer<'a, Option<Order>>;
    /// A page of the orders of an account, oldest first, without those that are invalid at a moment: at most `limit`,
    /// from after a place on.
    fn orders_of<'a>(
        &'a self,
        account: &'a AccountId,
        after: Option<OrderPlace>,
        now: Timestamp,
        limit: usize,
    ) -> Answer<'a, OrdersPage>;
}

/// Where an order stands among its account's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPlace {
    /// When it was placed.
    pub created_at: Timestamp,
    /// Which it is, among those of that millisecond.
    pub id: OrderId,
}

/// A page of an account's orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrdersPage {
    /// The orders.
    pub orders: Vec<OrderId>,
    /// The place of the last one, if others follow it.
    pub next: Option<OrderPlace>,
}

/// Authorizations.
pub trait Authorizations: Send + Sync {
    /// The authorization with this id.
    fn authorization<'a>(&'a self, id: &'a AuthorizationId) -> Answer<'a, Option<Authorization>>;
    /// The authorization with which an account has proved an identifier by a challenge; of several, the one that is good
    /// for longest. It may have expired.
    fn proved_authorization<'a>(
        &'a self,
        account: &'a AccountId,
        identifier: &'a Identifier,
    ) -> Answer<'a, Option<Authorization>>;
    /// Those that are pending and whose challenge was being looked at when the process ended: they are looked at again.
    fn authorizations_in_processing(&self) -> Answer<'_, Vec<Authorization>>;
    /// How many authorizations of an account are pending and have not expired at `now`.
    fn pending_authorizations<'a>(
        &'a self,
        account: &'a AccountId,
        now: Timestamp,
    ) -> Answer<'a, u64>;
}

/// Certificates.
pub trait Certificates: Send + Sync {
    /// The certificate with this serial.
    fn certificate(&self, serial: Serial) -> Answer<'_, Option<CertificateRecord>>;
    /// The certificates that a filter leaves, newest first.
    fn certificates(&self, filter: CertificateFilter) -> Answer<'_, Vec<CertificateRecord>>;
    /// Whether a key was blocked, by the SHA-256 of its SubjectPublicKeyInfo.
    fn is_key_blocked(&self, fingerprint: [u8; 32]) -> Answer<'_, bool>;
    /// Whether a certificate has a key, by the SHA-256 of its SubjectPublicKeyInfo.
    fn is_certificate_key(&self, fingerprint: [u8; 32]) -> Answer<'_, bool>;
}

/// Revocations.
pub trait Revocations: Send + Sync {
    /// What is known about the certificate with this issuer and serial.
    fn certificate_status(
        &self,
        issuer: IssuerKeyId,
        serial: Serial,
    ) -> Answer<'_, CertificateStatusAnswer>;
    /// What belongs on the list of an issuer's shard: the revoked certificates whose notAfter lies at `keeps_from` or
    /// later, seen or not.
    fn revoked(
        &self,
        issuer: IssuerKeyId,
        shard: u32,
        keeps_from: Timestamp,
    ) -> Answer<'_, RevokedOfShard>;
    /// The notAfter of those certificates that are known and revoked, by serial.
    fn ends_of_revoked(
        &self,
        issuer: IssuerKeyId,
        serials: Vec<Serial>,
    ) -> Answer<'_, Vec<(Serial, Timestamp)>>;
    /// The certificates that may be revoked at a moment and meet a query: how many there are, and at most `limit` of
    /// them. A compromise may reach what was revoked for another reason.
    fn revocable(
        &self,
        query: RevocationQuery,
        reason: RevocationReason,
        at: Timestamp,
        limit: usize,
    ) -> Answer<'_, Revocable>;
}

/// Which certificates are wanted. An empty filter is all of them.
#[derive(Debug, Clone, Default)]
pub struct CertificateFilter {
    /// Those of a principal.
    pub principal: Option<Principal>,
    /// Those of a profile.
    pub profile: Option<ProfileName>,
    /// Those with a status, at a moment.
    pub status: Option<(CertificateStatus, Timestamp)>,
    /// At most so many; 0 is all.
    pub limit: usize,
}

/// API keys.
pub trait ApiKeys: Send + Sync {
    /// The key with this id.
    fn api_key(&self, id: ApiKeyId) -> Answer<'_, Option<ApiKey>>;
    /// All keys, oldest first.
    fn api_keys(&self) -> Answer<'_, Vec<ApiKey>>;
}

/// Policies.
pub trait Policies: Send + Sync {
    /// The policy in force.
    fn policy(&self) -> Answer<'_, Option<PolicyRevision>>;
}

/// A policy as it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRevision {
    /// Its number, from 1.
    pub revision: u64,
    /// The document, to the byte.
    pub text: String,
    /// Since when it is in force.
    pub applied_at: Timestamp,
    /// Who applied it.
    pub applied_by: String,
}

/// Published lists.
pub trait Lists: Send + Sync {
    /// The list last published for an issuer's shard.
    fn list(&self, issuer: IssuerKeyId, shard: u32) -> Answer<'_, Option<StoredList>>;
    /// How shards stand, all as of one moment, in the order that they are asked for. No list is read for it, nor what
    /// is on it.
    fn shard_states(&self, shards: Vec<(IssuerKeyId, u32)>) -> Answer<'_, Vec<ShardState>>;
}

/// The audit trail, and how far the store has come.
pub trait AuditTrail: Send + Sync {
    /// The entries that a query asks for.
    fn audit(&self, query: AuditQuery) -> Answer<'_, Vec<AuditEntry>>;
    /// The last checkpoint.
    fn last_checkpoint(&self) -> Answer<'_, Option<Checkpoint>>;
    /// How far the store has come, all of it at one moment.
    fn water_level(&self) -> Answer<'_, WaterLevel>;
    /// The hash of the entry with this number.
    fn audit_hash(&self, number: u64) -> Answer<'_, Option<[u8; 32]>>;
}

/// Which entries of the audit trail are wanted, and in which order. The default is all of them, oldest first.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// By whom, as an entry has it.
    pub actor: Option<String>,
    /// Those whose action begins so.
    pub action: Option<String>,
    /// About what, as an entry has it.
    pub subject: Option<String>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Those after this number.
    pub after: Option<u64>,
    /// Those before this number.
    pub before: Option<u64>,
    /// Newest first.
    pub newest_first: bool,
    /// At most so many; 0 is all.
    pub limit: usize,
}

/// What a node's standing is loaded from.
pub trait Standings: Send + Sync {
    /// The number of the last trust event.
    fn epoch(&self) -> Answer<'_, u64>;
    /// Every revoked serial with its issuer whose certificate has not expired at a moment, seen or not.
    fn all_revoked(&self, not_expired_at: Timestamp) -> Answer<'_, Vec<(IssuerKeyId, Serial)>>;
}

/// What the doctor wants to know.
pub trait Health: Send + Sync {
    /// The store's state, at little cost. `not_leaves` are the profiles by which CAs and responders are made.
    fn health(&self, not_leaves: Vec<String>) -> Answer<'_, StoreHealth>;
}

/// How the audit trail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailHealth {
    /// When the oldest entry was written that no checkpoint stands for yet; nothing when all are signed.
    pub oldest_unsigned: Option<Timestamp>,
}

/// The store's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// How many certificates it holds, at most.
    pub certificates: u64,
    /// When the newest audit entry was written.
    pub newest_record: Option<Timestamp>,
    /// How the audit trail is.
    pub trail: TrailHealth,
    /// For each issuer among the newest 1,000 certificates, how many of its are leaves.
    pub newest_leaves: Vec<(IssuerKeyId, u64)>,
}
