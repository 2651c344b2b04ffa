//! The store, by its traits: what a backend must do, whatever it is.

mod revocation;

use std::sync::Arc;

use portcullis::{
    domain::{
        Timestamp,
        account::{Account, AccountStatus, Thumbprint},
        audit::{Actor, AuditDraft, BEFORE_THE_FIRST},
        certificate::CertificateRecord,
        id::{AccountId, OrderId},
        identifier::Identifier,
        order::{Order, OrderState, WantedValidity},
    },
    store::{
        Accounts, AuditQuery, AuditTrail, Certificates, Commands, CompleteOrder, NewAccount,
        Orders, RevokeCertificates, Standings, StoreError, sqlite::SqliteStore,
    },
};
use portcullis_ca::{
    issuer_key_id::IssuerKeyId, profile::ProfileKind, revocation::RevocationReason, serial::Serial,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const LATER: Timestamp = Timestamp::from_unix_seconds(1_900_000_000);

fn audit(action: &'static str) -> AuditDraft {
    AuditDraft {
        at: NOW,
        actor: Actor::Authority,
        action,
        subject: String::new(),
        detail: serde_json::json!({}),
    }
}

fn account(number: u8) -> NewAccount {
    NewAccount {
        account: Account {
            id: AccountId::from_random([number; 16]),
            directory: portcullis::domain::DirectoryName::default(),
            thumbprint: Thumbprint([number; 32]),
            jwk: serde_json::Value::Null,
            contacts: Vec::new(),
            status: AccountStatus::Valid,
            enrolment: None,
            terms_of_service: None,
            external_account_binding: None,
            created_at: NOW,
        },
        enrolment: None,
    }
}

fn order(number: u8, account: u8, expires_at: Timestamp) -> Order {
    Order {
        id: OrderId::from_random([number; 16]),
        account: AccountId::from_random([account; 16]),
        directory: portcullis::domain::DirectoryName::default(),
        profile: ProfileKind::Server.into(),
        replaces: None,
        identifiers: vec![Identifier::parse("dns", "a.example").expect("a name")],
        authorizations: Vec::new(),
        state: OrderState::Ready,
        validity: WantedValidity::default(),
        expires_at,
        created_at: NOW,
    }
}

fn certificate(serial: Serial, key: u8) -> CertificateRecord {
    CertificateRecord {
        serial,
        issuer: IssuerKeyId([1; 32]),
        list_shard: 0,
        profile: ProfileKind::Server.into(),
        principal: None,
        names: vec!["dns:a.example".to_owned()],
        not_before: NOW,
        not_after: LATER,
        key_fingerprint: [key; 32],
        der: vec![1, 2, 3],
        enrolment: None,
        account: None,
        order: None,
        issued_at: NOW,
        revocation: None,
    }
}

struct Kept {
    dir: tempfile::TempDir,
    store: SqliteStore,
}

fn kept() -> Kept {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(&dir.path().join("store.db")).expect("a store");
    Kept { dir, store }
}

async fn audit_is_whole(store: &SqliteStore) -> usize {
    let entries = store.audit(AuditQuery::default()).await.expect("entries");
    let mut previous = BEFORE_THE_FIRST;
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry.number, index as u64 + 1);
        assert_eq!(entry.hash, entry.hash_after(&previous));
        previous = entry.hash;
    }
    entries.len()
}

#[tokio::test]
async fn a_refused_command_leaves_nothing_behind_and_takes_nobody_with_it() {
    let Kept { dir: _dir, store } = kept();
    let store = Arc::new(store);
    let mut tasks = Vec::new();
    // Each account four times, all at once: they share commits, and three of four are refused in the midst of others.
    for turn in 0..200_u8 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            store
                .create_account(account(turn % 50), audit("account.create"))
                .await
        }));
    }
    let (mut made, mut refused) = (0, 0);
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(()) => made += 1,
            Err(StoreError::Conflict(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((made, refused), (50, 150));
    assert_eq!(audit_is_whole(&store).await, 50);
}

#[tokio::test]
async fn what_was_committed_is_there_when_the_store_is_opened_again() {
    let Kept { dir, store } = kept();
    store
        .create_account(account(1), audit("account.create"))
        .await
        .expect("made");
    drop(store);
    let store = SqliteStore::open(&dir.path().join("store.db")).expect("the store");
    let id = AccountId::from_random([1; 16]);
    assert_eq!(
        store.account(&id).await.expect("read"),
        Some(account(1).account)
    );
    store
        .create_account(account(2), audit("account.create"))
        .await
        .expect("made");
    assert_eq!(audit_is_whole(&store).await, 2);
}

/// vault #31987: two finalize calls at once gave two certificates.
#[tokio::test]
async fn of_many_certificates_for_one_order_one_is_recorded() {
    let Kept { dir: _dir, store } = kept();
    let store = Arc::new(store);
    store
        .create_account(account(1), audit("account.create"))
        .await
        .expect("made");
    store
        .place_order(order(1, 1, LATER), Vec::new(), audit("order.place"))
        .await
        .expect("placed");
    let mut tasks = Vec::new();
    for key in 0..12 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let complete = CompleteOrder {
                order: OrderId::from_random([1; 16]),
                account: AccountId::from_random([1; 16]),
                certificate: certificate(Serial::random().expect("randomness"), key),
                device: None,
                now: NOW,
            };
            store
                .complete_order(complete, audit("certificate.issue"))
                .await
        }));
    }
    let mut recorded = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(_) => recorded += 1,
            Err(error) => assert!(matches!(error, StoreError::NotReady(_)), "{error}"),
        }
    }
    assert_eq!(recorded, 1);
    let all = store
        .certificates(portcullis::store::CertificateFilter::default())
        .await
        .expect("read");
    assert_eq!(all.len(), 1);
}

#[tokio::test]
async fn a_serial_is_recorded_once() {
    let Kept { dir: _dir, store } = kept();
    let serial = Serial::random().expect("randomness");
    store
        .record_certificate(certificate(serial, 1), audit("certificate.issue"))
        .await
        .expect("recorded");
    let again = store
        .record_certificate(certificate(serial, 2), audit("certificate.issue"))
        .await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert_eq!(audit_is_whole(&store).await, 1);
}

#[tokio::test]
async fn a_compromised_key_is_refused_for_ever_and_a_revocation_is_one_event() {
    let Kept { dir: _dir, store } = kept();
    let serials: Vec<Serial> = (0..3)
        .map(|_| Serial::random().expect("randomness"))
        .collect();
    for (serial, key) in serials.iter().zip(7..) {
        store
            .record_certificate(certificate(*serial, key), audit("certificate.issue"))
            .await
            .expect("recorded");
    }
    let revoke = |serials: &[Serial]| {
        store.revoke_certificates(
            RevokeCertificates {
                serials: serials.to_vec(),
                unseen: Vec::new(),
                keys: Vec::new(),
                reason: RevocationReason::KeyCompromise,
                at: NOW,
            },
            audit("certificate.revoke"),
        )
    };
    let outcome = revoke(&serials[..2]).await.expect("revoked");
    assert_eq!((outcome.epoch(), outcome.revoked().count()), (Some(1), 2));
    let outcome = revoke(&serials).await.expect("revoked");
    assert_eq!(
        (
            outcome.epoch(),
            outcome.revoked().count(),
            outcome.already.len()
        ),
        (Some(2), 1, 2)
    );
    let outcome = revoke(&serials).await.expect("nothing to do");
    assert_eq!((outcome.epoch(), outcome.already.len()), (None, 3));
    assert_eq!(store.epoch().await.expect("read"), 2);
    assert_eq!(store.all_revoked(NOW).await.expect("read").len(), 3);
    let refused = store
        .record_certificate(
            certificate(Serial::random().expect("randomness"), 9),
            audit("certificate.issue"),
        )
        .await;
    assert!(
        matches!(refused, Err(StoreError::KeyBlocked)),
        "{refused:?}"
    );
    // One that the store doesn't know: then none is revoked.
    let unknown = revoke(&[Serial::random().expect("randomness")]).await;
    assert!(
        matches!(unknown, Err(StoreError::NotFound(_))),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_compromise_reaches_what_was_superseded_before_and_every_certificate_with_the_key() {
    let Kept { dir: _dir, store } = kept();
    let serials: Vec<Serial> = (0..2)
        .map(|_| Serial::random().expect("randomness"))
        .collect();
    for serial in &serials {
        store
            .record_certificate(certificate(*serial, 9), audit("certificate.issue"))
            .await
            .expect("recorded");
    }
    let revoke = |reason| {
        store.revoke_certificates(
            RevokeCertificates {
                serials: vec![serials[0]],
                unseen: Vec::new(),
                keys: Vec::new(),
                reason,
                at: NOW,
            },
            audit("certificate.revoke"),
        )
    };
    let outcome = revoke(RevocationReason::Superseded).await.expect("revoked");
    assert_eq!(outcome.revoked().count(), 1);
    // The thief said `superseded` first; the operator's word still counts, and the other certificate goes with its key.
    let outcome = revoke(RevocationReason::KeyCompromise)
        .await
        .expect("revoked");
    assert_eq!(outcome.already, [serials[0]]);
    assert_eq!(
        outcome.revoked().collect::<Vec<_>>(),
        [(IssuerKeyId([1; 32]), serials[1])]
    );
    for serial in serials {
        let kept = store
            .certificate(serial)
            .await
            .expect("read")
            .expect("there");
        let reason = kept.revocation.expect("revoked").reason;
        assert_eq!(reason, RevocationReason::KeyCompromise);
    }
    assert!(store.is_key_blocked([9; 32]).await.expect("read"));
    assert_eq!(audit_is_whole(&store).await, 4);
}

/// step-ca #473: nonces, orders and expired certificates were never deleted, 40 GB of them.
#[tokio::test]
async fn what_has_ended_is_deleted_in_small_steps() {
    let Kept { dir: _dir, store } = kept();
    for number in 0..30 {
        store
            .place_order(order(number, 1, NOW), Vec::new(), audit("order.place"))
            .await
            .expect("placed");
    }
    store
        .place_order(order(99, 1, LATER), Vec::new(), audit("order.place"))
        .await
        .expect("placed");
    assert_eq!(store.prune(LATER, 20).await.expect("pruned"), 20);
    assert_eq!(store.prune(LATER, 20).await.expect("pruned"), 10);
    assert_eq!(store.prune(LATER, 20).await.expect("pruned"), 0);
    let left = store
        .orders_of(&AccountId::from_random([1; 16]), None, NOW, 100)
        .await
        .expect("read");
    assert_eq!(left.orders, [OrderId::from_random([99; 16])]);
}

#[tokio::test]
async fn a_file_that_is_no_store_of_ours_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store.db");
    std::fs::write(&path, "no database at all, but something of somebody's").expect("written");
    let refused = SqliteStore::open(&path).err().expect("refused");
    assert!(matches!(refused, StoreError::Damaged(_)), "{refused}");
    assert!(
        std::fs::read_to_string(&path)
            .expect("read")
            .starts_with("no database")
    );
}
