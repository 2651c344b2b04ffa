//! The audit trail in SQLite; the writer adds to it.

use rusqlite::params;

use super::SqliteStore;
use crate::{
    domain::{Timestamp, audit::AuditEntry},
    store::{Answer, AuditTrail},
};

impl AuditTrail for SqliteStore {
    fn audit(&self, after: u64, limit: usize) -> Answer<'_, Vec<AuditEntry>> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT number, at, actor, action, subject, detail, hash FROM audit
                     WHERE number > ? ORDER BY number LIMIT ?",
                )?
                .query_map(params![after, limit as u64], |row| {
                    Ok(AuditEntry {
                        number: row.get(0)?,
                        at: Timestamp::from_unix_millis(row.get(1)?),
                        actor: row.get(2)?,
                        action: row.get(3)?,
                        subject: row.get(4)?,
                        detail: row.get(5)?,
                        hash: row.get(6)?,
                    })
                })?
                .collect()
        })
    }
}
