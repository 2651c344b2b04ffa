//! Limits over HTTP (RFC 8555 section 6.6): each is met, told with when it is possible again, and is possible then.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use portcullis::{
    acme::{AcmeConfig, LimitsConfig},
    authority::Invite,
    domain::{audit::Actor, identifier::Identifier},
    store::AuditQuery,
};
use serde_json::{Value, json};

use super::{
    client::{Client, Key, Reply, binding, encode, send, send_from},
    order::{csr, finalized, first_of, order, ready, respond, settled},
    renewal_info::certificate_id,
    server::{Invitation, Server},
    web_server::Page,
};

/// A server with no limit but these.
async fn server(limits: &str) -> Server {
    Server::with(AcmeConfig {
        limits: only(limits),
        ..AcmeConfig::default()
    })
    .await
}

/// These limits, on every network, and none besides.
fn only(limits: &str) -> LimitsConfig {
    let mut all: toml::Table = portcullis::domain::rate_limit::Limit::ALL
        .into_iter()
        .map(|limit| (limit.name().to_owned(), "off".into()))
        .collect();
    all.insert("exempt_networks".to_owned(), toml::Value::Array(Vec::new()));
    all.extend(limits.parse::<toml::Table>().unwrap());
    all.try_into().unwrap()
}

/// That a limit was met, and how long to wait.
fn limited(reply: &Reply, limit: &str) -> i64 {
    assert_eq!(
        reply.problem(),
        (429, "rateLimited".to_owned()),
        "{reply:?}"
    );
    let wait: i64 = reply.header("retry-after").parse().unwrap();
    let problem = reply.json();
    let detail = problem["detail"].as_str().unwrap();
    for part in [
        format!("(limit {limit})"),
        format!("after {wait} seconds, at 2027-"),
    ] {
        assert!(detail.contains(&part), "{part}: {detail}");
    }
    wait
}

/// Which identifiers a refusal is about.
fn identifiers(reply: &Reply) -> Vec<Value> {
    let problem = reply.json();
    let parts = problem["subproblems"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    parts
        .into_iter()
        .map(|part| {
            assert_eq!(part["type"], "urn:ietf:params:acme:error:rateLimited");
            part["identifier"]["value"].clone()
        })
        .collect()
}

async fn new_account_from(server: &Server, address: &str) -> Reply {
    let client = Client::new(&server.base, Key::new());
    let url = client.url("new-account");
    let protected = json!({
        "alg": client.key.algorithm(),
        "jwk": client.key.jwk(),
        "nonce": client.nonce().await,
        "url": url,
    });
    let body = client.key.jws(&protected, "{}").to_string().into();
    let kind = Some("application/jose+json");
    send_from(address, Method::POST, &url, kind, body).await
}

/// An invitation that is good for several accounts.
async fn invite(server: &Server, uses: u32, names: &[&str]) -> Invitation {
    let invite = Invite {
        identifiers: names
            .iter()
            .map(|name| Identifier::parse("dns", name).unwrap())
            .collect(),
        uses,
        life: Duration::from_secs(30 * 86_400),
        ..Invite::of("device:fra/sensor-42".parse().unwrap())
    };
    let invited = server.authority.invite(&Actor::Authority, invite).await;
    let invited = invited.unwrap();
    Invitation {
        key_id: invited.invitation.id.to_string(),
        mac_key: invited.mac_key.to_vec(),
    }
}

async fn enrol(server: &Server, invitation: &Invitation) -> (Client, Reply) {
    let mut client = Client::new(&server.base, Key::new());
    let url = client.url("new-account");
    let binding = binding(&invitation.key_id, &invitation.mac_key, &client.key, &url);
    let reply = client
        .register(json!({"externalAccountBinding": binding}))
        .await;
    (client, reply)
}

/// Orders what an invitation vouches for, and finalizes it.
async fn certificate(client: &Client, names: &[&str]) -> Reply {
    let placed = order(client, names).await;
    if !placed.status.is_success() {
        return placed;
    }
    finalized(client, &placed.json(), &csr(names).0).await
}

#[tokio::test]
async fn a_network_may_send_so_many_requests_and_others_do_not_notice() {
    let server = server("requests_per_network = \"3/1h\"").await;
    let directory = format!("{}/acme/directory", server.base);
    let nonce = format!("{}/acme/new-nonce", server.base);
    for url in [&directory, &nonce, &directory] {
        send(Method::GET, url, None, Vec::new()).await.ok();
    }
    let refused = send(Method::GET, &directory, None, Vec::new()).await;
    assert_eq!(limited(&refused, "requests_per_network"), 1200);
    // Nothing of the request was read, and yet the answer to a POST has its nonce.
    let posted = send(Method::POST, &directory, None, b"not even JSON".to_vec()).await;
    limited(&posted, "requests_per_network");
    assert!(!posted.header("replay-nonce").is_empty());
    send_from("127.0.0.2", Method::GET, &directory, None, Vec::new())
        .await
        .ok();
    server.clock.advance(1199);
    let refused = send(Method::GET, &directory, None, Vec::new()).await;
    assert_eq!(limited(&refused, "requests_per_network"), 1);
    server.clock.advance(1);
    send(Method::GET, &directory, None, Vec::new()).await.ok();
}

#[tokio::test]
async fn a_wider_network_is_one_and_an_exempt_one_is_not_counted() {
    let server = server(
        "requests_per_network = \"1/1h\"\nipv4_prefix = 24\nexempt_networks = [\"127.0.9.0/24\"]",
    )
    .await;
    let directory = format!("{}/acme/directory", server.base);
    let get = |address: &'static str| send_from(address, Method::GET, &directory, None, Vec::new());
    get("127.0.0.1").await.ok();
    limited(&get("127.0.0.200").await, "requests_per_network");
    get("127.0.1.1").await.ok();
    for _ in 0..3 {
        get("127.0.9.9").await.ok();
    }
}

#[tokio::test]
async fn a_network_may_open_so_many_accounts_and_always_find_those_that_it_has() {
    let server = server("accounts_per_network = \"2/1h\"").await;
    let mut client = Client::registered(&server.base).await;
    new_account_from(&server, "127.0.0.1").await.ok();
    let refused = new_account_from(&server, "127.0.0.1").await;
    assert_eq!(limited(&refused, "accounts_per_network"), 1800);
    assert!(identifiers(&refused).is_empty());
    // Its own account is found again, an invited one has a limit of its own, and so has another network.
    assert_eq!(client.register(json!({})).await.status, StatusCode::OK);
    let invitation = invite(&server, 1, &[]).await;
    enrol(&server, &invitation).await.1.ok();
    new_account_from(&server, "127.0.0.2").await.ok();
    server.clock.advance(1800);
    new_account_from(&server, "127.0.0.1").await.ok();
}

#[tokio::test]
async fn an_enrolment_key_may_open_so_many_accounts_in_a_time() {
    let server = server("accounts_per_enrolment_key = \"1/1h\"").await;
    let invitation = invite(&server, 3, &[]).await;
    enrol(&server, &invitation).await.1.ok();
    let (_, refused) = enrol(&server, &invitation).await;
    assert_eq!(limited(&refused, "accounts_per_enrolment_key"), 3600);
    let other = invite(&server, 1, &[]).await;
    enrol(&server, &other).await.1.ok();
    // The refused one did not use the invitation up.
    for _ in 0..2 {
        server.clock.advance(3600);
        enrol(&server, &invitation).await.1.ok();
    }
}

#[tokio::test]
async fn an_account_may_place_so_many_orders() {
    let server = server("orders_per_account = \"2/1h\"").await;
    let client = Client::registered(&server.base).await;
    for name in ["a.example", "b.example"] {
        order(&client, &[name]).await.ok();
    }
    let refused = order(&client, &["c.example"]).await;
    assert_eq!(limited(&refused, "orders_per_account"), 1800);
    let other = Client::registered(&server.base).await;
    order(&other, &["c.example"]).await.ok();
    server.clock.advance(1800);
    order(&client, &["c.example"]).await.ok();
}

#[tokio::test]
async fn an_account_may_have_so_many_authorizations_pending() {
    let server = server("pending_authorizations = 2").await;
    let client = Client::registered(&server.base).await;
    let first = order(&client, &["a.example"]).await.ok().json();
    let refused = order(&client, &["b.example", "c.example"]).await;
    limited(&refused, "pending_authorizations");
    order(&client, &["b.example"]).await.ok();
    limited(
        &order(&client, &["c.example"]).await,
        "pending_authorizations",
    );
    // Given up, or expired, it no longer counts.
    let authorization = first["authorizations"][0].as_str().unwrap();
    client
        .post(authorization, json!({"status": "deactivated"}))
        .await
        .ok();
    order(&client, &["c.example"]).await.ok();
    server.clock.advance(25 * 3600);
    order(&client, &["d.example", "e.example"]).await.ok();
    let other = Client::registered(&server.base).await;
    order(&other, &["d.example"]).await.ok();
}

#[tokio::test]
async fn a_set_of_identifiers_gets_so_many_certificates_whoever_asks() {
    let server = server("certificates_per_identifiers = \"1/1h\"").await;
    let names = ["a.example", "b.example"];
    let invitation = invite(&server, 2, &names).await;
    let (client, _) = enrol(&server, &invitation).await;
    // Two are ordered, and one of them is finalized with a CSR that can't be used: that counts for nothing.
    let orders = [
        order(&client, &names).await.ok(),
        order(&client, &["b.example", "a.example"]).await.ok(),
    ];
    let bad = finalized(&client, &orders[0].json(), &csr(&["c.example"]).0).await;
    assert_eq!(bad.problem(), (400, "badCSR".to_owned()));
    finalized(&client, &orders[0].json(), &csr(&names).0)
        .await
        .ok();
    let refused = finalized(&client, &orders[1].json(), &csr(&names).0).await;
    assert_eq!(limited(&refused, "certificates_per_identifiers"), 3600);
    assert_eq!(identifiers(&refused), ["a.example", "b.example"]);
    // Better told when it is ordered; another account of theirs is no way around it; another set is another set.
    limited(
        &order(&client, &names).await,
        "certificates_per_identifiers",
    );
    let (other, _) = enrol(&server, &invitation).await;
    limited(&order(&other, &names).await, "certificates_per_identifiers");
    certificate(&client, &["a.example"]).await.ok();
    // The order that was refused is still ready.
    server.clock.advance(3600);
    let order = client.get(&orders[1].location()).await.ok().json();
    assert_eq!(order["status"], "ready");
    finalized(&client, &order, &csr(&names).0).await.ok();
}

#[tokio::test]
async fn twelve_finalize_calls_on_one_order_count_as_the_one_certificate_that_they_make() {
    let server = server("certificates_per_identifiers = \"2/1h\"").await;
    let invitation = invite(&server, 1, &["a.example"]).await;
    let (client, _) = enrol(&server, &invitation).await;
    let placed = order(&client, &["a.example"]).await.ok().json();
    let csr = csr(&["a.example"]).0;
    let calls = (0..12).map(|_| finalized(&client, &placed, &csr));
    for reply in futures_util::future::join_all(calls).await {
        reply.ok();
    }
    assert_eq!(server.certificates().await.len(), 1);
    certificate(&client, &["a.example"]).await.ok();
    limited(
        &certificate(&client, &["a.example"]).await,
        "certificates_per_identifiers",
    );
}

#[tokio::test]
async fn an_enrolment_key_gets_so_many_certificates_for_all_its_accounts() {
    let server = server("certificates_per_enrolment_key = \"2/1h\"").await;
    let invitation = invite(&server, 2, &["a.example", "b.example", "c.example"]).await;
    let (first, _) = enrol(&server, &invitation).await;
    let (second, _) = enrol(&server, &invitation).await;
    certificate(&first, &["a.example"]).await.ok();
    certificate(&second, &["b.example"]).await.ok();
    for client in [&first, &second] {
        let refused = certificate(client, &["c.example"]).await;
        assert_eq!(limited(&refused, "certificates_per_enrolment_key"), 1800);
    }
    server.clock.advance(1800);
    certificate(&first, &["c.example"]).await.ok();
}

#[tokio::test]
async fn a_name_whose_validation_failed_too_often_waits_and_other_names_do_not() {
    let server = server("failed_validations = \"2/1h\"").await;
    let client = Client::registered(&server.base).await;
    server.names.set("a.example", &["127.0.0.1"]);
    for _ in 0..2 {
        let placed = order(&client, &["a.example"]).await.ok().json();
        let url = placed["authorizations"][0].as_str().unwrap().to_owned();
        let challenge = &client.get(&url).await.ok().json()["challenges"][0];
        let token = challenge["token"].as_str().unwrap();
        server
            .web
            .respond(token, Page::Body("something else".into()));
        client
            .post(challenge["url"].as_str().unwrap(), json!({}))
            .await
            .ok();
        assert_eq!(settled(&client, &url).await["status"], "invalid");
    }
    let refused = order(&client, &["b.example", "a.example"]).await;
    assert_eq!(limited(&refused, "failed_validations"), 1800);
    assert_eq!(identifiers(&refused), ["a.example"]);
    ready(&server, &client, &["b.example"]).await;
    let other = Client::registered(&server.base).await;
    ready(&server, &other, &["a.example"]).await;
    server.clock.advance(1800);
    ready(&server, &client, &["a.example"]).await;
}

#[tokio::test]
async fn a_challenge_of_an_older_order_is_no_way_around_failed_validations() {
    let server = server("failed_validations = \"1/1h\"").await;
    let client = Client::registered(&server.base).await;
    server.names.set("a.example", &["127.0.0.1"]);
    let older = order(&client, &["a.example"]).await.ok().json();
    let failing = order(&client, &["a.example"]).await.ok().json();
    let url = failing["authorizations"][0].as_str().unwrap();
    let challenge = client.get(url).await.ok().json()["challenges"][0].clone();
    client
        .post(challenge["url"].as_str().unwrap(), json!({}))
        .await
        .ok();
    assert_eq!(settled(&client, url).await["status"], "invalid");
    let older = older["authorizations"][0].as_str().unwrap();
    limited(
        &respond(&server, &client, older).await,
        "failed_validations",
    );
    server.clock.advance(3600);
    respond(&server, &client, older).await.ok();
    assert_eq!(settled(&client, older).await["status"], "valid");
}

/// RFC 9773 section 5; and not as a way to get one certificate after the other.
#[tokio::test]
async fn a_renewal_that_is_due_and_says_what_it_replaces_counts_for_nothing() {
    let server = server(
        "orders_per_account = \"1/30d\"\ncertificates_per_identifiers = \"1/30d\"\n\
         certificates_per_enrolment_key = \"1/30d\"",
    )
    .await;
    let invitation = invite(&server, 1, &["a.example"]).await;
    let (client, _) = enrol(&server, &invitation).await;
    let replacing = |id: String| {
        let wanted = json!({
            "identifiers": [{"type": "dns", "value": "a.example"}],
            "replaces": id,
        });
        let client = &client;
        async move { client.post(&client.url("new-order"), wanted).await }
    };
    let id_of = |order: Reply| {
        let client = &client;
        async move {
            let url = order.ok().json()["certificate"]
                .as_str()
                .unwrap()
                .to_owned();
            certificate_id(&first_of(&client.get(&url).await.ok().body))
        }
    };
    let first = id_of(certificate(&client, &["a.example"]).await).await;
    limited(
        &replacing(first.clone()).await,
        "certificates_per_identifiers",
    );
    server.clock.advance(17 * 3600);
    limited(
        &order(&client, &["a.example"]).await,
        "certificates_per_identifiers",
    );
    let placed = replacing(first).await.ok().json();
    let second = id_of(finalized(&client, &placed, &csr(&["a.example"]).0).await).await;
    // The one that was just issued is not due.
    limited(
        &replacing(second.clone()).await,
        "certificates_per_identifiers",
    );
    // Nor does its holder make it due.
    let newest = &server.certificates().await[0];
    let payload = json!({"certificate": encode(&newest.der), "reason": 4});
    let revoke = client.url("revoke-cert");
    client.post(&revoke, payload).await.ok();
    limited(
        &replacing(second.clone()).await,
        "certificates_per_identifiers",
    );
    server.clock.advance(17 * 3600);
    // Once: who gives one order up after the other pays for the others.
    let placed = replacing(second.clone()).await.ok().json();
    let authorization = placed["authorizations"][0].as_str().unwrap();
    client
        .post(authorization, json!({"status": "deactivated"}))
        .await
        .ok();
    limited(&replacing(second).await, "certificates_per_identifiers");
}

#[tokio::test]
async fn each_directory_has_limits_of_its_own() {
    let limits = only("requests_per_network = \"1/1h\"");
    let mut config = AcmeConfig {
        limits: limits.clone(),
        ..AcmeConfig::default()
    };
    for (name, limits) in [("strict", limits), ("open", only(""))] {
        let directory = AcmeConfig {
            limits,
            ..AcmeConfig::default()
        };
        config.directories.insert(name.to_owned(), directory);
    }
    let server = Server::with(config).await;
    let get = |name: &str| {
        let url = format!("{}/acme/{name}directory", server.base);
        async move { send(Method::GET, &url, None, Vec::new()).await }
    };
    get("").await.ok();
    limited(&get("").await, "requests_per_network");
    get("strict/").await.ok();
    limited(&get("strict/").await, "requests_per_network");
    for _ in 0..3 {
        get("open/").await.ok();
    }
}

#[tokio::test]
async fn refusals_are_counted_for_the_metrics_and_do_not_fill_the_audit_trail() {
    let server = server("orders_per_account = \"1/1h\"").await;
    let client = Client::registered(&server.base).await;
    order(&client, &["a.example"]).await.ok();
    let entries = || async {
        let query = AuditQuery::default();
        server.authority.audit_entries(query).await.unwrap().len()
    };
    let before = entries().await;
    for _ in 0..5 {
        limited(&order(&client, &["a.example"]).await, "orders_per_account");
    }
    assert_eq!(entries().await, before);
    let counted = server.authority.tally().rate_limited;
    assert_eq!(counted, [("orders_per_account".to_owned(), 5)].into());
}
