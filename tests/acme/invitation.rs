//! Invitations over HTTP: how they end, and with them who came in with them; and how long they are kept.

use std::time::Duration;

use portcullis::{
    authority::{AuthorityError, Invite},
    domain::{
        audit::Actor,
        enrolment::EnrolmentState,
        invitation::{InvitationId, InvitationStatus, Needs},
    },
    store::InvitationQuery,
};
use portcullis_ca::revocation::RevocationReason;
use serde_json::json;

use super::{
    enrolment_keys::{certificate, detail, enrol, enrolment_of, id_of, invite, place, told},
    order::{csr, finalized, ready},
    server::{Invitation, Server},
};

#[tokio::test]
async fn a_key_that_is_taken_back_opens_no_account_and_stops_its_accounts_if_so_asked() {
    let server = Server::start().await;
    let several = Invite {
        uses: 9,
        ..invite("service:web/shop", Needs::Nothing)
    };
    let invitation = server.invite_to(several).await;
    let (client, _) = enrol(&server, &invitation, "").await;
    let before = place(&client, "dns", "a.dev.example").await.ok().json();
    let revoke = |stop_accounts| {
        let authority = server.authority.clone();
        let id = id_of(&invitation);
        async move {
            authority
                .revoke_invitation(&Actor::Authority, id, stop_accounts)
                .await
        }
    };
    let revoked = revoke(false).await.unwrap();
    assert_eq!((revoked.accounts_stopped, revoked.enrolments_ended), (0, 0));
    let (_, refused) = enrol(&server, &invitation, "").await;
    assert_eq!(refused.problem(), (403, "unauthorized".to_owned()));
    assert!(detail(&refused).contains("was taken back"), "{refused:?}");
    // Who is in goes on.
    certificate(&client, "a.dev.example").await;
    assert!(matches!(
        revoke(false).await,
        Err(AuthorityError::Conflict(_))
    ));

    let revoked = revoke(true).await.unwrap();
    assert_eq!((revoked.accounts_stopped, revoked.enrolments_ended), (1, 1));
    let account = client.account.clone().unwrap();
    let again = json!({"onlyReturnExisting": true}).to_string();
    for reply in [
        place(&client, "dns", "a.dev.example").await,
        finalized(&client, &before, &csr(&["a.dev.example"]).0).await,
        client.get(&account).await,
        client
            .post_with_key(&client.url("new-account"), &again)
            .await,
    ] {
        assert_eq!(reply.problem(), (403, "unauthorized".to_owned()));
        let detail = detail(&reply);
        assert!(
            detail.contains("is revoked (its invitation was taken back"),
            "{detail}"
        );
    }
    // What it has stays good until it is revoked itself.
    let issued = &server.certificates().await[0];
    assert_eq!(issued.revocation, None);
}

/// Ids of keys can't be probed: why one is refused is told only to who has its MAC key.
#[tokio::test]
async fn why_a_key_is_refused_is_told_to_who_has_it_and_to_nobody_else() {
    let server = Server::start().await;
    let spent = server
        .invite_to(invite("device:fra/a", Needs::Nothing))
        .await;
    enrol(&server, &spent, "").await.1.ok();
    let unknown = Invitation {
        key_id: "0123456789ab".to_owned(),
        mac_key: vec![1; 32],
    };
    let guessed = Invitation {
        key_id: spent.key_id.clone(),
        mac_key: vec![1; 32],
    };
    let (_, told) = enrol(&server, &spent, "").await;
    assert!(detail(&told).contains("has been used already"), "{told:?}");
    let (_, unknown) = enrol(&server, &unknown, "").await;
    let (_, guessed) = enrol(&server, &guessed, "").await;
    assert_eq!(unknown.problem(), (403, "unauthorized".to_owned()));
    assert_eq!(unknown.json(), guessed.json());
}

#[tokio::test]
async fn a_revoked_certificate_ends_its_enrolment_whatever_its_key_needs() {
    for needs in Needs::ALL {
        let server = Server::start().await;
        let invitation = server.invite_to(invite("service:web/shop", needs)).await;
        let (client, _) = enrol(&server, &invitation, "").await;
        if needs == Needs::Approval {
            let id = enrolment_of(&server, &invitation).await.id;
            server
                .authority
                .approve(&Actor::Authority, &id)
                .await
                .unwrap();
        }
        if needs == Needs::Challenge {
            let (_, order) = ready(&server, &client, &["a.dev.example"]).await;
            finalized(&client, &order, &csr(&["a.dev.example"]).0)
                .await
                .ok();
        } else {
            certificate(&client, "a.dev.example").await;
        }
        let serial = server.certificates().await[0].serial;
        server
            .authority
            .revoke_certificates(
                &Actor::Authority,
                &[serial],
                RevocationReason::KeyCompromise,
            )
            .await
            .unwrap();
        let refused = place(&client, "dns", "a.dev.example").await;
        assert_eq!(
            refused.problem(),
            (403, "unauthorized".to_owned()),
            "{needs}"
        );
        assert!(detail(&refused).contains("portcullis invite"));
    }
}

#[tokio::test]
async fn an_account_that_gives_itself_up_ends_its_enrolment() {
    let server = Server::start().await;
    let invitation = server
        .invite_to(invite("service:web/shop", Needs::Nothing))
        .await;
    let (client, _) = enrol(&server, &invitation, "").await;
    let account = client.account.clone().unwrap();
    client
        .post(&account, json!({"status": "deactivated"}))
        .await
        .ok();
    let enrolment = enrolment_of(&server, &invitation).await;
    assert!(matches!(enrolment.state, EnrolmentState::Ended { .. }));
}

#[tokio::test]
async fn an_invitation_is_kept_while_somebody_who_enrolled_with_it_goes_on() {
    let server = Server::start().await;
    let unused = server
        .invite_to(invite("service:web/a", Needs::Nothing))
        .await;
    let used = server
        .invite_to(invite("service:web/b", Needs::Nothing))
        .await;
    let (client, _) = enrol(&server, &used, "").await;
    let kept = async |invitation: &Invitation| {
        let found = server.authority.invitation(id_of(invitation)).await;
        found.unwrap().is_some()
    };
    server.clock.advance(3601);
    server
        .authority
        .prune(server.authority.now())
        .await
        .unwrap();
    assert_eq!((kept(&unused).await, kept(&used).await), (false, true));
    certificate(&client, "a.dev.example").await;
    // Once it has ended, it goes.
    server
        .authority
        .revoke_invitation(&Actor::Authority, id_of(&used), true)
        .await
        .unwrap();
    server
        .authority
        .prune(server.authority.now())
        .await
        .unwrap();
    assert!(!kept(&used).await);
    assert_eq!(
        told(&place(&client, "dns", "a.dev.example").await),
        "unauthorized"
    );
}

#[tokio::test]
async fn invitations_are_listed_newest_first_page_by_page_and_by_how_they_are() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for (index, life) in [(0, 60), (1, 3600), (2, 3600), (3, 3600)] {
        let invitation = server
            .invite_to(Invite {
                life: Duration::from_secs(life),
                ..invite(&format!("device:fra/{index}"), Needs::Nothing)
            })
            .await;
        if index == 1 {
            enrol(&server, &invitation, "").await.1.ok();
        }
        if index == 2 {
            server
                .authority
                .revoke_invitation(&Actor::Authority, id_of(&invitation), false)
                .await
                .unwrap();
        }
        ids.push(id_of(&invitation));
    }
    server.clock.advance(60);
    let listed = async |query: InvitationQuery| -> Vec<InvitationId> {
        let found = server.authority.invitations(query).await.unwrap();
        found.iter().map(|invitation| invitation.id).collect()
    };
    let all = InvitationQuery {
        limit: 100,
        ..InvitationQuery::default()
    };
    let newest_first: Vec<_> = ids.iter().rev().copied().collect();
    assert_eq!(listed(all.clone()).await, newest_first);
    for (status, expected) in [
        (InvitationStatus::Expired, ids[0]),
        (InvitationStatus::UsedUp, ids[1]),
        (InvitationStatus::Revoked, ids[2]),
        (InvitationStatus::Open, ids[3]),
    ] {
        let query = InvitationQuery {
            status: Some(status),
            ..all.clone()
        };
        assert_eq!(listed(query).await, [expected], "{status}");
        let kept = server
            .authority
            .invitation(expected)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(kept.status_at(server.authority.now()), status);
    }
    let of_one = InvitationQuery {
        principal: Some("device:fra/2".parse().unwrap()),
        ..all.clone()
    };
    assert_eq!(listed(of_one).await, [ids[2]]);
    let page = InvitationQuery {
        before: Some(ids[2]),
        limit: 1,
        ..all
    };
    assert_eq!(listed(page).await, [ids[1]]);
}
