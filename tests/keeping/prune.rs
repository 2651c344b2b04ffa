//! Pruning: what expired long ago goes, a little at a time; what a list still carries stays.

use portcullis::{
    domain::{
        Timestamp,
        audit::{Actor, AuditDraft},
        certificate::CertificateRecord,
    },
    store::{Certificates, Commands, Inventory, InventoryQuery, Standings, sqlite::SqliteStore},
};
use portcullis_ca::{issuer_key_id::IssuerKeyId, serial::Serial};

const NOW: i64 = 1_800_000_000;
const ISSUER: [u8; 32] = [1; 32];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW + seconds)
}

fn audit(action: &'static str) -> AuditDraft {
    AuditDraft {
        at: at(0),
        actor: Actor::Authority,
        action,
        subject: String::new(),
        detail: serde_json::json!({}),
    }
}

fn certificate(number: u64, not_after: i64) -> CertificateRecord {
    CertificateRecord {
        serial: Serial::from_der_integer(&(number + 1).to_be_bytes()).expect("a serial"),
        issuer: IssuerKeyId(ISSUER),
        list_shard: 0,
        profile: "server".parse().expect("a profile"),
        principal: None,
        names: vec![format!("dns:host-{number}.example")],
        not_before: at(not_after - 100),
        not_after: at(not_after),
        key_fingerprint: [7; 32],
        der: vec![1],
        enrolment: None,
        account: None,
        order: None,
        issued_at: at(not_after - 100),
        revocation: None,
    }
}

async fn left(store: &SqliteStore) -> usize {
    let all = InventoryQuery::all(at(0), 1000);
    store.inventory(all).await.expect("read").certificates.len()
}

/// step-ca #473: expired certificates were never deleted.
#[tokio::test]
async fn what_expired_goes_in_small_steps_with_its_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store.db");
    let store = SqliteStore::open(&path).expect("a store");
    for number in 0..30 {
        let not_after = if number < 25 { -1000 } else { 1000 };
        store
            .record_certificate(certificate(number, not_after), audit("certificate.issue"))
            .await
            .expect("recorded");
    }
    let prune = || store.prune_expired(at(-500), 20, audit("certificate.prune"));
    let mut gone = Vec::new();
    for _ in 0..3 {
        gone.push(prune().await.expect("pruned").certificates);
    }
    assert_eq!(gone, [20, 5, 0]);
    assert_eq!(left(&store).await, 5);
    let db = rusqlite::Connection::open(&path).expect("the database");
    let count =
        |query: &str| -> i64 { db.query_row(query, [], |row| row.get(0)).expect("a count") };
    assert_eq!(count("SELECT count(*) FROM certificate_names"), 5);
    // Two steps did something, and each is written down; nothing is ever taken out of the trail.
    assert_eq!(
        count("SELECT count(*) FROM audit WHERE action = 'certificate.prune'"),
        2
    );
    assert_eq!(count("SELECT count(*) FROM audit"), 32);
}

/// Let's Encrypt 2025: entries were removed before their time. A revoked certificate stays as long as a list has it.
#[tokio::test]
async fn a_revoked_certificate_is_kept_while_a_list_may_carry_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store.db");
    let store = SqliteStore::open(&path).expect("a store");
    for number in 0..3 {
        store
            .record_certificate(certificate(number, -1000), audit("certificate.issue"))
            .await
            .expect("recorded");
    }
    let db = rusqlite::Connection::open(&path).expect("the database");
    db.execute(
        "UPDATE certificates SET revoked_at = 1, revocation_reason = 0 WHERE serial = ?",
        [certificate(0, 0).serial.significant_octets()],
    )
    .expect("revoked");
    let list_keeps_from = |seconds: i64| {
        db.execute(
            "INSERT OR REPLACE INTO lists (issuer, shard, number, this_update, next_update, keeps_from, der)
             VALUES (?, 0, 1, 1, 2, ?, x'30')",
            rusqlite::params![ISSUER, at(seconds).unix_millis()],
        )
        .expect("a list");
    };
    let prune = || store.prune_expired(at(-500), 20, audit("certificate.prune"));
    assert_eq!(prune().await.expect("pruned").certificates, 2);
    // No list at all, then one that still has it to the second, then one that does not.
    for (keeps_from, gone) in [(-1001, 0), (-1000, 0), (-999, 1)] {
        list_keeps_from(keeps_from);
        let pruned = prune().await.expect("pruned").certificates;
        assert_eq!(pruned, gone, "{keeps_from}");
    }
    let serial = certificate(0, 0).serial;
    assert!(store.certificate(serial).await.expect("read").is_none());
}

#[tokio::test]
async fn old_events_go_and_the_epoch_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store.db");
    let store = SqliteStore::open(&path).expect("a store");
    let db = rusqlite::Connection::open(&path).expect("the database");
    for number in 1..=10 {
        db.execute(
            "INSERT INTO events (number, at, kind, body) VALUES (?, ?, 'x', '{}')",
            [number, at(-2000).unix_millis() + number],
        )
        .expect("an event");
    }
    let prune = || store.prune_expired(at(-500), 4, audit("certificate.prune"));
    let mut gone = Vec::new();
    for _ in 0..4 {
        gone.push(prune().await.expect("pruned").events);
    }
    assert_eq!(gone, [4, 4, 1, 0]);
    assert_eq!(store.epoch().await.expect("read"), 10);
}
