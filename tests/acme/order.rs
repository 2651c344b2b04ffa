//! Orders over HTTP (RFC 8555 sections 7.4 and 7.5), validated by http-01 against the servers on loopback.

use std::time::Duration;

use axum::http::StatusCode;
use portcullis_ca::{key::KeyAlgorithm, profile::ProfileKind};
use serde_json::{Value, json};

use super::{
    client::{Client, Reply, encode},
    server::Server,
    web_server::Page,
};
use crate::support::objects::RcgenKey;

/// A CSR with these names under a fresh P-256 key, in base64url, and the key as PKCS#8.
pub fn csr(names: &[&str]) -> (String, Vec<u8>) {
    let key = rcgen::KeyPair::generate().unwrap();
    (encode(csr_of(names, &key)), key.serialize_der())
}

fn csr_of(names: &[&str], key: &rcgen::KeyPair) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(key).unwrap().der().to_vec()
}

/// Sends a CSR to where an order is finalized.
pub async fn finalized(client: &Client, order: &Value, csr: &str) -> Reply {
    client
        .post(order["finalize"].as_str().unwrap(), json!({"csr": csr}))
        .await
}

/// Places an order of DNS names.
pub async fn order(client: &Client, names: &[&str]) -> Reply {
    let identifiers: Vec<_> = names
        .iter()
        .map(|name| json!({"type": "dns", "value": name}))
        .collect();
    client
        .post(
            &client.url("new-order"),
            json!({"identifiers": identifiers}),
        )
        .await
}

/// Puts the right file where the first challenge of an authorization wants it, and says so.
pub async fn respond(server: &Server, client: &Client, authorization: &str) -> Reply {
    let challenge = &client.get(authorization).await.ok().json()["challenges"][0];
    let token = challenge["token"].as_str().unwrap();
    let key_authorization = format!("{token}.{}", client.key.thumbprint());
    server
        .web
        .respond(token, Page::Body(key_authorization.into()));
    client
        .post(challenge["url"].as_str().unwrap(), json!({}))
        .await
}

/// Reads a resource until its status is none of those that pass.
pub async fn settled(client: &Client, url: &str) -> Value {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let object = client.get(url).await.ok().json();
            if !matches!(object["status"].as_str(), Some("pending" | "processing")) {
                return object;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap()
}

/// An order of DNS names that is ready.
pub async fn ready(server: &Server, client: &Client, names: &[&str]) -> (String, Value) {
    let placed = order(client, names).await.ok();
    for (authorization, name) in placed.json()["authorizations"]
        .as_array()
        .unwrap()
        .iter()
        .zip(names)
    {
        server.names.set(name, &["127.0.0.1"]);
        let url = authorization.as_str().unwrap();
        respond(server, client, url).await.ok();
        assert_eq!(settled(client, url).await["status"], "valid");
    }
    let order = settled(client, &placed.location()).await;
    assert_eq!(order["status"], "ready");
    (placed.location(), order)
}

/// The DER of the first certificate of a chain.
pub fn first_of(pem: &[u8]) -> Vec<u8> {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};
    CertificateDer::pem_slice_iter(pem)
        .next()
        .unwrap()
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn an_order_goes_from_pending_to_a_certificate_by_http01() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    server.names.set("a.example", &["127.0.0.1"]);

    let placed = order(&client, &["A.example"]).await;
    assert_eq!(placed.status, StatusCode::CREATED);
    let (location, object) = (placed.location(), placed.json());
    assert_eq!(object["status"], "pending");
    assert_eq!(
        object["identifiers"],
        json!([{"type": "dns", "value": "a.example"}])
    );
    assert!(object["expires"].as_str().unwrap().ends_with('Z'));

    let authorization = object["authorizations"][0].as_str().unwrap();
    let shown = client.get(authorization).await.json();
    assert_eq!(
        (&shown["status"], &shown["identifier"]),
        (&json!("pending"), &object["identifiers"][0])
    );
    let challenge = &shown["challenges"][0];
    assert_eq!(
        (&challenge["type"], &challenge["status"]),
        (&json!("http-01"), &json!("pending"))
    );
    // 128 bits are 22 characters.
    assert!(challenge["token"].as_str().unwrap().len() >= 22);
    // Reading a challenge does not begin it.
    assert_eq!(
        client.get(challenge["url"].as_str().unwrap()).await.json(),
        *challenge
    );

    let begun = respond(&server, &client, authorization).await.ok();
    // What is settled at once is told at once.
    assert_eq!(begun.json()["status"], "valid");
    assert!(
        begun
            .links()
            .contains(&format!("<{authorization}>;rel=\"up\"").as_str())
    );
    let valid = settled(&client, authorization).await;
    assert_eq!(
        (&valid["status"], &valid["challenges"][0]["status"]),
        (&json!("valid"), &json!("valid"))
    );
    assert!(valid["challenges"][0]["validated"].is_string());

    let (csr, _) = csr(&["a.example"]);
    let done = finalized(&client, &settled(&client, &location).await, &csr)
        .await
        .ok();
    assert_eq!(
        (done.location(), &done.json()["status"]),
        (location.clone(), &json!("valid"))
    );
    let certificate = done.json()["certificate"].as_str().unwrap().to_owned();
    let pem = client.get(&certificate).await.ok();
    assert_eq!(
        pem.header("content-type"),
        "application/pem-certificate-chain"
    );
    assert!(!first_of(&pem.body).is_empty());
    let orders = client
        .get(&format!("{}/orders", client.account.as_deref().unwrap()))
        .await
        .json();
    assert_eq!(orders, json!({"orders": [location]}));
    let issued = &server.certificates().await[0];
    assert_eq!(
        (issued.profile.clone(), &issued.principal, &issued.names),
        (
            ProfileKind::Server.into(),
            &None,
            &vec!["dns:a.example".to_owned()]
        )
    );
    assert_eq!(issued.der, first_of(&pem.body));
    // Nobody else may have it.
    let other = Client::registered(&server.base).await;
    assert_eq!(
        other.get(&certificate).await.problem(),
        (403, "unauthorized".to_owned())
    );
}

#[tokio::test]
async fn an_order_for_an_address_is_validated_at_that_address() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let identifier = json!({"type": "ip", "value": "127.0.0.1"});
    let placed = client
        .post(
            &client.url("new-order"),
            json!({"identifiers": [identifier]}),
        )
        .await
        .ok();
    let authorization = placed.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    respond(&server, &client, &authorization).await.ok();
    assert_eq!(settled(&client, &authorization).await["status"], "valid");
    let (csr, _) = csr(&["127.0.0.1"]);
    assert_eq!(
        finalized(&client, &placed.json(), &csr).await.ok().json()["status"],
        "valid"
    );
}

#[tokio::test]
async fn identifiers_that_cannot_be_had_are_refused_with_subproblems() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    for (identifiers, expected, parts) in [
        (json!([]), (400, "malformed"), 0),
        (
            json!([{"type": "email", "value": "a@b.example"}]),
            (400, "unsupportedIdentifier"),
            1,
        ),
        (
            json!([{"type": "dns", "value": "a_b.example"}]),
            (400, "malformed"),
            1,
        ),
        (
            json!([{"type": "dns", "value": "a.example\u{0}"}]),
            (400, "malformed"),
            1,
        ),
        (
            json!([{"type": "ip", "value": "2001:0DB8::1"}]),
            (400, "malformed"),
            1,
        ),
        (
            json!([{"type": "dns", "value": "-"}, {"type": "email", "value": "x"}]),
            (400, "compound"),
            2,
        ),
        (json!([{"value": "a.example"}]), (400, "malformed"), 0),
    ] {
        let reply = client
            .post(
                &client.url("new-order"),
                json!({"identifiers": identifiers}),
            )
            .await;
        let (status, kind) = reply.problem();
        assert_eq!((status, kind.as_str()), expected, "{identifiers}");
        let found = reply.json()["subproblems"].as_array().map_or(0, Vec::len);
        assert_eq!(found, parts, "{identifiers}");
    }
}

#[tokio::test]
async fn every_identifier_that_may_not_be_ordered_is_told_at_once() {
    let server = Server::with(toml::from_str("challenges = [\"http-01\"]").unwrap()).await;
    let client = Client::registered(&server.base).await;
    let reply = client
        .post(
            &client.url("new-order"),
            json!({"identifiers": [
                {"type": "dns", "value": "a.example"},
                {"type": "dns", "value": "*.a.example"},
                {"type": "permanent-identifier", "value": "fra/sensor-42"},
            ]}),
        )
        .await;
    assert_eq!(reply.problem(), (403, "rejectedIdentifier".to_owned()));
    let parts = reply.json()["subproblems"].clone();
    let named: Vec<_> = parts
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (&part["type"], part["identifier"].clone()))
        .collect();
    let kind = &json!("urn:ietf:params:acme:error:rejectedIdentifier");
    assert_eq!(
        named,
        [
            (kind, json!({"type": "dns", "value": "*.a.example"})),
            (
                kind,
                json!({"type": "permanent-identifier", "value": "fra/sensor-42"})
            ),
        ]
    );
}

#[tokio::test]
async fn a_certificate_lives_no_longer_than_was_asked_for_and_never_longer_than_its_profile() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    ready(&server, &client, &["a.example"]).await;
    let place = async |members: Value| {
        let mut payload = json!({"identifiers": [{"type": "dns", "value": "a.example"}]});
        for (name, value) in members.as_object().unwrap() {
            payload[name] = value.clone();
        }
        client.post(&client.url("new-order"), payload).await
    };
    // It is 2027-01-15T08:00:00Z; certificates live a day.
    for (members, lifetime) in [
        (json!({"notAfter": "2027-01-15T09:00:00Z"}), (None, Some(0))),
        (
            json!({"notBefore": "2027-01-15T08:30:00Z", "notAfter": "2027-01-15T09:00:00Z"}),
            (Some(1800), Some(0)),
        ),
        (
            json!({"notBefore": "2027-01-15T10:30:00+02:00", "notAfter": "2027-01-15T09:00:00.5Z"}),
            (Some(1800), Some(0)),
        ),
        (
            json!({"notBefore": "2027-01-15T08:30:00Z"}),
            (Some(1800), None),
        ),
    ] {
        let placed = place(members.clone()).await.ok().json();
        assert_eq!(
            (
                placed["notBefore"].is_string(),
                placed["notAfter"].is_string()
            ),
            (
                members["notBefore"].is_string(),
                members["notAfter"].is_string()
            )
        );
        let (csr, _) = csr(&["a.example"]);
        finalized(&client, &placed, &csr).await.ok();
        let issued = server.certificates().await;
        let issued = issued
            .iter()
            .find(|it| {
                placed["finalize"]
                    .as_str()
                    .unwrap()
                    .contains(it.order.as_ref().unwrap().as_str())
            })
            .unwrap();
        let (not_before, not_after) = lifetime;
        let now = 1_800_000_000;
        if let Some(later) = not_before {
            assert_eq!(issued.not_before.unix_seconds(), now + later, "{members}");
        }
        if let Some(later) = not_after {
            assert_eq!(
                issued.not_after.unix_seconds(),
                now + 3600 + later,
                "{members}"
            );
        }
        assert!(issued.not_after.unix_seconds() < now + 86_400, "{members}");
    }
    for members in [
        json!({"notAfter": "2027-01-17T00:00:00Z"}),
        json!({"notAfter": "2027-01-15T07:59:59Z"}),
        json!({"notBefore": "2027-01-14T00:00:00Z"}),
        json!({"notBefore": "2027-01-15T09:00:00Z", "notAfter": "2027-01-15T08:30:00Z"}),
        json!({"notBefore": "2027-02-15T09:00:00Z"}),
        json!({"notBefore": "tomorrow"}),
        json!({"notAfter": ""}),
        json!({"notAfter": 1_800_000_000}),
    ] {
        let refused = place(members.clone()).await;
        assert_eq!(
            refused.problem(),
            (400, "malformed".to_owned()),
            "{members}"
        );
    }
}

#[tokio::test]
async fn a_csr_is_refused_with_everything_that_is_wrong_with_it() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (_, order) = ready(&server, &client, &["a.example", "b.example"]).await;
    let key = portcullis_ca::key::SigningKey::generate(KeyAlgorithm::MlDsa44).unwrap();
    let mut params =
        rcgen::CertificateParams::new(vec!["a.example".to_owned(), "c.example".to_owned()])
            .unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr = params.serialize_request(&RcgenKey(&key)).unwrap();
    let reply = finalized(&client, &order, &encode(csr.der())).await;
    assert_eq!(reply.problem(), (400, "badCSR".to_owned()));
    let problem = reply.json();
    let kind = "urn:ietf:params:acme:error:badCSR";
    assert_eq!(
        problem["subproblems"],
        json!([
            {"type": kind, "detail": "the CSR lacks it", "identifier": {"type": "dns", "value": "b.example"}},
            {"type": kind, "detail": "the order lacks it", "identifier": {"type": "dns", "value": "c.example"}},
        ])
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("the CSR's key is mldsa44"), "{detail}");
}

// RFC 8555 section 11.1: who can make a CA sign with an account's key could act for the account, in whatever directory.
#[tokio::test]
async fn the_key_of_another_directorys_account_is_no_certificates_key() {
    let server = Server::with(toml::from_str("[directories.factory]").unwrap()).await;
    let client = Client::registered(&server.base).await;
    let (_, order) = ready(&server, &client, &["a.example"]).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let elsewhere = Client::new(
        &server.base,
        super::client::Key::from_p256_pkcs8(&key.serialize_der()),
    );
    let url = elsewhere.url("factory/new-account");
    elsewhere.post_with_key(&url, "{}").await.ok();
    let reply = finalized(&client, &order, &encode(csr_of(&["a.example"], &key))).await;
    assert_eq!(reply.problem(), (400, "badCSR".to_owned()));
}

#[tokio::test]
async fn an_order_that_is_not_ready_is_not_finalized() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let placed = order(&client, &["a.example"]).await.json();
    let (csr, _) = csr(&["a.example"]);
    assert_eq!(
        finalized(&client, &placed, &csr).await.problem(),
        (403, "orderNotReady".to_owned())
    );
}

// OpenBao GHSA-g892-p242-8g86 and step-ca: names that were not authorized, in any place of a CSR.
#[tokio::test]
async fn a_csr_that_cannot_be_used_leaves_the_order_ready() {
    let server = Server::start().await;
    let mut client = Client::registered(&server.base).await;
    let (location, order) = ready(&server, &client, &["a.example", "b.example"]).await;

    let key = rcgen::KeyPair::generate().unwrap();
    let mut with_common_name =
        rcgen::CertificateParams::new(vec!["a.example".into(), "b.example".into()]).unwrap();
    with_common_name
        .distinguished_name
        .push(rcgen::DnType::CommonName, "c.example");
    let with_common_name = with_common_name
        .serialize_request(&key)
        .unwrap()
        .der()
        .to_vec();
    let mut with_mail =
        rcgen::CertificateParams::new(vec!["a.example".into(), "b.example".into()]).unwrap();
    with_mail.subject_alt_names.push(rcgen::SanType::Rfc822Name(
        "root@a.example".try_into().unwrap(),
    ));
    let with_mail = with_mail.serialize_request(&key).unwrap().der().to_vec();
    let mut forged = csr_of(&["a.example", "b.example"], &key);
    *forged.last_mut().unwrap() ^= 1;
    for (what, csr) in [
        ("no base64url", "****".to_owned()),
        ("no CSR", encode("nonsense")),
        ("a signature that is not its key's", encode(&forged)),
        ("a name missing", csr(&["a.example"]).0),
        (
            "a name too many",
            csr(&["a.example", "b.example", "c.example"]).0,
        ),
        (
            "an address too many",
            csr(&["a.example", "b.example", "10.0.0.1"]).0,
        ),
        ("other names", csr(&["c.example", "d.example"]).0),
        ("another common name", encode(&with_common_name)),
        ("a mail address", encode(&with_mail)),
    ] {
        let reply = finalized(&client, &order, &csr).await;
        assert_eq!(
            reply.problem(),
            (400, "badCSR".to_owned()),
            "{what}: {reply:?}"
        );
        assert_eq!(
            client.get(&location).await.json()["status"],
            "ready",
            "{what}"
        );
    }

    // RFC 8555 section 11.1: an account's key is no certificate's key.
    let account_key = rcgen::KeyPair::generate().unwrap();
    let stolen = super::client::Key::from_p256_pkcs8(&account_key.serialize_der());
    let own = std::mem::replace(&mut client.key, stolen);
    let account = client.account.clone();
    client.register(json!({})).await.ok();
    (client.key, client.account) = (own, account);
    let reply = finalized(
        &client,
        &order,
        &encode(csr_of(&["a.example", "b.example"], &account_key)),
    )
    .await;
    assert_eq!(reply.problem(), (400, "badCSR".to_owned()));

    let (good, _) = csr(&["a.example", "b.example"]);
    assert_eq!(
        finalized(&client, &order, &good).await.ok().json()["status"],
        "valid"
    );
}

#[tokio::test]
async fn an_order_that_waited_too_long_is_invalid() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (location, order) = ready(&server, &client, &["a.example"]).await;
    server.clock.advance(400 * 24 * 3600);
    assert_eq!(client.get(&location).await.json()["status"], "invalid");
    let (csr, _) = csr(&["a.example"]);
    assert_eq!(
        finalized(&client, &order, &csr).await.problem(),
        (403, "orderNotReady".to_owned())
    );
}

#[tokio::test]
async fn a_payload_where_none_belongs_is_refused() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let placed = order(&client, &["a.example"]).await.ok();
    let orders = format!("{}/orders", client.account.as_deref().unwrap());
    for url in [
        placed.location(),
        orders,
        client.url("directory"),
        client.url("new-nonce"),
    ] {
        let reply = client.post(&url, json!({})).await;
        assert_eq!(reply.problem(), (400, "malformed".to_owned()), "{url}");
    }
    for url in [
        "order/AAAA",
        "authorization/AAAA",
        "challenge/AAAA/http-01",
        "certificate/1f",
        "certificate/zz",
    ] {
        assert_eq!(
            client.get(&client.url(url)).await.problem(),
            (404, "malformed".to_owned()),
            "{url}"
        );
    }
}
