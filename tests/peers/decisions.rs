//! The gate's decisions in their log, with a real server and curl.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    gate::{PATH, curl, policy, with_certificate},
    program::succeeds,
};
use crate::support::{Server, eventually};

fn lines(server: &Server) -> Vec<Value> {
    let text = fs::read_to_string(server.state_dir().join("decisions.log")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

fn call(server: &Server, path: &str, device: Option<&Path>) -> Option<String> {
    let mut curl = curl(server, "--http1.1", path)?;
    if let Some(device) = device {
        with_certificate(&mut curl, device);
    }
    Some(succeeds(&mut curl))
}

#[test]
fn every_decision_is_logged_and_a_killed_server_keeps_what_was_written() {
    let mut server = Server::builder().policy(&policy()).start();
    let device = server.enrol("device:fra/sensor-42");
    let secret = "canary-in-the-query";
    let path = format!("{PATH}?token={secret}");
    if call(&server, &path, Some(&device)).is_none() {
        return;
    }
    call(&server, PATH, None).expect("curl");
    let others = "/v1/devices/fra/sensor-43/telemetry";
    call(&server, others, Some(&device)).expect("curl");
    eventually("three decisions are written", || lines(&server).len() == 3);
    let logged = lines(&server);
    let field = |index: usize, name: &str| logged[index][name].as_str().unwrap_or("").to_owned();
    assert_eq!(field(0, "decision"), "permit");
    assert_eq!(field(0, "principal"), "device:fra/sensor-42");
    assert_eq!(field(0, "scope"), "telemetry:write@devices/fra/sensor-42");
    assert_eq!(field(0, "path"), PATH);
    assert_eq!(field(0, "method"), "POST");
    assert_eq!(logged[0]["route"].as_u64(), Some(0));
    let serial = super::openssl::serial(&device.join("current/cert.pem")).expect("openssl");
    assert_eq!(field(0, "serial"), serial);
    assert_eq!(field(1, "decision"), "denial");
    assert_eq!(field(1, "reason"), "no-credential");
    assert_eq!(field(2, "reason"), "insufficient_scope");
    assert_eq!(field(2, "principal"), "device:fra/sensor-42");
    assert!(logged.iter().all(|line| line["rule"].is_string()
        && line["request_id"].as_str().is_some_and(|id| id.len() == 32)));
    assert!(!format!("{logged:?}").contains(secret));

    // What was written survives the process; the next one goes on after it.
    server.kill();
    server.restart();
    call(&server, PATH, Some(&device)).expect("curl");
    eventually("the fourth is written", || lines(&server).len() == 4);
    assert_eq!(lines(&server)[..3], logged);

    // An end that was asked for loses nothing: there is no waiting here.
    call(&server, PATH, None).expect("curl");
    assert!(server.terminate().success());
    assert_eq!(lines(&server).len(), 5);
}

#[test]
fn a_full_disk_does_not_stop_the_gate_and_is_counted() {
    let server = Server::builder()
        .policy(&policy())
        .config("[gate.decisions]\nfile = \"/dev/full\"")
        .start();
    let device = server.enrol("device:fra/sensor-42");
    for _ in 0..3 {
        let Some(said) = call(&server, PATH, Some(&device)) else {
            return;
        };
        assert!(said.ends_with("\n200"), "{said}");
    }
    eventually("three decisions are counted as lost", || {
        crate::metrics::scrape(&server)
            .1
            .contains("portcullis_gate_decisions_failed_total 3\n")
    });
    assert!(
        server.log().contains("alarm=\"decisions\""),
        "{}",
        server.log()
    );
}

#[test]
fn decisions_need_not_be_logged() {
    let server = Server::builder()
        .policy(&policy())
        .config("[gate.decisions]\nfile = \"\"")
        .start();
    let Some(said) = call(&server, PATH, None) else {
        return;
    };
    assert!(said.ends_with("\n401"), "{said}");
    assert!(!server.state_dir().join("decisions.log").exists());
}
