//! Enrolments in SQLite.

use portcullis_ca::revocation::RevocationReason;
use rusqlite::{Connection, params};

use super::{SqliteStore, failed, find, from_json, invitation, to_json};
use crate::{
    domain::{
        Timestamp,
        enrolment::{Enrolment, EnrolmentState},
        id::EnrolmentId,
        principal::Principal,
    },
    store::{Answer, Enrolments, StoreError},
};

impl Enrolments for SqliteStore {
    fn enrolment<'a>(&'a self, id: &'a EnrolmentId) -> Answer<'a, Option<Enrolment>> {
        let id = id.clone();
        self.look_up(move |connection| by_id(connection, &id))
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

/// Writes an enrolment, new or changed.
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
        .map(drop)
        .map_err(failed)
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
    let family = of_principal(connection, &kept.principal)
        .map_err(failed)?
        .into_iter()
        .filter(|other| other.invitation == kept.invitation);
    end_all(connection, family, at, &reason)
}

/// Ends enrolments with the invitations that they came from. The answer is how many were active.
pub(super) fn end_all(
    connection: &Connection,
    enrolments: impl Iterator<Item = Enrolment>,
    at: Timestamp,
    reason: &str,
) -> Result<usize, StoreError> {
    let mut ended = 0;
    for mut enrolment in enrolments {
        if let Some(mut invitation) =
            invitation::by_id(connection, enrolment.invitation).map_err(failed)?
            && invitation.revoked_at.is_none()
        {
            invitation.revoked_at = Some(at);
            invitation::put(connection, &invitation)?;
        }
        if enrolment.check_active().is_ok() {
            enrolment.state = EnrolmentState::Ended {
                at,
                reason: reason.to_owned(),
            };
            put(connection, &enrolment)?;
            ended += 1;
        }
    }
    Ok(ended)
}
