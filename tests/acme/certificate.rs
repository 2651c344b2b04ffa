//! Revocation over HTTP (RFC 8555 section 7.6).

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{
    client::{Client, Key, encode},
    order::{csr, finalized, first_of, ready},
    server::Server,
};

/// A certificate in base64url, and its key.
async fn issued(server: &Server, client: &Client, name: &str) -> (String, Key) {
    let (_, order) = ready(server, client, &[name]).await;
    let (csr, key) = csr(&[name]);
    let order = finalized(client, &order, &csr).await.ok().json();
    let pem = client
        .get(order["certificate"].as_str().unwrap())
        .await
        .ok();
    (encode(first_of(&pem.body)), Key::from_p256_pkcs8(&key))
}

fn payload(certificate: &str, reason: Option<i64>) -> Value {
    match reason {
        Some(reason) => json!({"certificate": certificate, "reason": reason}),
        None => json!({"certificate": certificate}),
    }
}

#[tokio::test]
async fn a_certificate_is_revoked_once_by_the_account_that_ordered_it() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (certificate, _) = issued(&server, &client, "a.example").await;
    let url = client.url("revoke-cert");
    for reason in [-1, 2, 6, 7, 8, 9, 10, 11, 256] {
        let reply = client.post(&url, payload(&certificate, Some(reason))).await;
        assert_eq!(
            reply.problem(),
            (400, "badRevocationReason".to_owned()),
            "{reason}"
        );
    }
    let reply = client.post(&url, payload(&certificate, Some(4))).await;
    assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 0));
    let again = client.post(&url, payload(&certificate, None)).await;
    assert_eq!(again.problem(), (400, "alreadyRevoked".to_owned()));
}

#[tokio::test]
async fn a_certificate_is_revoked_with_its_own_key() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (certificate, key) = issued(&server, &client, "a.example").await;
    let holder = Client::new(&server.base, key);
    let url = holder.url("revoke-cert");
    let payload = payload(&certificate, Some(1)).to_string();
    assert_eq!(
        holder.post_with_key(&url, &payload).await.status,
        StatusCode::OK
    );
    let again = holder.post_with_key(&url, &payload).await;
    assert_eq!(again.problem(), (400, "alreadyRevoked".to_owned()));
}

#[tokio::test]
async fn nobody_else_revokes_a_certificate() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (certificate, _) = issued(&server, &client, "a.example").await;
    let url = client.url("revoke-cert");
    let refused = (403, "unauthorized".to_owned());
    let other = Client::registered(&server.base).await;
    assert_eq!(
        other
            .post(&url, payload(&certificate, None))
            .await
            .problem(),
        refused
    );
    for algorithm in ["ES256", "ES384", "ES512", "EdDSA", "RS256"] {
        let stranger = Client::new(&server.base, Key::of(algorithm));
        let reply = stranger
            .post_with_key(&url, &payload(&certificate, None).to_string())
            .await;
        assert_eq!(reply.problem(), refused, "{algorithm}");
    }
    // The account's key is not the certificate's key: as a jwk it proves nothing here.
    let reply = client
        .post_with_key(&url, &payload(&certificate, None).to_string())
        .await;
    assert_eq!(reply.problem(), refused);
    client.post(&url, payload(&certificate, None)).await.ok();
}

#[tokio::test]
async fn what_is_no_certificate_of_this_ca_is_not_revoked() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = client.url("revoke-cert");
    let foreign = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    for (what, certificate, status) in [
        ("another CA's", encode(foreign.cert.der()), 404),
        ("no certificate", encode("nonsense"), 400),
        ("nothing", String::new(), 400),
        ("padded", "AAA=".to_owned(), 400),
    ] {
        let reply = client.post(&url, payload(&certificate, None)).await;
        assert_eq!(reply.problem(), (status, "malformed".to_owned()), "{what}");
    }
}
