//! Revocations, and the lists that cover them.

use portcullis::store::{
    CertificateStatusAnswer, LeaseList, ListHead, Lists, PublishedList, RevocationQuery,
    Revocations, RevokedCertificates, ShardState, StoredList, UnseenCertificate,
};
use portcullis_ca::crl::RevokedEntry;

use super::*;

const ISSUER: IssuerKeyId = IssuerKeyId([1; 32]);
const OTHER: IssuerKeyId = IssuerKeyId([2; 32]);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds)
}

fn serial(number: u8) -> Serial {
    Serial::from_der_integer(&[number, 0, 0, 0]).expect("not zero")
}

/// Records a certificate with its number for serial and key.
async fn record(store: &SqliteStore, number: u8, change: impl FnOnce(&mut CertificateRecord)) {
    let mut record = certificate(serial(number), number);
    change(&mut record);
    store
        .record_certificate(record, audit("certificate.issue"))
        .await
        .expect("recorded");
}

fn revoke(serials: &[u8], reason: RevocationReason) -> RevokeCertificates {
    RevokeCertificates {
        serials: serials.iter().map(|number| serial(*number)).collect(),
        unseen: Vec::new(),
        keys: Vec::new(),
        reason,
        at: NOW,
    }
}

async fn done(store: &SqliteStore, revoke: RevokeCertificates) -> RevokedCertificates {
    store
        .revoke_certificates(revoke, audit("certificate.revoke"))
        .await
        .expect("revoked")
}

fn unseen(number: u8, list_shard: Option<u32>) -> UnseenCertificate {
    UnseenCertificate {
        issuer: ISSUER,
        serial: serial(number),
        list_shard,
        not_after: LATER,
    }
}

async fn on_list(store: &SqliteStore, shard: u32, keeps_from: Timestamp) -> Vec<Serial> {
    let revoked = store
        .revoked(ISSUER, shard, keeps_from)
        .await
        .expect("read");
    revoked.entries.iter().map(|entry| entry.serial).collect()
}

fn list(number: u64) -> PublishedList {
    PublishedList {
        issuer: ISSUER,
        shard: 0,
        holder: "one".to_owned(),
        number,
        this_update: NOW,
        next_update: LATER,
        covers: 7,
        keeps_from: at(-60),
        der: vec![number as u8].into(),
    }
}

fn lease(holder: &str, now: i64) -> LeaseList {
    LeaseList {
        issuer: ISSUER,
        shard: 0,
        holder: holder.to_owned(),
        now: at(now),
        until: at(now + 60),
    }
}

/// step-ca: two nodes published different lists under one number.
#[tokio::test]
async fn a_lists_number_is_given_once_and_never_goes_back() {
    let Kept { dir: _dir, store } = kept();
    let publish = async |list| {
        assert!(store.lease_list(lease("one", 0)).await.expect("asked"));
        store.publish_list(list, audit("crl.publish")).await
    };
    publish(list(1)).await.expect("published");
    for wrong in [1, 3, 0] {
        let refused = publish(list(wrong)).await;
        assert!(
            matches!(refused, Err(StoreError::Conflict(_))),
            "{wrong}: {refused:?}"
        );
    }
    publish(list(2)).await.expect("published");
    let kept = store.list(ISSUER, 0).await.expect("read");
    let head = ListHead {
        number: 2,
        this_update: NOW,
        next_update: LATER,
        covers: Some(7),
        keeps_from: at(-60),
    };
    assert_eq!(kept, Some(StoredList { head, der: vec![2] }));
}

/// The same, with the lease: who hasn't got it doesn't publish, whatever the number.
#[tokio::test]
async fn a_list_is_published_by_the_holder_of_its_lease_alone() {
    let Kept { dir: _dir, store } = kept();
    let take = async |holder, now| store.lease_list(lease(holder, now)).await.expect("asked");
    let publish = async |holder: &str, number, now| {
        let list = PublishedList {
            holder: holder.to_owned(),
            ..list(number)
        };
        let audit = AuditDraft {
            at: at(now),
            ..audit("crl.publish")
        };
        store.publish_list(list, audit).await.is_ok()
    };
    assert!(!publish("one", 1, 0).await, "without a lease");
    assert!(take("one", 0).await);
    assert!(!take("two", 1).await, "somebody else's");
    assert!(take("one", 2).await, "one's own is prolonged");
    assert!(!publish("two", 1, 3).await);
    assert!(publish("one", 1, 3).await);
    assert!(!publish("one", 2, 4).await, "it ended with the list");
    assert!(take("two", 5).await);
    assert!(take("one", 65).await, "the other's has run out");
    assert!(!publish("two", 2, 66).await);
    assert!(!publish("one", 2, 125).await, "its own has run out");
}

#[tokio::test]
async fn what_a_list_lacks_is_known_by_number() {
    let Kept { dir: _dir, store } = kept();
    for number in 1..=3 {
        record(&store, number, |it| it.list_shard = u32::from(number % 2)).await;
    }
    let states = async || {
        let states = store
            .shard_states(vec![(ISSUER, 0), (ISSUER, 1), (OTHER, 0)])
            .await
            .expect("read");
        states
            .iter()
            .map(|state| state.revoked_up_to)
            .collect::<Vec<_>>()
    };
    assert_eq!(states().await, [0, 0, 0]);
    done(&store, revoke(&[1], RevocationReason::Superseded)).await;
    assert_eq!(states().await, [0, 1, 0]);
    done(&store, revoke(&[2, 3], RevocationReason::Unspecified)).await;
    assert_eq!(states().await, [2, 2, 0]);
    // Nothing changes: no event.
    done(&store, revoke(&[1], RevocationReason::Superseded)).await;
    assert_eq!(states().await, [2, 2, 0]);
    // Only the reason grows worse: the list must be made anew for that too.
    let escalated = done(&store, revoke(&[2], RevocationReason::KeyCompromise)).await;
    assert_eq!(
        (escalated.epoch(), escalated.revoked().count()),
        (Some(3), 0)
    );
    assert_eq!(states().await, [3, 2, 0]);
    // On one list when its certificate says so, on all when nobody knows.
    let mut one = revoke(&[], RevocationReason::Unspecified);
    one.unseen = vec![unseen(9, Some(1))];
    done(&store, one).await;
    assert_eq!(states().await, [3, 4, 0]);
    let mut all = revoke(&[], RevocationReason::Unspecified);
    all.unseen = vec![unseen(10, None)];
    done(&store, all).await;
    assert_eq!(states().await, [5, 5, 0]);
    assert!(store.lease_list(lease("one", 0)).await.expect("asked"));
    store
        .publish_list(list(1), audit("crl.publish"))
        .await
        .expect("published");
    let state = store.shard_states(vec![(ISSUER, 0)]).await.expect("read");
    let expected = ShardState {
        issuer: ISSUER,
        shard: 0,
        revoked_up_to: 5,
        published: Some(ListHead {
            number: 1,
            this_update: NOW,
            next_update: LATER,
            covers: Some(7),
            keeps_from: at(-60),
        }),
    };
    assert_eq!(state, [expected]);
}

#[tokio::test]
async fn what_is_on_a_list_is_read_by_shard_and_end_with_its_number() {
    let Kept { dir: _dir, store } = kept();
    for number in 1..=4 {
        record(&store, number, |it| {
            it.list_shard = u32::from(number == 4);
            it.not_after = if number == 3 { at(100) } else { LATER };
        })
        .await;
    }
    done(&store, revoke(&[4, 3], RevocationReason::Unspecified)).await;
    done(&store, revoke(&[1], RevocationReason::Superseded)).await;
    let mut more = revoke(&[], RevocationReason::CessationOfOperation);
    more.unseen = vec![unseen(2, Some(0))];
    more.unseen[0].serial = serial(7);
    done(&store, more).await;
    let revoked = store.revoked(ISSUER, 0, at(100)).await.expect("read");
    assert_eq!(revoked.covers, 3);
    let entry = |number, reason| RevokedEntry {
        serial: serial(number),
        revoked_at: NOW.unix_seconds(),
        reason,
    };
    assert_eq!(
        revoked.entries,
        [
            entry(1, RevocationReason::Superseded),
            entry(3, RevocationReason::Unspecified),
            entry(7, RevocationReason::CessationOfOperation),
        ]
    );
    assert_eq!(on_list(&store, 0, at(101)).await, [serial(1), serial(7)]);
    assert_eq!(on_list(&store, 1, at(0)).await, [serial(4)]);
    assert_eq!(
        store
            .ends_of_revoked(ISSUER, vec![serial(3), serial(2), serial(7), serial(8)])
            .await
            .expect("read"),
        [(serial(3), at(100)), (serial(7), LATER)]
    );
}

/// RFC 6960 section 2.2: unknown is not good. Let's Encrypt 2025: the list and OCSP had different reasons; here both are
/// read from the same row.
#[tokio::test]
async fn the_status_of_a_certificate_is_known_by_issuer_and_serial_seen_or_not() {
    let Kept { dir: _dir, store } = kept();
    record(&store, 1, |_| {}).await;
    record(&store, 2, |_| {}).await;
    done(&store, revoke(&[2], RevocationReason::Superseded)).await;
    let mut more = revoke(&[], RevocationReason::PrivilegeWithdrawn);
    more.unseen = vec![unseen(3, None)];
    done(&store, more).await;
    let revoked = |reason| CertificateStatusAnswer::Revoked { at: NOW, reason };
    for (issuer, number, expected) in [
        (ISSUER, 1, CertificateStatusAnswer::Good),
        (ISSUER, 2, revoked(RevocationReason::Superseded)),
        (ISSUER, 3, revoked(RevocationReason::PrivilegeWithdrawn)),
        (ISSUER, 4, CertificateStatusAnswer::Unknown),
        (OTHER, 1, CertificateStatusAnswer::Unknown),
        (OTHER, 2, CertificateStatusAnswer::Unknown),
        (OTHER, 3, CertificateStatusAnswer::Unknown),
    ] {
        let status = store.certificate_status(issuer, serial(number)).await;
        assert_eq!(status.expect("read"), expected, "{issuer:?} {number}");
    }
    let mut all = store.all_revoked(NOW).await.expect("read");
    all.sort_unstable();
    assert_eq!(all, [(ISSUER, serial(2)), (ISSUER, serial(3))]);
}

#[tokio::test]
async fn what_is_unseen_is_revoked_once_and_what_is_seen_is_not_taken_for_it() {
    let Kept { dir: _dir, store } = kept();
    record(&store, 1, |_| {}).await;
    let revoke = async |unseen: UnseenCertificate, reason| {
        let mut wanted = revoke(&[], reason);
        wanted.unseen = vec![unseen];
        store
            .revoke_certificates(wanted, audit("certificate.revoke"))
            .await
    };
    let seen = revoke(unseen(1, None), RevocationReason::Unspecified).await;
    assert!(matches!(seen, Err(StoreError::Conflict(_))), "{seen:?}");
    for (reason, revoked, epoch) in [
        (RevocationReason::Superseded, 1, Some(1)),
        (RevocationReason::Unspecified, 0, None),
        (RevocationReason::KeyCompromise, 0, Some(2)),
        (RevocationReason::Superseded, 0, None),
    ] {
        let outcome = revoke(unseen(3, Some(0)), reason).await.expect("done");
        assert_eq!(
            (outcome.revoked().count(), outcome.epoch()),
            (revoked, epoch),
            "{reason}"
        );
    }
    let status = store.certificate_status(ISSUER, serial(3)).await;
    assert_eq!(
        status.expect("read"),
        CertificateStatusAnswer::Revoked {
            at: NOW,
            reason: RevocationReason::KeyCompromise
        }
    );
}

/// Certificates of two issuers with one stolen key: each issuer's lists and the gate's index need to hear of it.
#[tokio::test]
async fn a_compromise_across_issuers_is_one_event_for_each() {
    let Kept { dir: _dir, store } = kept();
    record(&store, 1, |it| it.key_fingerprint = [9; 32]).await;
    record(&store, 2, |it| {
        it.key_fingerprint = [9; 32];
        it.issuer = OTHER;
    })
    .await;
    let outcome = done(&store, revoke(&[1], RevocationReason::KeyCompromise)).await;
    let events: Vec<_> = outcome
        .events
        .iter()
        .map(|event| (event.number, event.issuer, event.serials.clone()))
        .collect();
    assert_eq!(
        events,
        [(1, ISSUER, vec![serial(1)]), (2, OTHER, vec![serial(2)])]
    );
}

#[tokio::test]
async fn a_key_is_blocked_for_ever_whether_a_certificate_has_it_or_not() {
    let Kept { dir: _dir, store } = kept();
    let mut wanted = revoke(&[], RevocationReason::KeyCompromise);
    wanted.keys = vec![[42; 32]];
    let outcome = done(&store, wanted.clone()).await;
    assert_eq!((outcome.keys_blocked, outcome.epoch()), (1, None));
    assert!(store.is_key_blocked([42; 32]).await.expect("read"));
    assert_eq!(done(&store, wanted).await.keys_blocked, 0);
    // Both that it was blocked and that there was nothing left to block: one entry.
    assert_eq!(audit_is_whole(&store).await, 1);
    // No other reason blocks one.
    let mut other = revoke(&[], RevocationReason::CessationOfOperation);
    other.keys = vec![[43; 32]];
    done(&store, other).await;
    assert!(!store.is_key_blocked([43; 32]).await.expect("read"));
}

#[tokio::test]
async fn a_query_finds_what_meets_every_condition_and_can_still_be_revoked() {
    let Kept { dir: _dir, store } = kept();
    let camera = |text: &str| Some(text.parse().expect("a principal"));
    // Number: principal, issuer, profile, issued at, ends at.
    for (number, principal, issuer, profile, issued, ends) in [
        (
            1,
            camera("device:fra/a"),
            ISSUER,
            ProfileKind::Device,
            0,
            1000,
        ),
        (
            2,
            camera("device:fra/a"),
            OTHER,
            ProfileKind::Device,
            10,
            1000,
        ),
        (
            3,
            camera("device:fra/b"),
            ISSUER,
            ProfileKind::Device,
            20,
            1000,
        ),
        (4, None, ISSUER, ProfileKind::Server, 30, 1000),
        (5, None, ISSUER, ProfileKind::Intermediate, 40, 1000),
        (6, None, ISSUER, ProfileKind::Server, 50, 5),
        (7, None, ISSUER, ProfileKind::Server, 60, 1000),
    ] {
        record(&store, number, |it| {
            it.principal = principal;
            it.issuer = issuer;
            it.profile = profile.into();
            it.issued_at = at(issued);
            it.not_after = at(ends);
        })
        .await;
    }
    done(&store, revoke(&[7], RevocationReason::Superseded)).await;
    let all = RevocationQuery::default();
    let compromise = RevocationReason::KeyCompromise;
    for (query, reason, expected) in [
        (all.clone(), RevocationReason::Unspecified, vec![1, 2, 3, 4]),
        // What was superseded may turn out to be stolen.
        (all.clone(), compromise, vec![1, 2, 3, 4, 7]),
        (
            RevocationQuery {
                principal: camera("device:fra/a"),
                ..all.clone()
            },
            RevocationReason::Unspecified,
            vec![1, 2],
        ),
        (
            RevocationQuery {
                principal: camera("device:fra/a"),
                issuer: Some(OTHER),
                ..all.clone()
            },
            RevocationReason::Unspecified,
            vec![2],
        ),
        (
            RevocationQuery {
                profile: Some("server".to_owned()),
                ..all.clone()
            },
            RevocationReason::Unspecified,
            vec![4],
        ),
        (
            RevocationQuery {
                key: Some([3; 32]),
                ..all.clone()
            },
            RevocationReason::Unspecified,
            vec![3],
        ),
        (
            RevocationQuery {
                issued_from: Some(at(10)),
                issued_before: Some(at(30)),
                ..all.clone()
            },
            RevocationReason::Unspecified,
            vec![2, 3],
        ),
    ] {
        let found = store
            .revocable(query.clone(), reason, at(100), usize::MAX)
            .await
            .expect("read");
        let mut serials = found.serials;
        serials.sort_unstable();
        let expected: Vec<Serial> = expected.into_iter().map(serial).collect();
        assert_eq!(serials, expected, "{query:?}");
        assert_eq!(found.count, expected.len() as u64);
    }
    let first = store
        .revocable(all, RevocationReason::Unspecified, at(100), 2)
        .await
        .expect("read");
    assert_eq!((first.count, first.serials.len()), (4, 2));
}

/// Another process on the same file: numbers go on where it left them, and the chain of the audit trail holds.
#[tokio::test]
async fn two_writers_on_one_file_go_on_where_the_other_left() {
    let Kept { dir, store } = kept();
    let other = SqliteStore::open(&dir.path().join("store.db")).expect("the store");
    for number in 1..=10 {
        let store = if number % 2 == 0 { &store } else { &other };
        record(store, number, |_| {}).await;
        let outcome = done(store, revoke(&[number], RevocationReason::Unspecified)).await;
        assert_eq!(outcome.epoch(), Some(u64::from(number)));
    }
    assert_eq!(audit_is_whole(&store).await, 20);
}
