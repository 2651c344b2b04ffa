//! `portcullis cert revoke` in all its forms, on a real server.

use std::{fs, process::Output};

use portcullis::{
    domain::{
        Timestamp,
        audit::{Actor, AuditDraft},
        certificate::CertificateRecord,
    },
    store::{Commands, Issuers, sqlite::SqliteStore},
};
use portcullis_ca::{profile::ProfileKind, serial::Serial};

use crate::support::Server;

fn said(output: &Output) -> String {
    let text = if output.status.success() {
        &output.stdout
    } else {
        &output.stderr
    };
    String::from_utf8_lossy(text).into_owned()
}

/// Runs `cert revoke --json`.
fn revoke(server: &Server, arguments: &[&str]) -> serde_json::Value {
    server.json(&[&["cert", "revoke"], arguments].concat())
}

fn refused(server: &Server, arguments: &[&str]) -> String {
    let output = server.cli(&[&["cert", "revoke"], arguments].concat());
    assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
    said(&output)
}

#[test]
fn certificates_are_revoked_by_file_key_principal_and_query() {
    let server = Server::start();
    let [first, second, third] = ["a", "b", "c"].map(|name| {
        server
            .enrol(&format!("device:fra/{name}"))
            .join("current/cert.pem")
    });
    let path = |path: &std::path::Path| path.display().to_string();
    // A dry run tells, and does nothing.
    let all = revoke(&server, &["--profile", "device", "--dry-run"]);
    assert_eq!((&all["dry_run"], &all["count"]), (&true.into(), &3.into()));
    assert_eq!(all["serials"].as_array().map(Vec::len), Some(3));
    let one = revoke(&server, &["--file", &path(&first), "--dry-run"]);
    assert_eq!(one["count"], 1);
    assert_eq!(
        revoke(
            &server,
            &[
                "--issuer",
                "intermediate",
                "--profile",
                "device",
                "--dry-run"
            ]
        )["count"],
        3
    );
    assert_eq!(
        revoke(
            &server,
            &[
                "--profile",
                "device",
                "--issued-between",
                "..2h",
                "--dry-run"
            ]
        )["count"],
        0
    );
    // By file, PEM; a second time it was revoked already.
    let done = revoke(
        &server,
        &["--file", &path(&first), "--reason", "superseded"],
    );
    assert_eq!(
        (&done["count"], &done["enrolments_ended"]),
        (&1.into(), &0.into())
    );
    let again = revoke(&server, &["--file", &path(&first)]);
    assert_eq!(again["already_revoked"], done["serials"]);
    // By key, from the certificate's file: and the key is refused for ever.
    let key = revoke(
        &server,
        &["--key-file", &path(&second), "--reason", "keyCompromise"],
    );
    assert_eq!(
        (&key["count"], &key["keys_blocked"]),
        (&1.into(), &1.into())
    );
    // By a combination.
    let combined = revoke(
        &server,
        &["--principal", "device:fra/c", "--issued-between", "1h.."],
    );
    assert_eq!(combined["count"], 1);
    // A key that no certificate has.
    let nobodys = "ab".repeat(32);
    let blocked = revoke(&server, &["--key", &nobodys, "--reason", "keyCompromise"]);
    assert_eq!(
        (&blocked["count"], &blocked["keys_blocked"]),
        (&0.into(), &1.into())
    );
    let _ = third;
    for (arguments, words) in [
        (
            vec!["--file", &path(&first), "--profile", "device"],
            "not both at once",
        ),
        (vec!["1234", "--issuer", "intermediate"], "not both at once"),
        (vec![], "at least one certificate"),
        (vec!["--key", "abcd"], "64 hexadecimal digits"),
        (vec!["--issuer", "nobody"], "portcullis ca list"),
        (vec!["--unseen", "1234"], "--issuer NAME"),
        (vec!["--unseen", "--profile", "device"], "must be named"),
        (
            vec!["--profile", "device"],
            "no valid certificate meets this",
        ),
    ] {
        let output = refused(&server, &arguments);
        assert!(output.contains(words), "{arguments:?}: {output}");
    }
}

#[test]
fn a_query_that_finds_very_many_wants_a_yes() {
    let mut server = Server::start();
    server.terminate();
    put(&server, 101);
    server.restart();
    let query = ["--principal", "device:many"];
    let output = refused(&server, &query);
    assert!(
        output.contains("101 certificates") && output.contains("--yes"),
        "{output}"
    );
    let dry = server.cli(&[&["cert", "revoke", "--dry-run"][..], &query].concat());
    assert!(
        said(&dry).contains("Would revoke 101") && said(&dry).contains("and 91 more"),
        "{}",
        said(&dry)
    );
    let done = server.cli(&[&["cert", "revoke", "--yes"][..], &query].concat());
    assert!(
        said(&done).contains("Revoked 101 certificates"),
        "{}",
        said(&done)
    );
}

/// Puts certificates into the store of a server that is down.
fn put(server: &Server, count: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::open(&server.state_dir().join("portcullis.db")).expect("a store");
        let issuers = store.issuers().await.expect("read");
        let now: Timestamp = time::OffsetDateTime::now_utc().into();
        let mut written = Vec::new();
        for index in 0..count {
            let record = CertificateRecord {
                serial: Serial::random().expect("randomness"),
                issuer: issuers[1].id,
                list_shard: 0,
                profile: ProfileKind::Device.into(),
                principal: Some("device:many".parse().expect("a principal")),
                names: Vec::new(),
                not_before: now,
                not_after: now + std::time::Duration::from_secs(3600),
                key_fingerprint: [u8::try_from(index).expect("few"); 32],
                der: vec![0x30, 0],
                enrolment: None,
                account: None,
                order: None,
                issued_at: now,
                revocation: None,
            };
            let audit = AuditDraft {
                at: now,
                actor: Actor::Authority,
                action: "certificate.issue",
                subject: record.serial.to_string(),
                detail: serde_json::json!({}),
            };
            written.push(store.record_certificate(record, audit));
        }
        for outcome in futures_util::future::join_all(written).await {
            outcome.expect("recorded");
        }
    });
}

#[test]
fn what_the_store_never_saw_is_refused_at_the_gate_and_by_ocsp() {
    let server = Server::start();
    let serial = "00deadbeef00deadbeef00deadbeef01";
    let done = revoke(
        &server,
        &[
            "--unseen",
            "--issuer",
            "intermediate",
            "--serial",
            serial,
            "--reason",
            "keyCompromise",
        ],
    );
    assert_eq!(done["count"], 1);
    let device = server.enrol("device:fra/a").join("current/cert.pem");
    let text = fs::read_to_string(&device).expect("a chain");
    let issuer = text
        .split_inclusive("-----END CERTIFICATE-----\n")
        .nth(1)
        .expect("the intermediate");
    let scratch = server.scratch("ocsp");
    let issuer_pem = scratch.join("issuer.pem");
    fs::write(&issuer_pem, issuer).expect("written");
    let output = std::process::Command::new("openssl")
        .args(["ocsp", "-noverify", "-no_nonce", "-url"])
        .arg(format!("{}/ocsp", server.status_url()))
        .arg("-issuer")
        .arg(&issuer_pem)
        .args(["-serial", &format!("0x{serial}")])
        .output()
        .expect("openssl runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("revoked") && said.contains("keyCompromise"),
        "{output:?}"
    );
}
