//! Renewal information and orders that replace certificates (RFC 9773), over HTTP.

use axum::http::{Method, StatusCode};
use portcullis::{
    authority::{OpenIncident, ca::RotateIssuer},
    domain::{Timestamp, audit::Actor, certificate::CertificateRecord, incident::Reach},
};
use portcullis_ca::revocation::RevocationReason;
use serde_json::{Value, json};
use std::time::Duration;
use x509_parser::{
    certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer as _,
};

use super::{
    client::{Client, Key, Reply, binding, encode, send},
    order::{csr, finalized, first_of, ready},
    server::Server,
};

/// The identifier of a certificate as a client makes it: from the certificate alone (RFC 9773 section 4.1).
pub fn certificate_id(der: &[u8]) -> String {
    let (_, parsed) = X509Certificate::from_der(der).unwrap();
    let found = parsed.extensions().iter().find_map(|extension| {
        if let ParsedExtension::AuthorityKeyIdentifier(it) = extension.parsed_extension() {
            it.key_identifier.clone()
        } else {
            None
        }
    });
    let key_identifier = found.unwrap();
    format!(
        "{}.{}",
        encode(key_identifier.0),
        encode(parsed.raw_serial())
    )
}

async fn get(url: &str) -> Reply {
    send(Method::GET, url, None, Vec::new()).await
}

fn url_of(client: &Client, der: &[u8]) -> String {
    client.url(&format!("renewal-info/{}", certificate_id(der)))
}

/// The window of a RenewalInfo object, and when to ask again, in seconds.
fn window(reply: &Reply) -> (Timestamp, Timestamp, u64) {
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/json");
    let window = &reply.json()["suggestedWindow"];
    let moment = |name: &str| window[name].as_str().unwrap().parse().unwrap();
    let (start, end) = (moment("start"), moment("end"));
    // RFC 9773 section 4.2.
    assert!(start < end, "{reply:?}");
    (start, end, reply.header("retry-after").parse().unwrap())
}

/// The certificate of a server for these names.
async fn certificate(server: &Server, client: &Client, names: &[&str]) -> Vec<u8> {
    let (_, placed) = ready(server, client, names).await;
    let (csr, _) = csr(names);
    let valid = finalized(client, &placed, &csr).await.ok().json();
    download(client, &valid).await
}

async fn download(client: &Client, order: &Value) -> Vec<u8> {
    let pem = client.get(order["certificate"].as_str().unwrap()).await;
    first_of(&pem.ok().body)
}

/// Orders DNS names in the place of a certificate.
async fn replace(client: &Client, names: &[&str], replaces: &str) -> Reply {
    let identifiers: Vec<_> = names
        .iter()
        .map(|name| json!({"type": "dns", "value": name}))
        .collect();
    client
        .post(
            &client.url("new-order"),
            json!({"identifiers": identifiers, "replaces": replaces}),
        )
        .await
}

/// A client whose invitation vouches for a device, and the device's certificate.
async fn device(server: &Server, path: &str) -> (Client, Vec<u8>) {
    let invitation = server.invite(&format!("device:{path}"), &[]).await;
    let mut client = Client::new(&server.base, Key::new());
    let url = client.url("new-account");
    let binding = binding(&invitation.key_id, &invitation.mac_key, &client.key, &url);
    client
        .register(json!({"externalAccountBinding": binding}))
        .await
        .ok();
    let der = device_certificate(&client, path, None).await;
    (client, der)
}

async fn device_certificate(client: &Client, path: &str, replaces: Option<&str>) -> Vec<u8> {
    let mut wanted = json!({"identifiers": [{"type": "permanent-identifier", "value": path}]});
    if let Some(id) = replaces {
        wanted["replaces"] = json!(id);
    }
    let order = client.post(&client.url("new-order"), wanted).await.ok();
    let (csr, _) = csr(&[]);
    let valid = finalized(client, &order.json(), &csr).await.ok().json();
    assert_eq!(valid["replaces"].as_str(), replaces);
    download(client, &valid).await
}

fn record<'a>(all: &'a [CertificateRecord], der: &[u8]) -> &'a CertificateRecord {
    all.iter().find(|it| it.der == der).unwrap()
}

#[tokio::test]
async fn anybody_reads_a_window_that_ends_after_it_starts_and_is_told_when_to_ask_again() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let der = certificate(&server, &client, &["a.example"]).await;
    let all = server.certificates().await;
    let life = record(&all, &der)
        .not_after
        .since(record(&all, &der).not_before);

    let directory = get(&client.url("directory")).await.json();
    let base = directory["renewalInfo"].as_str().unwrap();
    let url = format!("{base}/{}", certificate_id(&der));
    let reply = get(&url).await;
    let (start, end, retry) = window(&reply);
    let since = |at: Timestamp| at.since(record(&all, &der).not_before).as_secs_f64();
    assert!(since(start) >= life.as_secs_f64() * 0.599);
    assert!(since(end) <= life.as_secs_f64() * 0.735);
    // RFC 9773 section 4.3.2: agents take less than a minute for a minute.
    assert!((60..=6 * 3600).contains(&retry), "{retry}");
    assert_eq!(reply.json().get("explanationURL"), None);
    assert_eq!(window(&get(&url).await), (start, end, retry));

    let head = send(Method::HEAD, &url, None, Vec::new()).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.header("retry-after"), retry.to_string());
    assert!(head.body.is_empty());
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let reply = send(method.clone(), &url, None, Vec::new()).await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }

    // Shortly before the window it is worth asking when it begins, and then there is still an answer.
    let ahead = start.since(now(&server));
    server
        .clock
        .advance(i64::try_from(ahead.as_secs()).unwrap() - 100);
    assert!(window(&get(&url).await).2 <= 100);
    server.clock.advance(i64::try_from(life.as_secs()).unwrap());
    assert_eq!(window(&get(&url).await).0, start, "it has expired");
}

fn now(server: &Server) -> Timestamp {
    server.authority.now()
}

#[tokio::test]
async fn what_is_not_ours_or_not_spelt_right_is_a_problem() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let der = certificate(&server, &client, &["a.example"]).await;
    let id = certificate_id(&der);
    let (issuer, serial) = id.split_once('.').unwrap();
    let root = server.authority.issuers().roots()[0]
        .certificate
        .key_identifier()
        .to_vec();
    for (what, id, status) in [
        (
            "the example of the RFC",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE".to_owned(),
            404,
        ),
        (
            "a serial that nobody gave",
            format!("{issuer}.AIdlQyE"),
            404,
        ),
        (
            "another issuer",
            format!("aYhba4dGQEHhs3uEe6CuLN4ByNQ.{serial}"),
            404,
        ),
        (
            "another issuer of ours",
            format!("{}.{serial}", encode(root)),
            404,
        ),
        ("no serial", issuer.to_owned(), 400),
        ("padding", format!("{id}="), 400),
        ("hexadecimal with colons", "69:88.87:65".to_owned(), 400),
        ("three parts", format!("{id}.AA"), 400),
        ("no base64url", format!("{issuer}.%2B%2F"), 400),
        ("very long", "A".repeat(5000), 400),
    ] {
        let reply = get(&client.url(&format!("renewal-info/{id}"))).await;
        assert_eq!(reply.problem(), (status, "malformed".to_owned()), "{what}");
    }
    for path in ["renewal-info", "renewal-info/", "renewal-info/a/b"] {
        assert_eq!(get(&client.url(path)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_to_be_renewed_at_once() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let der = certificate(&server, &client, &["a.example"]).await;
    let serials = [server.certificates().await[0].serial];
    let (before, ..) = window(&get(&url_of(&client, &der)).await);
    assert!(before > now(&server));
    server
        .authority
        .revoke_certificates(&Actor::Authority, &serials, RevocationReason::Superseded)
        .await
        .unwrap();
    let (_, end, _) = window(&get(&url_of(&client, &der)).await);
    assert!(end <= now(&server));
}

fn incident(server: &Server, change: impl FnOnce(&mut OpenIncident)) -> OpenIncident {
    let mut open = OpenIncident {
        reach: Reach::issued_before(now(server)),
        reason: "a weak random generator".to_owned(),
        explanation_url: Some("https://ca.example/incidents/1".to_owned()),
        within: Duration::ZERO,
    };
    change(&mut open);
    open
}

#[tokio::test]
async fn an_incident_brings_renewal_forward_for_what_it_reaches_until_it_is_closed() {
    let server = Server::start().await;
    let (fra, first) = device(&server, "fra/a").await;
    let (_, other) = device(&server, "muc/a").await;
    server.clock.advance(60);
    let open = incident(&server, |it| {
        it.reach.principal = Some("device:fra/**".parse().unwrap());
    });
    let reach = server.authority.incident_reach(&open.reach).await.unwrap();
    assert_eq!((reach.good, reach.outstanding), (1, 1));
    let opened = server
        .authority
        .open_incident(&Actor::Authority, open)
        .await
        .unwrap();
    assert_eq!(opened.number, 1);

    let reply = get(&url_of(&fra, &first)).await;
    assert!(window(&reply).1 <= now(&server));
    assert_eq!(
        reply.json()["explanationURL"],
        "https://ca.example/incidents/1"
    );
    let unreached = get(&url_of(&fra, &other)).await;
    assert!(window(&unreached).0 > now(&server));
    assert_eq!(unreached.json().get("explanationURL"), None);

    // What replaces it is good, or everybody would renew for ever.
    let second = device_certificate(&fra, "fra/a", Some(&certificate_id(&first))).await;
    assert!(window(&get(&url_of(&fra, &second)).await).0 > now(&server));
    let reach = server
        .authority
        .incident_reach(&opened.reach)
        .await
        .unwrap();
    assert_eq!((reach.good, reach.outstanding), (1, 0));

    server
        .authority
        .close_incident(&Actor::Authority, 1)
        .await
        .unwrap();
    let reply = get(&url_of(&fra, &first)).await;
    assert!(window(&reply).0 > now(&server));
    assert_eq!(reply.json().get("explanationURL"), None);
    let again = server.authority.close_incident(&Actor::Authority, 1).await;
    assert_eq!(
        again.unwrap_err().to_string(),
        "the incident is closed already"
    );
}

#[tokio::test]
async fn an_incident_that_could_not_end_or_explains_nothing_is_refused() {
    let server = Server::start().await;
    type Change = fn(&mut OpenIncident);
    let cases: [(&str, Change); 6] = [
        ("what is yet to be issued", |it| {
            it.reach.issued_before = it.reach.issued_before + Duration::from_secs(1);
        }),
        ("no reason", |it| it.reason = " ".to_owned()),
        ("a reason of two lines", |it| it.reason = "a\nb".to_owned()),
        ("no web page", |it| {
            it.explanation_url = Some("file:///etc/passwd".to_owned());
        }),
        ("no URL", |it| {
            it.explanation_url = Some("see below".to_owned())
        }),
        ("a year", |it| it.within = Duration::from_secs(366 * 86_400)),
    ];
    for (what, change) in cases {
        let open = incident(&server, change);
        let refused = server
            .authority
            .open_incident(&Actor::Authority, open)
            .await;
        assert!(
            matches!(
                refused,
                Err(portcullis::authority::AuthorityError::Invalid(_))
            ),
            "{what}: {refused:?}"
        );
    }
    assert!(server.authority.incidents().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_certificate_of_a_retired_issuer_is_to_be_renewed_at_once() {
    let server = Server::start().await;
    let (client, der) = device(&server, "fra/a").await;
    let issuers = server.authority.issuers();
    let name = issuers.issuing("device").unwrap().name().to_string();
    retire(&server, &name).await;
    // Nobody accepts what it has signed, so its window is over.
    let (_, end, _) = window(&get(&url_of(&client, &der)).await);
    assert!(end <= now(&server));
}

async fn retire(server: &Server, name: &str) {
    let rotate = RotateIssuer {
        name: name.to_owned(),
        algorithm: None,
        home: None,
    };
    let rotated = server
        .authority
        .rotate_issuer(&Actor::Authority, rotate)
        .await;
    rotated.unwrap();
    server
        .authority
        .retire_issuer(&Actor::Authority, name, true)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_order_says_what_it_replaces_and_a_certificate_is_replaced_once() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let der = certificate(&server, &client, &["a.example", "b.example"]).await;
    let id = certificate_id(&der);

    // One identifier in common is enough (RFC 9773 section 5).
    let placed = replace(&client, &["b.example", "c.example"], &id).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
    assert_eq!(placed.json()["replaces"], id.as_str());
    let shown = client.get(&placed.location()).await.json();
    assert_eq!(shown["replaces"], id.as_str());

    let second = replace(&client, &["a.example"], &id).await;
    assert_eq!(second.problem(), (409, "alreadyReplaced".to_owned()));
    // The order that replaces it becomes invalid, and another may take its place.
    let authorization = shown["authorizations"][0].as_str().unwrap();
    client
        .post(authorization, json!({"status": "deactivated"}))
        .await
        .ok();
    let order = client.get(&placed.location()).await.json();
    assert_eq!(order["status"], "invalid");
    assert_eq!(order["replaces"], id.as_str());

    let third = replace(&client, &["a.example", "b.example"], &id).await;
    assert_eq!(third.status, StatusCode::CREATED, "{third:?}");
    // An order that ran out gives way too.
    server.clock.advance(25 * 3600);
    let (_, fourth) = ready_in_place(&server, &client, &["a.example"], &id).await;
    let (csr, _) = csr(&["a.example"]);
    let valid = finalized(&client, &fourth, &csr).await.ok().json();
    assert_eq!(valid["replaces"], id.as_str());
    let new = download(&client, &valid).await;

    // Replaced for good: not in a day either, when orders have gone.
    server.clock.advance(40 * 86_400);
    server.authority.prune(now(&server)).await.unwrap();
    let fifth = replace(&client, &["a.example"], &id).await;
    assert_eq!(fifth.problem(), (409, "alreadyReplaced".to_owned()));

    let all = server.certificates().await;
    let (old, new) = (record(&all, &der), record(&all, &new));
    let of_new = server.authority.replacements(new).await.unwrap();
    let of_old = server.authority.replacements(old).await.unwrap();
    assert_eq!(
        (of_new.replaces, of_new.replaced_by),
        (Some(old.serial), None)
    );
    assert_eq!(
        (of_old.replaces, of_old.replaced_by),
        (None, Some(new.serial))
    );
}

/// An order in the place of a certificate that is ready.
async fn ready_in_place(
    server: &Server,
    client: &Client,
    names: &[&str],
    id: &str,
) -> (String, Value) {
    let placed = replace(client, names, id).await.ok();
    for authorization in placed.json()["authorizations"].as_array().unwrap() {
        let url = authorization.as_str().unwrap();
        if client.get(url).await.json()["status"] == "pending" {
            super::order::respond(server, client, url).await.ok();
            super::order::settled(client, url).await;
        }
    }
    let order = super::order::settled(client, &placed.location()).await;
    assert_eq!(order["status"], "ready");
    (placed.location(), order)
}

#[tokio::test]
async fn of_many_orders_at_once_that_replace_a_certificate_one_is_taken() {
    let server = Server::start().await;
    let (client, der) = device(&server, "fra/a").await;
    let id = certificate_id(&der);
    let url = client.url("new-order");
    let orders = (0..8).map(|_| {
        let (client, url, id) = (&client, &url, &id);
        async move {
            let wanted = json!({
                "identifiers": [{"type": "permanent-identifier", "value": "fra/a"}],
                "replaces": id,
            });
            client.post(url, wanted).await.outcome()
        }
    });
    let mut outcomes = futures_util::future::join_all(orders).await;
    outcomes.sort();
    let mut expected = vec![(201, String::new())];
    expected.extend(vec![(409, "alreadyReplaced".to_owned()); 7]);
    assert_eq!(outcomes, expected);
}

// OpenBao CVE-2026-39388: renewal with another certificate than the one that the login was bound to.
#[tokio::test]
async fn an_order_replaces_only_what_the_same_account_ordered_with_an_identifier_in_common() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let stranger = Client::registered(&server.base).await;
    let der = certificate(&server, &client, &["a.example"]).await;
    let (_, device) = device(&server, "fra/a").await;
    let id = certificate_id(&der);
    for (what, by, names, replaces, problem) in [
        (
            "another account",
            &stranger,
            "a.example",
            id.clone(),
            (403, "unauthorized"),
        ),
        (
            "a device's",
            &client,
            "a.example",
            certificate_id(&device),
            (403, "unauthorized"),
        ),
        (
            "no identifier in common",
            &client,
            "b.example",
            id.clone(),
            (400, "malformed"),
        ),
        (
            "one that nobody issued",
            &client,
            "a.example",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE".to_owned(),
            (400, "malformed"),
        ),
        (
            "no identifier at all",
            &client,
            "a.example",
            "x".to_owned(),
            (400, "malformed"),
        ),
        (
            "padding",
            &client,
            "a.example",
            format!("{id}="),
            (400, "malformed"),
        ),
    ] {
        let (status, kind) = replace(by, &[names], &replaces).await.problem();
        assert_eq!((status, kind.as_str()), problem, "{what}");
    }
    // None of them marked it.
    let placed = replace(&client, &["a.example"], &id).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
}

#[tokio::test]
async fn a_hundred_devices_that_enrol_together_are_told_different_times() {
    let server = Server::start().await;
    let mut starts = Vec::new();
    for number in 0..100 {
        let (client, der) = device(&server, &format!("fra/{number}")).await;
        starts.push(window(&get(&url_of(&client, &der)).await).0);
    }
    starts.sort();
    let all = server.certificates().await;
    let life = all[0].not_after.since(all[0].not_before);
    let spread = starts[99].since(starts[0]);
    // They begin within a tenth of the lifetime, and take most of it.
    assert!(spread > life / 13 && spread <= life / 10, "{spread:?}");
    let most = starts
        .iter()
        .filter(|it| it.since(starts[0]) < spread / 10)
        .count();
    assert!(most < 30, "{most} in the first tenth");
}
