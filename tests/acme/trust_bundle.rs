//! The trust bundle over HTTP, and who is remembered to have fetched it.

use axum::http::StatusCode;
use portcullis::{
    authority::ca::RotateIssuer,
    domain::{audit::Actor, principal::Principal},
};
use portcullis_ca::revocation::RevocationReason;
use serde_json::json;

use super::{
    client::{Client, Key, binding},
    order::{csr, finalized},
    server::Server,
};

/// A device with an account and a certificate.
async fn device(server: &Server, path: &str) -> Client {
    let invitation = server.invite(&format!("device:{path}"), &[]).await;
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
    let order = client
        .post(
            &client.url("new-order"),
            json!({"identifiers": [{"type": "permanent-identifier", "value": path}]}),
        )
        .await
        .ok();
    let (csr, _) = csr(&[]);
    finalized(&client, &order.json(), &csr).await.ok();
    client
}

/// How many there are, and who has not fetched the bundle.
async fn readiness(server: &Server) -> (u64, Vec<String>) {
    let readiness = server.authority.bundle_readiness().await.unwrap();
    assert_eq!(readiness.missing, readiness.first_missing.len() as u64);
    let missing = readiness.first_missing.iter().map(Principal::to_string);
    (readiness.all, missing.collect())
}

async fn rotate_root(server: &Server) {
    let root = server.authority.issuers().roots()[0].name().to_string();
    let rotate = RotateIssuer {
        name: root,
        algorithm: None,
        home: None,
    };
    let rotated = server.authority.rotate_issuer(&Actor::Authority, rotate);
    rotated.await.unwrap();
}

#[tokio::test]
async fn every_account_fetches_the_roots_from_the_url_that_the_directory_names() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let directory = client.get(&client.url("directory")).await.json();
    let url = directory["meta"]["trustBundle"].as_str().unwrap();
    assert_eq!(url, client.url("trust-bundle"));

    let before = client.get(url).await;
    assert_eq!(before.status, StatusCode::OK);
    assert_eq!(
        before.header("content-type"),
        "application/pem-certificate-chain"
    );
    let bundle = server.authority.issuers().bundle();
    assert_eq!(before.body, bundle.pem());
    assert_eq!(
        before.header("etag"),
        format!("\"{}\"", hex::encode(bundle.id()))
    );

    rotate_root(&server).await;
    let after = client.get(url).await;
    assert_eq!(after.body, server.authority.issuers().bundle().pem());
    let roots = String::from_utf8_lossy(&after.body)
        .matches("BEGIN CERTIFICATE")
        .count();
    assert_eq!(roots, 2);
    assert_ne!(after.header("etag"), before.header("etag"));

    let with_payload = client.post(url, json!({})).await;
    assert_eq!(with_payload.problem(), (400, "malformed".to_owned()));
}

#[tokio::test]
async fn who_has_fetched_the_bundle_is_known_until_it_changes() {
    let server = Server::start().await;
    let (a, b) = (
        device(&server, "fra/a").await,
        device(&server, "fra/b").await,
    );
    let url = a.url("trust-bundle");
    let both = || vec!["device:fra/a".to_owned(), "device:fra/b".to_owned()];
    assert_eq!(readiness(&server).await, (2, both()));
    // An account that stands for nobody changes nothing.
    Client::registered(&server.base).await.get(&url).await.ok();
    assert_eq!(readiness(&server).await, (2, both()));
    a.get(&url).await.ok();
    assert_eq!(
        readiness(&server).await,
        (2, vec!["device:fra/b".to_owned()])
    );
    b.get(&url).await.ok();
    assert_eq!(readiness(&server).await, (2, vec![]));

    rotate_root(&server).await;
    assert_eq!(readiness(&server).await, (2, both()));
    b.get(&url).await.ok();
    assert_eq!(
        readiness(&server).await,
        (2, vec!["device:fra/a".to_owned()])
    );
}

#[tokio::test]
async fn an_account_whose_enrolment_has_ended_does_not_count_for_the_device_that_took_its_place() {
    let server = Server::start().await;
    let before = device(&server, "fra/a").await;
    let serials = [server.certificates().await[0].serial];
    server
        .authority
        .revoke_certificates(&Actor::Authority, &serials, RevocationReason::KeyCompromise)
        .await
        .unwrap();
    let after = device(&server, "fra/a").await;
    // Trust is no secret: it may read what it can't use.
    before.get(&before.url("trust-bundle")).await.ok();
    assert_eq!(
        readiness(&server).await,
        (1, vec!["device:fra/a".to_owned()])
    );
    after.get(&after.url("trust-bundle")).await.ok();
    assert_eq!(readiness(&server).await, (1, vec![]));
}
