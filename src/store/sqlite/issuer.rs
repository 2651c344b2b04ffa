//! Issuers, and who holds which trust bundle, in SQLite.

use portcullis_ca::issuer_key_id::IssuerKeyId;
use rusqlite::{Connection, OptionalExtension, params};

use super::{SqliteStore, failed, find, from_json, to_json};
use crate::{
    domain::{
        Timestamp,
        issuer::{IssuerRecord, IssuerState},
    },
    store::{Answer, BundleReadiness, Issuers, StoreError},
};

impl Issuers for SqliteStore {
    fn issuers(&self) -> Answer<'_, Vec<IssuerRecord>> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT body FROM issuers ORDER BY rowid")?
                .query_map([], |row| from_json(row, 0))?
                .collect()
        })
    }

    fn bundle_readiness(
        &self,
        bundle: [u8; 32],
        at: Timestamp,
        limit: usize,
    ) -> Answer<'_, BundleReadiness> {
        self.read(move |connection| readiness(connection, &bundle, at, limit))
    }
}

/// Principals with a certificate that is good at the moment, and those of them that have not fetched the bundle.
const HOLDERS: &str = "SELECT DISTINCT principal FROM certificates
     WHERE principal IS NOT NULL AND revoked_at IS NULL AND not_after >= ?1";

fn readiness(
    connection: &Connection,
    bundle: &[u8; 32],
    at: Timestamp,
    limit: usize,
) -> rusqlite::Result<BundleReadiness> {
    let at = at.whole_seconds().unix_millis();
    let all = connection.query_row(&format!("SELECT count(*) FROM ({HOLDERS})"), [at], |row| {
        row.get(0)
    })?;
    let without = format!(
        "FROM ({HOLDERS}) WHERE principal NOT IN (SELECT holder FROM bundle_holders WHERE bundle = ?2)"
    );
    let missing: u64 = connection.query_row(
        &format!("SELECT count(*) {without}"),
        params![at, bundle],
        |row| row.get(0),
    )?;
    let first_missing = connection
        .prepare(&format!(
            "SELECT principal {without} ORDER BY principal LIMIT ?3"
        ))?
        .query_map(
            params![at, bundle, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| super::from_text(row, 0),
        )?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(BundleReadiness {
        all,
        missing,
        first_missing,
    })
}

pub(super) fn by_id(
    connection: &Connection,
    id: &IssuerKeyId,
) -> rusqlite::Result<Option<IssuerRecord>> {
    find(connection, "SELECT body FROM issuers WHERE id = ?", [id.0])
}

pub(super) fn is_retired(connection: &Connection, id: &IssuerKeyId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM issuers WHERE id = ? AND state = ?")?
        .exists(params![id.0, IssuerState::Retired.to_string()])
}

/// Writes an issuer, new or changed.
pub(super) fn put(connection: &Connection, issuer: &IssuerRecord) -> Result<(), StoreError> {
    let other = connection
        .prepare_cached("SELECT 1 FROM issuers WHERE name = ? AND id <> ?")
        .and_then(|mut query| {
            query
                .query_row(params![issuer.name.as_str(), issuer.id.0], |_| Ok(()))
                .optional()
        })
        .map_err(failed)?;
    if other.is_some() {
        return Err(StoreError::Conflict("an issuer with this name exists"));
    }
    let body = to_json(issuer)?;
    connection
        .prepare_cached(
            "INSERT INTO issuers (id, name, state, body) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state, body = excluded.body",
        )
        .and_then(|mut put| {
            put.execute(params![
                issuer.id.0,
                issuer.name.as_str(),
                issuer.state.to_string(),
                body
            ])
        })
        .map(drop)
        .map_err(failed)
}

pub(super) fn put_holder(
    connection: &Connection,
    holder: &str,
    bundle: &[u8; 32],
    at: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO bundle_holders (holder, bundle, fetched_at) VALUES (?, ?, ?)
             ON CONFLICT (holder) DO UPDATE SET bundle = excluded.bundle, fetched_at = excluded.fetched_at
             -- Every device asks a few times a day: what is known already dirties no page, so it costs no sync.
             WHERE bundle <> excluded.bundle",
        )
        .and_then(|mut put| put.execute(params![holder, bundle, at.unix_millis()]))
        .map(drop)
        .map_err(failed)
}
