//! Authorizations in SQLite.

use rusqlite::{Connection, params};

use super::{SqliteStore, failed, find, from_json, to_json};
use crate::{
    domain::{
        Timestamp,
        authorization::Authorization,
        id::{AccountId, AuthorizationId, OrderId},
    },
    store::{Answer, Authorizations, StoreError},
};

impl Authorizations for SqliteStore {
    fn authorization<'a>(&'a self, id: &'a AuthorizationId) -> Answer<'a, Option<Authorization>> {
        let id = id.clone();
        self.look_up(move |connection| by_id(connection, &id))
    }

    fn authorizations_in_processing(&self) -> Answer<'_, Vec<Authorization>> {
        self.read(|connection| {
            connection
                .prepare(
                    "SELECT body FROM authorizations WHERE EXISTS (
                         SELECT 1 FROM json_each(body, '$.challenges')
                         WHERE json_extract(value, '$.state.status') = 'processing')",
                )?
                .query_map([], |row| from_json(row, 0))?
                .collect()
        })
    }

    fn pending_authorizations<'a>(
        &'a self,
        account: &'a AccountId,
        now: Timestamp,
    ) -> Answer<'a, u64> {
        let account = account.clone();
        self.look_up(move |connection| {
            // As the index has it, term by term, or SQLite reads the whole table.
            connection
                .prepare_cached(
                    "SELECT count(*) FROM authorizations INDEXED BY authorizations_pending
                     WHERE json_extract(body, '$.account') = ?
                     AND json_extract(body, '$.state.status') = 'pending'
                     AND expires_at > ?",
                )?
                .query_row(params![account.as_str(), now.unix_millis()], |row| {
                    row.get(0)
                })
        })
    }
}

pub(super) fn by_id(
    connection: &Connection,
    id: &AuthorizationId,
) -> rusqlite::Result<Option<Authorization>> {
    find(
        connection,
        "SELECT body FROM authorizations WHERE id = ?",
        [id.as_str()],
    )
}

pub(super) fn of_order(
    connection: &Connection,
    order: &OrderId,
) -> rusqlite::Result<Vec<Authorization>> {
    connection
        .prepare_cached("SELECT body FROM authorizations WHERE \"order\" = ?")?
        .query_map([order.as_str()], |row| from_json(row, 0))?
        .collect()
}

/// Writes an authorization, new or changed.
pub(super) fn put(
    connection: &Connection,
    authorization: &Authorization,
) -> Result<(), StoreError> {
    let body = to_json(authorization)?;
    connection
        .prepare_cached(
            "INSERT INTO authorizations (id, \"order\", expires_at, body) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        )
        .and_then(|mut put| {
            put.execute(params![
                authorization.id.as_str(),
                authorization.order.as_ref().map(OrderId::as_str),
                authorization.expires_at.unix_millis(),
                body
            ])
        })
        .map(drop)
        .map_err(failed)
}
