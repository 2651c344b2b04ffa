//! Authorizations in SQLite.

use rusqlite::{Connection, params};

use super::{SqliteStore, failed, find, from_json, to_json};
use crate::{
    domain::{
        Timestamp,
        authorization::Authorization,
        id::{AccountId, AuthorizationId, OrderId},
        identifier::Identifier,
        order::Order,
    },
    store::{Answer, Authorizations, StoreError},
};

/// Through the index of those alone.
pub(super) const IN_PROCESSING: &str = "SELECT body FROM authorizations WHERE processing = 1";

impl Authorizations for SqliteStore {
    fn authorization<'a>(&'a self, id: &'a AuthorizationId) -> Answer<'a, Option<Authorization>> {
        let id = id.clone();
        self.look_up(move |connection| by_id(connection, &id))
    }

    fn proved_authorization<'a>(
        &'a self,
        account: &'a AccountId,
        identifier: &'a Identifier,
    ) -> Answer<'a, Option<Authorization>> {
        let proof = proof(account, identifier);
        self.look_up(move |connection| {
            find(
                connection,
                "SELECT body FROM authorizations WHERE proves = ? ORDER BY expires_at DESC LIMIT 1",
                [proof],
            )
        })
    }

    fn authorizations_in_processing(&self) -> Answer<'_, Vec<Authorization>> {
        self.read(|connection| {
            connection
                .prepare(IN_PROCESSING)?
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

/// Those of an order, made for it or before it.
pub(super) fn of_order(
    connection: &Connection,
    order: &Order,
) -> rusqlite::Result<Vec<Authorization>> {
    order
        .authorizations
        .iter()
        .filter_map(|id| by_id(connection, id).transpose())
        .collect()
}

/// Writes an authorization, new or changed.
pub(super) fn put(
    connection: &Connection,
    authorization: &Authorization,
) -> Result<(), StoreError> {
    let body = to_json(authorization)?;
    // What a device's attestation proved goes with one key, and so with one order.
    let proves = authorization
        .proof()
        .filter(|_| authorization.attested_key.is_none())
        .map(|_| proof(&authorization.account, &authorization.identifier));
    connection
        .prepare_cached(
            "INSERT INTO authorizations (id, \"order\", expires_at, proves, processing, body) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET proves = excluded.proves,
                 processing = excluded.processing, body = excluded.body",
        )
        .and_then(|mut put| {
            put.execute(params![
                authorization.id.as_str(),
                authorization.order.as_ref().map(OrderId::as_str),
                authorization.expires_at.unix_millis(),
                proves,
                authorization.is_in_processing(),
                body
            ])
        })
        .map(drop)
        .map_err(failed)
}

/// What stands in the column `proves`: whose proof of what it is.
fn proof(account: &AccountId, identifier: &Identifier) -> String {
    format!("{account} {identifier}")
}
