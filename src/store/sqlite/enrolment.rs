//! Enrolments in SQLite.

use std::time::Duration;

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
        enrolment::{Enrolment, EnrolmentClosed, EnrolmentState, NOT_APPROVED},
        id::EnrolmentId,
        invitation::InvitationId,
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

pub(super) const OF_INVITATION: &str =
    "SELECT body FROM enrolments INDEXED BY enrolments_by_invitation
     WHERE json_extract(body, '$.invitation') = ? ORDER BY rowid LIMIT ?";

fn of_invitation(
    connection: &Connection,
    invitation: InvitationId,
    limit: usize,
) -> rusqlite::Result<Vec<Enrolment>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(OF_INVITATION)?
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

/// Writes a new enrolment, which goes on; its invitation stays as long as one does.
fn insert(connection: &Connection, enrolment: &Enrolment) -> Result<(), StoreError> {
    let body = to_json(enrolment)?;
    connection
        .prepare_cached("INSERT INTO enrolments (id, account, principal, body) VALUES (?, ?, ?, ?)")
        .and_then(|mut insert| {
            insert.execute(params![
                enrolment.id.as_str(),
                enrolment.account.as_str(),
                enrolment.principal.to_string(),
                body
            ])
        })
        .and_then(|_| count(connection, enrolment.invitation, 1))
        .map_err(failed)
}

/// Writes an enrolment that has changed. None changes that had ended before.
fn update(connection: &Connection, enrolment: &Enrolment) -> Result<(), StoreError> {
    let body = to_json(enrolment)?;
    connection
        .prepare_cached("UPDATE enrolments SET body = ? WHERE id = ?")
        .and_then(|mut update| update.execute(params![body, enrolment.id.as_str()]))
        .and_then(|_| match enrolment.goes_on() {
            true => Ok(()),
            false => count(connection, enrolment.invitation, -1),
        })
        .map_err(failed)
}

/// So many more of an invitation's enrolments go on.
fn count(connection: &Connection, invitation: InvitationId, more: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE invitations SET going_on = going_on + ? WHERE id = ?")?
        .execute(params![more, invitation.as_str()])
        .map(drop)
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
    let rival = later_certificate(
        connection,
        &invitation.principal,
        invitation.id,
        invitation.created_at,
        now,
    )
    .map_err(failed)?;
    enrolment.state = EnrolmentState::first(&invitation, rival, now);
    if let EnrolmentState::AwaitingApproval { reason, .. } = &enrolment.state {
        audit.detail["awaits_approval"] = reason.as_str().into();
    }
    invitation::put(connection, &invitation)?;
    insert(connection, &enrolment)
}

/// The enrolments of a principal that came from other invitations, however many came from this one. In two parts, for
/// `<>` has no index.
pub(super) const OF_OTHER_INVITATIONS: &str =
    "SELECT body FROM enrolments INDEXED BY enrolments_by_principal
         WHERE principal = ?1 AND json_extract(body, '$.invitation') < ?2
     UNION ALL SELECT body FROM enrolments INDEXED BY enrolments_by_principal
         WHERE principal = ?1 AND json_extract(body, '$.invitation') > ?2";

/// A good certificate of a principal from an enrolment that came from another invitation and began since the operator's
/// last word on this one: whoever gave it didn't know of that.
fn later_certificate(
    connection: &Connection,
    principal: &Principal,
    invitation: InvitationId,
    word_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Option<Serial>> {
    let principal = principal.to_string();
    let mut others = connection.prepare_cached(OF_OTHER_INVITATIONS)?;
    let others = others.query_map(params![principal, invitation.as_str()], |row| {
        from_json::<Enrolment>(row, 0)
    })?;
    for other in others {
        let other = other?;
        if other.created_at < word_at {
            continue;
        }
        let found = connection
            .prepare_cached(
                "SELECT serial FROM certificates WHERE principal = ? AND enrolment = ?
                     AND revoked_at IS NULL AND not_after >= ? ORDER BY issued_at DESC LIMIT 1",
            )?
            .query_row(
                params![
                    principal,
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

/// Lets an enrolment have a certificate. Before its first one it is looked again whether a rival has got one since it
/// began; then it waits for an approval from now on, and the answer is why.
pub(super) fn certify(
    connection: &Connection,
    id: &EnrolmentId,
    now: Timestamp,
) -> Result<Result<(), EnrolmentClosed>, StoreError> {
    let kept = by_id(connection, id)
        .map_err(failed)?
        .ok_or(StoreError::NotFound("enrolment"))?;
    kept.check_active(now)?;
    if kept.certified_at.is_some() {
        return Ok(Ok(()));
    }
    let rival = match has_certificate(connection, &kept).map_err(failed)? {
        true => None,
        false => {
            let word_at = match kept.approved_at {
                // It was given on all that had begun by then.
                Some(approved_at) => approved_at + Duration::from_millis(1),
                // Of an invitation that is gone nobody knows when it was made.
                None => invitation::by_id(connection, kept.invitation)
                    .map_err(failed)?
                    .map_or(Timestamp::from_unix_millis(0), |it| it.created_at),
            };
            later_certificate(connection, &kept.principal, kept.invitation, word_at, now)
                .map_err(failed)?
        }
    };
    let changed = match rival {
        Some(rival) => kept.hold(rival, now),
        None => Enrolment {
            certified_at: Some(now),
            ..kept
        },
    };
    update(connection, &changed)?;
    Ok(changed.check_active(now))
}

/// Whether an enrolment has had a certificate; asked for once for each.
fn has_certificate(connection: &Connection, enrolment: &Enrolment) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM certificates
                 WHERE principal = ? AND issued_at >= ? AND enrolment = ?)",
        )?
        .query_row(
            params![
                enrolment.principal.to_string(),
                enrolment.created_at.whole_seconds().unix_millis(),
                enrolment.id.as_str()
            ],
            |row| row.get(0),
        )
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
    update(connection, &enrolment)?;
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
    update(transaction, &decided)?;
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
        end_if_it_goes_on(transaction, enrolment, now, NOT_APPROVED)?;
    }
    if !ids.is_empty() {
        audit.subject = format!("{} enrolments", ids.len());
        audit.detail["enrolments"] = ids.clone().into();
        transaction.audit(&audit)?;
    }
    Ok(ids.len())
}
