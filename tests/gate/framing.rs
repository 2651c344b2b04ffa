//! Requests written octet by octet: what HTTP libraries would not send (Pingora CVE-2025-4366, -2833, -2836).

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    connection::{Client, Http},
    stage::{DEADLINE, HOST, Stage},
};

const PATH: &str = "/v1/devices/fra/a";

/// Sends octets on a connection of its own and reads until the gate closes it. If it doesn't by itself, the other side is
/// closed once an answer is there.
async fn exchange(stage: &Stage, client: &Client, octets: &str) -> (String, Vec<String>) {
    let mut stream = client.tls(HOST).await.expect("a handshake");
    stream.write_all(octets.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..count]);
            // Ours end in a JSON document or in `ok`.
            if answer.ends_with(b"}") || answer.ends_with(b"ok") {
                let _ = stream.shutdown().await;
            }
        }
    };
    timeout(DEADLINE, read).await.expect("an end in time");
    let received = stage.upstream.take();
    let targets = received
        .into_iter()
        .map(|it| {
            format!(
                "{} {} {}",
                it.method,
                it.target,
                String::from_utf8_lossy(&it.body)
            )
        })
        .collect();
    (String::from_utf8_lossy(&answer).into_owned(), targets)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_framing_two_servers_may_read_differently_is_refused() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let client = Client::new(&stage, Some(&device), Http::One);
    let smuggled = format!("GET /certificate-only HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let post = format!("POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\n");
    let cases = [
        (
            "two lengths",
            format!("{post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        ),
        (
            "a signed length",
            format!("{post}Content-Length: +3\r\n\r\nabc"),
        ),
        (
            "a list of lengths",
            format!("{post}Content-Length: 3, 4\r\n\r\nabcd"),
        ),
        (
            "another coding",
            format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunked twice",
            format!(
                "{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "chunked not last",
            format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a hidden coding",
            format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "HTTP/1.0 with a coding",
            format!(
                "POST {PATH} HTTP/1.0\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "a folded line",
            format!("{post}X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
        ),
        (
            "a space before the colon",
            format!("{post}Content-Length : 0\r\n\r\n"),
        ),
        ("no host", format!("GET {PATH} HTTP/1.1\r\n\r\n")),
        (
            "two hosts",
            format!("GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n"),
        ),
        (
            "another authority in the target",
            format!("GET http://other.example{PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
        (
            "a tunnel",
            format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
        (
            "an asterisk",
            format!("OPTIONS * HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
    ];
    for (what, octets) in cases {
        let (answer, received) = exchange(&stage, &client, &octets).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 400"),
            "{what}: {answer}"
        );
        assert!(received.is_empty(), "{what}: {received:?}");
    }

    // RFC 9112 section 6.3: the coding counts, the length goes, and the connection ends with the answer; what follows is
    // no request.
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        let octets = format!("{post}{fields}\r\n3\r\nabc\r\n0\r\n\r\n{smuggled}");
        let (answer, received) = exchange(&stage, &client, &octets).await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{fields}: {answer}");
        assert_eq!(received, [format!("POST {PATH} abc")], "{fields}");
    }
}

/// Pingora CVE-2025-4366: what follows a request for an upgrade was taken for the upgraded protocol before any 101.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_not_passed_on_and_what_follows_is_judged_as_a_request() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let client = Client::new(&stage, Some(&device), Http::One);
    let octets = format!(
        "GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
         DELETE {PATH} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    );
    let mut stream = client.tls(HOST).await.expect("a handshake");
    stream.write_all(octets.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // Once asked for an upgrade, hyper ends the connection without TLS's close_notify; the answers have lengths.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .expect("an end in time");
    let answer = String::from_utf8_lossy(&answer);
    let statuses: Vec<_> = answer
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &answer[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "405"], "{answer}");
    let received = stage.upstream.take();
    assert_eq!(received.len(), 1);
    assert!(!received[0].headers.contains_key("upgrade"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let client = Client::new(&stage, Some(&device), Http::One);
    let padding = "a".repeat(64 * 1024);
    let octets = format!("GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nX-Long: {padding}\r\n\r\n");
    let mut stream = client.tls(HOST).await.expect("a handshake");
    // The gate may stop reading before all of it is sent.
    let _ = stream.write_all(octets.as_bytes()).await;
    let mut answer = vec![0; 12];
    timeout(DEADLINE, stream.read_exact(&mut answer))
        .await
        .expect("an answer in time")
        .expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 431");
    assert!(stage.upstream.take().is_empty());
}
