//! Publishing lists: which, when, under which number, and what keeps one from being published.

use std::collections::BTreeMap;

use portcullis::{
    authority::AuthorityError,
    domain::{
        audit::{Actor, AuditDraft},
        issuer::KeyPlace,
    },
    store::ChangeIssuers,
};
use portcullis_ca::{list::serials_on, serial::Serial};

use super::stage::{HOUR, Stage};

/// The root's one and the intermediate's sixteen.
const ALL: usize = 17;

#[tokio::test]
async fn only_lists_that_lack_something_or_are_half_over_are_made_anew() {
    let stage = Stage::start().await;
    assert_eq!(stage.publish_due().await, (ALL, 0));
    assert_eq!(stage.publish_due().await, (0, 0));
    let serials = stage.certificates(&[3, 3, 3, 9], HOUR * 100).await;
    assert_eq!(stage.publish_due().await, (0, 0));
    // Many revocations, one list each shard.
    for serial in &serials {
        stage.revoke(&[*serial]).await;
    }
    assert_eq!(stage.publish_due().await, (2, 0));
    assert_eq!(
        [3, 9, 4].map(|shard| stage.list("intermediate", shard).number),
        [2, 2, 1]
    );
    let mut expected = serials[..3].to_vec();
    expected.sort_unstable();
    assert_eq!(stage.on_list(3), expected);
    assert_eq!(stage.on_list(9), serials[3..]);
    assert_eq!(stage.publish_due().await, (0, 0));
    // A restart makes none anew: what each covers is written down.
    let restarted = stage.again().await;
    assert_eq!(restarted.lists().len(), ALL);
    let round = restarted.publish_due_lists().await.expect("asked");
    assert_eq!((round.published, round.failed), (0, 0));
    drop(restarted);
    // After half a day every one has been made anew, and never all at once.
    let mut made = 0;
    for _ in 0..48 {
        stage.advance(HOUR / 4);
        let (published, failed) = stage.publish_due().await;
        assert!(published <= 4 && failed == 0, "{published} at once");
        made += published;
    }
    assert_eq!(made, ALL);
}

/// Let's Encrypt 2022: a list was published with a tenth of its entries.
#[tokio::test]
async fn a_list_that_lost_entries_is_not_published_and_the_one_before_stays() {
    let stage = Stage::start().await;
    let serials = stage.certificates(&[5, 5, 5, 5, 6], HOUR * 100).await;
    stage.revoke(&serials[..3]).await;
    stage.publish_due().await;
    let before = stage.list("intermediate", 5);
    let hidden = format!("x'{}', x'{}'", serials[0], serials[1]);
    stage.tamper(&format!(
        "UPDATE certificates SET revoked_at = NULL WHERE serial IN ({hidden})"
    ));
    // Both the list that lost something and another one are due: the other one comes out.
    stage.revoke(&serials[3..]).await;
    assert_eq!(stage.publish_due().await, (1, 1));
    assert_eq!(stage.on_list(6), serials[4..]);
    let after = stage.list("intermediate", 5);
    assert_eq!((after.number, &after.der), (before.number, &before.der));
    let faults = stage.authority.list_faults();
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].shard == 5 && faults[0].what.contains("2 of the 3"),
        "{faults:?}"
    );
    let refused = stage.authority.publish_lists(&Actor::Authority).await;
    assert!(
        matches!(&refused, Err(AuthorityError::Internal(why)) if why.contains("2 of the 3")),
        "{refused:?}"
    );
    // The rows are gone altogether: no better.
    stage.tamper(&format!(
        "CREATE TABLE kept AS SELECT * FROM certificates WHERE serial IN ({hidden});
         DELETE FROM certificates WHERE serial IN ({hidden})"
    ));
    assert_eq!(stage.publish_due().await.1, 1);
    // Once they are back, so is the list.
    stage.tamper(&format!(
        "INSERT INTO certificates SELECT * FROM kept;
         UPDATE certificates SET revoked_at = issued_at WHERE serial IN ({hidden})"
    ));
    assert_eq!(stage.publish_due().await, (1, 0));
    let mut expected = serials[..4].to_vec();
    expected.sort_unstable();
    assert_eq!(stage.on_list(5), expected);
    assert_eq!(stage.authority.list_faults(), []);
}

/// Let's Encrypt 2025: entries went before their certificates had ended. RFC 5280 section 3.3: an entry must be on one
/// list that was made after its certificate ended, also where the server was down for days around that moment.
#[tokio::test]
async fn a_revoked_certificate_stays_on_one_list_past_its_end() {
    let stage = Stage::start().await;
    let serials = stage.certificates(&[2, 2], HOUR * 2).await;
    let long = stage.certificates(&[2], HOUR * 1000).await;
    stage.revoke(&[serials[0], long[0]]).await;
    stage.publish_due().await;
    let mut expected = vec![serials[0], long[0]];
    expected.sort_unstable();
    assert_eq!(stage.on_list(2), expected);
    // Revoked before its end, but on no list yet when the server stops.
    stage.revoke(&[serials[1]]).await;
    stage.advance(HOUR * 72);
    stage.publish_due().await;
    let mut expected = vec![serials[0], serials[1], long[0]];
    expected.sort_unstable();
    assert_eq!(stage.on_list(2), expected, "on a list made after its end");
    stage.advance(HOUR * 13);
    stage.publish_due().await;
    assert_eq!(stage.on_list(2), long, "and then no more");
    assert_eq!(stage.authority.list_faults(), []);
}

/// step-ca: two nodes published different lists under one number.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_on_one_store_never_publish_two_lists_under_one_number() {
    const ROUNDS: usize = 3;
    let stage = Stage::start().await;
    let other = stage.again().await;
    let serials = stage.certificates(&[0, 1, 2, 3], HOUR * 100).await;
    let tasks = [stage.authority.clone(), other].map(|node| {
        let serials = serials.clone();
        tokio::spawn(async move {
            let mut published = Vec::new();
            for round in 0..ROUNDS {
                // Each has something of its own to say, so that no two lists are the same by chance.
                node.revoke_certificates(
                    &Actor::Authority,
                    &serials[round..=round],
                    portcullis_ca::revocation::RevocationReason::Superseded,
                )
                .await
                .expect("revoked");
                published.extend(node.publish_lists(&Actor::Authority).await.expect("lists"));
            }
            published
        })
    });
    let mut by_number = BTreeMap::new();
    for task in tasks {
        let mut last = BTreeMap::new();
        for list in task.await.expect("no panic") {
            let place = (list.issuer, list.shard);
            assert!(last.insert(place, list.number) < Some(list.number));
            let twice = by_number.insert((place, list.number), list.der);
            assert!(twice.is_none(), "number {} of {place:?} twice", list.number);
        }
    }
    // One after the other, none left out.
    assert_eq!(by_number.len(), 2 * ROUNDS * ALL);
    for list in stage.again().await.lists().iter() {
        assert_eq!(list.number, 2 * ROUNDS as u64);
        let kept = &by_number[&((list.issuer, list.shard), list.number)];
        assert_eq!(*kept, list.der);
    }
}

/// A restored backup must not give numbers out again (step-ca #606).
#[tokio::test]
async fn nothing_is_published_when_the_number_would_go_back() {
    let stage = Stage::start().await;
    let serials = stage.certificates(&[4], HOUR * 100).await;
    stage.publish_due().await;
    stage
        .authority
        .publish_lists(&Actor::Authority)
        .await
        .expect("lists");
    let before = stage.list("intermediate", 4);
    assert_eq!(before.number, 2);
    stage.tamper("UPDATE lists SET number = 1 WHERE shard = 4");
    stage.revoke(&serials).await;
    assert_eq!(stage.publish_due().await, (0, 1));
    let faults = stage.authority.list_faults();
    assert!(faults[0].what.contains("gone back in time"), "{faults:?}");
    assert_eq!(stage.list("intermediate", 4).der, before.der);
}

/// `ca root crl`: the draft goes to where the key is, the signed list comes back.
#[tokio::test]
async fn a_list_that_was_signed_elsewhere_is_published_if_it_says_what_was_meant() {
    let stage = Stage::start().await;
    stage.publish_due().await;
    let root = stage.issuer("root");
    let key = stage
        .state()
        .key("keys/root.key", None)
        .expect("the root's key");
    let year = stage.clock.read() + HOUR * 24 * 365;
    let draft = async || {
        stage
            .authority
            .list_draft_for(&root, 0, year)
            .await
            .expect("a draft")
            .0
    };
    let accept = async |der: &[u8]| {
        stage
            .authority
            .accept_signed_list(&Actor::Authority, &root, 0, der)
            .await
            .map_err(|error| error.to_string())
    };
    let first = draft().await;
    assert_eq!((first.number, first.next_update), (2, year.unix_seconds()));
    let signed = first
        .check(&root.certificate)
        .expect("clean")
        .sign(&key)
        .await
        .expect("signed");
    let list = accept(&signed).await.expect("published");
    assert_eq!((list.number, list.next_update), (2, year));
    assert_eq!(stage.list("root", 0).der, signed);
    let again = accept(&signed).await.expect_err("the same again");
    assert!(again.contains("number 2"), "{again}");
    // What was revoked since it was drafted is missing on it.
    let late = draft().await;
    let late = late
        .check(&root.certificate)
        .expect("clean")
        .sign(&key)
        .await
        .expect("signed");
    let unseen = stage.revoke_unseen("root").await;
    let refused = accept(&late).await.expect_err("incomplete");
    assert!(refused.contains("draft it again"), "{refused}");
    // Somebody else's signature.
    let other = portcullis_ca::key::SigningKey::generate(portcullis_ca::key::KeyAlgorithm::P256)
        .expect("a key");
    let intermediate_key = stage
        .state()
        .key("keys/intermediate.key", None)
        .expect("the intermediate's key");
    drop(other);
    let foreign = draft()
        .await
        .check(&stage.issuer("intermediate").certificate)
        .expect("clean")
        .sign(&intermediate_key)
        .await
        .expect("signed");
    assert!(accept(&foreign).await.is_err());
    let complete = draft()
        .await
        .check(&root.certificate)
        .expect("clean")
        .sign(&key)
        .await
        .expect("signed");
    accept(&complete).await.expect("published");
    let on_it: Vec<Serial> = serials_on(&stage.list("root", 0).der).expect("a list");
    assert_eq!(on_it, [unseen]);
}

/// The root's key is away: everything else goes on, and an alarm comes before its list ends, or when it lacks something.
#[tokio::test]
async fn an_issuer_whose_key_is_offline_keeps_no_other_from_publishing() {
    let stage = Stage::start().await;
    stage.publish_due().await;
    let root = stage.issuer("root");
    let year = stage.clock.read() + HOUR * 24 * 365;
    stage
        .authority
        .publish_lists_until(&Actor::Authority, &root, year)
        .await
        .expect("a long list");
    let mut record = root.record.clone();
    record.key = KeyPlace::Offline;
    let audit = AuditDraft {
        at: stage.clock.read(),
        actor: Actor::Authority,
        action: "issuer.export",
        subject: "root".to_owned(),
        detail: serde_json::json!({}),
    };
    stage
        .authority
        .store()
        .change_issuers(
            ChangeIssuers {
                expected: vec![root.record.clone()],
                put: vec![record],
                certificates: Vec::new(),
                at: stage.clock.read(),
            },
            audit,
        )
        .await
        .expect("offline");
    let stage = Stage {
        authority: stage.again().await,
        ..stage
    };
    assert_eq!(stage.publish_due().await, (0, 0));
    stage.advance(HOUR * 24 * 300);
    assert_eq!(stage.publish_due().await, (ALL - 1, 0));
    assert_eq!(stage.list("root", 0).next_update, year);
    // A month before it ends.
    stage.advance(HOUR * 24 * 36);
    assert_eq!(stage.publish_due().await, (ALL - 1, 1));
    let faults = stage.authority.list_faults();
    assert!(
        faults[0].what.contains("portcullis ca root crl"),
        "{faults:?}"
    );
    assert!(faults[0].what.contains(&year.to_string()), "{faults:?}");
    // `crl publish` does what can be done.
    let published = stage.authority.publish_lists(&Actor::Authority).await;
    assert_eq!(published.map(|lists| lists.len()).ok(), Some(ALL - 1));
    stage.revoke_unseen("root").await;
    stage.publish_due().await;
    let faults = stage.authority.list_faults();
    assert!(
        faults[0].what.contains("is missing on the list"),
        "{faults:?}"
    );
}
