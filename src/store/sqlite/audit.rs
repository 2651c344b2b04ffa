//! The audit trail in SQLite, its checkpoints, and how far the store has come; the writer adds the entries.

use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use super::{SqliteStore, failed};
use crate::{
    domain::{
        Timestamp,
        audit::{AuditEntry, BEFORE_THE_FIRST, Checkpoint},
        high_water::{ListLevel, WaterLevel},
    },
    store::{Answer, AuditQuery, AuditTrail, StoreError},
};
use portcullis_ca::issuer_key_id::IssuerKeyId;

impl AuditTrail for SqliteStore {
    fn audit(&self, query: AuditQuery) -> Answer<'_, Vec<AuditEntry>> {
        self.read(move |connection| entries(connection, &query))
    }

    fn last_checkpoint(&self) -> Answer<'_, Option<Checkpoint>> {
        self.read(last_checkpoint)
    }

    fn water_level(&self) -> Answer<'_, WaterLevel> {
        self.read(water_level)
    }

    fn audit_hash(&self, number: u64) -> Answer<'_, Option<[u8; 32]>> {
        self.read(move |connection| hash_of(connection, number))
    }
}

fn entries(connection: &Connection, wanted: &AuditQuery) -> rusqlite::Result<Vec<AuditEntry>> {
    let mut query =
        "SELECT number, at, actor, action, subject, detail, hash FROM audit WHERE 1".to_owned();
    let mut values: Vec<Value> = Vec::new();
    let mut and = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            query.push_str(condition);
            values.push(value);
        }
    };
    let number =
        |number: Option<u64>| number.map(|number| i64::try_from(number).unwrap_or(i64::MAX).into());
    let moment = |at: Option<Timestamp>| at.map(|at| at.unix_millis().into());
    and(" AND number > ?", number(wanted.after));
    and(" AND number < ?", number(wanted.before));
    and(" AND at >= ?", moment(wanted.since));
    and(" AND at < ?", moment(wanted.until));
    and(" AND actor = ?", wanted.actor.clone().map(Value::from));
    and(" AND subject = ?", wanted.subject.clone().map(Value::from));
    if let Some(action) = &wanted.action {
        let characters = i64::try_from(action.chars().count()).unwrap_or(i64::MAX);
        and(" AND substr(action, 1, ?)", Some(characters.into()));
        and(" = ?", Some(action.clone().into()));
    }
    query.push_str(if wanted.newest_first {
        " ORDER BY number DESC"
    } else {
        " ORDER BY number"
    });
    if wanted.limit > 0 {
        query.push_str(" LIMIT ?");
        values.push(i64::try_from(wanted.limit).unwrap_or(i64::MAX).into());
    }
    connection
        .prepare_cached(&query)?
        .query_map(params_from_iter(values), entry)?
        .collect()
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        number: row.get(0)?,
        at: Timestamp::from_unix_millis(row.get(1)?),
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        detail: row.get(5)?,
        hash: row.get(6)?,
    })
}

pub(super) fn hash_of(connection: &Connection, number: u64) -> rusqlite::Result<Option<[u8; 32]>> {
    connection
        .prepare_cached("SELECT hash FROM audit WHERE number = ?")?
        .query_row([number], |row| row.get(0))
        .optional()
}

fn last_checkpoint(connection: &Connection) -> rusqlite::Result<Option<Checkpoint>> {
    connection
        .prepare_cached(
            "SELECT sequence, number, hash, at, signature FROM audit_checkpoints
             ORDER BY sequence DESC LIMIT 1",
        )?
        .query_row([], |row| {
            Ok(Checkpoint {
                sequence: row.get(0)?,
                number: row.get(1)?,
                hash: row.get(2)?,
                at: Timestamp::from_unix_millis(row.get(3)?),
                signature: row.get(4)?,
            })
        })
        .optional()
}

/// One statement, so that all of it is of one moment.
pub(super) fn water_level(connection: &Connection) -> rusqlite::Result<WaterLevel> {
    let transaction = connection.unchecked_transaction()?;
    let (audit_number, audit_hash) = transaction
        .prepare_cached("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or((0, BEFORE_THE_FIRST));
    let count = |query: &str| -> rusqlite::Result<u64> {
        transaction
            .prepare_cached(query)?
            .query_row([], |row| row.get(0))
    };
    let lists = transaction
        .prepare_cached("SELECT issuer, shard, number FROM lists ORDER BY issuer, shard")?
        .query_map([], |row| {
            Ok(ListLevel {
                issuer: IssuerKeyId(row.get(0)?),
                shard: row.get(1)?,
                number: row.get(2)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let level = WaterLevel {
        epoch: count("SELECT coalesce(max(number), 0) FROM events")?,
        audit_number,
        audit_hash,
        checkpoint: count("SELECT coalesce(max(sequence), 0) FROM audit_checkpoints")?,
        lists,
    };
    transaction.finish()?;
    Ok(level)
}

pub(super) fn insert_checkpoint(
    connection: &Connection,
    checkpoint: &Checkpoint,
) -> Result<(), StoreError> {
    let last = last_checkpoint(connection)
        .map_err(failed)?
        .map_or(0, |last| last.sequence);
    if checkpoint.sequence != last + 1 {
        return Err(StoreError::Conflict(
            "another checkpoint was made meanwhile",
        ));
    }
    if hash_of(connection, checkpoint.number).map_err(failed)? != Some(checkpoint.hash) {
        return Err(StoreError::Conflict(
            "the audit trail has another entry than the checkpoint is for",
        ));
    }
    connection
        .prepare_cached(
            "INSERT INTO audit_checkpoints (sequence, number, hash, at, signature) VALUES (?, ?, ?, ?, ?)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                checkpoint.sequence,
                checkpoint.number,
                checkpoint.hash,
                checkpoint.at.unix_millis(),
                checkpoint.signature
            ])
        })
        .map(drop)
        .map_err(failed)
}
