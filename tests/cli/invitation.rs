//! Invitations and approvals by command line, with the agent as the client.

use std::process::{Command, Output};

use serde_json::Value;

use super::said;
use crate::support::{AGENT, Server};

/// One run of the agent, which does not wait for what it can't have now.
fn enroll(server: &Server, token: &str) -> Output {
    Command::new(AGENT)
        .args(["enroll", "--wait", "0", "--state-dir"])
        .arg(server.scratch("devices").join("device"))
        .env("PORTCULLIS_TOKEN", token)
        .output()
        .expect("portcullis-agent runs")
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member}: {object}"))
}

#[test]
fn an_invitation_is_listed_shown_and_taken_back_and_its_key_is_never_shown_again() {
    let server = Server::start();
    let made = server.json(&[
        "invite",
        "service:ci/runner",
        "--allow-dns",
        "*.ci.example",
        "--allow-ip",
        "10.20.0.0/16",
        "--uses",
        "20",
        "--needs",
        "challenge",
    ]);
    let id = text(&made, "id");
    assert_eq!(text(&made, "key_id"), id);
    let shown = server.json(&["invite", "show", id]);
    assert_eq!(
        (
            &shown["status"],
            &shown["needs"],
            &shown["patterns"],
            &shown["enrolments"]
        ),
        (
            &"open".into(),
            &"challenge".into(),
            &serde_json::json!(["dns:*.ci.example", "ip:10.20.0.0/16"]),
            &serde_json::json!([])
        )
    );
    let listed = server.json(&["invite", "list", "--of", "service:ci/runner"]);
    assert_eq!(text(&listed["invitations"][0], "id"), id);
    let words = [
        said(&server.cli(&["invite", "list"])),
        said(&server.cli(&["invite", "show", id])),
        shown.to_string(),
        listed.to_string(),
        server.json(&["audit"]).to_string(),
    ];
    for told in words {
        assert!(told.contains(id), "{told}");
        for secret in ["mac_key", "token"] {
            assert!(!told.contains(text(&made, secret)), "{told}");
        }
    }
    let revoked = server.cli(&["invite", "revoke", id]);
    assert!(
        said(&revoked).contains("Nobody enrols"),
        "{}",
        said(&revoked)
    );
    assert_eq!(server.json(&["invite", "show", id])["status"], "revoked");
    let again = server.cli(&["invite", "revoke", id]);
    assert_eq!(again.status.code(), Some(64));
    assert!(
        said(&again).contains("taken back already"),
        "{}",
        said(&again)
    );
    let open = server.json(&["invite", "list", "--status", "open"]);
    assert_eq!(open["invitations"], serde_json::json!([]));
}

#[test]
fn a_device_waits_until_it_is_approved_of_and_stops_with_its_key() {
    let server = Server::start();
    let made = server.json(&["invite", "device:fra/sensor-42", "--needs", "approval"]);
    let token = text(&made, "token");
    // As a job that runs every hour: a clean refusal, and nothing lost.
    for _ in 0..2 {
        let refused = enroll(&server, token);
        assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
        let told = said(&refused);
        assert!(told.contains("portcullis approval approve"), "{told}");
    }
    let waiting = server.json(&["approval", "list"]);
    assert_eq!(waiting.as_array().expect("a list").len(), 1);
    assert_eq!(text(&waiting[0], "principal"), "device:fra/sensor-42");
    let id = text(&waiting[0], "id").to_owned();
    let approved = server.cli(&["approval", "approve", &id]);
    assert!(approved.status.success(), "{}", said(&approved));
    let enrolled = enroll(&server, token);
    assert!(enrolled.status.success(), "{}", said(&enrolled));
    assert!(said(&server.cli(&["approval", "list"])).contains("Nobody waits"));

    let invitation = text(&made, "id");
    let stopped = server.json(&["invite", "revoke", invitation, "--stop-accounts"]);
    assert_eq!(stopped["accounts_stopped"], 1);
    let shown = server.json(&["invite", "show", invitation]);
    assert_eq!(shown["enrolments"][0]["account_status"], "revoked");
    assert_eq!(shown["enrolments"][0]["state"]["status"], "ended");
    let certificates = server.json(&["cert", "list", "--principal", "device:fra/sensor-42"]);
    assert_eq!(text(&certificates[0], "status"), "valid");
    for action in ["enrolment.approve", "invitation.revoke"] {
        let trail = server.json(&["audit", "list", "--action", action]);
        assert_eq!(trail.as_array().expect("a trail").len(), 1, "{action}");
    }
}

#[test]
fn a_rejected_device_is_told_why() {
    let server = Server::start();
    let made = server.json(&["invite", "device:fra/sensor-7", "--needs", "approval"]);
    assert_eq!(enroll(&server, text(&made, "token")).status.code(), Some(3));
    let waiting = server.json(&["approval", "list"]);
    let id = text(&waiting[0], "id");
    let reason = ["--reason", "nobody knows it"];
    let rejected = server.cli(&["approval", "reject", id, reason[0], reason[1]]);
    assert!(rejected.status.success(), "{}", said(&rejected));
    let refused = enroll(&server, text(&made, "token"));
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    assert!(
        said(&refused).contains("nobody knows it"),
        "{}",
        said(&refused)
    );
    let late = server.cli(&["approval", "approve", id]);
    assert_eq!(late.status.code(), Some(64));
}

#[test]
fn what_is_asked_wrongly_of_invitations_is_told_rightly() {
    let server = Server::start();
    let table: [(&[&str], &str); 9] = [
        (&["invite"], "PRINCIPAL"),
        (&["invite", "device:a", "--allow-dns", "*"], "no pattern"),
        (
            &["invite", "device:a", "--allow-ip", "10.0.0.0/99"],
            "no network",
        ),
        (
            &["invite", "device:a", "--directory", "nowhere"],
            "no directory nowhere",
        ),
        (&["invite", "device:a", "--needs", "luck"], "challenge"),
        (
            &[
                "invite",
                "device:a",
                "--needs",
                "challenge",
                "--token-file",
                "x",
            ],
            "answers no challenges",
        ),
        (&["invite", "show", "aaaaaaaaaaaa"], "invite list"),
        (&["invite", "list", "--status", "good"], "used-up"),
        (&["approval", "approve", "nobody"], "approval list"),
    ];
    for (arguments, words) in table {
        let output = server.cli(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            said(&output).contains(words),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}
