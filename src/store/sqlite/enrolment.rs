//! Enrolments in SQLite.

use portcullis_ca::{revocation::RevocationReason, serial::Serial};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    SqliteStore, account, certificate::serial, failed, find, from_json, invitation, to_json,
    writer::Transaction,
};
use crate::{
    domain::{
        Timestamp,
        account::{Account, AccountStatus},
        audit::AuditDraft,
        directory::DirectoryName,
        enrolment::{Enrolment, EnrolmentState},
        id::EnrolmentId,
        invitation::{Invitation, InvitationId},
        principal::Principal,
    },
    store::{Answer, Enrolments, RevokeInvitation, RevokedInvitation, StoreError},
};

impl Enrolments for SqliteStore {
    fn enrolment<'a>(&'a self, id: &'a EnrolmentId) -> Answer<'a, Option<Enrolment>> {
        let id = id.clone();
        self.look_up(move |connection| by_id(connection, &id))
    }

    fn enrolments_of(&self, invitation: InvitationId, limit: usize) -> Answer<'_, Vec<Enrolment>> {
        self.read(move |connection| of_invitation(connection, invitation, limit))
    }

    fn awaiting_approval(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<Enrolment>> {
        self.read(move |connection| {
            let mut awaiting = awaiting(connection, usize::MAX)?;
            awaiting.retain(|enrolment| !is_overdue(enrolment, now));
            awaiting.truncate(limit);
            Ok(awaiting)
        })
    }
}

pub(super) fn by_id(
    connection: &Connection,
    id: &EnrolmentId,
) -> rusqlite::Result<Option<Enrolment>> {
    find(
        connection,
        "SELECT body FROM enrolments WHERE id = ?",
        [id.as_str()],
    )
}

pub(super) fn of_principal(
    connection: &Connection,
    principal: &Principal,
) -> rusqlite::Result<Vec<Enrolment>> {
    connection
        .prepare_cached("SELECT body FROM enrolments WHERE principal = ?")?
        .query_map([principal.to_string()], |row| from_json(row, 0))?
        .collect()
}

fn of_invitation(
    connection: &Connection,
    invitation: InvitationId,
    limit: usize,
) -> rusqlite::Result<Vec<Enrolment>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT body FROM enrolments WHERE json_extract(body, '$.invitation') = ? ORDER BY rowid LIMIT ?",
        )?
        .query_map(params![invitation.as_str(), limit], |row| from_json(row, 0))?
        .collect()
}

/// Those that wait for an approval, also where nobody can give it any more.
fn awaiting(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<Enrolment>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT body FROM enrolments INDEXED BY enrolments_awaiting_approval
             WHERE json_extract(body, '$.state.status') = 'awaiting-approval' ORDER BY rowid LIMIT ?",
        )?
        .query_map([limit], |row| from_json(row, 0))?
        .collect()
}

fn is_overdue(enrolment: &Enrolment, now: Timestamp) -> bool {
    match enrolment.state {
        EnrolmentState::AwaitingApproval { until, .. } => now >= until,
        EnrolmentState::Active | EnrolmentState::Ended { .. } => false,
    }
}

/// Writes an enrolment, new or changed; its invitation stays as long as one goes on.
pub(super) fn put(connection: &Connection, enrolment: &Enrolment) -> Result<(), StoreError> {
    let body = to_json(enrolment)?;
    connection
        .prepare_cached(
            "INSERT INTO enrolments (id, account, principal, body) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        )
        .and_then(|mut put| {
            put.execute(params![
                enrolment.id.as_str(),
                enrolment.account.as_str(),
                enrolment.principal.to_string(),
                body
            ])
        })
        .and_then(|_| {
            connection
                .prepare_cached(
                    "UPDATE invitations SET going_on = (
                         SELECT count(*) FROM enrolments
                         WHERE json_extract(enrolments.body, '$.invitation') = invitations.id
                             AND json_extract(enrolments.body, '$.state.status') <> 'ended')
                     WHERE id = ?",
                )?
                .execute([enrolment.invitation.as_str()])
        })
        .map(drop)
        .map_err(failed)
}

/// Redeems the invitation of a new enrolment and writes both. Whether it has to wait for an approval is decided here,
/// where nothing can come in between.
pub(super) fn begin(
    connection: &Connection,
    mut enrolment: Enrolment,
    directory: &DirectoryName,
    audit: &mut AuditDraft,
) -> Result<(), StoreError> {
    let now = audit.at;
    let invitation = invitation::by_id(connection, enrolment.invitation)
        .map_err(failed)?
        .ok_or(StoreError::NotFound("invitation"))?
        .redeem(directory, now)?;
    let rival = later_certificate(connection, &invitation, now).map_err(failed)?;
    enrolment.state = EnrolmentState::first(&invitation, rival, now);
    if let EnrolmentState::AwaitingApproval { reason, .. } = &enrolment.state {
        audit.detail["awaits_approval"] = reason.as_str().into();
    }
    invitation::put(connection, &invitation)?;
    put(connection, &enrolment)
}

/// A good certificate of an invitation's principal from an enrolment that began after the invitation was made, with
/// another one: whoever made this one didn't know of it.
fn later_certificate(
    connection: &Connection,
    invitation: &Invitation,
    now: Timestamp,
) -> rusqlite::Result<Option<Serial>> {
    for other in of_principal(connection, &invitation.principal)? {
        if other.invitation == invitation.id || other.created_at < invitation.created_at {
            continue;
        }
        let found = connection
            .prepare_cached(
                "SELECT serial FROM certificates WHERE principal = ? AND enrolment = ?
                     AND revoked_at IS NULL AND not_after >= ? ORDER BY issued_at DESC LIMIT 1",
            )?
            .query_row(
                params![
                    invitation.principal.to_string(),
                    other.id.as_str(),
                    now.whole_seconds().unix_millis()
                ],
                |row| serial(row, 0),
            )
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Ends an enrolment, the invitation that it came from, and all else that came from that: the binding gets no other
/// certificate until an operator invites again. The answer is how many enrolments ended.
pub(super) fn end(
    connection: &Connection,
    id: &EnrolmentId,
    reason: RevocationReason,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let Some(kept) = by_id(connection, id).map_err(failed)? else {
        return Ok(0);
    };
    let reason = format!("a certificate of it was revoked: {reason}");
    let family = of_invitation(connection, kept.invitation, usize::MAX).map_err(failed)?;
    end_all(connection, family.into_iter(), at, &reason)
}

/// Ends enrolments with the invitations that they came from. The answer is how many went on until now.
pub(super) fn end_all(
    connection: &Connection,
    enrolments: impl Iterator<Item = Enrolment>,
    at: Timestamp,
    reason: &str,
) -> Result<usize, StoreError> {
    let mut ended = 0;
    for enrolment in enrolments {
        if let Some(mut invitation) =
            invitation::by_id(connection, enrolment.invitation).map_err(failed)?
            && invitation.revoked_at.is_none()
        {
            invitation.revoked_at = Some(at);
            invitation::put(connection, &invitation)?;
        }
        ended += usize::from(end_if_it_goes_on(connection, enrolment, at, reason)?);
    }
    Ok(ended)
}

/// Ends the enrolment of an account that its owner has ended, and nothing with it.
pub(super) fn follow_account(
    connection: &Connection,
    account: &Account,
    at: Timestamp,
) -> Result<(), StoreError> {
    if account.status == AccountStatus::Valid {
        return Ok(());
    }
    let Some(id) = &account.enrolment else {
        return Ok(());
    };
    if let Some(kept) = by_id(connection, id).map_err(failed)? {
        end_if_it_goes_on(connection, kept, at, "its account was deactivated")?;
    }
    Ok(())
}

fn end_if_it_goes_on(
    connection: &Connection,
    mut enrolment: Enrolment,
    at: Timestamp,
    reason: &str,
) -> Result<bool, StoreError> {
    if !enrolment.goes_on() {
        return Ok(false);
    }
    enrolment.state = EnrolmentState::Ended {
        at,
        reason: reason.to_owned(),
    };
    put(connection, &enrolment)?;
    Ok(true)
}

/// Takes an invitation back, with those that wait, and with its accounts if so asked.
pub(super) fn revoke_invitation(
    transaction: &mut Transaction<'_>,
    revoke: RevokeInvitation,
    audit: &AuditDraft,
) -> Result<RevokedInvitation, StoreError> {
    let mut invitation = invitation::by_id(transaction, revoke.id)
        .map_err(failed)?
        .ok_or(StoreError::NotFound("invitation"))?;
    let was_open = invitation.revoked_at.is_none();
    if was_open {
        invitation.revoked_at = Some(revoke.at);
        invitation::put(transaction, &invitation)?;
    }
    let (mut accounts_stopped, mut enrolments_ended) = (0, 0);
    for enrolment in of_invitation(transaction, revoke.id, usize::MAX).map_err(failed)? {
        if !revoke.stop_accounts && enrolment.state == EnrolmentState::Active {
            continue;
        }
        let account = account::by_id(transaction, &enrolment.account).map_err(failed)?;
        let reason = "its invitation was taken back";
        enrolments_ended += usize::from(end_if_it_goes_on(
            transaction,
            enrolment,
            revoke.at,
            reason,
        )?);
        if let Some(mut account) = account
            && revoke.stop_accounts
            && account.status == AccountStatus::Valid
        {
            account.status = AccountStatus::Revoked;
            account::update(transaction, &account)?;
            accounts_stopped += 1;
        }
    }
    if !was_open && accounts_stopped == 0 && enrolments_ended == 0 {
        return Err(StoreError::Conflict(
            "the invitation was taken back already, and there is nothing left to stop",
        ));
    }
    transaction.audit(audit)?;
    Ok(RevokedInvitation {
        invitation,
        accounts_stopped,
        enrolments_ended,
    })
}

/// Carries out an operator's decision: approval, or rejection with its reason.
pub(super) fn decide(
    transaction: &mut Transaction<'_>,
    id: &EnrolmentId,
    rejected: Option<String>,
    audit: &AuditDraft,
) -> Result<Enrolment, StoreError> {
    let kept = by_id(transaction, id)
        .map_err(failed)?
        .ok_or(StoreError::NotFound("enrolment"))?;
    let decided = match rejected {
        None => kept.approve(audit.at)?,
        Some(reason) => kept.reject(&reason, audit.at)?,
    };
    put(transaction, &decided)?;
    transaction.audit(audit)?;
    Ok(decided)
}

/// Ends what nobody approved of in time.
pub(super) fn expire_approvals(
    transaction: &mut Transaction<'_>,
    now: Timestamp,
    limit: usize,
    mut audit: AuditDraft,
) -> Result<usize, StoreError> {
    let mut overdue = awaiting(transaction, usize::MAX).map_err(failed)?;
    overdue.retain(|enrolment| is_overdue(enrolment, now));
    overdue.truncate(limit);
    let ids: Vec<String> = overdue.iter().map(|it| it.id.to_string()).collect();
    for enrolment in overdue {
        let reason = "nobody approved of it while its invitation was good";
        end_if_it_goes_on(transaction, enrolment, now, reason)?;
    }
    if !ids.is_empty() {
        audit.subject = format!("{} enrolments", ids.len());
        audit.detail["enrolments"] = ids.clone().into();
        transaction.audit(&audit)?;
    }
    Ok(ids.len())
}
