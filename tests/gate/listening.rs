//! The listeners that are not the gate's: plain HTTP, TLS and the Unix socket.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router, routing::get};
use portcullis::{
    domain::{Clock, Timestamp},
    listen::{
        ApplicationProtocol, ArrivedAt, ClientCertificates, Limits, Peer, ServerCertificate,
        Serving, TlsSettings, UnixPeer, UnixSocket, bind, serve_plain, serve_tls, serve_unix,
    },
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{pki::Pki, stage::DEADLINE};

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000)
    }
}

fn serving(limits: Limits) -> Serving {
    Serving {
        limits,
        clock: Arc::new(FixedClock),
        shutdown: CancellationToken::new(),
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn router() -> Router {
    Router::new().route(
        "/",
        get(
            |Extension(at): Extension<ArrivedAt>,
             peer: Option<Extension<Peer>>,
             unix: Option<Extension<UnixPeer>>| async move {
                let who = match (peer, unix) {
                    (Some(Extension(peer)), None) => format!("{}", peer.address.ip()),
                    (None, Some(Extension(unix))) => format!("uid {}", unix.uid),
                    _ => "nobody".to_owned(),
                };
                Ok::<_, Infallible>(format!("{who} at {}", at.0))
            },
        ),
    )
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> String {
    stream.write_all(REQUEST).await.unwrap();
    let mut text = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut text))
        .await
        .expect("an answer in time")
        .expect("text");
    text
}

#[tokio::test]
async fn a_plain_listener_says_who_came_and_when() {
    let listener = bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serving(Limits::default());
    let shutdown = serving.shutdown.clone();
    let server = tokio::spawn(serve_plain(listener, router(), serving));
    let text = answer(TcpStream::connect(address).await.unwrap()).await;
    assert!(
        text.ends_with("127.0.0.1 at 2027-01-15T08:00:00Z"),
        "{text}"
    );
    shutdown.cancel();
    timeout(DEADLINE, server).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_unix_listener_says_which_user_came_and_leaves_no_socket_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let serving = serving(Limits::default());
    let shutdown = serving.shutdown.clone();
    let socket = UnixSocket::bind(&path).unwrap();
    let server = tokio::spawn(serve_unix(socket, router(), serving));
    let text = answer(UnixStream::connect(&path).await.unwrap()).await;
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap());
    assert!(
        text.ends_with(&format!("uid {uid} at 2027-01-15T08:00:00Z")),
        "{text}"
    );
    shutdown.cancel();
    timeout(DEADLINE, server).await.unwrap().unwrap().unwrap();
    assert!(!path.exists());
}

/// Slow headers and half-open handshakes (slowloris): whoever says nothing is let go.
#[tokio::test]
async fn a_client_that_does_not_go_on_is_let_go() {
    let limits = Limits {
        head_timeout: Duration::from_millis(100),
        handshake_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let plain = bind(loopback()).unwrap();
    let tls = bind(loopback()).unwrap();
    let addresses = [plain.local_addr().unwrap(), tls.local_addr().unwrap()];
    let serving = serving(limits);
    tokio::spawn(serve_plain(plain, router(), serving.clone()));
    let identity = Pki::new(OffsetDateTime::now_utc()).server(&["x.example"]);
    let settings = TlsSettings {
        certificate: Arc::new(
            ServerCertificate::new(identity.chain.clone(), identity.key()).unwrap(),
        ),
        clients: ClientCertificates::NotAsked,
        protocols: vec![ApplicationProtocol::Http1],
        clock: Arc::new(FixedClock),
    };
    tokio::spawn(async move { serve_tls(tls, &settings, router(), serving).await });
    // Nothing at all; the beginning of a request; the beginning of a TLS record.
    for address in addresses {
        for start in [&b""[..], b"GET / HT", b"\x16\x03\x01"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(start).await.unwrap();
            let mut rest = Vec::new();
            let ended = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "{start:?} is still connected");
        }
    }
}

#[tokio::test]
async fn no_more_connections_are_served_than_the_limit() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let listener = bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_plain(listener, router(), serving(limits)));
    let first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    let mut octet = [0];
    // The second one waits for as long as the first is there, however long that is.
    let early = timeout(Duration::from_millis(200), second.read_exact(&mut octet)).await;
    assert!(
        early.is_err(),
        "the second connection was served beside the first"
    );
    drop(first);
    timeout(DEADLINE, second.read_exact(&mut octet))
        .await
        .expect("an answer in time")
        .expect("an answer");
}
