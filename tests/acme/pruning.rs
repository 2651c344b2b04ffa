//! What has ended is deleted, with all that hung on it, and the account stays.

use std::time::Duration;

use axum::http::StatusCode;
use portcullis::domain::Clock as _;
use serde_json::json;

use super::{
    client::Client,
    order::{csr, finalized, order, ready},
    server::Server,
};

const DAY: i64 = 24 * 3600;

// step-ca #473: nonces, orders and expired certificates were never deleted, 40 GB of them. Nonces take no room at all here
// (`acme/nonce.rs`: a bit each, in a window of fixed size).
#[tokio::test]
async fn orders_authorizations_challenges_and_certificates_that_ended_are_deleted() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (finished, object) = ready(&server, &client, &["a.example"]).await;
    let done = finalized(&client, &object, &csr(&["a.example"]).0)
        .await
        .ok()
        .json();
    let pending = order(&client, &["b.example"]).await.ok();
    let mut urls = vec![finished, pending.location()];
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    for authorization in [
        &object["authorizations"][0],
        &pending.json()["authorizations"][0],
    ] {
        let shown = client.get(&text(authorization)).await.ok().json();
        let challenges = shown["challenges"].as_array().unwrap();
        urls.extend(challenges.iter().map(|challenge| text(&challenge["url"])));
        urls.push(text(authorization));
    }
    urls.push(text(&done["certificate"]));

    // Nothing of it before its time.
    let prune = async || {
        let before = server.clock.now().earlier_by(Duration::from_secs(3600));
        server.authority.prune(before).await.unwrap();
        let keep = Duration::from_secs(3600);
        server.authority.prune_expired(keep).await.unwrap();
    };
    prune().await;
    for url in &urls {
        client.get(url).await.ok();
    }
    server.clock.advance(400 * DAY);
    prune().await;
    for url in &urls {
        let reply = client.get(url).await;
        assert_eq!(reply.problem(), (404, "malformed".to_owned()), "{url}");
    }
    let account = client.account.clone().unwrap();
    let orders = client.get(&format!("{account}/orders")).await.ok().json();
    assert_eq!(orders, json!({"orders": []}));
    assert_eq!(client.get(&account).await.status, StatusCode::OK);
    assert_eq!(server.certificates().await, Vec::new());
}
