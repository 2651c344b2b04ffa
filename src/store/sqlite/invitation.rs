//! Invitations in SQLite.

use rusqlite::{Connection, params};

use super::{SqliteStore, failed, find, from_json, to_json};
use crate::{
    domain::{
        Principal, Timestamp,
        invitation::{Invitation, InvitationId},
    },
    store::{Answer, Invitations, StoreError},
};

impl Invitations for SqliteStore {
    fn invitation(&self, id: InvitationId) -> Answer<'_, Option<Invitation>> {
        self.look_up(move |connection| by_id(connection, id))
    }
}

pub(super) fn by_id(
    connection: &Connection,
    id: InvitationId,
) -> rusqlite::Result<Option<Invitation>> {
    find(
        connection,
        "SELECT body FROM invitations WHERE id = ?",
        [id.as_str()],
    )
}

/// Writes an invitation, new or changed.
pub(super) fn put(connection: &Connection, invitation: &Invitation) -> Result<(), StoreError> {
    let body = to_json(invitation)?;
    connection
        .prepare_cached(
            "INSERT INTO invitations (id, principal, expires_at, body) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at, body = excluded.body",
        )
        .and_then(|mut put| {
            put.execute(params![
                invitation.id.as_str(),
                invitation.principal.to_string(),
                invitation.expires_at.unix_millis(),
                body
            ])
        })
        .map(drop)
        .map_err(failed)
}

/// Takes back every invitation of a principal; the answer is how many were still open.
pub(super) fn take_back(
    connection: &Connection,
    principal: &Principal,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let open: Vec<Invitation> = connection
        .prepare_cached("SELECT body FROM invitations WHERE principal = ?")
        .and_then(|mut query| {
            query
                .query_map([principal.to_string()], |row| from_json(row, 0))?
                .collect()
        })
        .map_err(failed)?;
    let mut taken_back = 0;
    for mut invitation in open.into_iter().filter(|it| it.revoked_at.is_none()) {
        invitation.revoked_at = Some(at);
        put(connection, &invitation)?;
        taken_back += 1;
    }
    Ok(taken_back)
}
