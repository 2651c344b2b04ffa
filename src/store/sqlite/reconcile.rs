//! Taking over what was published, in SQLite: all of it or nothing.

use std::collections::BTreeMap;

use rusqlite::params;
use serde_json::json;

use super::{failed, revocation, writer::Transaction};
use crate::{
    domain::{Timestamp, audit::AuditDraft},
    store::{
        CertificateStatusAnswer, FoundRevocation, Reconcile, Reconciled, RevokeCertificates,
        StoreError, UnseenCertificate,
    },
};
use portcullis_ca::{revocation::RevocationReason, serial::Serial};

/// What has the same reason and date is one revocation.
#[derive(Default)]
struct Group {
    seen: Vec<Serial>,
    unseen: Vec<UnseenCertificate>,
}

pub(super) fn reconcile(
    transaction: &mut Transaction<'_>,
    command: &Reconcile,
    audit: &AuditDraft,
) -> Result<Reconciled, StoreError> {
    let mut outcome = Reconciled {
        epoch: command.epoch,
        ..Reconciled::default()
    };
    let mut groups: BTreeMap<(u8, i64), (RevocationReason, Group)> = BTreeMap::new();
    for found in &command.revocations {
        if !is_news(transaction, found)? {
            continue;
        }
        let key = (found.reason.code(), found.at.unix_millis());
        let (_, group) = groups
            .entry(key)
            .or_insert_with(|| (found.reason, Group::default()));
        if is_seen(transaction, found)? {
            group.seen.push(found.serial);
        } else {
            group.unseen.push(UnseenCertificate {
                issuer: found.issuer,
                serial: found.serial,
                list_shard: Some(found.shard),
                not_after: found.issuer_not_after,
            });
        }
    }
    for ((_, at), (reason, group)) in groups {
        let serials: Vec<String> = group
            .seen
            .iter()
            .chain(group.unseen.iter().map(|unseen| &unseen.serial))
            .map(ToString::to_string)
            .collect();
        let draft = AuditDraft {
            action: "certificate.revoke",
            subject: format!("{} certificates", serials.len()),
            detail: json!({
                "serials": serials, "reason": reason.name(), "for": "reconciling",
                "revoked_at": Timestamp::from_unix_millis(at),
            }),
            ..audit.clone()
        };
        outcome.revoked.extend(&group.seen);
        outcome
            .unseen
            .extend(group.unseen.iter().map(|unseen| unseen.serial));
        let revoke = RevokeCertificates {
            serials: group.seen,
            unseen: group.unseen,
            keys: Vec::new(),
            reason,
            at: Timestamp::from_unix_millis(at),
        };
        outcome.enrolments_ended +=
            revocation::revoke(transaction, &revoke, &draft)?.enrolments_ended;
    }
    take_lists(transaction, command, &mut outcome).map_err(failed)?;
    outcome.epoch = transaction.raise_epoch(
        command.at,
        command.epoch,
        "store.reconciled",
        &json!({ "revoked": outcome.revoked.len() + outcome.unseen.len() }),
    )?;
    transaction.audit(audit)?;
    Ok(outcome)
}

fn take_lists(
    transaction: &Transaction<'_>,
    command: &Reconcile,
    outcome: &mut Reconciled,
) -> rusqlite::Result<()> {
    for list in &command.lists {
        outcome.lists += transaction.execute(
            "INSERT INTO lists (issuer, shard, number, this_update, next_update, covers, keeps_from, der)
             VALUES (?, ?, ?, ?, ?, NULL, 0, ?)
             ON CONFLICT (issuer, shard) DO UPDATE SET number = excluded.number,
                 this_update = excluded.this_update, next_update = excluded.next_update,
                 covers = NULL, keeps_from = 0, der = excluded.der
             WHERE excluded.number > lists.number",
            params![
                list.issuer.0,
                list.shard,
                list.number,
                list.this_update.unix_millis(),
                list.next_update.unix_millis(),
                list.der
            ],
        )?;
    }
    for level in &command.raised {
        transaction.execute(
            "UPDATE lists SET number = ?1, covers = NULL WHERE issuer = ?2 AND shard = ?3 AND number < ?1",
            params![level.number, level.issuer.0, level.shard],
        )?;
    }
    // Nobody publishes now; whoever did when the backup was made does no longer.
    transaction.execute("DELETE FROM list_leases", []).map(drop)
}

/// Whether the store does not know it to be revoked, or not for as grave a reason.
fn is_news(transaction: &Transaction<'_>, found: &FoundRevocation) -> Result<bool, StoreError> {
    let known = revocation::status(transaction, found.issuer, found.serial).map_err(failed)?;
    Ok(match known {
        CertificateStatusAnswer::Unknown | CertificateStatusAnswer::Good => true,
        CertificateStatusAnswer::Revoked { reason, .. } => {
            found.reason == RevocationReason::KeyCompromise && reason != found.reason
        }
    })
}

fn is_seen(transaction: &Transaction<'_>, found: &FoundRevocation) -> Result<bool, StoreError> {
    transaction
        .prepare_cached("SELECT 1 FROM certificates WHERE serial = ? AND issuer = ?")
        .and_then(|mut query| {
            query.exists(params![found.serial.significant_octets(), found.issuer.0])
        })
        .map_err(failed)
}
