//! Authorizations and challenges over HTTP (RFC 8555 section 7.5): failing, trying again, giving up, and going on after
//! a restart.

use std::time::Duration;

use portcullis::domain::{challenge::ChallengeKind, id::AuthorizationId};
use serde_json::json;

use super::{
    client::Client,
    order::{csr, finalized, order, ready, respond, settled},
    server::Server,
    web_server::Page,
};

#[tokio::test]
async fn a_failed_challenge_ends_the_order_and_says_why() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    server.names.set("b.example", &["127.0.0.1"]);
    server.names.set("inside.example", &["127.0.0.2"]);
    for (name, kind, part) in [
        ("unknown.example", "dns", "there is no such name (NXDOMAIN)"),
        ("b.example", "incorrectResponse", "404"),
        ("inside.example", "unauthorized", "a loopback address"),
    ] {
        let placed = order(&client, &[name]).await.ok();
        let authorization = placed.json()["authorizations"][0]
            .as_str()
            .unwrap()
            .to_owned();
        let challenge = client.get(&authorization).await.json()["challenges"][0]["url"].clone();
        client
            .post(challenge.as_str().unwrap(), json!({}))
            .await
            .ok();
        let failed = settled(&client, &authorization).await;
        assert_eq!(
            (&failed["status"], &failed["challenges"][0]["status"]),
            (&json!("invalid"), &json!("invalid"))
        );
        let error = &failed["challenges"][0]["error"];
        assert_eq!(error["type"], format!("urn:ietf:params:acme:error:{kind}"));
        assert!(error["detail"].as_str().unwrap().contains(part), "{error}");
        let order = client.get(&placed.location()).await.json();
        assert_eq!(order["status"], "invalid");
        assert!(
            order["error"]["detail"].as_str().unwrap().contains(name),
            "{order}"
        );
        // It is final.
        let again = client.post(challenge.as_str().unwrap(), json!({})).await;
        assert_eq!(again.problem(), (400, "malformed".to_owned()));
    }
}

#[tokio::test]
async fn a_challenge_is_tried_more_than_once() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    server
        .names
        .set_in_turn("late.example", &[&[], &["127.0.0.1"]]);
    let placed = order(&client, &["late.example"]).await.ok().json();
    let authorization = placed["authorizations"][0].as_str().unwrap();
    respond(&server, &client, authorization).await.ok();
    assert_eq!(settled(&client, authorization).await["status"], "valid");
}

#[tokio::test]
async fn a_deactivated_authorization_ends_its_order() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (location, order) = ready(&server, &client, &["a.example"]).await;
    let authorization = order["authorizations"][0].as_str().unwrap();
    let reply = client.post(authorization, json!({"status": "valid"})).await;
    assert_eq!(reply.problem(), (400, "malformed".to_owned()));
    let reply = client
        .post(authorization, json!({"status": "deactivated"}))
        .await
        .ok();
    assert_eq!(reply.json()["status"], "deactivated");
    assert_eq!(client.get(&location).await.json()["status"], "invalid");
    let (csr, _) = csr(&["a.example"]);
    assert_eq!(
        finalized(&client, &order, &csr).await.problem(),
        (403, "orderNotReady".to_owned())
    );
}

#[tokio::test]
async fn a_validation_that_a_restart_cut_off_is_taken_up_again() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    server.names.set("a.example", &["127.0.0.1"]);
    let url = order(&client, &["a.example"]).await.ok().json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let id = AuthorizationId::from_text(url.rsplit('/').next().unwrap());
    let begun = server
        .authority
        .begin_challenge(&id, ChallengeKind::Http01)
        .await
        .unwrap();
    let token = begun.challenges[0].token.clone();
    let key_authorization = format!("{token}.{}", client.key.thumbprint());
    server
        .web
        .respond(&token, Page::Body(key_authorization.into()));

    server.restart();
    // Nobody asks.
    tokio::time::timeout(Duration::from_secs(10), async {
        let now = server.authority.now();
        while !server
            .authority
            .authorization(&id)
            .await
            .unwrap()
            .unwrap()
            .is_valid_at(now)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}
