//! `portcullis doctor` with a real server.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;

use crate::support::{Server, eventually};

/// What `doctor` says of a check, and its exit code.
fn doctor(server: &Server, check: &str) -> (Option<i32>, String) {
    let output = server.cli(&["--json", "doctor"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        report["exit_code"].as_i64(),
        output.status.code().map(i64::from)
    );
    let findings = report["findings"].as_array().expect("findings");
    let worst = findings
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("{check}: {report:#}"));
    let severity = worst["severity"].as_str().expect("a severity").to_owned();
    (output.status.code(), severity)
}

#[test]
fn the_exit_code_follows_the_intermediate_to_its_end() {
    const DAY: u64 = 86_400;
    let server = Server::start();
    assert_eq!(doctor(&server, "ca-expiry"), (Some(0), "ok".to_owned()));
    let table = server.cli(&["doctor"]);
    let said = String::from_utf8(table.stdout).expect("text");
    for check in ["ca-expiry", "list", "clock", "ocsp-responder", "ca-key"] {
        assert!(said.contains(check), "{check}: {said}");
    }
    // Keys in files that no passphrase seals are no alarm, but they are told.
    assert!(said.contains("--passphrase-file"), "{said}");
    let quiet = server.cli(&["doctor", "--quiet"]);
    let quiet = String::from_utf8(quiet.stdout).expect("text");
    assert!(
        !quiet.contains("certificate-count") && quiet.contains("ca-key"),
        "{quiet}"
    );
    drop(server);

    // Three years, of which the doctor wants the last 90 days for replacing it.
    let ahead = |days: u64, hours: u64| {
        let seconds = (days * DAY + hours * 3600).to_string();
        let mut server = Server::start();
        server.serve_with(&["--test-clock-ahead", &seconds]);
        server.restart();
        server
    };
    let server = ahead(1010, 0);
    assert_eq!(
        doctor(&server, "ca-expiry"),
        (Some(1), "warning".to_owned())
    );
    let server = ahead(1094, 12);
    assert_eq!(
        doctor(&server, "ca-expiry"),
        (Some(2), "critical".to_owned())
    );
    eventually("the log says so, too", || {
        server.log().contains("alarm=\"ca-expiry\"")
    });
}

/// The list of a root whose key is offline is renewed by people, who must be told in time: long before it is stale, in
/// exit code, metric and log.
#[test]
fn the_list_of_an_offline_root_is_told_of_long_before_it_ends() {
    const DAY: u64 = 86_400;
    let mut server = Server::start();
    let scratch = server.scratch("offline");
    let (key, phrase) = (scratch.join("root.key"), scratch.join("passphrase"));
    fs::write(&phrase, "a ceremony\n").expect("written");
    fs::set_permissions(&phrase, fs::Permissions::from_mode(0o600)).expect("a file");
    let path = |path: &Path| path.to_str().expect("text").to_owned();
    server.json(&[
        "ca",
        "root",
        "export",
        "--to",
        &path(&key),
        "--passphrase-file",
        &path(&phrase),
    ]);
    assert_eq!(doctor(&server, "offline-list"), (Some(0), "ok".to_owned()));
    // 400 days, of which the last 100 are for arranging the ceremony.
    for (days, code, severity) in [
        (310, 1, "warning"),
        (380, 2, "critical"),
        (410, 2, "critical"),
    ] {
        let seconds = (days * DAY).to_string();
        server.serve_with(&["--test-clock-ahead", &seconds]);
        server.restart();
        assert_eq!(
            doctor(&server, "offline-list"),
            (Some(code), severity.to_owned()),
            "{days} days"
        );
        let metric = format!("portcullis_check{{check=\"offline-list\"}} {code}\n");
        eventually("the metric and the log say so, too", || {
            crate::metrics::scrape(&server).1.contains(&metric)
                && server.log().contains("alarm=\"offline-list\"")
        });
    }
}

#[test]
fn a_server_that_does_not_run_is_no_good_health() {
    let mut server = Server::start();
    server.terminate();
    let output = server.cli(&["doctor"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(
        said.contains("nothing could be examined") && said.contains("portcullis serve"),
        "{said}"
    );
}
