//! Pre-authorization over HTTP (RFC 8555 section 7.4.1).

use axum::http::StatusCode;
use portcullis::acme::AcmeConfig;
use serde_json::{Value, json};

use super::{
    client::{Client, Key, Reply, binding},
    order::{csr, finalized, order, respond, settled},
    server::Server,
};

async fn server() -> Server {
    let config: AcmeConfig =
        toml::from_str("reuse_authorizations = \"0s\"\nchallenges = [\"http-01\"]").unwrap();
    Server::with(config).await
}

async fn authorize(client: &Client, identifier: Value) -> Reply {
    client
        .post(&client.url("new-authz"), json!({"identifier": identifier}))
        .await
}

/// A valid authorization of a name, without an order.
async fn authorized(server: &Server, client: &Client, name: &str) -> String {
    server.names.set(name, &["127.0.0.1"]);
    let made = authorize(client, json!({"type": "dns", "value": name}))
        .await
        .ok();
    respond(server, client, &made.location()).await.ok();
    assert_eq!(settled(client, &made.location()).await["status"], "valid");
    made.location()
}

#[tokio::test]
async fn an_identifier_that_was_authorized_before_makes_its_order_ready_at_once() {
    let server = server().await;
    let client = Client::registered(&server.base).await;
    let made = authorize(&client, json!({"type": "dns", "value": "A.example"})).await;
    let shown = made.json();
    assert_eq!(
        (made.status, &shown["status"], &shown["identifier"]),
        (
            StatusCode::CREATED,
            &json!("pending"),
            &json!({"type": "dns", "value": "a.example"})
        )
    );
    assert_eq!(client.get(&made.location()).await.json(), shown);
    // While it is pending, an order has one of its own.
    let early = order(&client, &["a.example"]).await.ok().json();
    assert_ne!(early["authorizations"][0], made.location());

    let url = authorized(&server, &client, "a.example").await;
    // It serves every order, however long ago it was proved, and whatever the directory says of others.
    server.clock.advance(6 * 24 * 3600);
    for _ in 0..2 {
        let placed = order(&client, &["a.example"]).await.ok().json();
        assert_eq!(
            (&placed["status"], &placed["authorizations"]),
            (&json!("ready"), &json!([url]))
        );
        let done = finalized(&client, &placed, &csr(&["a.example"]).0).await;
        assert_eq!(done.ok().json()["status"], "valid");
    }
    server.clock.advance(24 * 3600);
    assert_eq!(client.get(&url).await.json()["status"], "expired");
    let late = order(&client, &["a.example"]).await.ok().json();
    assert_eq!(late["status"], "pending");
}

#[tokio::test]
async fn a_pre_authorization_that_is_given_up_ends_the_orders_that_use_it() {
    let server = server().await;
    let client = Client::registered(&server.base).await;
    let url = authorized(&server, &client, "a.example").await;
    let placed = order(&client, &["a.example"]).await.ok();
    assert_eq!(placed.json()["status"], "ready");
    client
        .post(&url, json!({"status": "deactivated"}))
        .await
        .ok();
    assert_eq!(
        client.get(&placed.location()).await.json()["status"],
        "invalid"
    );
    let again = client.post(&url, json!({"status": "deactivated"})).await;
    assert_eq!(again.problem(), (400, "malformed".to_owned()));
}

#[tokio::test]
async fn what_may_not_be_ordered_is_not_authorized_before_either() {
    let server = server().await;
    let client = Client::registered(&server.base).await;
    for (identifier, expected) in [
        (
            json!({"type": "dns", "value": "*.a.example"}),
            (403, "rejectedIdentifier"),
        ),
        (
            json!({"type": "permanent-identifier", "value": "fra/sensor-42"}),
            (403, "rejectedIdentifier"),
        ),
        (
            json!({"type": "email", "value": "a@b.example"}),
            (400, "unsupportedIdentifier"),
        ),
        (json!({"type": "dns", "value": "a_b"}), (400, "malformed")),
        (json!({"type": "ip", "value": "::01"}), (400, "malformed")),
        (json!("a.example"), (400, "malformed")),
        (json!(null), (400, "malformed")),
    ] {
        let reply = authorize(&client, identifier.clone()).await;
        let (status, kind) = reply.problem();
        assert_eq!((status, kind.as_str()), expected, "{identifier}");
    }
}

#[tokio::test]
async fn what_an_invitation_vouches_for_is_authorized_before_any_order_and_nothing_else() {
    let server = server().await;
    let invitation = server.invite("device:fra/sensor-42", &[]).await;
    let mut client = Client::new(&server.base, Key::new());
    let url = client.url("new-account");
    let binding = binding(&invitation.key_id, &invitation.mac_key, &client.key, &url);
    client
        .register(json!({"externalAccountBinding": binding}))
        .await
        .ok();
    let own = json!({"type": "permanent-identifier", "value": "fra/sensor-42"});
    let made = authorize(&client, own).await.ok();
    assert_eq!(made.json()["status"], "valid");
    for other in [
        json!({"type": "permanent-identifier", "value": "fra/sensor-43"}),
        json!({"type": "dns", "value": "a.example"}),
    ] {
        let reply = authorize(&client, other).await;
        assert_eq!(reply.problem(), (403, "rejectedIdentifier".to_owned()));
    }
}
