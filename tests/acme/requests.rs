//! What every request must be (RFC 8555 section 6): a table of malformed ones, and the answers to them.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    client::{Client, Key, encode, send},
    server::Server,
};

type Change = Box<dyn Fn(&mut Value)>;

/// A case: a good request by an account, changed before (`protected`) or after (`body`) it is signed.
struct Case {
    what: &'static str,
    protected: Change,
    body: Change,
    expected: (u16, &'static str),
}

fn protected(
    what: &'static str,
    change: impl Fn(&mut Value) + 'static,
    expected: (u16, &'static str),
) -> Case {
    Case {
        what,
        protected: Box::new(change),
        body: Box::new(|_| {}),
        expected,
    }
}

fn body(
    what: &'static str,
    change: impl Fn(&mut Value) + 'static,
    expected: (u16, &'static str),
) -> Case {
    Case {
        what,
        protected: Box::new(|_| {}),
        body: Box::new(change),
        expected,
    }
}

fn set(name: &'static str, value: Value) -> impl Fn(&mut Value) {
    move |object| object[name] = value.clone()
}

fn remove(name: &'static str) -> impl Fn(&mut Value) {
    move |object| {
        object.as_object_mut().unwrap().remove(name);
    }
}

#[tokio::test]
async fn a_request_that_is_not_as_rfc_8555_says_is_refused_with_the_right_problem() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let account = client.account.clone().unwrap();
    let malformed = (400, "malformed");
    let bad_algorithm = (400, "badSignatureAlgorithm");
    let cases = [
        protected("no algorithm", remove("alg"), malformed),
        protected(
            "the algorithm none",
            set("alg", json!("none")),
            bad_algorithm,
        ),
        protected("a MAC", set("alg", json!("HS256")), bad_algorithm),
        protected(
            "a MAC in small letters",
            set("alg", json!("hs256")),
            bad_algorithm,
        ),
        protected(
            "an unknown algorithm",
            set("alg", json!("ES256K")),
            bad_algorithm,
        ),
        protected(
            "another key's algorithm",
            set("alg", json!("ES384")),
            bad_algorithm,
        ),
        protected(
            "RSA with an EC key",
            set("alg", json!("RS256")),
            bad_algorithm,
        ),
        protected(
            "an algorithm that is no string",
            set("alg", json!(256)),
            malformed,
        ),
        protected("no nonce", remove("nonce"), (400, "badNonce")),
        protected(
            "a made-up nonce",
            set("nonce", json!("AAAA")),
            (400, "badNonce"),
        ),
        protected(
            "a nonce that is no base64url",
            set("nonce", json!("a b+/=")),
            (400, "badNonce"),
        ),
        protected("no url", remove("url"), malformed),
        protected(
            "another url",
            set("url", json!("http://127.0.0.1/acme/x")),
            (403, "unauthorized"),
        ),
        protected(
            "the account's url",
            set("url", json!(account)),
            (403, "unauthorized"),
        ),
        protected("neither jwk nor kid", remove("kid"), malformed),
        protected("both jwk and kid", set("jwk", Key::new().jwk()), malformed),
        protected(
            "a jwk where a kid belongs",
            |header| {
                remove("kid")(header);
                header["jwk"] = Key::new().jwk();
            },
            malformed,
        ),
        protected(
            "a private key",
            |header| {
                remove("kid")(header);
                header["jwk"] = json!({"kty": "OKP", "crv": "Ed25519", "x": encode([1; 32]), "d": encode([1; 32])});
            },
            (400, "badPublicKey"),
        ),
        protected(
            "a symmetric key",
            |header| {
                remove("kid")(header);
                header["jwk"] = json!({"kty": "oct", "k": encode([1; 32])});
            },
            (400, "badPublicKey"),
        ),
        protected(
            "an unknown account",
            set("kid", json!(format!("{account}x"))),
            (400, "accountDoesNotExist"),
        ),
        protected(
            "a kid that is no URL",
            set("kid", json!("me")),
            (400, "accountDoesNotExist"),
        ),
        protected(
            "a critical extension",
            set("crit", json!(["b64"])),
            malformed,
        ),
        protected("an unencoded payload", set("b64", json!(false)), malformed),
        body(
            "an unprotected header",
            set("header", json!({"kid": "x"})),
            malformed,
        ),
        body(
            "several signatures",
            set("signatures", json!([])),
            malformed,
        ),
        body("no signature", remove("signature"), malformed),
        body(
            "an empty signature",
            set("signature", json!("")),
            (403, "unauthorized"),
        ),
        body(
            "another's signature",
            set("signature", json!(encode([7; 64]))),
            (403, "unauthorized"),
        ),
        body(
            "a padded signature",
            |body| append(body, "signature", "="),
            malformed,
        ),
        body(
            "a padded payload",
            |body| body["payload"] = json!("e30="),
            malformed,
        ),
        body(
            "a payload in base64 rather than base64url",
            set("payload", json!("a+/b")),
            malformed,
        ),
        body(
            "data after the payload",
            |body| append(body, "payload", "!"),
            malformed,
        ),
        body(
            "another payload",
            set("payload", json!(encode("{}"))),
            (403, "unauthorized"),
        ),
        body(
            "a protected header that is no JSON",
            set("protected", json!(encode("{"))),
            malformed,
        ),
        body(
            "a protected header that is a list",
            set("protected", json!(encode("[]"))),
            malformed,
        ),
        body(
            "a protected header that is deep",
            |body| {
                body["protected"] = json!(encode(format!(
                    "{{\"a\":{}{}}}",
                    "[".repeat(99),
                    "]".repeat(99)
                )))
            },
            malformed,
        ),
        body(
            "a list",
            |body| *body = json!([body["protected"], body["payload"], body["signature"]]),
            malformed,
        ),
        body(
            "no object",
            |body| *body = json!("compact.jws.form"),
            malformed,
        ),
    ];
    let url = client.url("new-order");
    let payload = json!({"identifiers": [{"type": "dns", "value": "a.example"}]}).to_string();
    let mut wrong = Vec::new();
    for case in cases {
        let mut header = client.protected(&url).await;
        (case.protected)(&mut header);
        let mut jws = client.key.jws(&header, &payload);
        (case.body)(&mut jws);
        let reply = client.send(&url, &jws).await;
        let (status, kind) = reply.outcome();
        let algorithms = reply.json()["algorithms"].is_array();
        let index = format!("<{}>;rel=\"index\"", client.url("directory"));
        if (status, kind.as_str()) != case.expected
            || algorithms != (kind == "badSignatureAlgorithm")
            || reply.links() != [index]
        {
            wrong.push((case.what, reply));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The request itself is good.
    client
        .post(&url, serde_json::from_str(&payload).unwrap())
        .await
        .ok();
}

fn append(body: &mut Value, member: &str, text: &str) {
    body[member] = json!(format!("{}{text}", body[member].as_str().unwrap()));
}

#[tokio::test]
async fn trailing_data_and_bodies_that_are_too_large_are_refused() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = client.url("new-order");
    let good = client
        .key
        .jws(&client.protected(&url).await, "{}")
        .to_string();
    for (what, body, expected) in [
        ("nothing", String::new(), (400, "malformed")),
        ("trailing data", format!("{good}{good}"), (400, "malformed")),
        ("a trailing comma", format!("{good},"), (400, "malformed")),
        (
            "a member twice",
            good.replacen('{', "{\"payload\":\"\",", 1),
            (400, "malformed"),
        ),
        (
            "too large",
            format!("{{\"payload\":\"{}\"}}", "A".repeat(200_000)),
            (413, "malformed"),
        ),
    ] {
        let reply = send(
            Method::POST,
            &url,
            Some("application/jose+json"),
            body.into(),
        )
        .await;
        let (status, kind) = reply.problem();
        assert_eq!((status, kind.as_str()), expected, "{what}");
    }
}

#[tokio::test]
async fn another_content_type_is_refused_with_415() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = client.account.clone().unwrap();
    for (content_type, status) in [
        (None, 415),
        (Some("application/json"), 415),
        (Some("application/jose"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/jose+json"), 200),
        (Some("Application/JOSE+JSON; charset=utf-8"), 200),
    ] {
        let jws = client.key.jws(&client.protected(&url).await, "");
        let reply = send(Method::POST, &url, content_type, jws.to_string().into()).await;
        assert_eq!(reply.status.as_u16(), status, "{content_type:?}: {reply:?}");
        assert!(!reply.header("replay-nonce").is_empty());
    }
}

#[tokio::test]
async fn every_signature_algorithm_is_taken() {
    let server = Server::start().await;
    for algorithm in ["ES256", "ES384", "ES512", "EdDSA", "RS256"] {
        let mut client = Client::new(&server.base, Key::of(algorithm));
        let reply = client.register(json!({})).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{algorithm}: {reply:?}");
        let url = client.account.clone().unwrap();
        assert_eq!(client.get(&url).await.status, StatusCode::OK, "{algorithm}");
    }
}

#[tokio::test]
async fn resources_are_not_read_with_get() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let order = client
        .post(
            &client.url("new-order"),
            json!({"identifiers": [{"type": "dns", "value": "a.example"}]}),
        )
        .await
        .ok();
    let (location, order) = (order.location(), order.json());
    let authorization = order["authorizations"][0].as_str().unwrap().to_owned();
    let challenge = client.get(&authorization).await.json()["challenges"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    for url in [
        client.account.clone().unwrap(),
        format!("{}/orders", client.account.as_deref().unwrap()),
        location,
        order["finalize"].as_str().unwrap().to_owned(),
        authorization,
        challenge,
        client.url("certificate/1f"),
        client.url("certificate/1f/alternate/1"),
        client.url("new-account"),
        client.url("new-authz"),
        client.url("key-change"),
        client.url("new-order"),
        client.url("revoke-cert"),
        client.url("trust-bundle"),
    ] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let reply = send(method.clone(), &url, None, Vec::new()).await;
            assert_eq!(
                reply.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {url}"
            );
            assert_eq!(reply.header("allow"), "POST", "{method} {url}");
            if method != Method::HEAD {
                assert_eq!(reply.problem().1, "malformed");
            }
        }
    }
    for url in ["nonsense", "order/a/b", "order/a/b/c"] {
        let reply = send(Method::GET, &client.url(url), None, Vec::new()).await;
        assert_eq!(reply.problem(), (404, "malformed".to_owned()));
    }
    let reply = client.get(&client.url("order/%FF")).await;
    assert_eq!(reply.problem(), (404, "malformed".to_owned()));
}

#[tokio::test]
async fn the_directory_names_every_resource_and_is_read_in_both_ways() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = client.url("directory");
    let expected = json!({
        "newNonce": client.url("new-nonce"),
        "newAccount": client.url("new-account"),
        "newOrder": client.url("new-order"),
        "newAuthz": client.url("new-authz"),
        "keyChange": client.url("key-change"),
        "revokeCert": client.url("revoke-cert"),
        "renewalInfo": client.url("renewal-info"),
        "meta": {
            "externalAccountRequired": false,
            "profiles": {
                "device": "A device that was invited, and proves its principal.",
                "server": "A server that is known by its names; it proves no principal.",
                "service": "A service that was invited, and proves its principal.",
            },
            "trustBundle": client.url("trust-bundle"),
        },
    });
    let reply = send(Method::GET, &url, None, Vec::new()).await;
    assert_eq!(
        (reply.status, reply.json()),
        (StatusCode::OK, expected.clone())
    );
    assert!(reply.links().is_empty());
    assert_eq!(client.get(&url).await.json(), expected);
}
