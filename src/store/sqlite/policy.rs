//! Policies in SQLite.

use rusqlite::{Connection, OptionalExtension};

use super::SqliteStore;
use crate::{
    domain::Timestamp,
    store::{Answer, Policies, PolicyRevision},
};

impl Policies for SqliteStore {
    fn policy(&self) -> Answer<'_, Option<PolicyRevision>> {
        self.read(latest)
    }
}

pub(super) fn latest(connection: &Connection) -> rusqlite::Result<Option<PolicyRevision>> {
    connection
        .prepare_cached(
            "SELECT revision, text, applied_at, applied_by FROM policies ORDER BY revision DESC LIMIT 1",
        )?
        .query_row([], |row| {
            Ok(PolicyRevision {
                revision: row.get(0)?,
                text: row.get(1)?,
                applied_at: Timestamp::from_unix_millis(row.get(2)?),
                applied_by: row.get(3)?,
            })
        })
        .optional()
}
