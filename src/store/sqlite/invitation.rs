//! Invitations in SQLite.

use rusqlite::{Connection, params};

use super::{SqliteStore, failed, find, to_json};
use crate::{
    domain::invitation::{Invitation, InvitationId},
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
        id.as_str(),
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
