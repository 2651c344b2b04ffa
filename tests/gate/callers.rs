//! "What the caller sees" of the permission model, case by case, once with a certificate and once with an API key of the
//! same principal: the same decision.

use std::{sync::Arc, time::Duration};

use portcullis::domain::{ApiKey, ApiKeyKind, event::TrustEvent};

use super::{
    connection::{Answer, BOTH, Client, Http},
    pki::{Identity, Leaf},
    stage::{HOST, Narrowed, Stage},
};

const OWN: &str = "/v1/devices/fra/a";

/// Which credential of the principal is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    Certificate,
    ApiKey,
}

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    status: u16,
    problem: String,
    www_authenticate: Option<String>,
}

fn seen(answer: &Answer) -> Seen {
    if answer.status.is_client_error() || answer.status.is_server_error() {
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(answer.headers.contains_key("x-request-id"));
    }
    Seen {
        status: answer.status.as_u16(),
        problem: answer.problem(),
        www_authenticate: answer
            .headers
            .get("www-authenticate")
            .map(|value| value.to_str().unwrap().to_owned()),
    }
}

fn expect(status: u16, problem: &str, www_authenticate: Option<&str>) -> Seen {
    Seen {
        status,
        problem: problem.to_owned(),
        www_authenticate: www_authenticate.map(str::to_owned),
    }
}

/// Cases that apply to both kinds of credential: the decision is about the principal.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_and_a_key_of_one_principal_get_the_same_decision() {
    const READ_OTHER: &str = "/v1/devices/ams/b";
    let lacks = |scope: &str| {
        let challenge =
            format!("Bearer realm=\"home\", error=\"insufficient_scope\", scope=\"{scope}\"");
        expect(403, "insufficient_scope", Some(&challenge))
    };
    let allowed = || expect(200, "", None);
    let nobodys = "Bearer realm=\"home\", error=\"insufficient_scope\"";
    let cases: Vec<(&str, &str, &str, Seen)> = vec![
        ("device:fra/a", "GET", OWN, allowed()),
        ("device:fra/a", "GET", READ_OTHER, allowed()),
        ("device:fra/a", "POST", OWN, allowed()),
        (
            "device:fra/a",
            "POST",
            READ_OTHER,
            lacks("telemetry:write@devices/ams/b"),
        ),
        (
            "device:fra/a",
            "POST",
            "/v1/devices/fra/ab",
            lacks("telemetry:write@devices/fra/ab"),
        ),
        (
            "device:fra/a",
            "POST",
            "/v1/devices/fra/a/b",
            lacks("telemetry:write@devices/fra/a/b"),
        ),
        (
            "device:ams/b",
            "GET",
            READ_OTHER,
            lacks("telemetry:read@devices/ams/b"),
        ),
        (
            "service:fra/a",
            "GET",
            OWN,
            lacks("telemetry:read@devices/fra/a"),
        ),
        (
            "device:fra/a",
            "GET",
            "/no-scope",
            expect(403, "insufficient_scope", Some(nobodys)),
        ),
        (
            "device:fra/a",
            "DELETE",
            OWN,
            expect(405, "method-not-allowed", None),
        ),
        (
            "device:fra/a",
            "GET",
            "/nowhere",
            expect(404, "no-route", None),
        ),
        (
            "device:fra/a",
            "GET",
            "/v1/devices/%2e%2e",
            expect(
                400,
                "invalid_request",
                Some("Bearer realm=\"home\", error=\"invalid_request\""),
            ),
        ),
        (
            "device:fra/a",
            "GET",
            "/dead",
            expect(502, "upstream-unreachable", None),
        ),
    ];
    let stage = Stage::open().await;
    for (principal, method, path, expected) in cases {
        let identity = stage.pki.client(&principal.replace(':', "/"));
        let (_, token) = stage.mint(principal, &Narrowed::default());
        let bearer = format!("Bearer {token}");
        for http in BOTH {
            for with in [With::Certificate, With::ApiKey] {
                let (identity, fields) = match with {
                    With::Certificate => (Some(&identity), vec![]),
                    With::ApiKey => (None, vec![("authorization", bearer.as_str())]),
                };
                let mut connection = Client::new(&stage, identity, http).connect().await;
                let request = connection.request(method, path, &fields);
                let answer = connection.send(request).await.expect("an answer");
                assert_eq!(
                    seen(&answer),
                    expected,
                    "{principal} {method} {path} {with:?} {http:?}"
                );
                let received = stage.upstream.take();
                assert_eq!(received.len(), usize::from(expected.status == 200));
                if let Some(received) = received.first() {
                    assert_eq!(received.headers["portcullis-principal"], principal);
                }
            }
        }
    }
}

/// A stage, a request with these fields, and what is seen.
async fn ask(
    stage: &Stage,
    identity: Option<&Identity>,
    path: &str,
    fields: &[(&str, &str)],
) -> Seen {
    let mut connection = Client::new(stage, identity, Http::One).connect().await;
    let request = connection.request("GET", path, fields);
    let answer = connection.send(request).await.expect("an answer");
    seen(&answer)
}

/// Cases of API keys alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_good_is_told_one_reason_for_all() {
    let stage = Stage::open().await;
    let default = Narrowed::default;
    let (_, good) = stage.mint("device:fra/a", &default());
    let (revoked, revoked_token) = stage.mint("device:fra/a", &default());
    stage.apply(&TrustEvent::ApiKeyRevoked(revoked.id));
    let short = Narrowed {
        expires_in: Some(Duration::from_secs(60)),
        ..default()
    };
    let (_, expired) = stage.mint("device:fra/a", &short);
    stage.advance(Duration::from_secs(60));
    let (_, elsewhere) = stage.mint(
        "device:fra/a",
        &Narrowed {
            cidrs: &["10.0.0.0/8"],
            ..default()
        },
    );
    let (_, narrow) = stage.mint(
        "device:fra/a",
        &Narrowed {
            only: Some(&["telemetry:write"]),
            ..default()
        },
    );
    let (_, bound) = stage.mint(
        "device:fra/a",
        &Narrowed {
            bound_certificate: Some([1; 32]),
            ..default()
        },
    );
    let (_, enrolment) = stage.mint_kind(ApiKeyKind::Enrolment, "device:fra/a", &default());
    // The id is in force, the secret is another's.
    let (forged, wrong_secret) = stage.mint("device:fra/a", &default());
    let (another, _) = stage.mint("device:fra/a", &default());
    stage.apply(&TrustEvent::ApiKeyMinted(Arc::new(ApiKey {
        digest: another.digest,
        ..(*forged).clone()
    })));
    let typo = format!("{}x", &good[..good.len() - 1]);

    let invalid = expect(
        401,
        "invalid_token",
        Some("Bearer realm=\"home\", error=\"invalid_token\""),
    );
    let twice = expect(
        400,
        "invalid_request",
        Some("Bearer realm=\"home\", error=\"invalid_request\""),
    );
    let none = expect(401, "no-credential", Some("Bearer realm=\"home\""));
    let lacks = expect(
        403,
        "insufficient_scope",
        Some(
            "Bearer realm=\"home\", error=\"insufficient_scope\", scope=\"telemetry:read@devices/fra/a\"",
        ),
    );
    let in_query = format!("{OWN}?access_token={good}");
    for (path, keys, expected) in [
        (OWN, &[][..], &none),
        (OWN, &[good.as_str()], &expect(200, "", None)),
        (OWN, &[typo.as_str()], &invalid),
        (OWN, &["hello"], &invalid),
        (OWN, &[revoked_token.as_str()], &invalid),
        (OWN, &[expired.as_str()], &invalid),
        (OWN, &[bound.as_str()], &invalid),
        (OWN, &[enrolment.as_str()], &invalid),
        (OWN, &[wrong_secret.as_str()], &invalid),
        (
            OWN,
            &[elsewhere.as_str()],
            &expect(403, "outside-network", None),
        ),
        (OWN, &[narrow.as_str()], &lacks),
        (OWN, &[good.as_str(), good.as_str()], &twice),
        (in_query.as_str(), &[], &twice),
        (
            "/certificate-only",
            &[good.as_str()],
            &expect(403, "client-certificate-required", None),
        ),
    ] {
        let fields: Vec<_> = keys.iter().map(|key| ("x-api-key", *key)).collect();
        assert_eq!(
            &ask(&stage, None, path, &fields).await,
            expected,
            "{path} {keys:?}"
        );
    }
}

/// Cases of certificates alone; a bad one is never helped by a good key.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_proves_nobody_is_told_so_and_no_key_makes_up_for_it() {
    let stage = Stage::open().await;
    let (_, token) = stage.mint("device:fra/a", &Narrowed::default());
    let leaf = |uris: &[&str]| {
        stage.pki.leaf(&Leaf {
            uris,
            ..Leaf::default()
        })
    };
    let unmapped = expect(403, "unmapped-certificate", None);
    let ambiguous = expect(403, "ambiguous-certificate", None);
    for (uris, expected) in [
        (&[][..], &unmapped),
        (&["spiffe://other.example/device/fra/a"], &unmapped),
        (&["https://home.example/device/fra/a"], &unmapped),
        (&["spiffe://home.example/device"], &unmapped),
        (&["spiffe://home.example/admin/fra/a"], &unmapped),
        (&["spiffe://home.example/device/fra/../a"], &unmapped),
        (&["spiffe://home.example/device/fra/%61"], &unmapped),
        (&["spiffe://home.example/device/fra/a?x"], &unmapped),
        (
            &[
                "spiffe://home.example/device/fra/a",
                "spiffe://home.example/device/fra/b",
            ],
            &ambiguous,
        ),
    ] {
        let identity = leaf(uris);
        for fields in [&[][..], &[("x-api-key", token.as_str())]] {
            assert_eq!(
                &ask(&stage, Some(&identity), OWN, fields).await,
                expected,
                "{uris:?}"
            );
        }
    }
    assert!(stage.upstream.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_prove_the_same_principal_or_nothing() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let (_, same) = stage.mint("device:fra/a", &Narrowed::default());
    let (_, other) = stage.mint("device:fra/b", &Narrowed::default());
    for (token, expected) in [
        (same.as_str(), expect(200, "", None)),
        (other.as_str(), expect(403, "credentials-disagree", None)),
        (
            "pc_sk_wrong",
            expect(
                401,
                "invalid_token",
                Some("Bearer realm=\"home\", error=\"invalid_token\""),
            ),
        ),
    ] {
        let fields = [("x-api-key", token)];
        assert_eq!(ask(&stage, Some(&device), OWN, &fields).await, expected);
    }
}

/// Traefik CVE-2026-32305, -48491, -53622: the handshake says one host, the request another; coalesced HTTP/2 too.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_host_than_that_of_the_handshake_is_misdirected() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    for http in BOTH {
        let mut connection = Client::new(&stage, Some(&device), http)
            .connect_as("other.example")
            .await;
        let answer = connection.get(OWN).await.expect("an answer");
        assert_eq!(
            seen(&answer),
            expect(421, "misdirected-request", None),
            "{http:?}"
        );
    }
    // A ClientHello in pieces is read to its end before anything is decided by it.
    let fragmented = Client::new(&stage, Some(&device), Http::One).fragmented();
    for (name, expected) in [(HOST, 200), ("other.example", 421)] {
        let mut connection = fragmented.connect_as(name).await;
        let answer = connection.get(OWN).await.expect("an answer");
        assert_eq!(answer.status.as_u16(), expected);
    }
    // A client that names nobody in the handshake (an address is no server name) is judged like everybody.
    let mut connection = Client::new(&stage, Some(&device), Http::One)
        .connect_as("127.0.0.1")
        .await;
    let request = connection.request("GET", OWN, &[("x-host", HOST)]);
    assert_eq!(
        connection.send(request).await.expect("an answer").status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_caller_gets_a_grpc_status() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/ams/b");
    let mut connection = Client::new(&stage, Some(&device), Http::Two)
        .connect()
        .await;
    let request = connection.request("POST", OWN, &[("content-type", "application/grpc")]);
    let answer = connection.send(request).await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/grpc");
    assert_eq!(answer.headers["grpc-status"], "7");
    assert!(stage.upstream.take().is_empty());
}
