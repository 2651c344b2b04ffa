//! Bad input and slow senders against a real server: each is cut off, with an answer where one can still be given.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis::acme::jws::MAX_BODY_BYTES;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};

use super::client::{Key, encode, mac};
use crate::support::{DEADLINE, Server};

type Tls = StreamOwned<ClientConnection, TcpStream>;

const HEAD: &str =
    "POST /acme/new-account HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/jose+json\r\n";

/// A server whose patience is a second.
fn impatient() -> Server {
    Server::builder()
        .config("[server.limits]\nhandshake_seconds = 1\nhead_seconds = 1\nbody_seconds = 1\ndrain_seconds = 1")
        .start()
}

fn tls_config(server: &Server, protocol: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(server.root_pem_path()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

fn port(server: &Server) -> u16 {
    let url: url::Url = server.directory_url().parse().unwrap();
    url.port().unwrap()
}

fn tcp(server: &Server) -> TcpStream {
    let tcp = TcpStream::connect(("127.0.0.1", port(server))).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp
}

fn connect(server: &Server, protocol: &[u8]) -> Tls {
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(tls_config(server, protocol), name).unwrap();
    let mut stream = StreamOwned::new(session, tcp(server));
    // Until the handshake is over, nothing of HTTP has begun.
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream
}

/// What comes until the server closes the connection. That it does, is what is tested.
fn until_closed(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!(
                    "still connected after {DEADLINE:?}: {}",
                    String::from_utf8_lossy(&text)
                );
            }
            // A connection that is cut off ends without TLS's farewell.
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Sends one octet after the other, with breaks, until the server answers or closes.
fn dribble(stream: &mut Tls, octets: impl IntoIterator<Item = u8>) -> String {
    stream
        .sock
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut first = [0; 4096];
    let mut said = String::new();
    for octet in octets {
        if stream
            .write_all(&[octet])
            .and_then(|()| stream.flush())
            .is_err()
        {
            break;
        }
        match stream.read(&mut first) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(0) | Err(_) => return said,
            Ok(count) => {
                said = String::from_utf8_lossy(&first[..count]).into_owned();
                break;
            }
        }
    }
    stream.sock.set_read_timeout(Some(DEADLINE)).unwrap();
    said + &until_closed(stream)
}

/// Status and type of the problem, and that the answer is one that a client can go on from.
fn problem(answer: &str) -> (u16, String) {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(head.to_lowercase().contains("replay-nonce: "), "{head}");
    let problem: Value =
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert!(!problem["detail"].as_str().unwrap().is_empty());
    (
        status,
        problem["type"]
            .as_str()
            .unwrap()
            .rsplit(':')
            .next()
            .unwrap()
            .to_owned(),
    )
}

fn malformed(status: u16) -> (u16, String) {
    (status, "malformed".to_owned())
}

#[test]
fn slow_and_endless_senders_are_cut_off_with_an_answer_where_there_can_be_one() {
    let server = impatient();
    let forever = || std::iter::repeat_n(b' ', 100_000);

    // Before there is a request nothing can be answered.
    assert_eq!(until_closed(&mut tcp(&server)), "", "no handshake");
    let mut half = tcp(&server);
    half.write_all(b"\x16\x03\x01").unwrap();
    assert_eq!(until_closed(&mut half), "", "half a handshake");
    assert_eq!(
        until_closed(&mut connect(&server, b"http/1.1")),
        "",
        "no request"
    );
    let mut slow_head = connect(&server, b"http/1.1");
    assert_eq!(
        dribble(&mut slow_head, HEAD.bytes().chain(forever())),
        "",
        "a slow head"
    );

    // A head that is too long, one that promises too much, and a body that goes on and on.
    let mut long_head = connect(&server, b"http/1.1");
    let filler = format!("{HEAD}X-Filler: {}\r\n\r\n", "x".repeat(40_000));
    long_head.write_all(filler.as_bytes()).unwrap();
    let answer = until_closed(&mut long_head);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
    let mut huge = connect(&server, b"http/1.1");
    write!(huge, "{HEAD}Content-Length: 1000000000000\r\n\r\n").unwrap();
    assert_eq!(problem(&until_closed(&mut huge)), malformed(413));
    let mut endless = connect(&server, b"http/1.1");
    write!(endless, "{HEAD}Transfer-Encoding: chunked\r\n\r\n").unwrap();
    let size = MAX_BODY_BYTES + 1;
    write!(endless, "{size:x}\r\n{}\r\n", "a".repeat(size)).unwrap();
    assert_eq!(problem(&until_closed(&mut endless)), malformed(413));

    // A body that comes slowly, or stops coming.
    for framing in ["Content-Length: 50000", "Transfer-Encoding: chunked"] {
        let mut stalled = connect(&server, b"http/1.1");
        write!(stalled, "{HEAD}{framing}\r\n\r\n").unwrap();
        assert_eq!(
            problem(&until_closed(&mut stalled)),
            malformed(408),
            "{framing}"
        );
    }
    let mut slow = connect(&server, b"http/1.1");
    write!(slow, "{HEAD}Content-Length: 50000\r\n\r\n").unwrap();
    assert_eq!(problem(&dribble(&mut slow, forever())), malformed(408));

    // And a few hundred that do nothing, beside which everybody else is served.
    let mut idle: Vec<_> = (0..300).map(|_| connect(&server, b"http/1.1")).collect();
    server.enrol("device:fra/sensor-42");
    for stream in &mut idle {
        assert_eq!(until_closed(stream), "");
    }
}

#[test]
fn slow_senders_are_cut_off_in_http_2_as_well() {
    let server = impatient();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // Nothing; the preface and nothing; a head without an end, between whose pieces there can be nothing else.
    let half_a_head = [&preface[..], b"\0\0\x01\x01\0\0\0\0\x01\x83"].concat();
    for (what, octets) in [
        ("no preface", &b""[..]),
        ("no request", preface),
        ("half a head", &half_a_head),
    ] {
        let mut stream = connect(&server, b"h2");
        stream.write_all(octets).unwrap();
        stream.flush().unwrap();
        until_closed(&mut stream);
        let _ = what;
    }

    // Bodies that stop coming: each stream is answered, and the connection goes on.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let tls = tokio_rustls::TlsConnector::from(tls_config(&server, b"h2"));
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port(&server)))
            .await
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let io = TokioIo::new(tls.connect(name, tcp).await.unwrap());
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .unwrap();
        tokio::spawn(connection);
        let stalled = (0..50).map(|_| {
            let mut sender = sender.clone();
            let url = server.directory_url().replace("directory", "new-account");
            async move {
                let first = futures_util::stream::once(async {
                    Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"{")))
                });
                let body = futures_util::StreamExt::chain(first, futures_util::stream::pending());
                let request = Request::post(url)
                    .header("content-type", "application/jose+json")
                    .body(StreamBody::new(Box::pin(body)))
                    .unwrap();
                sender.ready().await.unwrap();
                let answer = sender.send_request(request).await.unwrap();
                (
                    answer.status(),
                    answer.into_body().collect().await.unwrap().to_bytes(),
                )
            }
        });
        let answers = tokio::time::timeout(DEADLINE, futures_util::future::join_all(stalled));
        for (status, body) in answers.await.unwrap() {
            assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
            let problem: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["type"], "urn:ietf:params:acme:error:malformed");
        }
    });
}

/// A request on a connection of its own.
fn exchange(server: &Server, head: &str, body: &str) -> String {
    let mut stream = connect(server, b"http/1.1");
    write!(
        stream,
        "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    until_closed(&mut stream)
}

#[test]
fn json_that_is_nested_without_end_is_refused_wherever_it_stands() {
    let server = Server::start();
    let url = server.directory_url().replace("directory", "new-account");
    let key = Key::new();
    let protected = || {
        let head = "HEAD /acme/new-nonce HTTP/1.1\r\nHost: localhost\r\n";
        let answer = exchange(&server, head, "").to_lowercase();
        // Header names are case-insensitive, and this is only asked whether there is one.
        assert!(answer.contains("replay-nonce: "), "{answer}");
        let raw = exchange(&server, head, "");
        let nonce = raw
            .lines()
            .find_map(|line| line.strip_prefix("replay-nonce: "))
            .unwrap()
            .to_owned();
        json!({"alg": key.algorithm(), "jwk": key.jwk(), "nonce": nonce, "url": url})
    };
    let deep = |depth: usize| "[".repeat(depth);
    let with_payload = |payload: &str| key.jws(&protected(), payload).to_string();
    let eab = |protected: &str| json!({"protected": protected, "payload": "", "signature": ""});
    let bound =
        |binding: &Value| with_payload(&json!({"externalAccountBinding": binding}).to_string());
    let in_protected = format!("{{\"alg\":{}", deep(90_000));
    for (what, body) in [
        ("the body", format!("{{\"payload\":{}", deep(100_000))),
        (
            "the payload",
            with_payload(&format!("{{\"contact\":{}", deep(80_000))),
        ),
        (
            "the protected header",
            json!({"protected": encode(&in_protected), "payload": "", "signature": ""}).to_string(),
        ),
        ("objects", with_payload(&"{\"a\":".repeat(16_000))),
        (
            "the binding",
            with_payload(&format!("{{\"externalAccountBinding\":{}", deep(80_000))),
        ),
        (
            "the binding's protected header",
            bound(&eab(&encode(format!("{{\"alg\":{}", deep(50_000))))),
        ),
        (
            "the binding's payload",
            bound(&{
                let mut binding = mac(
                    &[7; 32],
                    &json!({"alg": "HS256", "kid": "x", "url": url}),
                    &json!({}),
                );
                binding["payload"] = encode(format!("{{\"kty\":{}", deep(50_000))).into();
                binding
            }),
        ),
    ] {
        assert!(body.len() <= MAX_BODY_BYTES, "{what}: {}", body.len());
        let answer = exchange(&server, HEAD, &body);
        assert_eq!(problem(&answer), malformed(400), "{what}");
        assert!(answer.contains("deeper than 16"), "{what}: {answer}");
    }
}

#[test]
fn a_running_server_counts_requests_by_where_they_come_from() {
    let server = Server::builder()
        .config("[acme.limits]\nrequests_per_network = \"3/1h\"\nexempt_networks = []")
        .start();
    let head = "GET /acme/directory HTTP/1.1\r\nHost: localhost\r\n";
    let statuses: Vec<_> = (0..4)
        .map(|_| exchange(&server, head, "")[..12].to_owned())
        .collect();
    assert_eq!(
        statuses,
        [
            "HTTP/1.1 200",
            "HTTP/1.1 200",
            "HTTP/1.1 200",
            "HTTP/1.1 429"
        ]
    );
}
