//! The http-01 validation against a name server and web servers on loopback. `127.0.0.1` is opened to it; `127.0.0.2`,
//! where another web server listens on the same port, stands for what is inside.

use std::time::Duration;

use axum::http::StatusCode;
use portcullis::{
    acme::validation::{Attempt, Validator, config::ValidationConfig, http01::MAX_REDIRECTS},
    domain::{
        challenge::{ChallengeKind, ValidationFailure, ValidationFailureKind},
        duration::WrittenDuration,
        identifier::Identifier,
    },
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    name_server::NameServer,
    web_server::{Page, WebServer},
};

const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const KEY_AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";

struct Scene {
    names: NameServer,
    outside: WebServer,
    inside: WebServer,
    validator: Validator,
}

impl Scene {
    async fn new() -> Self {
        Self::with(&["127.0.0.1/32", "127.0.0.3/32"], 10).await
    }

    async fn with(allow: &[&str], timeout_seconds: u64) -> Self {
        let names = NameServer::start().await;
        let outside = WebServer::start("127.0.0.1:0").await;
        let port = outside.address.port();
        let inside = WebServer::start(&format!("127.0.0.2:{port}")).await;
        for server in [&outside, &inside] {
            server.respond(TOKEN, Page::Body(KEY_AUTHORIZATION.into()));
        }
        let config = ValidationConfig {
            http_port: port,
            resolvers: vec![names.address.to_string()],
            allow_networks: allow.iter().map(ToString::to_string).collect(),
            timeout: WrittenDuration(Duration::from_secs(timeout_seconds)),
            ..ValidationConfig::default()
        };
        let validator = Validator::new(&config.check().unwrap()).unwrap();
        Self {
            names,
            outside,
            inside,
            validator,
        }
    }

    async fn validate(&self, kind: &str, value: &str) -> Result<(), ValidationFailure> {
        let identifier = Identifier::parse(kind, value).unwrap();
        self.validator
            .validate(&Attempt {
                kind: ChallengeKind::Http01,
                identifier: &identifier,
                token: TOKEN,
                key_authorization: KEY_AUTHORIZATION,
                account_url: "https://ca.example/acme/account/1",
            })
            .await
    }

    async fn expect(&self, kind: &str, value: &str, failure: ValidationFailureKind, part: &str) {
        let found = self.validate(kind, value).await.unwrap_err();
        assert_eq!(found.kind, failure, "{}", found.detail);
        assert!(found.detail.contains(part), "{}", found.detail);
    }
}

#[tokio::test]
async fn a_name_and_an_address_are_validated_by_their_file() {
    let scene = Scene::new().await;
    scene.names.set("a.example", &["127.0.0.1"]);
    assert_eq!(scene.validate("dns", "a.example").await, Ok(()));
    assert_eq!(scene.validate("ip", "127.0.0.1").await, Ok(()));
    let padded = format!("{KEY_AUTHORIZATION}\r\n \n");
    scene.outside.respond(TOKEN, Page::Body(padded.into()));
    assert_eq!(scene.validate("dns", "a.example").await, Ok(()));
}

#[tokio::test]
async fn a_wrong_answer_fails_the_validation() {
    use ValidationFailureKind::{Dns, IncorrectResponse};
    let scene = Scene::new().await;
    scene.names.set("a.example", &["127.0.0.1"]);
    scene
        .expect(
            "dns",
            "unknown.example",
            Dns,
            "looked for A or AAAA records of unknown.example: there is no such name (NXDOMAIN)",
        )
        .await;
    for (page, part) in [
        (
            Page::Body(b"something else".to_vec()),
            "14 bytes that are not the key authorization",
        ),
        (Page::Body(Vec::new()), "0 bytes"),
        (
            Page::Body(format!(" {KEY_AUTHORIZATION}").into()),
            "not the key authorization",
        ),
        (Page::Body(vec![b'a'; 100_000]), "more than 1024 bytes"),
        (Page::Status(StatusCode::NOT_FOUND), "404"),
        (Page::Status(StatusCode::INTERNAL_SERVER_ERROR), "500"),
        (Page::Status(StatusCode::MULTIPLE_CHOICES), "300"),
        (Page::Status(StatusCode::FOUND), "without a usable Location"),
    ] {
        scene.outside.respond(TOKEN, page);
        scene
            .expect("dns", "a.example", IncorrectResponse, part)
            .await;
    }
}

#[tokio::test]
async fn a_server_that_never_answers_holds_nothing_up() {
    let scene = Scene::with(&["127.0.0.1/32"], 1).await;
    scene
        .outside
        .respond(TOKEN, Page::Late(Duration::from_secs(3600)));
    let validation = scene.expect(
        "ip",
        "127.0.0.1",
        ValidationFailureKind::Connection,
        "http-01 of 127.0.0.1 did not end within 1 seconds",
    );
    tokio::time::timeout(Duration::from_secs(10), validation)
        .await
        .unwrap();
}

// Vault CVE-2026-5052: validation reached internal addresses.
#[tokio::test]
async fn internal_addresses_are_not_connected_to_by_default() {
    use ValidationFailureKind::Unauthorized;
    let scene = Scene::with(&[], 10).await;
    for (name, address, kind) in [
        ("loopback.example", "127.0.0.1", "a loopback address"),
        ("loopback6.example", "::1", "a loopback address"),
        (
            "mapped.example",
            "::ffff:127.0.0.1",
            "an IPv4-mapped address",
        ),
        ("metadata.example", "169.254.169.254", "a metadata service"),
        ("private.example", "10.0.0.1", "a private address"),
        ("unspecified.example", "0.0.0.0", "an unspecified address"),
    ] {
        scene.names.set(name, &[address]);
        scene.expect("dns", name, Unauthorized, kind).await;
    }
    scene
        .expect("ip", "127.0.0.1", Unauthorized, "a loopback address")
        .await;
    assert_eq!((scene.outside.hits(), scene.inside.hits()), (0, 0));
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_are_connected_to() {
    let scene = Scene::new().await;
    scene
        .names
        .set("a.example", &["127.0.0.2", "127.0.0.1", "::ffff:127.0.0.2"]);
    assert_eq!(scene.validate("dns", "a.example").await, Ok(()));
    assert_eq!((scene.outside.hits(), scene.inside.hits()), (1, 0));
}

// DNS rebinding: the name is allowed when it is checked and internal when it is connected to.
#[tokio::test]
async fn the_address_that_was_checked_is_the_one_connected_to() {
    let scene = Scene::new().await;
    scene
        .names
        .set_in_turn("a.example", &[&["127.0.0.1"], &["127.0.0.2"]]);
    assert_eq!(scene.validate("dns", "a.example").await, Ok(()));
    assert_eq!(
        (
            scene.outside.hits(),
            scene.inside.hits(),
            scene.names.queries()
        ),
        (1, 0, 1)
    );
}

#[tokio::test]
async fn redirects_are_followed_within_limits_and_every_one_is_checked() {
    use ValidationFailureKind::{IncorrectResponse, Unauthorized};
    let scene = Scene::new().await;
    let port = scene.outside.address.port();
    scene.names.set("a.example", &["127.0.0.1"]);
    scene.names.set("inside.example", &["127.0.0.2"]);
    scene
        .outside
        .set("/elsewhere", Page::Body(KEY_AUTHORIZATION.into()));

    scene
        .outside
        .respond(TOKEN, Page::Redirect("/elsewhere".into()));
    assert_eq!(scene.validate("dns", "a.example").await, Ok(()));
    scene.outside.respond(
        TOKEN,
        Page::Redirect(format!("http://127.0.0.1:{port}/elsewhere")),
    );
    assert_eq!(scene.validate("dns", "a.example").await, Ok(()));

    for (location, part) in [
        (
            format!("http://inside.example:{port}/secret"),
            "a loopback address",
        ),
        (
            format!("http://127.0.0.2:{port}/secret"),
            "a loopback address",
        ),
        // The same address in other spellings.
        (
            format!("http://0x7f000002:{port}/secret"),
            "a loopback address",
        ),
        (
            format!("http://[::ffff:127.0.0.2]:{port}/secret"),
            "an IPv4-mapped address",
        ),
        ("https://127.0.0.2/secret".to_owned(), "a loopback address"),
        ("http://a.example:22/".to_owned(), "port 22"),
        ("ftp://a.example/".to_owned(), "only http and https"),
        (
            format!("http://user:secret@a.example:{port}/elsewhere"),
            "user name",
        ),
    ] {
        scene.outside.respond(TOKEN, Page::Redirect(location));
        scene.expect("dns", "a.example", Unauthorized, part).await;
    }
    assert_eq!(scene.inside.hits(), 0);

    let before = scene.outside.hits();
    scene.outside.set("/loop", Page::Redirect("/loop".into()));
    scene.outside.respond(TOKEN, Page::Redirect("/loop".into()));
    scene
        .expect(
            "dns",
            "a.example",
            IncorrectResponse,
            "more than 10 redirects",
        )
        .await;
    assert_eq!(scene.outside.hits() - before, MAX_REDIRECTS + 1);
}

#[tokio::test]
async fn a_redirect_to_https_is_followed_whatever_certificate_is_there() {
    let scene = Scene::new().await;
    let port = scene.outside.address.port();
    scene.names.set("a.example", &["127.0.0.1"]);
    scene.names.set("tls.example", &["127.0.0.3"]);
    tls_server(&format!("127.0.0.3:{port}")).await;
    scene.outside.respond(
        TOKEN,
        Page::Redirect(format!("https://tls.example:{port}/x")),
    );
    assert_eq!(scene.validate("dns", "a.example").await, Ok(()));
}

/// Answers every request with the key authorization, over TLS with a certificate that nobody signed.
async fn tls_server(address: &str) {
    let certificate = rcgen::generate_simple_self_signed(["another.example".to_owned()]).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::aws_lc_rs::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![certificate.cert.der().clone()],
        rustls_pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap(),
    )
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let length = KEY_AUTHORIZATION.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{KEY_AUTHORIZATION}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
}

#[tokio::test]
async fn what_the_operator_closed_is_not_connected_to_even_behind_an_alias() {
    use ValidationFailureKind::Unauthorized;
    let names = NameServer::start().await;
    let web = WebServer::start("127.0.0.1:0").await;
    let config = ValidationConfig {
        http_port: web.address.port(),
        resolvers: vec![names.address.to_string()],
        allow_networks: vec!["127.0.0.0/8".to_owned()],
        deny_networks: vec!["127.0.0.1".to_owned()],
        ..ValidationConfig::default()
    };
    let scene = Scene {
        validator: Validator::new(&config.check().unwrap()).unwrap(),
        inside: web.clone(),
        outside: web,
        names,
    };
    scene.names.set("closed.example", &["127.0.0.1"]);
    scene.names.set_alias("alias.example", "www.alias.example");
    scene.names.set_alias("www.alias.example", "closed.example");
    scene.names.set("metadata.example", &["169.254.169.254"]);
    scene.names.set_alias("cloud.example", "metadata.example");
    for (name, part) in [
        ("closed.example", "in a closed network"),
        ("alias.example", "in a closed network"),
        ("cloud.example", "a metadata service"),
    ] {
        scene.expect("dns", name, Unauthorized, part).await;
    }
    assert_eq!(scene.inside.hits(), 0);
}

#[tokio::test]
async fn an_answer_that_is_too_much_or_too_slow_is_cut_off() {
    use ValidationFailureKind::{Connection, IncorrectResponse};
    let fields: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let huge = format!("X-Huge: {}\r\n", "y".repeat(100_000));
    let chunks = "200\r\n".to_owned() + &"y".repeat(512) + "\r\n";
    for (answer, kind, part) in [
        (
            format!("HTTP/1.1 200 OK\r\n{fields}\r\n"),
            Connection,
            "the exchange broke off",
        ),
        (
            format!("HTTP/1.1 200 OK\r\n{huge}\r\n"),
            Connection,
            "the exchange broke off",
        ),
        (
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                chunks.repeat(4)
            ),
            IncorrectResponse,
            "more than 1024 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n".to_owned(),
            IncorrectResponse,
            "more than 1024 bytes",
        ),
        // All that follows never comes.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 87\r\n\r\neva".to_owned(),
            Connection,
            "did not end within 1 seconds",
        ),
        (
            "HTTP/1.1 200".to_owned(),
            Connection,
            "did not end within 1 seconds",
        ),
        (String::new(), Connection, "did not end within 1 seconds"),
        (
            "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000),
            Connection,
            "http-01",
        ),
        (
            "SSH-2.0-OpenSSH\r\n".to_owned(),
            Connection,
            "the exchange broke off",
        ),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let bytes = answer.clone().into_bytes();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(&bytes).await;
            // The other side hangs up.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        });
        let config = ValidationConfig {
            http_port: port,
            resolvers: vec!["127.0.0.1".to_owned()],
            allow_networks: vec!["127.0.0.1".to_owned()],
            timeout: WrittenDuration(Duration::from_secs(1)),
            ..ValidationConfig::default()
        };
        let validator = Validator::new(&config.check().unwrap()).unwrap();
        let attempt = Attempt {
            kind: ChallengeKind::Http01,
            identifier: &Identifier::parse("ip", "127.0.0.1").unwrap(),
            token: TOKEN,
            key_authorization: KEY_AUTHORIZATION,
            account_url: "https://ca.example/acme/account/1",
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), validator.validate(&attempt));
        let failure = ended.await.unwrap().unwrap_err();
        let start: String = answer.chars().take(60).collect();
        assert_eq!(failure.kind, kind, "{start}: {}", failure.detail);
        assert!(
            failure.detail.contains(part) || part == "http-01",
            "{start}: {}",
            failure.detail
        );
    }
}
