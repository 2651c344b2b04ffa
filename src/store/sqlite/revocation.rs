//! Revocations in SQLite: of certificates that the store has, and of those that it never saw.

use std::collections::{BTreeMap, HashSet};

use portcullis_ca::{
    crl::RevokedEntry, issuer_key_id::IssuerKeyId, revocation::RevocationReason, serial::Serial,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};
use serde_json::json;

use super::{SqliteStore, certificate::serial, device, enrolment, failed, writer::Transaction};
use crate::{
    domain::{
        Timestamp,
        audit::AuditDraft,
        certificate::{Revocation, ends_enrolment},
        id::EnrolmentId,
    },
    store::{
        Answer, CertificateStatusAnswer, Revocable, RevocationEvent, RevocationQuery, Revocations,
        RevokeCertificates, RevokedCertificates, RevokedOfShard, StoreError, UnseenCertificate,
    },
};

impl Revocations for SqliteStore {
    fn certificate_status(
        &self,
        issuer: IssuerKeyId,
        serial: Serial,
    ) -> Answer<'_, CertificateStatusAnswer> {
        self.look_up(move |connection| status(connection, issuer, serial))
    }

    fn revoked(
        &self,
        issuer: IssuerKeyId,
        shard: u32,
        keeps_from: Timestamp,
    ) -> Answer<'_, RevokedOfShard> {
        self.read(move |connection| {
            // One snapshot: whatever was revoked by the event `covers` is there, and nothing that came later.
            let snapshot = connection.unchecked_transaction()?;
            let covers = last_event(&snapshot)?;
            let mut entries = of_shard(&snapshot, issuer, shard, keeps_from)?;
            entries.sort_unstable_by_key(|entry| entry.serial);
            entries.dedup_by_key(|entry| entry.serial);
            Ok(RevokedOfShard { covers, entries })
        })
    }

    fn ends_of_revoked(
        &self,
        issuer: IssuerKeyId,
        serials: Vec<Serial>,
    ) -> Answer<'_, Vec<(Serial, Timestamp)>> {
        self.read(move |connection| {
            let mut seen = connection.prepare_cached(
                "SELECT not_after FROM certificates WHERE serial = ? AND issuer = ? AND revoked_at IS NOT NULL",
            )?;
            let mut unseen = connection.prepare_cached(
                "SELECT not_after FROM unseen_revocations WHERE serial = ? AND issuer = ?",
            )?;
            let mut ends = Vec::new();
            for serial in serials {
                let key = params![serial.significant_octets(), issuer.0];
                let not_after = match seen.query_row(key, |row| row.get(0)).optional()? {
                    Some(not_after) => Some(not_after),
                    None => unseen.query_row(key, |row| row.get(0)).optional()?,
                };
                ends.extend(not_after.map(|at| (serial, Timestamp::from_unix_millis(at))));
            }
            Ok(ends)
        })
    }

    fn revocable(
        &self,
        query: RevocationQuery,
        reason: RevocationReason,
        at: Timestamp,
        limit: usize,
    ) -> Answer<'_, Revocable> {
        self.read(move |connection| revocable(connection, &query, reason, at, limit))
    }
}

pub(super) fn status(
    connection: &Connection,
    issuer: IssuerKeyId,
    serial: Serial,
) -> rusqlite::Result<CertificateStatusAnswer> {
    let key = params![serial.significant_octets(), issuer.0];
    let answer = |revocation: Revocation| CertificateStatusAnswer::Revoked {
        at: revocation.at,
        reason: revocation.reason,
    };
    let seen = connection
        .prepare_cached(
            "SELECT revoked_at, revocation_reason FROM certificates WHERE serial = ? AND issuer = ?",
        )?
        .query_row(key, |row| revocation(row, 0))
        .optional()?;
    if let Some(Some(revocation)) = seen {
        return Ok(answer(revocation));
    }
    let unseen = connection
        .prepare_cached(
            "SELECT revoked_at, revocation_reason FROM unseen_revocations WHERE serial = ? AND issuer = ?",
        )?
        .query_row(key, |row| revocation(row, 0))
        .optional()?
        .flatten();
    Ok(match (unseen, seen) {
        (Some(revocation), _) => answer(revocation),
        (None, Some(_)) => CertificateStatusAnswer::Good,
        (None, None) => CertificateStatusAnswer::Unknown,
    })
}

/// What two columns say about a revocation.
fn revocation(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Revocation>> {
    let at: Option<i64> = row.get(column)?;
    let code: Option<u8> = row.get(column + 1)?;
    Ok(at.map(|at| Revocation {
        at: Timestamp::from_unix_millis(at),
        reason: code
            .and_then(RevocationReason::from_code)
            .unwrap_or(RevocationReason::Unspecified),
    }))
}

fn of_shard(
    connection: &Connection,
    issuer: IssuerKeyId,
    shard: u32,
    keeps_from: Timestamp,
) -> rusqlite::Result<Vec<RevokedEntry>> {
    let mut entries = Vec::new();
    for query in [
        // From the index alone: the rows are large, and there may be a million.
        "SELECT serial, revoked_at, revocation_reason FROM certificates INDEXED BY certificates_revoked
         WHERE issuer = ? AND list_shard = ? AND revoked_at IS NOT NULL AND not_after >= ?",
        "SELECT serial, revoked_at, revocation_reason FROM unseen_revocations
         WHERE issuer = ? AND (list_shard = ? OR list_shard IS NULL) AND not_after >= ?",
    ] {
        let mut statement = connection.prepare_cached(query)?;
        let mut rows = statement.query(params![issuer.0, shard, keeps_from.unix_millis()])?;
        while let Some(row) = rows.next()? {
            let code: u8 = row.get(2)?;
            entries.push(RevokedEntry {
                serial: serial(row, 0)?,
                revoked_at: Timestamp::from_unix_millis(row.get(1)?).unix_seconds(),
                reason: RevocationReason::from_code(code).unwrap_or(RevocationReason::Unspecified),
            });
        }
    }
    Ok(entries)
}

/// The last event that revoked something of a shard; zero where nothing was.
pub(super) fn revoked_up_to(
    connection: &Connection,
    issuer: IssuerKeyId,
    shard: u32,
) -> rusqlite::Result<u64> {
    let mut last = 0;
    for query in [
        "SELECT coalesce(max(revocation_epoch), 0) FROM certificates INDEXED BY certificates_by_revocation
         WHERE issuer = ? AND list_shard = ? AND revocation_epoch IS NOT NULL",
        "SELECT coalesce(max(revocation_epoch), 0) FROM unseen_revocations
         WHERE issuer = ? AND (list_shard = ? OR list_shard IS NULL)",
    ] {
        let number: u64 = connection
            .prepare_cached(query)?
            .query_row(params![issuer.0, shard], |row| row.get(0))?;
        last = last.max(number);
    }
    Ok(last)
}

pub(super) fn last_event(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(number), 0) FROM events")?
        .query_row([], |row| row.get(0))
}

fn revocable(
    connection: &Connection,
    query: &RevocationQuery,
    reason: RevocationReason,
    at: Timestamp,
    limit: usize,
) -> rusqlite::Result<Revocable> {
    let mut condition =
        "profile NOT IN ('root', 'cross-root', 'intermediate', 'ocsp') AND not_after >= ?"
            .to_owned();
    let mut values: Vec<Value> = vec![at.whole_seconds().unix_millis().into()];
    if reason == RevocationReason::KeyCompromise {
        // Who was superseded first must not keep a stolen key from being blocked later.
        condition.push_str(" AND (revoked_at IS NULL OR revocation_reason <> ?)");
        values.push(i64::from(reason.code()).into());
    } else {
        condition.push_str(" AND revoked_at IS NULL");
    }
    for (column, value) in [
        (
            "principal =",
            query.principal.as_ref().map(|it| it.to_string().into()),
        ),
        (
            "issuer =",
            query.issuer.map(|it| Value::Blob(it.0.to_vec())),
        ),
        (
            "key_fingerprint =",
            query.key.map(|it| Value::Blob(it.to_vec())),
        ),
        ("profile =", query.profile.clone().map(Value::Text)),
        (
            "issued_at >=",
            query.issued_from.map(|it| it.unix_millis().into()),
        ),
        (
            "issued_at <",
            query.issued_before.map(|it| it.unix_millis().into()),
        ),
    ] {
        if let Some(value) = value {
            condition.push_str(&format!(" AND {column} ?"));
            values.push(value);
        }
    }
    let snapshot = connection.unchecked_transaction()?;
    let count = snapshot
        .prepare(&format!(
            "SELECT count(*) FROM certificates WHERE {condition}"
        ))?
        .query_row(params_from_iter(&values), |row| row.get(0))?;
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let serials = snapshot
        .prepare(&format!(
            "SELECT serial FROM certificates WHERE {condition} LIMIT ?"
        ))?
        .query_map(params_from_iter(&values), |row| serial(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Revocable { count, serials })
}

/// What a revocation changes of one issuer's certificates.
#[derive(Default)]
struct Changes {
    /// What was not revoked before.
    revoked: Vec<Serial>,
    /// All that is to be written, escalated reasons too.
    marks: Vec<(Serial, Revocation)>,
    unseen: Vec<(UnseenCertificate, Revocation)>,
}

/// Carries a revocation out: first what it comes to is found, then each issuer's share is written under a number.
pub(super) fn revoke(
    transaction: &mut Transaction<'_>,
    revoke: &RevokeCertificates,
    audit: &AuditDraft,
) -> Result<RevokedCertificates, StoreError> {
    let mut outcome = RevokedCertificates::default();
    let mut changes: BTreeMap<IssuerKeyId, Changes> = BTreeMap::new();
    let now = Revocation {
        at: revoke.at,
        reason: revoke.reason,
    };
    let compromised = revoke.reason == RevocationReason::KeyCompromise;
    for unseen in &revoke.unseen {
        let changes = changes.entry(unseen.issuer).or_default();
        match status(transaction, unseen.issuer, unseen.serial).map_err(failed)? {
            _ if is_seen(transaction, unseen).map_err(failed)? => {
                return Err(StoreError::Conflict(
                    "the store has this certificate; revoke it by its serial, without saying that it is unseen",
                ));
            }
            CertificateStatusAnswer::Revoked { at, reason } => {
                outcome.already.push(unseen.serial);
                if compromised && reason != revoke.reason {
                    changes.unseen.push((*unseen, Revocation { at, ..now }));
                }
            }
            CertificateStatusAnswer::Unknown | CertificateStatusAnswer::Good => {
                changes.revoked.push(unseen.serial);
                changes.unseen.push((*unseen, now));
            }
        }
    }
    let mut pending = revoke.serials.clone();
    let mut keys = HashSet::new();
    if compromised {
        for key in &revoke.keys {
            if keys.insert(*key) {
                outcome.keys_blocked += block_key(transaction, key, revoke.at)?;
                pending.extend(with_key(transaction, key).map_err(failed)?);
            }
        }
    }
    let (mut met, mut enrolments) = (HashSet::new(), HashSet::new());
    while let Some(serial) = pending.pop() {
        if !met.insert(serial) {
            continue;
        }
        let kept = kept(transaction, serial)
            .map_err(failed)?
            .ok_or(StoreError::NotFound("certificate"))?;
        let changes = changes.entry(kept.issuer).or_default();
        match kept.revocation {
            None => {
                changes.revoked.push(serial);
                changes.marks.push((serial, now));
            }
            Some(earlier) => {
                outcome.already.push(serial);
                // Who replaced a certificate first must not keep its stolen key from being blocked later.
                if compromised && earlier.reason != revoke.reason {
                    let at = earlier.at;
                    changes.marks.push((serial, Revocation { at, ..now }));
                }
            }
        }
        if compromised && keys.insert(kept.key) {
            outcome.keys_blocked += block_key(transaction, &kept.key, revoke.at)?;
            // A stolen key is stolen in every certificate that it is in.
            pending.extend(with_key(transaction, &kept.key).map_err(failed)?);
        }
        if let Some(id) = kept.enrolment
            && ends_enrolment(revoke.reason)
            && enrolments.insert(id.as_str().to_owned())
        {
            outcome.enrolments_ended += enrolment::end(transaction, &id, revoke.reason, revoke.at)?;
            outcome.enrolments_ended += device::end(transaction, &id, revoke.reason, revoke.at)?;
        }
    }
    for (issuer, changes) in changes {
        if let Some(event) = write(transaction, issuer, changes, revoke)? {
            outcome.events.push(event);
        }
    }
    if !outcome.events.is_empty() || outcome.enrolments_ended > 0 || outcome.keys_blocked > 0 {
        transaction.audit(audit)?;
    }
    Ok(outcome)
}

/// Writes one issuer's share under the number of its event.
fn write(
    transaction: &mut Transaction<'_>,
    issuer: IssuerKeyId,
    changes: Changes,
    revoke: &RevokeCertificates,
) -> Result<Option<RevocationEvent>, StoreError> {
    if changes.marks.is_empty() && changes.unseen.is_empty() {
        return Ok(None);
    }
    let serials: Vec<String> = changes
        .marks
        .iter()
        .map(|(serial, _)| serial)
        .chain(changes.unseen.iter().map(|(unseen, _)| &unseen.serial))
        .map(ToString::to_string)
        .collect();
    let body = json!({
        "issuer": issuer.to_string(),
        "serials": serials,
        "reason": revoke.reason.name(),
    });
    let number = transaction.event(revoke.at, "certificates.revoked", &body)?;
    for (serial, revocation) in &changes.marks {
        mark(transaction, *serial, *revocation, number).map_err(failed)?;
    }
    for (unseen, revocation) in &changes.unseen {
        put_unseen(transaction, unseen, *revocation, number).map_err(failed)?;
    }
    Ok(Some(RevocationEvent {
        number,
        issuer,
        serials: changes.revoked,
    }))
}

/// What a revocation has to know of a certificate.
struct Kept {
    issuer: IssuerKeyId,
    key: [u8; 32],
    enrolment: Option<EnrolmentId>,
    revocation: Option<Revocation>,
}

fn kept(connection: &Connection, serial: Serial) -> rusqlite::Result<Option<Kept>> {
    connection
        .prepare_cached(
            "SELECT issuer, key_fingerprint, enrolment, revoked_at, revocation_reason FROM certificates
             WHERE serial = ?",
        )?
        .query_row([serial.significant_octets()], |row| {
            Ok(Kept {
                issuer: IssuerKeyId(row.get(0)?),
                key: row.get(1)?,
                enrolment: row.get::<_, Option<String>>(2)?.map(EnrolmentId::from_text),
                revocation: revocation(row, 3)?,
            })
        })
        .optional()
}

fn is_seen(connection: &Connection, unseen: &UnseenCertificate) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM certificates WHERE serial = ? AND issuer = ?")?
        .exists(params![unseen.serial.significant_octets(), unseen.issuer.0])
}

fn mark(
    connection: &Connection,
    serial: Serial,
    revocation: Revocation,
    number: u64,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE certificates SET revoked_at = ?, revocation_reason = ?, revocation_epoch = ? WHERE serial = ?",
        )?
        .execute(params![
            revocation.at.unix_millis(),
            revocation.reason.code(),
            number,
            serial.significant_octets()
        ])
}

fn put_unseen(
    connection: &Connection,
    unseen: &UnseenCertificate,
    revocation: Revocation,
    number: u64,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO unseen_revocations (issuer, serial, list_shard, not_after, revoked_at, revocation_reason,
                 revocation_epoch) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (issuer, serial) DO UPDATE SET revocation_reason = excluded.revocation_reason,
                 revocation_epoch = excluded.revocation_epoch",
        )?
        .execute(params![
            unseen.issuer.0,
            unseen.serial.significant_octets(),
            unseen.list_shard,
            unseen.not_after.unix_millis(),
            revocation.at.unix_millis(),
            revocation.reason.code(),
            number
        ])
}

/// Blocks a key for ever. The answer is how many keys that is which were not blocked before: 1 or 0.
fn block_key(
    connection: &Connection,
    fingerprint: &[u8; 32],
    at: Timestamp,
) -> Result<usize, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO blocked_keys (fingerprint, blocked_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| insert.execute(params![fingerprint, at.unix_millis()]))
        .map_err(failed)
}

/// The certificates with a key that are not revoked, or for another reason than that it is compromised.
fn with_key(connection: &Connection, fingerprint: &[u8; 32]) -> rusqlite::Result<Vec<Serial>> {
    connection
        .prepare_cached(
            "SELECT serial FROM certificates
             WHERE key_fingerprint = ? AND (revoked_at IS NULL OR revocation_reason <> ?)",
        )?
        .query_map(
            params![fingerprint, RevocationReason::KeyCompromise.code()],
            |row| serial(row, 0),
        )?
        .collect()
}
