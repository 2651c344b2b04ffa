//! Published lists, the leases on them, and what a standing is loaded from, in SQLite.

use portcullis_ca::{issuer_key_id::IssuerKeyId, serial::Serial};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{SqliteStore, certificate, failed, revocation};
use crate::{
    domain::Timestamp,
    store::{
        Answer, LeaseList, ListHead, Lists, PublishedList, ShardState, Standings, StoreError,
        StoredList,
    },
};

impl Lists for SqliteStore {
    fn list(&self, issuer: IssuerKeyId, shard: u32) -> Answer<'_, Option<StoredList>> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT number, this_update, next_update, covers, keeps_from, der FROM lists
                     WHERE issuer = ? AND shard = ?",
                )?
                .query_row(params![issuer.0, shard], |row| {
                    Ok(StoredList {
                        head: head(row)?,
                        der: row.get(5)?,
                    })
                })
                .optional()
        })
    }

    fn shard_states(&self, shards: Vec<(IssuerKeyId, u32)>) -> Answer<'_, Vec<ShardState>> {
        self.read(move |connection| {
            let snapshot = connection.unchecked_transaction()?;
            shards
                .into_iter()
                .map(|(issuer, shard)| {
                    Ok(ShardState {
                        issuer,
                        shard,
                        revoked_up_to: revocation::revoked_up_to(&snapshot, issuer, shard)?,
                        published: head_of(&snapshot, issuer, shard)?,
                    })
                })
                .collect()
        })
    }
}

impl Standings for SqliteStore {
    fn epoch(&self) -> Answer<'_, u64> {
        self.read(revocation::last_event)
    }

    fn all_revoked(&self, not_expired_at: Timestamp) -> Answer<'_, Vec<(IssuerKeyId, Serial)>> {
        self.read(move |connection| {
            connection
                .prepare(ALL_REVOKED)?
                .query_map([not_expired_at.unix_millis()], |row| {
                    Ok((IssuerKeyId(row.get(0)?), certificate::serial(row, 1)?))
                })?
                .collect()
        })
    }
}

/// Every revoked serial with its issuer, seen or not: read from the index of those that are revoked. Left to itself, SQLite
/// takes the one that `not_after` leads, and a start reads every certificate there is.
const ALL_REVOKED: &str = "SELECT issuer, serial FROM certificates INDEXED BY certificates_revoked
         WHERE revoked_at IS NOT NULL AND not_after >= ?1
     UNION ALL SELECT issuer, serial FROM unseen_revocations WHERE not_after >= ?1";

fn head(row: &Row<'_>) -> rusqlite::Result<ListHead> {
    Ok(ListHead {
        number: row.get(0)?,
        this_update: Timestamp::from_unix_millis(row.get(1)?),
        next_update: Timestamp::from_unix_millis(row.get(2)?),
        covers: row.get(3)?,
        keeps_from: Timestamp::from_unix_millis(row.get(4)?),
    })
}

fn head_of(
    connection: &Connection,
    issuer: IssuerKeyId,
    shard: u32,
) -> rusqlite::Result<Option<ListHead>> {
    connection
        .prepare_cached(
            "SELECT number, this_update, next_update, covers, keeps_from FROM lists
             WHERE issuer = ? AND shard = ?",
        )?
        .query_row(params![issuer.0, shard], head)
        .optional()
}

/// Takes or prolongs a lease, unless somebody else's still runs.
pub(super) fn lease(connection: &Connection, lease: &LeaseList) -> Result<bool, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO list_leases (issuer, shard, holder, until) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (issuer, shard) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE holder = excluded.holder OR until <= ?5",
        )
        .and_then(|mut take| {
            take.execute(params![
                lease.issuer.0,
                lease.shard,
                lease.holder,
                lease.until.unix_millis(),
                lease.now.unix_millis()
            ])
        })
        .map(|rows| rows > 0)
        .map_err(failed)
}

/// Writes a list down, by compare-and-swap of its number and under the publisher's lease, which ends with it.
pub(super) fn publish(
    connection: &Connection,
    new: &PublishedList,
    now: Timestamp,
) -> Result<(), StoreError> {
    let last = head_of(connection, new.issuer, new.shard)
        .map_err(failed)?
        .map_or(0, |list| list.number);
    if new.number != last + 1 {
        return Err(StoreError::Conflict("another list was published meanwhile"));
    }
    let held = connection
        .prepare_cached(
            "DELETE FROM list_leases WHERE issuer = ? AND shard = ? AND holder = ? AND until > ?",
        )
        .and_then(|mut give_up| {
            give_up.execute(params![
                new.issuer.0,
                new.shard,
                new.holder,
                now.unix_millis()
            ])
        })
        .map_err(failed)?;
    if held == 0 {
        return Err(StoreError::Conflict(
            "the lease on the list has ended; somebody else may be publishing it",
        ));
    }
    connection
        .prepare_cached(
            "INSERT INTO lists (issuer, shard, number, this_update, next_update, covers, keeps_from, der)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (issuer, shard) DO UPDATE SET number = excluded.number,
                 this_update = excluded.this_update, next_update = excluded.next_update,
                 covers = excluded.covers, keeps_from = excluded.keeps_from, der = excluded.der",
        )
        .and_then(|mut put| {
            put.execute(params![
                new.issuer.0,
                new.shard,
                new.number,
                new.this_update.unix_millis(),
                new.next_update.unix_millis(),
                new.covers,
                new.keeps_from.unix_millis(),
                &new.der[..]
            ])
        })
        .map(drop)
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// Steps of SQLite's machine, not time.
    #[test]
    fn what_is_revoked_is_read_without_the_rest() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::migrations::run(&mut connection).unwrap();
        connection
            .execute_batch(
                "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
                 INSERT INTO certificates (serial, issuer, list_shard, profile, names, not_before, not_after,
                     key_fingerprint, der, issued_at, revoked_at)
                 SELECT cast(1000000 + n AS BLOB), x'07', 0, 'server', '[]', n, n, x'07', x'', n, iif(n % 1000, NULL, n)
                 FROM n",
            )
            .unwrap();
        let mut statement = connection.prepare(ALL_REVOKED).unwrap();
        let found = statement.query_map([0], |_| Ok(())).unwrap().count();
        let steps = statement.get_status(StatementStatus::VmStep);
        assert_eq!(found, 10);
        assert!(steps < 500, "{steps} steps");
    }
}
