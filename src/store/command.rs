//! Writing: one command for each use case. A command is atomic and durable when it returns; a refused one leaves
//! nothing behind.

use portcullis_ca::revocation::RevocationReason;

use super::{
    Answer, LeaseList, PublishedList, Reconcile, Reconciled, RevokeCertificates, RevokeInvitation,
    RevokedCertificates, RevokedInvitation,
};
use crate::domain::{
    Timestamp,
    account::{Account, AccountChange, Thumbprint},
    api_key::{ApiKey, ApiKeyId},
    attestation::Attestation,
    audit::{AuditDraft, Checkpoint},
    authorization::Authorization,
    certificate::CertificateRecord,
    challenge::{ChallengeKind, ValidationFailure},
    device::Device,
    enrolment::{Enrolment, EnrolmentClosed},
    id::{AccountId, AuthorizationId, EnrolmentId, OrderId},
    incident::Incident,
    invitation::Invitation,
    issuer::IssuerRecord,
    order::Order,
    principal::Principal,
};

/// The commands. The last argument of each is what is written into the audit trail, in the same transaction.
pub trait Commands: Send + Sync {
    /// Records an invitation.
    fn invite(&self, invitation: Invitation, audit: AuditDraft) -> Answer<'_, ()>;

    /// Takes an invitation back; who waits for an approval with it waits no more, and with `stop_accounts` its accounts
    /// and enrolments end. Refused with `NotFound`, and with `Conflict` when it was taken back and nothing is to be stopped.
    fn revoke_invitation(
        &self,
        revoke: RevokeInvitation,
        audit: AuditDraft,
    ) -> Answer<'_, RevokedInvitation>;

    /// Records an operator's decision on an enrolment: approval, or rejection with its reason. Refused with `NotFound`
    /// and `NotAwaiting`.
    fn decide_enrolment<'a>(
        &'a self,
        id: &'a EnrolmentId,
        rejected: Option<String>,
        audit: AuditDraft,
    ) -> Answer<'a, Enrolment>;

    /// Ends enrolments that nobody approved of in time, at most `limit`. The answer is how many; if none, nothing is
    /// written into the audit trail.
    fn expire_approvals(
        &self,
        now: Timestamp,
        limit: usize,
        audit: AuditDraft,
    ) -> Answer<'_, usize>;

    /// Records an account; with an enrolment, its invitation is redeemed in the same breath, and whether the enrolment has
    /// to wait for an approval is decided.
    ///
    /// Refused with `Conflict` when an account with this key exists, and with `NotRedeemable`.
    fn create_account(&self, new: NewAccount, audit: AuditDraft) -> Answer<'_, ()>;

    /// Changes a valid account; one that ends takes its enrolment with it. Refused with `Conflict` when it is no longer
    /// valid.
    fn update_account(
        &self,
        id: AccountId,
        change: AccountChange,
        audit: AuditDraft,
    ) -> Answer<'_, Account>;

    /// Gives a valid account another key, if it still has the one that is expected, and no account of its directory has
    /// the new one. Refused with `Conflict`, and with `KeyBlocked`.
    fn change_account_key(
        &self,
        change: ChangeAccountKey,
        audit: AuditDraft,
    ) -> Answer<'_, Account>;

    /// Records an authorization that no order asked for (RFC 8555 section 7.4.1).
    fn place_authorization(
        &self,
        authorization: Authorization,
        audit: AuditDraft,
    ) -> Answer<'_, ()>;

    /// Records an order and the authorizations that were made for it. Those that it has from before must be its account's
    /// and valid, else it is refused with `WrongState`. The certificate that it replaces is marked; refused
    /// with `AlreadyReplaced` unless the order that marked it before is invalid.
    fn place_order(
        &self,
        order: Order,
        authorizations: Vec<Authorization>,
        audit: AuditDraft,
    ) -> Answer<'_, ()>;

    /// Moves a challenge to `processing`. Refused with `WrongState`.
    fn begin_challenge<'a>(
        &'a self,
        id: &'a AuthorizationId,
        kind: ChallengeKind,
        now: Timestamp,
    ) -> Answer<'a, Authorization>;

    /// Records the outcome of a challenge, which may have been begun before, and has every order that uses the authorization
    /// follow. Refused with `WrongState`.
    fn finish_challenge<'a>(
        &'a self,
        id: &'a AuthorizationId,
        kind: ChallengeKind,
        outcome: Result<(), ValidationFailure>,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Answer<'a, Authorization>;

    /// Records what came of a device's statement, and has its order follow. Refused with `WrongState`.
    fn attest<'a>(
        &'a self,
        id: &'a AuthorizationId,
        outcome: Result<Attestation, ValidationFailure>,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Answer<'a, Authorization>;

    /// Gives an authorization up, and has every order that uses it follow. Refused with `WrongState`.
    fn deactivate_authorization<'a>(
        &'a self,
        id: &'a AuthorizationId,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Answer<'a, Authorization>;

    /// Records a certificate and its order as valid: only if the order is ready, its account valid, its enrolment
    /// active and its key not blocked at that very moment. So one order gets one certificate.
    ///
    /// An enrolment that has no certificate yet is held, and the order stays ready, when a rival has got one since the
    /// operator's last word on it; the answer is why.
    fn complete_order(
        &self,
        complete: CompleteOrder,
        audit: AuditDraft,
    ) -> Answer<'_, Result<Order, EnrolmentClosed>>;

    /// Records a certificate that no order asked for: the authority's own.
    fn record_certificate(
        &self,
        certificate: CertificateRecord,
        audit: AuditDraft,
    ) -> Answer<'_, ()>;

    /// Revokes certificates, blocks their keys where the reason is a compromise, and ends their enrolments where it
    /// says so. Those that were revoked before are reported; a compromise blocks their keys all the same, and reaches
    /// every other certificate with the same key. One event for each issuer. Refused with `NotFound` when one of the
    /// serials is not known, and with `Conflict` when one that is said to be unseen is.
    fn revoke_certificates(
        &self,
        revoke: RevokeCertificates,
        audit: AuditDraft,
    ) -> Answer<'_, RevokedCertificates>;

    /// Ends every enrolment of a principal, and the invitations that they came from. The answer is how many ended.
    fn end_enrolments(
        &self,
        principal: Principal,
        reason: RevocationReason,
        audit: AuditDraft,
    ) -> Answer<'_, usize>;

    /// Records an API key; the answer is the event's number.
    fn mint_api_key(&self, key: ApiKey, audit: AuditDraft) -> Answer<'_, u64>;

    /// Revokes an API key; the answer is the event's number. Refused with `NotFound` and, when it is revoked already,
    /// `Conflict`.
    fn revoke_api_key(&self, id: ApiKeyId, at: Timestamp, audit: AuditDraft) -> Answer<'_, u64>;

    /// Puts a policy in force if `expected` is the revision that it replaces (0: none). The answer is its revision and
    /// the event's number.
    fn apply_policy(
        &self,
        expected: u64,
        text: String,
        audit: AuditDraft,
    ) -> Answer<'_, (u64, u64)>;

    /// Records issuers, new or changed, and the CA certificates that go with it, if every changed one is still in the
    /// state that is expected. Refused with `Conflict`. The answer is the event's number.
    fn change_issuers(&self, change: ChangeIssuers, audit: AuditDraft) -> Answer<'_, u64>;

    /// Records an incident under the next number, which the answer has.
    fn open_incident(&self, incident: Incident, audit: AuditDraft) -> Answer<'_, Incident>;

    /// Closes an incident. Refused with `NotFound` and, when it is closed already, `Conflict`.
    fn close_incident(&self, number: u64, at: Timestamp, audit: AuditDraft)
    -> Answer<'_, Incident>;

    /// Remembers who has fetched which trust bundle. It changes nobody's standing, so it is not in the audit trail.
    fn record_bundle_holder(
        &self,
        holder: String,
        bundle: [u8; 32],
        at: Timestamp,
    ) -> Answer<'_, ()>;

    /// Takes the lease on an issuer's shard, or prolongs one's own; without it no list of the shard can be published.
    /// The answer is whether it was to be had: somebody else may hold it.
    fn lease_list(&self, lease: LeaseList) -> Answer<'_, bool>;

    /// Records a list and gives up the lease, if its number is the next one of its issuer and shard and the lease is
    /// the publisher's. Refused with `Conflict`.
    fn publish_list(&self, list: PublishedList, audit: AuditDraft) -> Answer<'_, ()>;

    /// Deletes certificates that ended before a moment, but none that was revoked and that a list still has, and trust
    /// events from before it, but the last; at most `limit` of each. Nothing deleted, nothing written into the audit trail.
    fn prune_expired(
        &self,
        before: Timestamp,
        limit: usize,
        audit: AuditDraft,
    ) -> Answer<'_, Pruned>;

    /// Takes over what was published: revocations that the store lacks, numbers of lists, and the epoch.
    fn reconcile(&self, reconcile: Reconcile, audit: AuditDraft) -> Answer<'_, Reconciled>;

    /// Records a checkpoint of the audit trail. It is about the trail, and so the one change without an entry of its own.
    /// Refused with `Conflict` when it is not the next one, or its entry has another hash.
    fn checkpoint_audit(&self, checkpoint: Checkpoint) -> Answer<'_, ()>;

    /// Deletes orders, authorizations and invitations that ended before `ended_before`, at most `limit` of each. The
    /// answer is how many went.
    fn prune(&self, ended_before: Timestamp, limit: usize) -> Answer<'_, usize>;
}

/// A new account, and the enrolment that its binding begins.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The account.
    pub account: Account,
    /// Its enrolment, whose invitation is redeemed.
    pub enrolment: Option<Enrolment>,
}

/// Another key for an account.
#[derive(Debug, Clone)]
pub struct ChangeAccountKey {
    /// Whose.
    pub account: AccountId,
    /// The thumbprint of the key that it must have until now.
    pub from: Thumbprint,
    /// The thumbprint of its new key.
    pub to: Thumbprint,
    /// The new key as a JWK.
    pub jwk: serde_json::Value,
    /// The SHA-256 of the new key's SubjectPublicKeyInfo, by which it may be blocked; nothing for a kind of key that no
    /// certificate has.
    pub fingerprint: Option<[u8; 32]>,
}

/// A certificate for an order.
#[derive(Debug, Clone)]
pub struct CompleteOrder {
    /// Which order.
    pub order: OrderId,
    /// Whose it must be.
    pub account: AccountId,
    /// The signed certificate.
    pub certificate: CertificateRecord,
    /// The device that it is for, where its statement alone proved it: it begins, or goes on, with the certificate.
    pub device: Option<Device>,
    /// The moment at which the order must be ready.
    pub now: Timestamp,
}

/// A change of issuers.
#[derive(Debug, Clone)]
pub struct ChangeIssuers {
    /// What they are to be.
    pub put: Vec<IssuerRecord>,
    /// What each one that is there already was when the change was decided on, all of it: a change that took its time
    /// must not undo another one.
    pub expected: Vec<IssuerRecord>,
    /// CA certificates that were signed for it.
    pub certificates: Vec<CertificateRecord>,
    /// When.
    pub at: Timestamp,
}

/// How much was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Certificates.
    pub certificates: usize,
    /// Trust events.
    pub events: usize,
}
