//! Approvals over HTTP: who waits for an operator, what a client hears meanwhile, and what comes after.

use std::time::Duration;

use axum::http::StatusCode;
use portcullis::{
    authority::{AuthorityError, Invite},
    domain::{audit::Actor, invitation::Needs},
};
use portcullis_ca::revocation::RevocationReason;
use serde_json::json;

use super::{
    enrolment_keys::{
        certificate, detail, enrol, enrolled, enrolment_of, id_of, invite, place, told,
    },
    order::{csr, finalized},
    server::Server,
};

/// A client that comes every hour gets a clean error until an operator approved, and a certificate then.
#[tokio::test]
async fn an_account_that_needs_an_approval_orders_once_it_has_it() {
    let server = Server::start().await;
    let invitation = server
        .invite_to(invite("service:web/shop", Needs::Approval))
        .await;
    let (client, opened) = enrol(&server, &invitation, "").await;
    assert_eq!(
        (opened.status, &opened.json()["status"]),
        (StatusCode::CREATED, &json!("valid"))
    );
    let enrolment = enrolment_of(&server, &invitation).await;
    for _ in 0..2 {
        let refused = place(&client, "dns", "a.dev.example").await;
        assert_eq!(refused.problem(), (403, "userActionRequired".to_owned()));
        assert_eq!(refused.header("retry-after"), "60");
        let detail = detail(&refused);
        assert!(
            detail.contains(&format!("portcullis approval approve {}", enrolment.id)),
            "{detail}"
        );
    }
    let waiting = server.authority.awaiting_approval(10).await.unwrap();
    assert_eq!(waiting, std::slice::from_ref(&enrolment));
    server
        .authority
        .approve(&Actor::Authority, &enrolment.id)
        .await
        .unwrap();
    assert_eq!(
        certificate(&client, "a.dev.example").await["status"],
        "valid"
    );
    assert!(
        server
            .authority
            .awaiting_approval(10)
            .await
            .unwrap()
            .is_empty()
    );
    // What the key does not allow stays refused.
    let refused = place(&client, "dns", "a.other.example").await;
    assert_eq!(refused.problem().1, "rejectedIdentifier");
}

#[tokio::test]
async fn a_rejected_account_is_told_the_reason_and_orders_nothing() {
    let server = Server::start().await;
    let invitation = server
        .invite_to(invite("service:web/shop", Needs::Approval))
        .await;
    let (client, _) = enrol(&server, &invitation, "").await;
    let id = enrolment_of(&server, &invitation).await.id;
    let reject = |reason: &'static str| {
        let (authority, id) = (server.authority.clone(), id.clone());
        async move { authority.reject(&Actor::Authority, &id, reason).await }
    };
    assert!(matches!(
        reject("two\nlines").await,
        Err(AuthorityError::Invalid(_))
    ));
    reject("nobody knows this machine").await.unwrap();
    let refused = place(&client, "dns", "a.dev.example").await;
    assert_eq!(refused.problem(), (403, "unauthorized".to_owned()));
    assert!(detail(&refused).contains("nobody knows this machine"));
    // It is a decision, not a mood.
    let approved = server.authority.approve(&Actor::Authority, &id).await;
    assert!(matches!(approved, Err(AuthorityError::Conflict(_))));
    assert_eq!(
        told(&place(&client, "dns", "a.dev.example").await),
        "unauthorized"
    );
}

#[tokio::test]
async fn an_approval_can_be_given_as_long_as_the_key_is_good() {
    let server = Server::start().await;
    let invitation = server
        .invite_to(invite("service:web/shop", Needs::Approval))
        .await;
    let (client, _) = enrol(&server, &invitation, "").await;
    let id = enrolment_of(&server, &invitation).await.id;
    server.clock.advance(3600);
    let refused = place(&client, "dns", "a.dev.example").await;
    assert_eq!(refused.problem(), (403, "unauthorized".to_owned()));
    assert!(detail(&refused).contains("nobody approved"), "{refused:?}");
    let late = server.authority.approve(&Actor::Authority, &id).await;
    assert!(matches!(late, Err(AuthorityError::Conflict(_))));
    assert!(
        server
            .authority
            .awaiting_approval(10)
            .await
            .unwrap()
            .is_empty()
    );
    // Then it ends, and its invitation with it.
    server.clock.advance(3600);
    server
        .authority
        .prune(server.authority.now())
        .await
        .unwrap();
    assert!(
        !server
            .authority
            .enrolment(&id)
            .await
            .unwrap()
            .unwrap()
            .goes_on()
    );
    assert_eq!(
        server
            .authority
            .invitation(id_of(&invitation))
            .await
            .unwrap(),
        None
    );
}

/// permissions.md, "From certificate to principal", 5: enrolling a principal that has a live credential needs proof of
/// that credential, or an operator's approval.
#[tokio::test]
async fn a_key_that_is_older_than_the_principals_certificate_waits_for_an_approval() {
    let server = Server::start().await;
    const PRINCIPAL: &str = "device:fra/sensor-42";
    let old = server.invite_to(invite(PRINCIPAL, Needs::Nothing)).await;
    server.clock.advance(60);
    // Nobody has a certificate yet: no reason to wait, however many keys there are.
    let current = server
        .invite_to(Invite {
            uses: 3,
            ..invite(PRINCIPAL, Needs::Nothing)
        })
        .await;
    server.clock.advance(60);
    let (device, _) = enrol(&server, &current, "").await;
    certificate(&device, "a.dev.example").await;
    server.clock.advance(60);

    let (stranger, _) = enrol(&server, &old, "").await;
    let refused = place(&stranger, "dns", "a.dev.example").await;
    assert_eq!(refused.problem(), (403, "userActionRequired".to_owned()));
    assert!(
        detail(&refused).contains("began after the invitation was made"),
        "{refused:?}"
    );
    // The device itself goes on, and so does whoever comes with the key that is good for several.
    certificate(&device, "a.dev.example").await;
    let (second, _) = enrol(&server, &current, "").await;
    certificate(&second, "a.dev.example").await;
    server.clock.advance(60);
    // An invitation that was made since is an operator's word.
    let newer = server.invite_to(invite(PRINCIPAL, Needs::Nothing)).await;
    server.clock.advance(60);
    certificate(&device, "a.dev.example").await;
    let (replacement, _) = enrol(&server, &newer, "").await;
    certificate(&replacement, "a.dev.example").await;
    // The stranger may be let in after all.
    let id = enrolment_of(&server, &old).await.id;
    server
        .authority
        .approve(&Actor::Authority, &id)
        .await
        .unwrap();
    certificate(&stranger, "a.dev.example").await;
}

/// The same, for who opened its account before the rival had its certificate, and orders after its key has ended.
#[tokio::test]
async fn an_account_without_a_certificate_waits_when_a_rival_got_one_meanwhile() {
    let server = Server::start().await;
    const PRINCIPAL: &str = "device:fra/sensor-42";
    let names = ["a.dev.example"];
    let old = server.invite_to(invite(PRINCIPAL, Needs::Nothing)).await;
    let current = server.invite_to(invite(PRINCIPAL, Needs::Nothing)).await;
    let (thief, _) = enrol(&server, &old, "").await;
    server.clock.advance(60);
    let (device, _) = enrol(&server, &current, "").await;
    certificate(&device, names[0]).await;
    // The invitations end, the certificate does not.
    server.clock.advance(2 * 3600);

    // The enrolment is active, as nobody had a certificate when it began.
    let placed = place(&thief, "dns", names[0]).await.ok();
    assert_eq!(told(&placed), "ready");
    let refused = finalized(&thief, &placed.json(), &csr(&names).0).await;
    assert_eq!(refused.problem(), (403, "userActionRequired".to_owned()));
    let enrolment = enrolment_of(&server, &old).await;
    assert!(
        detail(&refused).contains(&format!("portcullis approval approve {}", enrolment.id)),
        "{refused:?}"
    );
    assert_eq!(server.certificates().await.len(), 1);
    let waiting = server.authority.awaiting_approval(10).await.unwrap();
    assert_eq!(waiting, std::slice::from_ref(&enrolment));
    assert_eq!(
        told(&place(&thief, "dns", names[0]).await),
        "userActionRequired"
    );
    // Who has its certificate renews it, whoever waits.
    certificate(&device, names[0]).await;

    // An operator may say that all is well, though the invitation has ended; then the order is finished.
    server
        .authority
        .approve(&Actor::Authority, &enrolment.id)
        .await
        .unwrap();
    let done = finalized(&thief, &placed.json(), &csr(&names).0).await;
    assert_eq!(told(&done.ok()), "valid");
    // Both go on, for both have one now.
    for client in [&device, &thief] {
        server.clock.advance(60);
        certificate(client, names[0]).await;
    }
}

#[tokio::test]
async fn a_key_is_kept_until_the_last_of_its_enrolments_has_ended() {
    let server = Server::start().await;
    let invitation = server
        .invite_to(Invite {
            uses: 2,
            ..invite("service:web/shop", Needs::Approval)
        })
        .await;
    let id = id_of(&invitation);
    enrol(&server, &invitation, "").await.1.ok();
    enrol(&server, &invitation, "").await.1.ok();
    let all = server.authority.enrolments_of(id, 10).await.unwrap();
    let [first, second] = &all[..] else {
        panic!("{all:?}")
    };
    let approved = server.authority.approve(&Actor::Authority, &first.id).await;
    approved.unwrap();
    let kept = async |expected: bool| {
        let now = server.authority.now();
        server.authority.prune(now).await.unwrap();
        let kept = server.authority.invitation(id).await.unwrap();
        assert_eq!(kept.is_some(), expected);
    };
    let rejected = server
        .authority
        .reject(&Actor::Authority, &second.id, "not ours")
        .await;
    rejected.unwrap();
    server.clock.advance(2 * 3600);
    kept(true).await;
    let ended = server
        .authority
        .end_enrolments(
            &Actor::Authority,
            &first.principal,
            RevocationReason::CessationOfOperation,
        )
        .await;
    ended.unwrap();
    kept(false).await;
}

#[tokio::test]
async fn a_certificate_that_is_good_no_more_makes_nobody_wait() {
    for ended_by in ["revocation", "time"] {
        let server = Server::start().await;
        const PRINCIPAL: &str = "device:fra/sensor-42";
        let old = server
            .invite_to(Invite {
                life: Duration::from_secs(365 * 24 * 3600),
                ..invite(PRINCIPAL, Needs::Nothing)
            })
            .await;
        server.clock.advance(60);
        let device = enrolled(&server, invite(PRINCIPAL, Needs::Nothing)).await;
        certificate(&device, "a.dev.example").await;
        let issued = server.certificates().await.remove(0);
        match ended_by {
            "revocation" => {
                let reason = RevocationReason::CessationOfOperation;
                server
                    .authority
                    .revoke_certificates(&Actor::Authority, &[issued.serial], reason)
                    .await
                    .unwrap();
            }
            _ => server.clock.advance(
                (issued.not_after.since(issued.not_before).as_secs() + 1)
                    .try_into()
                    .unwrap(),
            ),
        }
        let (client, _) = enrol(&server, &old, "").await;
        let placed = place(&client, "dns", "a.dev.example").await;
        assert_eq!(told(&placed), "ready", "{ended_by}");
    }
}

#[tokio::test]
async fn who_waits_for_an_approval_with_a_key_that_is_taken_back_waits_in_vain() {
    let server = Server::start().await;
    let invitation = server
        .invite_to(invite("service:web/shop", Needs::Approval))
        .await;
    let (client, _) = enrol(&server, &invitation, "").await;
    let id = enrolment_of(&server, &invitation).await.id;
    server
        .authority
        .revoke_invitation(&Actor::Authority, id_of(&invitation), false)
        .await
        .unwrap();
    let late = server.authority.approve(&Actor::Authority, &id).await;
    assert!(matches!(late, Err(AuthorityError::Conflict(_))));
    let refused = place(&client, "dns", "a.dev.example").await;
    assert_eq!(refused.problem(), (403, "unauthorized".to_owned()));
}
