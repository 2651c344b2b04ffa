//! What the doctor wants to know, in SQLite.

use portcullis_ca::issuer_key_id::IssuerKeyId;
use rusqlite::OptionalExtension;

use super::SqliteStore;
use crate::{
    domain::Timestamp,
    store::{Answer, Health, StoreHealth, TrailHealth},
};

impl Health for SqliteStore {
    fn health(&self, not_leaves: Vec<String>) -> Answer<'_, StoreHealth> {
        let not_leaves = serde_json::Value::from(not_leaves).to_string();
        self.read(move |connection| {
            // Counting ten million rows each minute would cost more than it is worth; the ends of the row numbers cost
            // nothing.
            let certificates = connection.query_row(
                "SELECT coalesce((SELECT max(rowid) FROM certificates)
                     - (SELECT min(rowid) FROM certificates) + 1, 0)",
                [],
                |row| row.get(0),
            )?;
            let newest_record = connection
                .query_row(
                    "SELECT at FROM audit ORDER BY number DESC LIMIT 1",
                    [],
                    |row| row.get(0),
                )
                .optional()?
                .map(Timestamp::from_unix_millis);
            let oldest_unsigned = connection
                .query_row(
                    "SELECT at FROM audit
                     WHERE number > (SELECT coalesce(max(number), 0) FROM audit_checkpoints)
                     ORDER BY number LIMIT 1",
                    [],
                    |row| row.get(0),
                )
                .optional()?
                .map(Timestamp::from_unix_millis);
            let newest_leaves = connection
                .prepare_cached(
                    "SELECT issuer, sum(profile NOT IN (SELECT value FROM json_each(?)))
                     FROM (SELECT issuer, profile FROM certificates ORDER BY issued_at DESC LIMIT 1000)
                     GROUP BY issuer",
                )?
                .query_map([not_leaves], |row| Ok((IssuerKeyId(row.get(0)?), row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(StoreHealth {
                certificates,
                newest_record,
                trail: TrailHealth { oldest_unsigned },
                newest_leaves,
            })
        })
    }
}
