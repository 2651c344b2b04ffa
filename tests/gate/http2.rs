//! HTTP/2 written frame by frame: what clients would not send (rapid reset, CVE-2023-44487).

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    connection::{Client, Http},
    stage::{DEADLINE, HOST, Stage},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field without indexing and with a new name (RFC 7541 section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        field.push(u8::try_from(text.len()).unwrap());
        field.extend(text.as_bytes());
    }
    field
}

/// GET of this path over https.
fn head(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut head = vec![0x82, 0x87];
    head.extend(field(":authority", HOST));
    head.extend(field(":path", path));
    for (name, value) in more {
        head.extend(field(name, value));
    }
    head
}

/// A frame that came back.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// Sends octets after the preface, and reads until the gate closes or has answered stream 3 to its end.
async fn frames_back(client: &Client, octets: &[u8]) -> Vec<Frame> {
    let mut stream = client.tls(HOST).await.expect("a handshake");
    let mut sent = PREFACE.to_vec();
    sent.extend(frame(SETTINGS, 0, 0, &[]));
    sent.extend(octets);
    // The gate may close before it has read all.
    let _ = stream.write_all(&sent).await;
    let read = async {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let frames = frames(&answer);
            let last =
                |it: &Frame| it.stream == 3 && it.kind <= HEADERS && it.flags & END_STREAM != 0;
            if frames.iter().any(last) {
                return frames;
            }
            match stream.read(&mut buffer).await {
                Ok(count @ 1..) => answer.extend_from_slice(&buffer[..count]),
                Ok(_) | Err(_) => return frames,
            }
        }
    };
    timeout(DEADLINE, read).await.expect("an end in time")
}

fn frames(mut octets: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((header, after)) = octets.split_at_checked(9) {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let Some((payload, after)) = after.split_at_checked(length as usize) else {
            break;
        };
        frames.push(Frame {
            kind: header[3],
            flags: header[4],
            stream: u32::from_be_bytes([header[5], header[6], header[7], header[8]]),
            payload: payload.to_vec(),
        });
        octets = after;
    }
    frames
}

fn goaway_code(frames: &[Frame]) -> Option<u8> {
    let goaway = frames.iter().find(|frame| frame.kind == GOAWAY)?;
    goaway.payload.get(7).copied()
}

const ENHANCE_YOUR_CALM: u8 = 11;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_streams_only_to_reset_them_is_sent_away() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let client = Client::new(&stage, Some(&device), Http::Two);
    let mut octets = Vec::new();
    for stream in (1..2000).step_by(2) {
        octets.extend(frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream,
            &head("/v1/devices/hang", &[]),
        ));
        octets.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    let frames = frames_back(&client, &octets).await;
    assert_eq!(goaway_code(&frames), Some(ENHANCE_YOUR_CALM), "{frames:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_sent_away() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let client = Client::new(&stage, Some(&device), Http::Two);
    let mut octets = frame(HEADERS, END_STREAM, 1, &head("/v1/devices/fra/a", &[]));
    let long = "a".repeat(100);
    let padding: Vec<u8> = (0..100).flat_map(|_| field("x-padding", &long)).collect();
    for _ in 0..100 {
        octets.extend(frame(CONTINUATION, 0, 1, &padding));
    }
    let frames = frames_back(&client, &octets).await;
    assert!(goaway_code(&frames).is_some(), "{frames:?}");
    assert!(stage.upstream.take().is_empty());
}

/// h2-to-h1 smuggling: fields of HTTP/1.1's framing, and line ends in a name or value (RFC 9113 section 8.2).
#[tokio::test(flavor = "multi_thread")]
async fn fields_that_would_mean_something_else_in_http_1_are_refused() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let client = Client::new(&stage, Some(&device), Http::Two);
    let good = head("/v1/devices/fra/a", &[("x-a", "b")]);
    let mut octets = frame(HEADERS, END_STREAM | END_HEADERS, 1, &good);
    octets.extend(frame(HEADERS, END_STREAM | END_HEADERS, 3, &good));
    frames_back(&client, &octets).await;
    assert_eq!(stage.upstream.take().len(), 2, "what is right passes");
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "h2c"),
        ("te", "chunked"),
        ("x-a", "b\r\nx-injected: 1"),
        ("x-a", "b\nx-injected: 1"),
        ("x-a\r\nx-injected", "1"),
        ("x-a", "b\0"),
        ("X-Upper", "1"),
        ("x a", "1"),
        (":path", "/certificate-only"),
        ("content-length", "5"),
        ("host", "other.example"),
    ] {
        let mut octets = frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            1,
            &head("/v1/devices/fra/a", &[(name, value)]),
        );
        // A second request, so that there is something to wait for where only the first is refused.
        octets.extend(frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            3,
            &head("/v1/devices/marker", &[]),
        ));
        frames_back(&client, &octets).await;
        let mut received = stage.upstream.take();
        received.retain(|it| it.target != "/v1/devices/marker");
        assert!(received.is_empty(), "{name:?}: {value:?} gave {received:?}");
    }
}
