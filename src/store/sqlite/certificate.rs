//! Certificates in SQLite.

use portcullis_ca::{issuer_key_id::IssuerKeyId, revocation::RevocationReason, serial::Serial};
use rusqlite::{
    Connection, OptionalExtension, Row, params, params_from_iter,
    types::{Type, Value},
};

use super::{SqliteStore, failed, from_json, from_text, inventory, issuer, to_json};
use crate::{
    domain::{
        Timestamp,
        certificate::{CertificateRecord, CertificateStatus, Revocation},
        id::{AccountId, EnrolmentId, OrderId},
    },
    store::{Answer, CertificateFilter, Certificates, StoreError},
};

pub(super) const COLUMNS: &str = "serial, issuer, list_shard, profile, principal, names, not_before, not_after, \
     key_fingerprint, der, enrolment, account, \"order\", issued_at, revoked_at, revocation_reason";

impl Certificates for SqliteStore {
    fn certificate(&self, serial: Serial) -> Answer<'_, Option<CertificateRecord>> {
        self.look_up(move |connection| by_serial(connection, serial))
    }

    fn certificates(&self, filter: CertificateFilter) -> Answer<'_, Vec<CertificateRecord>> {
        self.read(move |connection| filtered(connection, &filter))
    }

    fn is_key_blocked(&self, fingerprint: [u8; 32]) -> Answer<'_, bool> {
        self.look_up(move |connection| is_key_blocked(connection, &fingerprint))
    }

    fn is_certificate_key(&self, fingerprint: [u8; 32]) -> Answer<'_, bool> {
        self.look_up(move |connection| {
            connection
                .prepare_cached("SELECT 1 FROM certificates WHERE key_fingerprint = ?")?
                .exists([fingerprint])
        })
    }
}

pub(super) fn by_serial(
    connection: &Connection,
    serial: Serial,
) -> rusqlite::Result<Option<CertificateRecord>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM certificates WHERE serial = ?"
        ))?
        .query_row([serial.significant_octets()], record)
        .optional()
}

fn filtered(
    connection: &Connection,
    filter: &CertificateFilter,
) -> rusqlite::Result<Vec<CertificateRecord>> {
    let mut query = format!("SELECT {COLUMNS} FROM certificates WHERE 1");
    let mut values: Vec<Value> = Vec::new();
    if let Some(principal) = &filter.principal {
        query.push_str(" AND principal = ?");
        values.push(principal.to_string().into());
    }
    if let Some(profile) = &filter.profile {
        query.push_str(" AND profile = ?");
        values.push(profile.to_string().into());
    }
    if let Some((status, now)) = filter.status {
        match status {
            CertificateStatus::Revoked => query.push_str(" AND revoked_at IS NOT NULL"),
            CertificateStatus::Expired => {
                query.push_str(" AND revoked_at IS NULL AND not_after < ?");
                values.push(now.whole_seconds().unix_millis().into());
            }
            CertificateStatus::Valid => {
                query.push_str(" AND revoked_at IS NULL AND not_after >= ?");
                values.push(now.whole_seconds().unix_millis().into());
            }
        }
    }
    query.push_str(" ORDER BY issued_at DESC, serial");
    if filter.limit > 0 {
        query.push_str(" LIMIT ?");
        values.push(i64::try_from(filter.limit).unwrap_or(i64::MAX).into());
    }
    connection
        .prepare(&query)?
        .query_map(params_from_iter(values), record)?
        .collect()
}

pub(super) fn insert(
    connection: &Connection,
    certificate: &CertificateRecord,
) -> Result<(), StoreError> {
    if is_key_blocked(connection, &certificate.key_fingerprint).map_err(failed)? {
        return Err(StoreError::KeyBlocked);
    }
    // It was signed before the issuer was retired, and nobody would accept it.
    if issuer::is_retired(connection, &certificate.issuer).map_err(failed)? {
        return Err(StoreError::Conflict(
            "its issuer was retired in the meantime; try again",
        ));
    }
    let names = to_json(&certificate.names)?;
    connection
        .prepare_cached(&format!(
            "INSERT INTO certificates ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)"
        ))
        .and_then(|mut insert| {
            insert.execute(params![
                certificate.serial.significant_octets(),
                certificate.issuer.0,
                certificate.list_shard,
                certificate.profile.as_str(),
                certificate.principal.as_ref().map(ToString::to_string),
                names,
                certificate.not_before.unix_millis(),
                certificate.not_after.unix_millis(),
                certificate.key_fingerprint,
                certificate.der,
                certificate.enrolment.as_ref().map(EnrolmentId::as_str),
                certificate.account.as_ref().map(AccountId::as_str),
                certificate.order.as_ref().map(OrderId::as_str),
                certificate.issued_at.unix_millis(),
            ])
        })
        .map(drop)
        .map_err(|error| match error.sqlite_error_code() {
            // A serial that was drawn twice: 128 random bits say never, the primary key makes sure.
            Some(rusqlite::ErrorCode::ConstraintViolation) => {
                StoreError::Conflict("a certificate with this serial exists")
            }
            _ => failed(error),
        })?;
    inventory::insert_names(connection, certificate)
}

pub(super) fn is_key_blocked(
    connection: &Connection,
    fingerprint: &[u8; 32],
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM blocked_keys WHERE fingerprint = ?")?
        .exists([fingerprint])
}

pub(super) fn serial(row: &Row<'_>, column: usize) -> rusqlite::Result<Serial> {
    Serial::from_der_integer(row.get_ref(column)?.as_blob()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
    })
}

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<CertificateRecord> {
    let at: Option<i64> = row.get(14)?;
    let code: Option<u8> = row.get(15)?;
    let principal = match row.get_ref(4)?.as_str_or_null()? {
        Some(_) => Some(from_text(row, 4)?),
        None => None,
    };
    Ok(CertificateRecord {
        serial: serial(row, 0)?,
        issuer: IssuerKeyId(row.get(1)?),
        list_shard: row.get(2)?,
        profile: from_text(row, 3)?,
        principal,
        names: from_json(row, 5)?,
        not_before: Timestamp::from_unix_millis(row.get(6)?),
        not_after: Timestamp::from_unix_millis(row.get(7)?),
        key_fingerprint: row.get(8)?,
        der: row.get(9)?,
        enrolment: row
            .get::<_, Option<String>>(10)?
            .map(EnrolmentId::from_text),
        account: row.get::<_, Option<String>>(11)?.map(AccountId::from_text),
        order: row.get::<_, Option<String>>(12)?.map(OrderId::from_text),
        issued_at: Timestamp::from_unix_millis(row.get(13)?),
        revocation: at.map(|at| Revocation {
            at: Timestamp::from_unix_millis(at),
            reason: code
                .and_then(RevocationReason::from_code)
                .unwrap_or(RevocationReason::Unspecified),
        }),
    })
}
