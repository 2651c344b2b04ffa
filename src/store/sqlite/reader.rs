//! Reading a store's file as it lies there, with a server on it or without: to verify its audit trail, to compare it
//! with the high-water mark, to copy it. It writes nothing and believes nothing.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, Row, backup::Backup, params};

use super::{audit, failed};
use crate::{
    domain::{
        audit::{KeptCheckpoint, KeptEntry},
        high_water::WaterLevel,
    },
    store::StoreError,
};

/// A store's file, open for reading.
pub struct SqliteReader(Connection);

impl SqliteReader {
    /// Opens the file.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read, or is no store of ours.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let reader = Self::open_any(path)?;
        if reader.migrations()? < super::migrations::COUNT {
            return Err(StoreError::Unavailable(
                "it was written by an older version; start the server on it once".into(),
            ));
        }
        Ok(reader)
    }

    /// Whether there must be a high-water mark for a file: versions before the fourth migration kept none.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn has_a_mark(path: &Path) -> Result<bool, StoreError> {
        const SINCE: u64 = 4;
        Ok(Self::open_any(path)?.migrations()? >= SINCE)
    }

    fn open_any(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(failed)?;
        connection
            .busy_timeout(Duration::from_secs(10))
            .map_err(failed)?;
        Ok(Self(connection))
    }

    fn migrations(&self) -> Result<u64, StoreError> {
        let count = |query: &str| -> Result<u64, StoreError> {
            self.0
                .query_row(query, [], |row| row.get(0))
                .map_err(failed)
        };
        let table =
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'";
        if count(table)? == 0 {
            return Ok(0);
        }
        count("SELECT count(*) FROM migrations")
    }

    /// How far it has come.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn water_level(&self) -> Result<WaterLevel, StoreError> {
        audit::water_level(&self.0).map_err(failed)
    }

    /// The hash of the entry with this number.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn audit_hash(&self, number: u64) -> Result<Option<[u8; 32]>, StoreError> {
        audit::hash_of(&self.0, number).map_err(failed)
    }

    /// The entries of the audit trail from a number on, whatever it is, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn audit_from(&self, number: i64, limit: usize) -> Result<Vec<KeptEntry>, StoreError> {
        self.0
            .prepare_cached(
                "SELECT number, at, actor, action, subject, detail, hash FROM audit
                 WHERE number >= ? ORDER BY number LIMIT ?",
            )
            .and_then(|mut query| {
                query
                    .query_map(params![number, limit as u64], |row| {
                        Ok(KeptEntry {
                            number: row.get(0)?,
                            at: row.get(1)?,
                            fields: [
                                octets(row, 2)?,
                                octets(row, 3)?,
                                octets(row, 4)?,
                                octets(row, 5)?,
                            ],
                            hash: octets(row, 6)?,
                        })
                    })?
                    .collect()
            })
            .map_err(failed)
    }

    /// Every checkpoint, by ascending sequence.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn checkpoints(&self) -> Result<Vec<KeptCheckpoint>, StoreError> {
        self.0
            .prepare_cached(
                "SELECT sequence, number, hash, at, signature FROM audit_checkpoints ORDER BY sequence",
            )
            .and_then(|mut query| {
                query
                    .query_map([], |row| {
                        Ok(KeptCheckpoint {
                            sequence: row.get(0)?,
                            number: row.get(1)?,
                            hash: octets(row, 2)?,
                            at: row.get(3)?,
                            signature: octets(row, 4)?,
                        })
                    })?
                    .collect()
            })
            .map_err(failed)
    }

    /// Copies all of it, as it is at one moment, into a new file; a server may go on writing meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read or the copy can't be written.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let mut copy = Connection::open(path).map_err(failed)?;
        let backup = Backup::new(&self.0, &mut copy).map_err(failed)?;
        // In one step, which is one read transaction: in several, every write of the server would begin it anew.
        backup
            .run_to_completion(i32::MAX, Duration::from_millis(100), None)
            .map_err(failed)?;
        drop(backup);
        // The copy says that it is in WAL mode, as its origin is; it needs no log of its own beside it.
        copy.close().map_err(|(_, error)| failed(error))
    }

    /// Whether SQLite finds the file sound.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with what it finds.
    pub fn check(&self) -> Result<(), StoreError> {
        let found: String = self
            .0
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(failed)?;
        if found == "ok" {
            Ok(())
        } else {
            Err(StoreError::damaged(found))
        }
    }
}

/// The octets of a column, be it text, perhaps no longer UTF-8, or a blob.
fn octets(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(row.get_ref(column)?.as_bytes()?.to_vec())
}
