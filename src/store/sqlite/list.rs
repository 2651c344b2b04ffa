//! Published lists, and what a standing is loaded from, in SQLite.

use portcullis_ca::{issuer_key_id::IssuerKeyId, serial::Serial};
use rusqlite::{Connection, OptionalExtension, params};

use super::{SqliteStore, certificate};
use crate::{
    domain::Timestamp,
    store::{Answer, Lists, Standings, StoredList},
};

impl Lists for SqliteStore {
    fn list(&self, issuer: IssuerKeyId, shard: u32) -> Answer<'_, Option<StoredList>> {
        self.read(move |connection| of_shard(connection, issuer, shard))
    }
}

impl Standings for SqliteStore {
    fn epoch(&self) -> Answer<'_, u64> {
        self.read(|connection| {
            connection.query_row("SELECT coalesce(max(number), 0) FROM events", [], |row| {
                row.get(0)
            })
        })
    }

    fn all_revoked(&self, not_expired_at: Timestamp) -> Answer<'_, Vec<(IssuerKeyId, Serial)>> {
        self.read(move |connection| certificate::all_revoked(connection, not_expired_at))
    }
}

pub(super) fn of_shard(
    connection: &Connection,
    issuer: IssuerKeyId,
    shard: u32,
) -> rusqlite::Result<Option<StoredList>> {
    connection
        .prepare_cached(
            "SELECT number, this_update, next_update, der FROM lists WHERE issuer = ? AND shard = ?",
        )?
        .query_row(params![issuer.0, shard], |row| {
            Ok(StoredList {
                number: row.get(0)?,
                this_update: Timestamp::from_unix_millis(row.get(1)?),
                next_update: Timestamp::from_unix_millis(row.get(2)?),
                der: row.get(3)?,
            })
        })
        .optional()
}
