//! Bringing the tables up to date: numbered SQL files, each run once, in its own transaction, with its checksum kept.

use aws_lc_rs::digest;
use rusqlite::{Connection, TransactionBehavior, params};

use super::failed;
use crate::store::StoreError;

/// Every migration, in order. One that was released is never changed; add another.
const MIGRATIONS: [(&str, &str); 10] = [
    (
        "0001_initial",
        include_str!("../migrations/sqlite/0001_initial.sql"),
    ),
    (
        "0002_issuers",
        include_str!("../migrations/sqlite/0002_issuers.sql"),
    ),
    (
        "0003_revocation",
        include_str!("../migrations/sqlite/0003_revocation.sql"),
    ),
    (
        "0004_keeping",
        include_str!("../migrations/sqlite/0004_keeping.sql"),
    ),
    (
        "0005_directories",
        include_str!("../migrations/sqlite/0005_directories.sql"),
    ),
    (
        "0006_orders",
        include_str!("../migrations/sqlite/0006_orders.sql"),
    ),
    (
        "0007_renewal",
        include_str!("../migrations/sqlite/0007_renewal.sql"),
    ),
    (
        "0008_bindings",
        include_str!("../migrations/sqlite/0008_bindings.sql"),
    ),
    (
        "0009_attestation",
        include_str!("../migrations/sqlite/0009_attestation.sql"),
    ),
    (
        "0010_limits",
        include_str!("../migrations/sqlite/0010_limits.sql"),
    ),
];

/// How many there are.
pub(super) const COUNT: u64 = MIGRATIONS.len() as u64;

/// Runs what has not been run yet.
pub(super) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS migrations (
                 number   INTEGER PRIMARY KEY,
                 name     TEXT NOT NULL,
                 checksum BLOB NOT NULL
             ) STRICT",
        )
        .map_err(failed)?;
    let done = done(connection).map_err(failed)?;
    for (index, (name, checksum)) in done.iter().enumerate() {
        let Some((known, sql)) = MIGRATIONS.get(index) else {
            return Err(StoreError::damaged(format!(
                "it was written by a newer version (migration {name})"
            )));
        };
        if known != name
            || checksum[..] != *digest::digest(&digest::SHA256, sql.as_bytes()).as_ref()
        {
            return Err(StoreError::damaged(format!(
                "migration {name} is not the one that this version knows"
            )));
        }
    }
    for (index, (name, sql)) in MIGRATIONS.iter().enumerate().skip(done.len()) {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        transaction.execute_batch(sql).map_err(failed)?;
        transaction
            .execute(
                "INSERT INTO migrations (number, name, checksum) VALUES (?, ?, ?)",
                params![
                    index as u64 + 1,
                    name,
                    digest::digest(&digest::SHA256, sql.as_bytes()).as_ref()
                ],
            )
            .map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

fn done(connection: &Connection) -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
    connection
        .prepare("SELECT name, checksum FROM migrations ORDER BY number")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The statement of a migration that begins like this, to look at in a test.
#[cfg(test)]
pub(super) fn statement(name: &str, beginning: &str) -> &'static str {
    let (_, sql) = MIGRATIONS.iter().find(|(it, _)| *it == name).unwrap();
    let start = sql.find(beginning).unwrap();
    sql[start..].split(';').next().unwrap()
}
