//! What reaches an upstream: identity from the gate alone, credentials never, bodies as they came.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use super::{
    connection::{BOTH, Client, Http, pieces},
    stage::{ECHO, HOST, Narrowed, Stage},
};

const PATH: &str = "/v1/devices/fra/a";

/// Spellings that an upstream may take for the real field (Traefik CVE-2024-45410, OpenShift CVE-2026-46579).
const SPOOFED: &[(&str, &str)] = &[
    ("portcullis-principal", "device:evil"),
    ("Portcullis_Principal", "device:evil"),
    ("portcullis-scope", "all:*"),
    ("client-cert", ":AA==:"),
    ("client_cert", ":AA==:"),
    ("client-cert-chain", ":AA==:"),
    ("x-forwarded-client-cert", "Hash=1;Subject=\"CN=evil\""),
    ("x_forwarded_client_cert", "Hash=1"),
    ("x-ssl-client-verify", "SUCCESS"),
    ("ssl_client_s_dn", "CN=evil"),
    ("x-forwarded-for", "10.0.0.1"),
    ("forwarded", "for=10.0.0.1"),
    ("x-real-ip", "10.0.0.1"),
    ("x-original-url", "/admin"),
    ("x-http-method-override", "DELETE"),
    ("x-request-id", "chosen"),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_hears_of_the_caller_from_the_gate_alone() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    for http in BOTH {
        let mut connection = Client::new(&stage, Some(&device), http).connect().await;
        let mut fields = SPOOFED.to_vec();
        fields.push(("x-stays", "yes"));
        if http == Http::One {
            fields.push(("connection", "client-cert, portcullis-principal, x-hop"));
            fields.push(("x-hop", "1"));
        }
        let request = connection.request("GET", PATH, &fields);
        let answer = connection.send(request).await.expect("an answer");
        assert_eq!(answer.status, 200);

        let received = stage.upstream.take().remove(0);
        let mut seen: Vec<(String, String)> = received
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        seen.sort();
        let id = answer.headers["x-request-id"].to_str().unwrap();
        let certificate = format!(":{}:", STANDARD.encode(&device.chain[0]));
        let via = match http {
            Http::One => "1.1 portcullis",
            Http::Two => "2 portcullis",
        };
        let expected = [
            ("client-cert", certificate.as_str()),
            ("forwarded", "for=127.0.0.1;proto=https"),
            ("host", HOST),
            ("portcullis-principal", "device:fra/a"),
            ("portcullis-scope", "telemetry:read@devices/fra/a"),
            ("via", via),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", HOST),
            ("x-forwarded-proto", "https"),
            ("x-request-id", id),
            ("x-stays", "yes"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(seen, expected, "{http:?}");
        assert_ne!(id, "chosen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_gate_read_does_not_go_on_and_elsewhere_authorization_does() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let (_, token) = stage.mint("device:fra/a", &Narrowed::default());
    let bearer = format!("Bearer {token}");
    for http in BOTH {
        let mut connection = Client::new(&stage, None, http).connect().await;
        for fields in [
            [("authorization", bearer.as_str())],
            [("x-api-key", token.as_str())],
        ] {
            let request = connection.request("GET", PATH, &fields);
            assert_eq!(
                connection.send(request).await.expect("an answer").status,
                200
            );
            let received = stage.upstream.take().remove(0);
            let text = format!("{:?}", received.headers);
            assert!(!text.contains(&token), "the key went on: {text}");
            assert!(!text.contains("client-cert"), "{text}");
        }
        let mut connection = Client::new(&stage, Some(&device), http).connect().await;
        let fields = [("authorization", "Basic eDp5"), ("x-api-key", "theirs")];
        let request = connection.request("GET", "/certificate-only", &fields);
        assert_eq!(
            connection.send(request).await.expect("an answer").status,
            200
        );
        let received = stage.upstream.take().remove(0);
        assert_eq!(received.headers["authorization"], "Basic eDp5");
        assert_eq!(received.headers["x-api-key"], "theirs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_do_not_carry_an_identity_past_the_gate() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    for http in BOTH {
        let mut connection = Client::new(&stage, Some(&device), http).connect().await;
        let mut trailers = http::HeaderMap::new();
        trailers.insert("portcullis-principal", "device:evil".parse().unwrap());
        trailers.insert("client-cert", ":AA==:".parse().unwrap());
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"data"))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
        let fields = [
            ("trailer", "portcullis-principal, client-cert"),
            ("te", "trailers"),
        ];
        let request = connection.request_with("POST", PATH, &fields, body);
        assert_eq!(
            connection.send(request).await.expect("an answer").status,
            200
        );
        let received = stage.upstream.take().remove(0);
        assert_eq!(received.body, "data", "{http:?}");
        assert!(received.trailers.is_empty(), "{:?}", received.trailers);
        assert!(!received.headers.contains_key("trailer"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_through_in_both_directions_without_waiting_for_their_end() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    // Nothing may be kept until the end.
    stage.apply_policy(ECHO);
    for http in BOTH {
        let mut connection = Client::new(&stage, Some(&device), http).connect().await;
        let (pieces, body) = pieces();
        let request = connection.request_with("POST", "/v1/devices/echo", &[], body);
        pieces.send(Bytes::from_static(b"first")).await.unwrap();
        let response = connection.begin(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        for piece in ["first", "second", "third"] {
            let frame = tokio::time::timeout(super::stage::DEADLINE, body.frame());
            let frame = frame
                .await
                .expect("in time")
                .expect("a frame")
                .expect("no error");
            assert_eq!(frame.into_data().unwrap(), piece, "{http:?}");
            let next = Bytes::from_static(if piece == "first" {
                b"second"
            } else {
                b"third"
            });
            if piece != "third" {
                pieces.send(next).await.unwrap();
            }
        }
        drop(pieces);
        let rest = body.collect().await.expect("a proper end").to_bytes();
        assert!(rest.is_empty(), "{http:?} {rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_that_was_matched_is_the_path_that_goes_on() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let mut connection = Client::new(&stage, Some(&device), Http::One)
        .connect()
        .await;
    let request = connection.request_with(
        "GET",
        "/v1/dev%69ces/fra/%61?x=%2e%2e/",
        &[],
        Full::new(Bytes::new()).boxed(),
    );
    assert_eq!(
        connection.send(request).await.expect("an answer").status,
        200
    );
    assert_eq!(
        stage.upstream.take()[0].target,
        "/v1/devices/fra/a?x=%2e%2e/"
    );
    for path in [
        "/v1/devices/../devices/fra/a",
        "/v1/devices/%2e%2e/a",
        "/v1//devices/a",
        "/v1/devices/a%2fb",
    ] {
        let answer = connection.get(path).await.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (400, "invalid_request"),
            "{path}"
        );
    }
    assert!(stage.upstream.take().is_empty());
}
