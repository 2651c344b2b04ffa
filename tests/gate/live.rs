//! What happens to established connections, idle and in mid-stream, when standing is lost (EMQX #10992, nuts-node,
//! grpc-java, Envoy #17999: they lived on).

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    connection::{BOTH, Client, Connected, Http, pieces},
    pki::Leaf,
    stage::{DEADLINE, ECHO, HOST, Narrowed, Stage},
};

const PATH: &str = "/v1/devices/fra/a";
const STREAM: &str = "/v1/devices/stream";

async fn next(body: &mut Incoming) -> Option<Result<(), hyper::Error>> {
    let frame = timeout(DEADLINE, body.frame())
        .await
        .expect("a frame in time");
    frame.map(|frame| frame.map(|_| ()))
}

/// Reads until the stream breaks; it must not end as if it were complete.
async fn broken(mut body: Incoming) {
    let all = async {
        loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                Some(Err(_)) => return,
                None => panic!("the stream ended as if it were complete"),
            }
        }
    };
    timeout(DEADLINE, all)
        .await
        .expect("the stream breaks in time");
}

async fn streaming(connection: &mut Connected, fields: &[(&str, &str)]) -> Incoming {
    let request = connection.request("GET", STREAM, fields);
    let response = connection.begin(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    for _ in 0..3 {
        next(&mut body).await.expect("a stream").expect("a frame");
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_of_a_revoked_certificate_is_closed() {
    let stage = Stage::open().await;
    for http in BOTH {
        let device = stage.pki.client("device/fra/a");
        let client = Client::new(&stage, Some(&device), http);
        let mut used = client.connect().await;
        assert_eq!(used.get(PATH).await.expect("an answer").status, 200);
        let fresh = client.connect().await;
        stage.revoke(&device);
        used.closed().await;
        fresh.closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_revoked_certificate_breaks_and_nobody_elses_does() {
    let stage = Stage::open().await;
    let bystander = stage.pki.client("device/fra/b");
    for http in BOTH {
        let device = stage.pki.client("device/fra/a");
        let mut other = Client::new(&stage, Some(&bystander), http).connect().await;
        let mut others = streaming(&mut other, &[]).await;
        let mut connection = Client::new(&stage, Some(&device), http).connect().await;
        let body = streaming(&mut connection, &[]).await;
        stage.revoke(&device);
        broken(body).await;
        connection.closed().await;
        for _ in 0..20 {
            next(&mut others).await.expect("a stream").expect("a frame");
        }
    }
}

/// What the kernel still holds back for a slow reader is not for a revoked one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_buffered_for_a_revoked_reader_is_thrown_away() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let client = Client::new(&stage, Some(&device), Http::One);
    let mut stream = client.tls(HOST).await.expect("a handshake");
    let request = format!("GET /v1/devices/flood HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut buffer = vec![0; 4096];
    stream
        .read_exact(&mut buffer)
        .await
        .expect("the flood begins");
    // Time for the buffers between to fill; however full they are, the end must be a reset.
    tokio::time::sleep(Duration::from_millis(200)).await;
    stage.revoke(&device);
    let gone = async {
        while stage.gate.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(error.kind()),
            }
        }
    };
    let end = timeout(DEADLINE, gone).await.expect("an end in time");
    assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_its_upstream_is_reset_on_revocation() {
    let stage = Stage::open().await;
    for http in BOTH {
        let device = stage.pki.client("device/fra/a");
        let mut connection = Client::new(&stage, Some(&device), http).connect().await;
        let request = connection.request("GET", "/v1/devices/hang", &[]);
        let waiting = tokio::spawn(async move { connection.begin(request).await.map(|_| ()) });
        while stage.upstream.take().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage.revoke(&device);
        let outcome = timeout(DEADLINE, waiting).await.expect("an end in time");
        assert!(outcome.expect("no panic").is_err(), "{http:?}");
    }
}

/// No request begun after the revocation returned gets a 2xx, whoever is first: the request or the watcher.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_begun_after_a_revocation_is_permitted() {
    let stage = Stage::open().await;
    for http in BOTH {
        for _ in 0..20 {
            let device = stage.pki.client("device/fra/a");
            let mut connection = Client::new(&stage, Some(&device), http).connect().await;
            assert_eq!(connection.get(PATH).await.expect("an answer").status, 200);
            stage.upstream.take();
            stage.revoke(&device);
            if let Ok(answer) = connection.get(PATH).await {
                assert_eq!(
                    (answer.status.as_u16(), answer.problem().as_str()),
                    (401, "certificate-revoked")
                );
            }
            assert!(stage.upstream.take().is_empty(), "it reached the upstream");
            connection.closed().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_closed_when_its_certificate_expires() {
    let stage = Stage::open().await;
    let mut life = time::Duration::minutes(10);
    for http in BOTH {
        let device = stage.pki.leaf(&Leaf {
            uris: &["spiffe://home.example/device/fra/a"],
            life,
            ..Leaf::default()
        });
        life += time::Duration::minutes(20);
        let client = Client::new(&stage, Some(&device), http);
        let mut idle = client.connect().await;
        assert_eq!(idle.get(PATH).await.expect("an answer").status, 200);
        let mut busy = client.connect().await;
        let body = streaming(&mut busy, &[]).await;
        stage.advance(Duration::from_secs(1200));
        broken(body).await;
        idle.closed().await;
        busy.closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_principal_loses_its_connections() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let mut connection = Client::new(&stage, Some(&device), Http::Two)
        .connect()
        .await;
    let body = streaming(&mut connection, &[]).await;
    stage.suspend("device:fra/a");
    broken(body).await;
    connection.closed().await;
    let mut again = Client::new(&stage, Some(&device), Http::Two)
        .connect()
        .await;
    let answer = again.get(PATH).await.expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (401, "principal-suspended")
    );
}

/// Where only a key was lost, its own streams are reset and the connection lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_revoked_key_breaks_and_its_connection_lives() {
    use portcullis::domain::event::TrustEvent;

    let stage = Stage::open().await;
    let (lost, lost_token) = stage.mint("device:fra/a", &Narrowed::default());
    let (_, kept_token) = stage.mint("device:fra/b", &Narrowed::default());
    let lost_token = format!("Bearer {lost_token}");
    let kept_token = format!("Bearer {kept_token}");
    let mut connection = Client::new(&stage, None, Http::Two).connect().await;
    let body = streaming(&mut connection, &[("authorization", &lost_token)]).await;
    let mut others = streaming(&mut connection, &[("authorization", &kept_token)]).await;
    stage.apply(&TrustEvent::ApiKeyRevoked(lost.id));
    broken(body).await;
    for _ in 0..20 {
        next(&mut others).await.expect("a stream").expect("a frame");
    }
    let request = connection.request("GET", PATH, &[("authorization", &lost_token)]);
    let answer = connection.send(request).await.expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (401, "invalid_token")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_breaks_when_its_key_expires() {
    let stage = Stage::open().await;
    let narrowed = Narrowed {
        expires_in: Some(Duration::from_secs(60)),
        ..Narrowed::default()
    };
    let (_, token) = stage.mint("device:fra/a", &narrowed);
    let token = format!("Bearer {token}");
    let mut connection = Client::new(&stage, None, Http::Two).connect().await;
    let body = streaming(&mut connection, &[("authorization", &token)]).await;
    stage.advance(Duration::from_secs(61));
    broken(body).await;
}

/// A scope that is taken away ends the streams that needed it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_breaks_when_the_policy_denies_it() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let mut connection = Client::new(&stage, Some(&device), Http::Two)
        .connect()
        .await;
    let body = streaming(&mut connection, &[]).await;
    stage.apply_policy("[[deny]]\nto = \"device:fra/a\"\nscope = \"telemetry:read@devices/**\"\n");
    broken(body).await;
    let answer = connection.get(PATH).await.expect("the connection lives");
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (403, "insufficient_scope")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_closes_what_is_idle_and_takes_no_new_connection() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let address = stage.address();
    let client = Client::new(&stage, Some(&device), Http::One);
    let mut idle = client.connect().await;
    assert_eq!(idle.get(PATH).await.expect("an answer").status, 200);
    let ended = tokio::task::spawn_blocking(move || stage.gate.shutdown());
    timeout(DEADLINE, ended)
        .await
        .expect("an end in time")
        .expect("no panic");
    idle.closed().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_an_answer_under_way_end_and_then_its_connection() {
    for http in BOTH {
        let stage = Stage::open().await;
        stage.apply_policy(ECHO);
        let device = stage.pki.client("device/fra/a");
        let address = stage.address();
        let mut connection = Client::new(&stage, Some(&device), http).connect().await;
        let (pieces, body) = pieces();
        let request = connection.request_with("POST", "/v1/devices/echo", &[], body);
        pieces.send(Bytes::from_static(b"first")).await.unwrap();
        let response = connection.begin(request).await.expect("an answer");
        let mut body = response.into_body();
        next(&mut body).await.expect("a body").expect("a frame");

        let ended = tokio::task::spawn_blocking(move || stage.gate.shutdown());
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        pieces.send(Bytes::from_static(b"last")).await.unwrap();
        drop(pieces);
        let rest = timeout(DEADLINE, body.collect()).await.expect("in time");
        assert_eq!(rest.expect("a proper end").to_bytes(), "last");
        assert!(
            connection.get(PATH).await.is_err(),
            "{http:?}: a new request"
        );
        timeout(DEADLINE, ended)
            .await
            .expect("an end in time")
            .expect("no panic");
    }
}
