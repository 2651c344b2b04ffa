//! curl calls an API through the gate.

use std::{path::Path, process::Command};

use super::{
    program::{fails, program, succeeds},
    upstream,
};
use crate::support::Server;

pub const PATH: &str = "/v1/devices/fra/sensor-42/telemetry";

#[test]
fn curl_calls_through_the_gate_with_its_certificate() {
    let server = server();
    let device = server.enrol("device:fra/sensor-42");
    for version in ["--http1.1", "--http2"] {
        let Some(mut curl) = curl(&server, version, PATH) else {
            return;
        };
        let said = succeeds(with_certificate(&mut curl, &device));
        assert!(said.ends_with("\n200"), "{version}: {said}");
        // What the upstream was told.
        let told = said.to_lowercase();
        assert!(
            told.contains("portcullis-principal: device:fra/sensor-42"),
            "{version}: {said}"
        );
    }
}

#[test]
fn curl_is_refused_where_its_certificate_does_not_reach() {
    let server = server();
    let device = server.enrol("device:fra/sensor-42");
    let others = "/v1/devices/fra/sensor-43/telemetry";
    let Some(mut without) = curl(&server, "--http1.1", PATH) else {
        return;
    };
    let said = succeeds(&mut without);
    assert!(said.ends_with("\n401"), "no credential: {said}");

    let mut elsewhere = curl(&server, "--http1.1", others).expect("curl");
    let said = succeeds(with_certificate(&mut elsewhere, &device));
    assert!(said.ends_with("\n403"), "another device's path: {said}");
    assert!(said.contains("insufficient_scope"), "{said}");

    let serial = super::openssl::serial(&device.join("current/cert.pem")).expect("openssl");
    server.json(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    // Refused in the handshake, or by the first answer: never served.
    let mut revoked = curl(&server, "--http1.1", PATH).expect("curl");
    let said = fails(with_certificate(&mut revoked, &device).arg("--fail"));
    assert!(!said.ends_with("\n200"), "revoked: {said}");
}

#[test]
fn curl_calls_with_an_api_key_of_the_same_principal() {
    let server = server();
    let made = server.json(&["key", "create", "device:fra/sensor-42"]);
    let key = made["token"].as_str().unwrap_or_else(|| panic!("{made}"));
    let Some(mut curl) = curl(&server, "--http2", PATH) else {
        return;
    };
    let said = succeeds(curl.args(["--header", &format!("Authorization: Bearer {key}")]));
    assert!(said.ends_with("\n200"), "{said}");
    assert!(!said.contains(key), "the key reached the upstream: {said}");
}

fn server() -> Server {
    Server::builder().policy(&policy()).start()
}

/// A policy with one route, to an upstream that is up.
pub fn policy() -> String {
    let upstream = upstream::start();
    format!(
        r#"
            [[role]]
            name = "sensor"
            allow = ["telemetry:write@devices/{{self}}/**"]

            [[bind]]
            role = "sensor"
            to = "device:**"

            [[route]]
            host = "localhost"
            path = "/v1/devices/{{device...}}/telemetry"
            methods = ["POST"]
            auth = ["certificate", "api-key"]
            scope = "telemetry:write@devices/{{device...}}"
            upstream = "http://{upstream}"
            "#
    )
}

/// A POST that prints the body, and then the status code on a line of its own.
pub fn curl(server: &Server, version: &str, path: &str) -> Option<Command> {
    let mut curl = program("curl")?;
    curl.args(["--silent", "--show-error", "--max-time", "30", version])
        .args(["--write-out", "\n%{http_code}", "--data", "21.5"])
        .arg("--cacert")
        .arg(server.root_pem_path())
        .arg(format!(
            "https://localhost:{}{path}",
            server.gate_addr().port()
        ));
    Some(curl)
}

/// The same with a device's certificate.
pub fn with_certificate<'a>(curl: &'a mut Command, device: &Path) -> &'a mut Command {
    curl.arg("--cert")
        .arg(device.join("current/cert.pem"))
        .arg("--key")
        .arg(device.join("current/key.pem"))
}
