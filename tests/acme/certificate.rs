//! Revocation over HTTP (RFC 8555 section 7.6).

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{
    client::{Client, Key, binding, encode},
    order::{csr, finalized, first_of, order, ready},
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

/// An account that was invited as a principal with these names.
async fn enrolled(server: &Server, principal: &str, names: &[&str]) -> Client {
    let invitation = server.invite(principal, names).await;
    let mut client = Client::new(&server.base, Key::new());
    let url = client.url("new-account");
    let binding = binding(&invitation.key_id, &invitation.mac_key, &client.key, &url);
    client
        .register(json!({"externalAccountBinding": binding}))
        .await
        .ok();
    client
}

async fn certificate_of(client: &Client, names: &[&str]) -> String {
    let placed = order(client, names).await.ok();
    assert_eq!(placed.json()["status"], "ready");
    let done = finalized(client, &placed.json(), &csr(names).0)
        .await
        .ok()
        .json();
    let pem = client.get(done["certificate"].as_str().unwrap()).await.ok();
    encode(first_of(&pem.body))
}

#[tokio::test]
async fn an_account_that_is_authorized_for_every_name_of_a_certificate_revokes_it() {
    let server = Server::start().await;
    let owner = Client::registered(&server.base).await;
    let names = ["a.example", "b.example"];
    ready(&server, &owner, &names).await;
    let certificate = certificate_of(&owner, &names).await;

    let other = Client::registered(&server.base).await;
    let url = other.url("revoke-cert");
    ready(&server, &other, &["a.example"]).await;
    let refused = other.post(&url, payload(&certificate, None)).await;
    assert_eq!(refused.problem(), (403, "unauthorized".to_owned()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("(dns:b.example)"),
        "it says what is missing: {detail}"
    );
    let (_, proved) = ready(&server, &other, &["b.example"]).await;
    // One that was given up, or has expired, counts for nothing.
    let authorization = proved["authorizations"][0].as_str().unwrap();
    other
        .post(authorization, json!({"status": "deactivated"}))
        .await
        .ok();
    let refused = other.post(&url, payload(&certificate, None)).await;
    assert_eq!(refused.problem(), (403, "unauthorized".to_owned()));
    ready(&server, &other, &["b.example"]).await;
    // Names are no proof of whose key it is, and a compromise ends whatever else has the key.
    let refused = other.post(&url, payload(&certificate, Some(1))).await;
    assert_eq!(refused.problem(), (403, "unauthorized".to_owned()));
    let reply = other.post(&url, payload(&certificate, Some(4))).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let again = owner.post(&url, payload(&certificate, None)).await;
    assert_eq!(again.problem(), (400, "alreadyRevoked".to_owned()));
}

#[tokio::test]
async fn an_authorization_that_has_expired_revokes_nothing() {
    let server = Server::start().await;
    let owner = Client::registered(&server.base).await;
    let other = Client::registered(&server.base).await;
    ready(&server, &other, &["a.example"]).await;
    server.clock.advance(23 * 3600 + 1800);
    ready(&server, &owner, &["a.example"]).await;
    let certificate = certificate_of(&owner, &["a.example"]).await;
    server.clock.advance(1800);
    let refused = other
        .post(&other.url("revoke-cert"), payload(&certificate, None))
        .await;
    assert_eq!(refused.problem(), (403, "unauthorized".to_owned()));
}

#[tokio::test]
async fn what_proves_a_principal_is_not_revoked_by_whoever_proves_its_names_only() {
    let server = Server::start().await;
    let device = enrolled(&server, "device:fra/a", &["a.example"]).await;
    let certificate = certificate_of(&device, &["a.example"]).await;
    let url = device.url("revoke-cert");

    let stranger = Client::registered(&server.base).await;
    ready(&server, &stranger, &["a.example"]).await;
    let neighbour = enrolled(&server, "device:fra/b", &["a.example"]).await;
    for (who, client) in [("a stranger", &stranger), ("a neighbour", &neighbour)] {
        let refused = client.post(&url, payload(&certificate, None)).await;
        assert_eq!(refused.problem(), (403, "unauthorized".to_owned()), "{who}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("uri:spiffe://acme.test/device/fra/a"),
            "{who}: {detail}"
        );
    }
    // The same principal, invited once more.
    server.clock.advance(1);
    let itself = enrolled(&server, "device:fra/a", &["a.example"]).await;
    let reply = itself.post(&url, payload(&certificate, Some(4))).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
}

// The certificates of CAs and responders have records, too, and some of them prove no name at all.
#[tokio::test]
async fn what_nobody_ordered_is_no_accounts_to_revoke() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let issuers = server.authority.issuers();
    for issuer in issuers.iter() {
        let certificate = encode(issuer.certificate.der());
        let reply = client
            .post(&client.url("revoke-cert"), payload(&certificate, None))
            .await;
        assert!(
            matches!(reply.status.as_u16(), 403 | 404),
            "{}: {reply:?}",
            issuer.name()
        );
    }
}
