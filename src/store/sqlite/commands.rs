//! The commands in SQLite: each reads what it depends on, moves it, and writes it, within one savepoint of the writer.

use portcullis_ca::revocation::RevocationReason;
use rusqlite::params;
use serde_json::json;

use super::{
    SqliteStore, account, api_key, audit, authorization, certificate, device, enrolment, failed,
    invitation, issuer, list, order, policy, prune, reconcile, renewal, revocation,
    writer::Transaction,
};
use crate::{
    domain::{
        Timestamp,
        account::{Account, AccountChange},
        api_key::{ApiKey, ApiKeyId},
        attestation::Attestation,
        audit::{AuditDraft, Checkpoint},
        authorization::{Authorization, WrongState},
        certificate::CertificateRecord,
        challenge::{ChallengeKind, ValidationFailure},
        enrolment::{Enrolment, EnrolmentClosed},
        id::{AccountId, AuthorizationId, EnrolmentId},
        incident::Incident,
        invitation::Invitation,
        order::Order,
        principal::Principal,
    },
    store::{
        Answer, ChangeAccountKey, ChangeIssuers, Commands, CompleteOrder, LeaseList, NewAccount,
        Pruned, PublishedList, Reconcile, Reconciled, RevokeCertificates, RevokeInvitation,
        RevokedCertificates, RevokedInvitation, StoreError,
    },
};

impl Commands for SqliteStore {
    fn invite(&self, invitation: Invitation, audit: AuditDraft) -> Answer<'_, ()> {
        self.writer.write(move |transaction| {
            invitation::put(transaction, &invitation)?;
            transaction.audit(&audit)
        })
    }

    fn revoke_invitation(
        &self,
        revoke: RevokeInvitation,
        audit: AuditDraft,
    ) -> Answer<'_, RevokedInvitation> {
        self.writer
            .write(move |transaction| enrolment::revoke_invitation(transaction, revoke, &audit))
    }

    fn decide_enrolment<'a>(
        &'a self,
        id: &'a EnrolmentId,
        rejected: Option<String>,
        audit: AuditDraft,
    ) -> Answer<'a, Enrolment> {
        let id = id.clone();
        self.writer
            .write(move |transaction| enrolment::decide(transaction, &id, rejected, &audit))
    }

    fn expire_approvals(
        &self,
        now: Timestamp,
        limit: usize,
        audit: AuditDraft,
    ) -> Answer<'_, usize> {
        self.writer
            .write(move |transaction| enrolment::expire_approvals(transaction, now, limit, audit))
    }

    fn create_account(&self, new: NewAccount, audit: AuditDraft) -> Answer<'_, ()> {
        self.writer.write(move |transaction| {
            let mut audit = audit;
            let NewAccount { account, enrolment } = new;
            if account::by_key(transaction, &account.directory, account.thumbprint)
                .map_err(failed)?
                .is_some()
            {
                return Err(StoreError::Conflict("an account with this key exists"));
            }
            account::insert(transaction, &account)?;
            if let Some(enrolment) = enrolment {
                enrolment::begin(transaction, enrolment, &account.directory, &mut audit)?;
            }
            transaction.audit(&audit)
        })
    }

    fn update_account(
        &self,
        id: AccountId,
        change: AccountChange,
        audit: AuditDraft,
    ) -> Answer<'_, Account> {
        self.writer.write(move |transaction| {
            let account = account::valid(transaction, &id)?.changed(change);
            account::update(transaction, &account)?;
            enrolment::follow_account(transaction, &account, audit.at)?;
            transaction.audit(&audit)?;
            Ok(account)
        })
    }

    fn change_account_key(
        &self,
        change: ChangeAccountKey,
        audit: AuditDraft,
    ) -> Answer<'_, Account> {
        self.writer.write(move |transaction| {
            let mut account = account::valid(transaction, &change.account)?;
            if account.thumbprint != change.from {
                return Err(StoreError::Conflict(
                    "the account has got another key in the meantime",
                ));
            }
            if account::by_key(transaction, &account.directory, change.to)
                .map_err(failed)?
                .is_some()
            {
                return Err(StoreError::Conflict("an account with this key exists"));
            }
            if let Some(fingerprint) = &change.fingerprint
                && certificate::is_key_blocked(transaction, fingerprint).map_err(failed)?
            {
                return Err(StoreError::KeyBlocked);
            }
            account.thumbprint = change.to;
            account.jwk = change.jwk;
            account::update(transaction, &account)?;
            transaction.audit(&audit)?;
            Ok(account)
        })
    }

    fn place_authorization(
        &self,
        authorization: Authorization,
        audit: AuditDraft,
    ) -> Answer<'_, ()> {
        self.writer.write(move |transaction| {
            authorization::put(transaction, &authorization)?;
            transaction.audit(&audit)
        })
    }

    fn place_order(
        &self,
        order: Order,
        authorizations: Vec<Authorization>,
        audit: AuditDraft,
    ) -> Answer<'_, ()> {
        self.writer.write(move |transaction| {
            renewal::begin_replacement(transaction, &order, audit.at)?;
            order::insert(transaction, &order)?;
            for authorization in &authorizations {
                authorization::put(transaction, authorization)?;
            }
            let is_new = |id: &AuthorizationId| authorizations.iter().any(|new| new.id == *id);
            for reused in order.authorizations.iter().filter(|id| !is_new(id)) {
                let kept = authorization_by_id(transaction, reused)?;
                if kept.account != order.account || !kept.is_valid_at(order.created_at) {
                    return Err(StoreError::WrongState(WrongState {
                        status: kept.status_at(order.created_at),
                        action: "use it for another order",
                    }));
                }
                order::put_reuse(transaction, &order, reused)?;
            }
            transaction.audit(&audit)
        })
    }

    fn begin_challenge<'a>(
        &'a self,
        id: &'a AuthorizationId,
        kind: ChallengeKind,
        now: Timestamp,
    ) -> Answer<'a, Authorization> {
        let id = id.clone();
        self.writer.write(move |transaction| {
            let authorization = authorization_by_id(transaction, &id)?.begin(kind, now)?;
            authorization::put(transaction, &authorization)?;
            Ok(authorization)
        })
    }

    fn finish_challenge<'a>(
        &'a self,
        id: &'a AuthorizationId,
        kind: ChallengeKind,
        outcome: Result<(), ValidationFailure>,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Answer<'a, Authorization> {
        let id = id.clone();
        self.writer.write(move |transaction| {
            let authorization = authorization_by_id(transaction, &id)?
                .begin(kind, now)?
                .finish(kind, outcome, now)?;
            authorization::put(transaction, &authorization)?;
            order::follow(transaction, &authorization, now)?;
            transaction.audit(&audit)?;
            Ok(authorization)
        })
    }

    fn attest<'a>(
        &'a self,
        id: &'a AuthorizationId,
        outcome: Result<Attestation, ValidationFailure>,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Answer<'a, Authorization> {
        let id = id.clone();
        self.writer.write(move |transaction| {
            let authorization = authorization_by_id(transaction, &id)?.attest(outcome, now)?;
            authorization::put(transaction, &authorization)?;
            order::follow(transaction, &authorization, now)?;
            transaction.audit(&audit)?;
            Ok(authorization)
        })
    }

    fn deactivate_authorization<'a>(
        &'a self,
        id: &'a AuthorizationId,
        now: Timestamp,
        audit: AuditDraft,
    ) -> Answer<'a, Authorization> {
        let id = id.clone();
        self.writer.write(move |transaction| {
            let authorization = authorization_by_id(transaction, &id)?.deactivate(now)?;
            authorization::put(transaction, &authorization)?;
            order::follow(transaction, &authorization, now)?;
            transaction.audit(&audit)?;
            Ok(authorization)
        })
    }

    fn complete_order(
        &self,
        complete: CompleteOrder,
        audit: AuditDraft,
    ) -> Answer<'_, Result<Order, EnrolmentClosed>> {
        self.writer.write(move |transaction| {
            let order = order::by_id(transaction, &complete.order)
                .map_err(failed)?
                .filter(|order| order.account == complete.account)
                .ok_or(StoreError::NotFound("order"))?
                .complete(complete.certificate.serial, complete.now)?;
            account::valid(transaction, &order.account)?;
            if let Some(device) = &complete.device {
                device::enrol(transaction, device, complete.now)?;
            } else if let Some(id) = &complete.certificate.enrolment
                && let Err(held) = enrolment::certify(transaction, id, complete.now)?
            {
                transaction.audit(&AuditDraft {
                    action: "enrolment.hold",
                    subject: id.to_string(),
                    detail: json!({ "order": order.id, "awaits_approval": held.to_string() }),
                    ..audit
                })?;
                return Ok(Err(held));
            }
            certificate::insert(transaction, &complete.certificate)?;
            order::update(transaction, &order)?;
            renewal::finish_replacement(transaction, &order, complete.certificate.serial)?;
            transaction.audit(&audit)?;
            Ok(Ok(order))
        })
    }

    fn record_certificate(
        &self,
        certificate: CertificateRecord,
        audit: AuditDraft,
    ) -> Answer<'_, ()> {
        self.writer.write(move |transaction| {
            certificate::insert(transaction, &certificate)?;
            transaction.audit(&audit)
        })
    }

    fn revoke_certificates(
        &self,
        revoke: RevokeCertificates,
        audit: AuditDraft,
    ) -> Answer<'_, RevokedCertificates> {
        self.writer
            .write(move |transaction| revocation::revoke(transaction, &revoke, &audit))
    }

    fn end_enrolments(
        &self,
        principal: Principal,
        reason: RevocationReason,
        audit: AuditDraft,
    ) -> Answer<'_, usize> {
        self.writer.write(move |transaction| {
            let all = enrolment::of_principal(transaction, &principal).map_err(failed)?;
            let reason = format!("its certificates were revoked: {reason}");
            let ended = enrolment::end_all(transaction, all.into_iter(), audit.at, &reason)?
                + device::end_of_principal(transaction, &principal, audit.at, &reason)?;
            // Those that nobody has used yet would let it back in.
            let taken_back = invitation::take_back(transaction, &principal, audit.at)?;
            if ended > 0 || taken_back > 0 {
                transaction.audit(&audit)?;
            }
            Ok(ended)
        })
    }

    fn mint_api_key(&self, key: ApiKey, audit: AuditDraft) -> Answer<'_, u64> {
        self.writer.write(move |transaction| {
            api_key::put(transaction, &key)?;
            transaction.audit(&audit)?;
            transaction.event(
                audit.at,
                "api-key.minted",
                &json!({ "id": key.id.to_string() }),
            )
        })
    }

    fn revoke_api_key(&self, id: ApiKeyId, at: Timestamp, audit: AuditDraft) -> Answer<'_, u64> {
        self.writer.write(move |transaction| {
            let mut key = api_key::by_id(transaction, id)
                .map_err(failed)?
                .ok_or(StoreError::NotFound("API key"))?;
            if key.revoked_at.is_some() {
                return Err(StoreError::Conflict("the API key is revoked already"));
            }
            key.revoked_at = Some(at);
            api_key::put(transaction, &key)?;
            transaction.audit(&audit)?;
            transaction.event(at, "api-key.revoked", &json!({ "id": id.to_string() }))
        })
    }

    fn apply_policy(
        &self,
        expected: u64,
        text: String,
        audit: AuditDraft,
    ) -> Answer<'_, (u64, u64)> {
        self.writer.write(move |transaction| {
            let latest = policy::latest(transaction)
                .map_err(failed)?
                .map_or(0, |policy| policy.revision);
            if latest != expected {
                return Err(StoreError::Conflict(
                    "another policy was applied meanwhile; look at it and apply again",
                ));
            }
            let revision = latest + 1;
            transaction
                .execute(
                    "INSERT INTO policies (revision, text, applied_at, applied_by) VALUES (?, ?, ?, ?)",
                    params![
                        revision,
                        text,
                        audit.at.unix_millis(),
                        audit.actor.to_string()
                    ],
                )
                .map_err(failed)?;
            transaction.audit(&audit)?;
            let epoch =
                transaction.event(audit.at, "policy.applied", &json!({ "revision": revision }))?;
            Ok((revision, epoch))
        })
    }

    fn change_issuers(&self, change: ChangeIssuers, audit: AuditDraft) -> Answer<'_, u64> {
        self.writer.write(move |transaction| {
            for expected in &change.expected {
                let kept = issuer::by_id(transaction, &expected.id).map_err(failed)?;
                if kept.as_ref() != Some(expected) {
                    return Err(StoreError::Conflict(
                        "an issuer has changed in the meantime; look again: portcullis ca list",
                    ));
                }
            }
            for record in &change.put {
                let is_expected = change.expected.iter().any(|it| it.id == record.id);
                let is_there = issuer::by_id(transaction, &record.id)
                    .map_err(failed)?
                    .is_some();
                if is_there && !is_expected {
                    return Err(StoreError::Conflict("an issuer with this key exists"));
                }
                // Whoever stole it would be a CA.
                if !is_there
                    && certificate::is_key_blocked(transaction, &record.id.0).map_err(failed)?
                {
                    return Err(StoreError::KeyBlocked);
                }
                issuer::put(transaction, record)?;
            }
            for record in &change.certificates {
                certificate::insert(transaction, record)?;
            }
            let names: Vec<&str> = change.put.iter().map(|it| it.name.as_str()).collect();
            let number =
                transaction.event(change.at, "issuers.changed", &json!({ "issuers": names }))?;
            transaction.audit(&audit)?;
            Ok(number)
        })
    }

    fn open_incident(&self, incident: Incident, audit: AuditDraft) -> Answer<'_, Incident> {
        self.writer.write(move |transaction| {
            let incident = renewal::open_incident(transaction, incident)?;
            let mut audit = audit;
            audit.subject = incident.number.to_string();
            transaction.audit(&audit)?;
            Ok(incident)
        })
    }

    fn close_incident(
        &self,
        number: u64,
        at: Timestamp,
        audit: AuditDraft,
    ) -> Answer<'_, Incident> {
        self.writer.write(move |transaction| {
            let incident = renewal::close_incident(transaction, number, at)?;
            transaction.audit(&audit)?;
            Ok(incident)
        })
    }

    fn record_bundle_holder(
        &self,
        holder: String,
        bundle: [u8; 32],
        at: Timestamp,
    ) -> Answer<'_, ()> {
        self.writer
            .write(move |transaction| issuer::put_holder(transaction, &holder, &bundle, at))
    }

    fn lease_list(&self, lease: LeaseList) -> Answer<'_, bool> {
        self.writer
            .write(move |transaction| list::lease(transaction, &lease))
    }

    fn publish_list(&self, new: PublishedList, audit: AuditDraft) -> Answer<'_, ()> {
        self.writer.write(move |transaction| {
            list::publish(transaction, &new, audit.at)?;
            transaction.audit(&audit)
        })
    }

    fn prune_expired(
        &self,
        before: Timestamp,
        limit: usize,
        audit: AuditDraft,
    ) -> Answer<'_, Pruned> {
        self.writer.write(move |transaction| {
            let pruned = prune::expired(transaction, before, limit)?;
            if pruned.certificates > 0 {
                let mut audit = audit;
                audit.subject = format!("{} certificates", pruned.certificates);
                transaction.audit(&audit)?;
            }
            Ok(pruned)
        })
    }

    fn reconcile(&self, reconcile: Reconcile, audit: AuditDraft) -> Answer<'_, Reconciled> {
        self.writer
            .write(move |transaction| reconcile::reconcile(transaction, &reconcile, &audit))
    }

    fn checkpoint_audit(&self, checkpoint: Checkpoint) -> Answer<'_, ()> {
        self.writer
            .write(move |transaction| audit::insert_checkpoint(transaction, &checkpoint))
    }

    fn prune(&self, ended_before: Timestamp, limit: usize) -> Answer<'_, usize> {
        self.writer
            .write(move |transaction| prune::ended(transaction, ended_before, limit))
    }
}

fn authorization_by_id(
    transaction: &Transaction<'_>,
    id: &AuthorizationId,
) -> Result<Authorization, StoreError> {
    authorization::by_id(transaction, id)
        .map_err(failed)?
        .ok_or(StoreError::NotFound("authorization"))
}
