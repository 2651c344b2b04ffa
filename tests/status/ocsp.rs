//! OCSP over HTTP, octet by octet: methods, media types, paths and cache headers (RFC 6960 appendix A, RFC 5019).

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_ca::{
    certificate::IssuerCertificate,
    ocsp::{CertId, HashAlgorithm},
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::support::{DEADLINE, Server};

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// OCSPResponseStatus.
    fn ocsp_status(&self) -> Option<u8> {
        let after = self.body.windows(2).position(|it| it == [0x0a, 1])? + 2;
        self.body.get(after).copied()
    }
}

/// A request as it stands on the wire: no client that tidies paths is between us and the server.
fn exchange(server: &Server, head: &str, body: &[u8]) -> Answer {
    let address = server.status_url().replace("http://", "");
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let head = format!(
        "{head}\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    // A body that is refused unread may not be taken to its end.
    let _ = stream.write_all(body);
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    let end = octets
        .windows(4)
        .position(|it| it == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8(octets[..end].to_vec()).expect("text");
    Answer {
        status: head[9..12].parse().expect("a status"),
        body: octets[end + 4..].to_vec(),
        head,
    }
}

fn intermediate(server: &Server) -> IssuerCertificate {
    let pem = std::fs::read(server.state_dir().join("intermediate.pem")).expect("a file");
    let der = CertificateDer::from_pem_slice(&pem).expect("PEM");
    IssuerCertificate::from_der(&der).expect("an issuer")
}

fn encode(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(length @ 0..0x80) => out.push(length),
        Ok(length) => out.extend([0x81, length]),
        Err(_) => out.extend([0x82, (contents.len() >> 8) as u8, contents.len() as u8]),
    }
    out.extend_from_slice(contents);
    out
}

/// An OCSPRequest about one certificate, with a nonce of so many octets if there is to be one.
fn request(id: &CertId, nonce: Option<usize>) -> Vec<u8> {
    let list = encode(0x30, &encode(0x30, id.to_der()));
    let extensions = nonce.map_or(Vec::new(), |length| {
        let oid = encode(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2]);
        let value = encode(4, &encode(4, &vec![7; length]));
        encode(0xa2, &encode(0x30, &encode(0x30, &[oid, value].concat())))
    });
    encode(0x30, &encode(0x30, &[list, extensions].concat()))
}

const POST: &str = "POST /ocsp HTTP/1.1\r\nContent-Type: application/ocsp-request";

#[test]
fn an_answer_for_everybody_may_be_cached_and_nothing_else_may() {
    let server = Server::start();
    let id = |text: &str| {
        let serial = text.parse().expect("a serial");
        CertId::new(HashAlgorithm::Sha1, &intermediate(&server), serial)
    };
    let plain = request(&id("01"), None);
    let get = |octets: &[u8]| {
        let path = STANDARD.encode(octets);
        exchange(&server, &format!("GET /ocsp/{path} HTTP/1.1"), &[])
    };

    let answer = get(&plain);
    assert_eq!((answer.status, answer.ocsp_status()), (200, Some(0)));
    assert_eq!(
        answer.header("content-type"),
        Some("application/ocsp-response")
    );
    // Half of an hour is more than five minutes.
    assert_eq!(
        answer.header("cache-control"),
        Some("max-age=300, public, no-transform, must-revalidate")
    );
    for name in ["etag", "last-modified", "expires", "date"] {
        assert!(answer.header(name).is_some(), "{name}: {}", answer.head);
    }
    let head = format!("HEAD /ocsp/{} HTTP/1.1", STANDARD.encode(&plain));
    let answer = exchange(&server, &head, &[]);
    assert_eq!((answer.status, answer.body.len()), (200, 0));

    // (what, the answer, HTTP status, OCSPResponseStatus)
    let post = |octets: &[u8]| exchange(&server, POST, octets);
    let strange = {
        let other = intermediate(&Server::start());
        request(
            &CertId::new(
                HashAlgorithm::Sha256,
                &other,
                "01".parse().expect("a serial"),
            ),
            None,
        )
    };
    for (what, answer, status, ocsp) in [
        ("POST", post(&plain), 200, Some(0)),
        (
            "POST with a nonce",
            post(&request(&id("02"), Some(16))),
            200,
            Some(0),
        ),
        (
            "GET with a nonce",
            get(&request(&id("02"), Some(16))),
            200,
            Some(0),
        ),
        (
            "the longest nonce",
            post(&request(&id("02"), Some(128))),
            200,
            Some(0),
        ),
        (
            "an empty nonce",
            post(&request(&id("02"), Some(0))),
            200,
            Some(1),
        ),
        (
            "too long a nonce",
            post(&request(&id("02"), Some(129))),
            200,
            Some(1),
        ),
        ("somebody else's issuer", get(&strange), 200, Some(6)),
        ("no request", post(b"hello"), 200, Some(1)),
        ("nothing", post(b""), 200, Some(1)),
        (
            "trailing data",
            post(&[&plain[..], &[0]].concat()),
            200,
            Some(1),
        ),
        (
            "a path that is no base64",
            exchange(&server, "GET /ocsp/!!! HTTP/1.1", &[]),
            400,
            Some(1),
        ),
        ("too much", post(&[0x30; 8193]), 413, None),
        (
            "another media type",
            exchange(
                &server,
                "POST /ocsp HTTP/1.1\r\nContent-Type: text/plain",
                &plain,
            ),
            415,
            None,
        ),
        (
            "no media type",
            exchange(&server, "POST /ocsp HTTP/1.1", &plain),
            415,
            None,
        ),
        (
            "another method",
            exchange(&server, "PUT /ocsp HTTP/1.1", &plain),
            405,
            None,
        ),
        (
            "GET without a request",
            exchange(&server, "GET /ocsp HTTP/1.1", &[]),
            405,
            None,
        ),
    ] {
        assert_eq!(
            (
                answer.status,
                answer.ocsp_status().filter(|_| ocsp.is_some())
            ),
            (status, ocsp),
            "{what}: {}",
            answer.head
        );
        if status != 405 {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        }
        assert_eq!(answer.header("etag"), None, "{what}");
    }
}

/// Let's Encrypt 2017: a request whose base64 has `//` in it, or that comes after a slash of the client's own, is found.
/// `src/status/ocsp.rs` has the spellings; here they go through the whole server.
#[test]
fn a_get_is_answered_however_its_path_is_written() {
    let server = Server::start();
    let issuer = intermediate(&server);
    // A serial that puts `//` and `+` into the base64, whatever the hashes are: some offset of three will do.
    let text = ["", "00", "0000"]
        .iter()
        .map(|shift| format!("7f{shift}fffffffffffffbefbefbef"))
        .map(|serial| {
            let id = CertId::new(
                HashAlgorithm::Sha1,
                &issuer,
                serial.parse().expect("a serial"),
            );
            STANDARD.encode(request(&id, None))
        })
        .find(|text| text.contains("//") && text.contains('+'))
        .expect("one of three offsets");
    for path in [
        text.clone(),
        format!("/{text}"),
        format!("%2F{text}"),
        text.replace('/', "%2F")
            .replace('+', "%2B")
            .replace('=', "%3D"),
        text.replace('/', "%2f"),
        text.trim_end_matches('=').to_owned(),
    ] {
        let answer = exchange(&server, &format!("GET /ocsp/{path} HTTP/1.1"), &[]);
        assert_eq!(
            (answer.status, answer.ocsp_status()),
            (200, Some(0)),
            "{path}"
        );
    }
}
