//! External account binding over HTTP (RFC 8555 section 7.3.4), and what its invitation vouches for.

use axum::http::StatusCode;
use portcullis::{acme::AcmeConfig, domain::ExternalAccount};
use portcullis_ca::profile::ProfileKind;
use serde_json::{Value, json};

use super::{
    client::{Client, Key, binding, encode, mac},
    order::{csr, finalized, first_of},
    server::{Invitation, Server},
};

#[tokio::test]
async fn what_the_invitation_vouches_for_is_valid_at_once() {
    let server = Server::start().await;
    let invitation = server.invite("device:fra/sensor-42", &[]).await;
    let mut client = Client::new(&server.base, Key::new());
    let binding = binding(
        &invitation.key_id,
        &invitation.mac_key,
        &client.key,
        &client.url("new-account"),
    );
    let account = client
        .register(json!({"externalAccountBinding": binding}))
        .await;
    assert_eq!(account.status, StatusCode::CREATED, "{account:?}");
    assert_eq!(account.json()["externalAccountBinding"], binding);
    // It is kept (RFC 8555 section 7.3.4): in every answer that shows the account.
    let url = client.account.clone().unwrap();
    for reply in [
        client.get(&url).await,
        client.post(&url, json!({"contact": []})).await,
        client.register(json!({})).await,
    ] {
        assert_eq!(reply.ok().json()["externalAccountBinding"], binding);
    }

    let identifier = json!({"type": "permanent-identifier", "value": "fra/sensor-42"});
    let order = client
        .post(
            &client.url("new-order"),
            json!({"identifiers": [identifier]}),
        )
        .await
        .ok();
    assert_eq!(
        (
            order.json()["status"].as_str(),
            &order.json()["identifiers"]
        ),
        (Some("ready"), &json!([identifier]))
    );
    let authorization = client
        .get(order.json()["authorizations"][0].as_str().unwrap())
        .await
        .json();
    assert_eq!(
        (
            &authorization["status"],
            &authorization["identifier"],
            &authorization["challenges"]
        ),
        (&json!("valid"), &identifier, &json!([]))
    );
    let (csr, _) = csr(&[]);
    let order = finalized(&client, &order.json(), &csr).await.ok().json();
    let pem = client
        .get(order["certificate"].as_str().unwrap())
        .await
        .ok();
    assert_eq!(
        pem.header("content-type"),
        "application/pem-certificate-chain"
    );
    // What it proves comes from the invitation: the CSR had no name at all.
    let issued = &server.certificates().await[0];
    assert_eq!(
        (
            issued.profile.clone(),
            issued.principal.as_ref().map(ToString::to_string),
            &issued.names
        ),
        (
            ProfileKind::Device.into(),
            Some("device:fra/sensor-42".to_owned()),
            &vec!["uri:spiffe://acme.test/device/fra/sensor-42".to_owned()]
        )
    );
}

#[tokio::test]
async fn a_revoked_certificate_ends_what_its_invitation_allowed() {
    let server = Server::start().await;
    let invitation = server.invite("device:fra/sensor-7", &[]).await;
    let mut client = Client::new(&server.base, Key::new());
    let binding = binding(
        &invitation.key_id,
        &invitation.mac_key,
        &client.key,
        &client.url("new-account"),
    );
    client
        .register(json!({"externalAccountBinding": binding}))
        .await
        .ok();
    let identifier = json!({"type": "permanent-identifier", "value": "fra/sensor-7"});
    let wanted = json!({"identifiers": [identifier]});
    let order = client
        .post(&client.url("new-order"), wanted.clone())
        .await
        .ok()
        .json();
    let placed_before = client
        .post(&client.url("new-order"), wanted.clone())
        .await
        .ok()
        .json();
    let (csr, _) = csr(&[]);
    let order = finalized(&client, &order, &csr).await.ok().json();
    let pem = client
        .get(order["certificate"].as_str().unwrap())
        .await
        .ok();
    let certificate = json!({"certificate": encode(first_of(&pem.body)), "reason": 1});
    client
        .post(&client.url("revoke-cert"), certificate)
        .await
        .ok();
    for reply in [
        client.post(&client.url("new-order"), wanted).await,
        finalized(&client, &placed_before, &super::order::csr(&[]).0).await,
    ] {
        assert_eq!(
            reply.problem(),
            (403, "unauthorized".to_owned()),
            "{reply:?}"
        );
        assert!(
            reply.json()["detail"]
                .as_str()
                .unwrap()
                .contains("portcullis invite")
        );
    }
    assert_eq!(server.certificates().await.len(), 1);
}

#[tokio::test]
async fn an_invitation_vouches_for_its_own_names_only() {
    let server = Server::start().await;
    let invitation = server.invite("service:billing/etl", &["etl.example"]).await;
    let mut client = Client::new(&server.base, Key::new());
    let binding = binding(
        &invitation.key_id,
        &invitation.mac_key,
        &client.key,
        &client.url("new-account"),
    );
    client
        .register(json!({"externalAccountBinding": binding}))
        .await
        .ok();
    for (kind, value, status) in [
        ("dns", "etl.example", Some("ready")),
        ("permanent-identifier", "billing/etl", Some("ready")),
        ("permanent-identifier", "billing/other", None),
        ("permanent-identifier", "fra/sensor-42", None),
    ] {
        let order = json!({"identifiers": [{"type": kind, "value": value}]});
        let reply = client.post(&client.url("new-order"), order).await;
        match status {
            Some(status) => assert_eq!(reply.ok().json()["status"], status, "{value}"),
            None => assert_eq!(
                reply.problem(),
                (403, "rejectedIdentifier".to_owned()),
                "{value}"
            ),
        }
    }
}

#[tokio::test]
async fn an_account_without_an_invitation_may_not_order_a_permanent_identifier() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let order =
        json!({"identifiers": [{"type": "permanent-identifier", "value": "fra/sensor-42"}]});
    let reply = client.post(&client.url("new-order"), order).await;
    assert_eq!(reply.problem(), (403, "rejectedIdentifier".to_owned()));
}

/// What makes a binding for an account's key and the URL of newAccount.
type Bind = fn(&Invitation, &Client, &str) -> Value;

fn good(invitation: &Invitation, client: &Client, url: &str) -> Value {
    binding(&invitation.key_id, &invitation.mac_key, &client.key, url)
}

#[tokio::test]
async fn a_binding_that_is_not_right_makes_no_account() {
    let server = Server::start().await;
    let (unauthorized, malformed) = ((403, "unauthorized"), (400, "malformed"));
    let cases: [(&str, Bind, (u16, &str)); 9] = [
        ("a good one", good, (201, "")),
        (
            "another MAC key",
            |invitation, client, url| binding(&invitation.key_id, &[1; 32], &client.key, url),
            unauthorized,
        ),
        (
            "an unknown key id",
            |invitation, client, url| binding("unknown", &invitation.mac_key, &client.key, url),
            unauthorized,
        ),
        (
            "another account's key",
            |invitation, _, url| binding(&invitation.key_id, &invitation.mac_key, &Key::new(), url),
            malformed,
        ),
        (
            "another url",
            |invitation, client, _| good(invitation, client, &client.url("new-order")),
            malformed,
        ),
        (
            "a nonce",
            |invitation, client, url| {
                let header =
                    json!({"alg": "HS256", "kid": invitation.key_id, "url": url, "nonce": "AAAA"});
                mac(&invitation.mac_key, &header, &client.key.jwk())
            },
            malformed,
        ),
        (
            "a signature rather than a MAC",
            |invitation, client, url| {
                let header = json!({"alg": "ES256", "kid": invitation.key_id, "url": url});
                client.key.jws(&header, &client.key.jwk().to_string())
            },
            (400, "badSignatureAlgorithm"),
        ),
        ("no object", |_, _, _| json!("binding"), malformed),
        ("a list", |_, _, _| json!([]), malformed),
    ];
    let mut wrong = Vec::new();
    for (what, bind, expected) in cases {
        let invitation = server.invite("device:fra/sensor-1", &[]).await;
        let mut client = Client::new(&server.base, Key::new());
        let bad = bind(&invitation, &client, &client.url("new-account"));
        let reply = client
            .register(json!({"externalAccountBinding": bad}))
            .await;
        let (status, kind) = reply.outcome();
        let again = client.register(json!({"onlyReturnExisting": true})).await;
        if (status, kind.as_str()) != expected
            || again.status.is_success() != reply.status.is_success()
        {
            wrong.push((what, reply));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn an_invitation_for_one_use_makes_one_account() {
    let server = Server::start().await;
    let invitation = server.invite("device:fra/sensor-2", &[]).await;
    let clients: Vec<_> = (0..8)
        .map(|_| Client::new(&server.base, Key::new()))
        .collect();
    let url = clients[0].url("new-account");
    let payloads = clients.iter().map(|client| {
        let binding = binding(&invitation.key_id, &invitation.mac_key, &client.key, &url);
        json!({"externalAccountBinding": binding}).to_string()
    });
    let payloads: Vec<_> = payloads.collect();
    let replies = futures_util::future::join_all(
        clients
            .iter()
            .zip(&payloads)
            .map(|(client, payload)| client.post_with_key(&url, payload)),
    )
    .await;
    let (made, refused): (Vec<_>, Vec<_>) = replies
        .iter()
        .partition(|reply| reply.status == StatusCode::CREATED);
    assert_eq!(made.len(), 1);
    assert!(
        refused
            .iter()
            .all(|reply| reply.problem() == (403, "unauthorized".to_owned()))
    );
}

#[tokio::test]
async fn where_a_binding_is_required_an_account_without_one_is_refused() {
    let server = Server::with(AcmeConfig {
        external_account: ExternalAccount::Required,
        ..AcmeConfig::default()
    })
    .await;
    let mut client = Client::new(&server.base, Key::new());
    let reply = client.register(json!({})).await;
    assert_eq!(reply.problem(), (403, "externalAccountRequired".to_owned()));
    let invitation = server.invite("device:fra/sensor-3", &[]).await;
    let binding = binding(
        &invitation.key_id,
        &invitation.mac_key,
        &client.key,
        &client.url("new-account"),
    );
    client
        .register(json!({"externalAccountBinding": binding}))
        .await
        .ok();
    let directory = client.get(&client.url("directory")).await.json();
    assert_eq!(directory["meta"]["externalAccountRequired"], true);
}
