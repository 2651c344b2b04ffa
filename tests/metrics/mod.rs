//! `GET /metrics` of a real server.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::{Server, eventually};

/// The head, in lower case, and the body.
pub fn scrape(server: &Server) -> (String, String) {
    let mut stream = TcpStream::connect(server.metrics_address()).expect("connected");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.to_lowercase(), body.to_owned())
}

fn value(body: &str, name: &str) -> Option<i64> {
    body.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn metrics_tell_what_is_so_and_name_nobody() {
    let server = Server::start();
    server.enrol("device:fra/sensor-42");
    eventually("the doctor has looked", || {
        value(&scrape(&server).1, "portcullis_check{check=\"list\"}") == Some(0)
    });
    let revoked = server.json(&["cert", "revoke", "device:fra/sensor-42"]);
    let (head, body) = scrape(&server);
    assert!(
        head.starts_with("http/1.1 200")
            && head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"), "{body}");
    for (name, wanted) in [
        (
            "portcullis_certificates_issued_total{profile=\"device\"}",
            1,
        ),
        ("portcullis_certificates_issued_total{profile=\"ocsp\"}", 1),
        (
            "portcullis_certificates_revoked_total{reason=\"unspecified\"}",
            1,
        ),
        ("portcullis_gate_permits_total", 0),
        ("portcullis_gate_denials_total{type=\"no-credential\"}", 0),
        ("portcullis_gate_decisions_dropped_total", 0),
        ("portcullis_failures_total{of=\"store\"}", 0),
        ("portcullis_check{check=\"clock\"}", 0),
        ("portcullis_incidents_open", 0),
    ] {
        assert_eq!(value(&body, name), Some(wanted), "{name}: {body}");
    }
    for name in [
        "portcullis_list_number{issuer=\"root\",shard=\"0\"}",
        "portcullis_list_age_seconds{issuer=\"intermediate\",shard=\"0\"}",
        "portcullis_list_next_update_seconds{issuer=\"intermediate\",shard=\"0\"}",
        "portcullis_ca_certificate_expiry_seconds{issuer=\"root\",role=\"root\",state=\"active\"}",
        "portcullis_server_certificate_expiry_seconds",
        "portcullis_ocsp_responder_expiry_seconds{issuer=\"intermediate\"}",
        "portcullis_standing_epoch",
    ] {
        assert!(value(&body, name).is_some(), "{name}: {body}");
    }
    // Neither who, nor which.
    for secret in [
        "sensor-42",
        "device:",
        revoked["serials"][0].as_str().unwrap_or("sensor-42"),
    ] {
        assert!(!body.contains(secret), "{secret}: {body}");
    }
}

#[test]
fn metrics_can_be_turned_off() {
    let server = Server::builder().without_metrics().start();
    assert!(TcpStream::connect(server.metrics_address()).is_err());
}
