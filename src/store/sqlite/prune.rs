//! Deleting what has ended, in SQLite: a bounded number of rows at a time.

use rusqlite::{Connection, params};

use super::failed;
use crate::{
    domain::Timestamp,
    store::{Pruned, StoreError},
};

/// Orders, authorizations and invitations that ended before a moment. The answer is how many rows went.
pub(super) fn ended(
    connection: &Connection,
    before: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let mut gone = 0;
    for (table, and) in [
        ("orders", ""),
        ("authorizations", ""),
        ("reused_authorizations", ""),
        // One whose enrolments go on says what they may order, and can still be revoked with them.
        ("invitations", " AND going_on = 0"),
    ] {
        gone += connection
            .execute(
                &format!(
                    "DELETE FROM {table} WHERE rowid IN (
                         SELECT rowid FROM {table} WHERE expires_at < ?{and} LIMIT ?)"
                ),
                params![before.unix_millis(), limit as u64],
            )
            .map_err(failed)?;
    }
    Ok(gone)
}

/// Certificates that ended before a moment, but none that a list still has, and trust events before it but the last.
pub(super) fn expired(
    connection: &Connection,
    before: Timestamp,
    limit: usize,
) -> Result<Pruned, StoreError> {
    let certificates = certificates(connection, before, limit).map_err(failed)?;
    unseen(connection, before, limit).map_err(failed)?;
    // The first ones only are looked at, for numbers and times go the same way; the last one's number is the epoch.
    let events = connection
        .execute(
            "DELETE FROM events WHERE number IN (SELECT number FROM events ORDER BY number LIMIT ?)
                 AND at < ? AND number < (SELECT max(number) FROM events)",
            params![limit as u64, before.unix_millis()],
        )
        .map_err(failed)?;
    Ok(Pruned {
        certificates,
        events,
    })
}

/// Revocations of certificates that the store never saw, when no list has them any more.
fn unseen(connection: &Connection, before: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    connection.execute(
        "DELETE FROM unseen_revocations WHERE (issuer, serial) IN (
             SELECT issuer, serial FROM unseen_revocations AS gone
             WHERE not_after < ? AND NOT EXISTS (
                 SELECT 1 FROM lists WHERE lists.issuer = gone.issuer
                     AND (gone.list_shard IS NULL OR lists.shard = gone.list_shard)
                     AND lists.keeps_from <= gone.not_after)
             LIMIT ?)",
        params![before.unix_millis(), limit as u64],
    )
}

fn certificates(
    connection: &Connection,
    before: Timestamp,
    limit: usize,
) -> rusqlite::Result<usize> {
    // The list that was published last says from when on it keeps what has ended (RFC 5280 section 3.3: a revoked
    // certificate stays on one list past its expiry).
    let ended: Vec<(Vec<u8>, i64, String)> = connection
        .prepare_cached(
            "SELECT serial, issued_at, names FROM certificates INDEXED BY certificates_by_expiry
             WHERE not_after < ? AND (revoked_at IS NULL OR EXISTS (
                 SELECT 1 FROM lists WHERE lists.issuer = certificates.issuer
                     AND lists.shard = certificates.list_shard AND lists.keeps_from > certificates.not_after))
             LIMIT ?",
        )?
        .query_map(params![before.unix_millis(), limit as u64], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut names = connection.prepare_cached(
        "DELETE FROM certificate_names
         WHERE name IN (SELECT value FROM json_each(?)) AND issued_at = ? AND serial = ?",
    )?;
    let mut replacement = connection.prepare_cached("DELETE FROM replacements WHERE serial = ?")?;
    let mut certificate = connection.prepare_cached("DELETE FROM certificates WHERE serial = ?")?;
    for (serial, issued_at, written_names) in &ended {
        names.execute(params![written_names, issued_at, serial])?;
        replacement.execute([serial])?;
        certificate.execute([serial])?;
    }
    Ok(ended.len())
}
