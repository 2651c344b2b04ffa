//! Enrolments in SQLite.

use rusqlite::{Connection, params};

use super::{SqliteStore, failed, find, from_json, to_json};
use crate::{
    domain::{enrolment::Enrolment, id::EnrolmentId, principal::Principal},
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
        id.as_str(),
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
