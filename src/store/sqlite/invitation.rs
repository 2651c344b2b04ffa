//! Invitations in SQLite.

use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::{SqliteStore, failed, find, from_json, to_json};
use crate::{
    domain::{
        Principal, Timestamp,
        invitation::{Invitation, InvitationId, InvitationStatus},
    },
    store::{Answer, InvitationQuery, Invitations, StoreError},
};

impl Invitations for SqliteStore {
    fn invitation(&self, id: InvitationId) -> Answer<'_, Option<Invitation>> {
        self.look_up(move |connection| by_id(connection, id))
    }

    fn invitations(&self, query: InvitationQuery, now: Timestamp) -> Answer<'_, Vec<Invitation>> {
        self.read(move |connection| matching(connection, &query, now))
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

fn matching(
    connection: &Connection,
    query: &InvitationQuery,
    now: Timestamp,
) -> rusqlite::Result<Vec<Invitation>> {
    let (revoked, spent) = (
        "json_extract(body, '$.revoked_at') IS NOT NULL",
        "json_extract(body, '$.used') >= json_extract(body, '$.uses')",
    );
    let mut condition = "TRUE".to_owned();
    let mut values: Vec<Value> = Vec::new();
    if let Some(principal) = &query.principal {
        condition.push_str(" AND principal = ?");
        values.push(principal.to_string().into());
    }
    if let Some(before) = query.before {
        // Rows are numbered in the order in which they came.
        condition.push_str(" AND rowid < (SELECT rowid FROM invitations WHERE id = ?)");
        values.push(before.as_str().to_owned().into());
    }
    let now: Value = now.unix_millis().into();
    match query.status {
        None => {}
        Some(InvitationStatus::Revoked) => condition.push_str(&format!(" AND {revoked}")),
        Some(InvitationStatus::Expired) => {
            condition.push_str(&format!(" AND NOT {revoked} AND expires_at <= ?"));
            values.push(now);
        }
        Some(InvitationStatus::UsedUp) => {
            condition.push_str(&format!(
                " AND NOT {revoked} AND expires_at > ? AND {spent}"
            ));
            values.push(now);
        }
        Some(InvitationStatus::Open) => {
            condition.push_str(&format!(
                " AND NOT {revoked} AND expires_at > ? AND NOT {spent}"
            ));
            values.push(now);
        }
    }
    values.push(i64::try_from(query.limit).unwrap_or(i64::MAX).into());
    connection
        .prepare(&format!(
            "SELECT body FROM invitations WHERE {condition} ORDER BY rowid DESC LIMIT ?"
        ))?
        .query_map(params_from_iter(values), |row| from_json(row, 0))?
        .collect()
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

/// Whether a principal has an invitation that is open.
pub(super) fn is_invited(
    connection: &Connection,
    principal: &Principal,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let all: Vec<Invitation> = connection
        .prepare_cached("SELECT body FROM invitations WHERE principal = ?")?
        .query_map([principal.to_string()], |row| from_json(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(all
        .iter()
        .any(|invitation| invitation.revoked_at.is_none() && now < invitation.expires_at))
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
