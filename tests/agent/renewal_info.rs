//! The agent renews when the server says so (RFC 9773), and all the same where the server can't say.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use portcullis::{agent::state::StateDirectory, authority::Profiles, domain::ProfileName};
use portcullis_ca::profile::{Profile, ProfileKind};
use serde_json::Value;

use super::{
    other_side::Trouble,
    pebble::{agent, eventually, text},
    renewal::Running,
    server::{Instead, Server},
};
use crate::support;

fn serial(state: &Path) -> String {
    let installed = StateDirectory::open(state).unwrap().installed().unwrap();
    let certificate = installed.unwrap().credentials.certificate;
    certificate.serial().trim_start_matches("00").to_owned()
}

fn status(state: &Path) -> Value {
    let output = agent(state, &["status", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)))
}

fn succeeds(state: &Path, arguments: &[&str]) -> String {
    let output = agent(state, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    text(&output)
}

fn enrol(server: &Server, parent: &Path) -> PathBuf {
    let state = parent.join("state");
    succeeds(&state, &["enroll", &server.invite("fra/a").encode()]);
    state
}

/// A server whose device certificates are due some seconds after they were issued, and live for some more.
fn short() -> Server {
    let profile = Profile {
        lifetime: Duration::from_secs(60),
        backdate: Duration::from_secs(40),
        ..Profile::default_for(ProfileKind::Device)
    };
    let name: ProfileName = "device".parse().unwrap();
    Server::with_profiles(Trouble::None, Profiles::new([(name, profile)]))
}

fn json(status: u16, body: &str, retry_after: Option<&'static str>) -> Instead {
    Instead {
        status,
        content_type: "application/json",
        retry_after,
        body: body.to_owned(),
    }
}

fn problem(status: u16, kind: &str) -> Instead {
    Instead {
        content_type: "application/problem+json",
        ..json(
            status,
            &format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"no"}}"#),
            None,
        )
    }
}

const PAST: &str =
    r#"{"suggestedWindow":{"start":"2001-01-01T00:00:00Z","end":"2001-01-02T00:00:00Z"}}"#;

#[test]
fn an_incident_that_the_operator_opens_has_devices_renew_at_once_and_say_what_they_replace() {
    let server = support::Server::start();
    let (fra, muc) = (server.enrol("device:fra/a"), server.enrol("device:muc/a"));
    let (first, other) = (serial(&fra), serial(&muc));
    succeeds(&fra, &["run", "--once"]);
    assert_eq!(serial(&fra), first, "it is not due");
    let window = status(&fra)["renewal_window"].clone();
    let shown = server.json(&["cert", "show", &first]);
    assert_eq!(
        (&window["start"], &window["end"], &window["explanation_url"]),
        (
            &shown["renewal"]["start"],
            &shown["renewal"]["end"],
            &Value::Null
        )
    );

    let page = "https://ca.example/incidents/1";
    let open = [
        "incident",
        "open",
        "--principal",
        "device:fra/**",
        "--reason",
        "weak keys",
        "--explanation-url",
        page,
    ];
    let dry = server.json(&[&open[..], &["--dry-run"]].concat());
    assert_eq!(
        (&dry["number"], dry["certificates"].as_u64()),
        (&Value::Null, Some(1))
    );
    assert_eq!(server.json(&["incident", "list"]), Value::Array(Vec::new()));
    let opened = server.json(&open);
    assert_eq!(
        (opened["number"].as_u64(), opened["outstanding"].as_u64()),
        (Some(1), Some(1))
    );

    // It asks again when it was told to; as if that were now.
    let _ = std::fs::remove_file(fra.join("renewal-info.json"));
    let said = succeeds(&fra, &["run", "--once"]);
    assert!(said.contains(page), "{said}");
    let second = serial(&fra);
    assert_ne!(second, first);
    let _ = std::fs::remove_file(muc.join("renewal-info.json"));
    succeeds(&muc, &["run", "--once"]);
    assert_eq!(serial(&muc), other, "it is not about this one");

    let (old, new) = (
        server.json(&["cert", "show", &first]),
        server.json(&["cert", "show", &second]),
    );
    assert_eq!(
        (&old["replaced_by"], &new["replaces"]),
        (&Value::from(second.clone()), &Value::from(first))
    );
    assert_eq!(old["renewal"]["explanation_url"], page);
    let listed = &server.json(&["incident", "list"])[0];
    assert_eq!(
        (
            listed["certificates"].as_u64(),
            listed["outstanding"].as_u64()
        ),
        (Some(1), Some(0))
    );
    // What replaced it is good.
    succeeds(&fra, &["run", "--once"]);
    assert_eq!(serial(&fra), second);
    assert_eq!(
        status(&fra)["renewal_window"]["explanation_url"],
        Value::Null
    );

    server.json(&["incident", "close", "1"]);
    assert_eq!(server.json(&["incident", "list"]), Value::Array(Vec::new()));
    assert_eq!(
        server.json(&["incident", "list", "--all"])[0]["status"],
        "closed"
    );
    for (arguments, part) in [
        (vec!["incident", "close", "1"], "closed already"),
        (vec!["incident", "close", "7"], "no incident"),
        (vec!["incident", "open", "--reason", "x"], "say which"),
        (
            vec![
                "incident",
                "open",
                "--all",
                "--profile",
                "device",
                "--reason",
                "x",
            ],
            "not both",
        ),
        (
            vec!["incident", "open", "--issuer", "nobody", "--reason", "x"],
            "portcullis ca list",
        ),
        (
            vec!["incident", "open", "--serial", "0a", "--reason", "x"],
            "no certificate 0a",
        ),
    ] {
        let refused = server.cli(&arguments);
        assert!(!refused.status.success(), "{arguments:?}");
        assert!(text(&refused).contains(part), "{}", text(&refused));
    }
    let trail = text(&server.cli(&["audit", "list", "--action", "incident"]));
    for action in ["incident.open", "incident.close"] {
        assert!(trail.contains(action), "{trail}");
    }
}

#[test]
fn a_device_that_runs_hears_of_an_incident_and_renews_once() {
    let server = Server::start(Trouble::None);
    let parent = tempfile::tempdir().unwrap();
    let state = enrol(&server, parent.path());
    let first = serial(&state);
    server.open_incident("https://ca.example/incidents/1");
    let running = Running::start(&state, &[]);
    eventually("it was renewed", || serial(&state) != first);
    running.says("https://ca.example/incidents/1");
    let second = serial(&state);
    eventually("it has asked about the new one", || {
        status(&state)["renewal_window"]["explanation_url"] == Value::Null
    });
    assert_eq!(serial(&state), second);
    assert_eq!(server.certificates().len(), 2);
}

#[test]
fn a_device_renews_by_its_own_rule_where_the_server_can_t_say_when() {
    let directory = |body: &str| json(200, body, None);
    let answers = [
        ("a failure", problem(500, "serverInternal")),
        ("another failure", json(502, "<html>", None)),
        ("an unknown certificate", problem(404, "malformed")),
        ("too many requests", problem(429, "rateLimited")),
        ("no JSON", directory("<html>")),
        ("no window", directory("{}")),
        (
            "an end before the start",
            directory(
                r#"{"suggestedWindow":{"start":"2099-01-02T00:00:00Z","end":"2099-01-01T00:00:00Z"}}"#,
            ),
        ),
        (
            "a window that comes too late",
            directory(
                r#"{"suggestedWindow":{"start":"2099-01-01T00:00:00Z","end":"2099-01-02T00:00:00Z"}}"#,
            ),
        ),
        ("very much", directory(&" ".repeat(1 << 20))),
    ];
    // One device for each, all at the same time.
    let devices: Vec<_> = answers
        .into_iter()
        .map(|(what, answer)| {
            let server = short();
            server.answer("/acme/renewal-info", Some(answer));
            let parent = tempfile::tempdir().unwrap();
            let state = enrol(&server, parent.path());
            let first = serial(&state);
            (
                what,
                Running::start(&state, &[]),
                server,
                state,
                first,
                parent,
            )
        })
        .collect();
    for (what, _running, server, state, first, _parent) in &devices {
        support::eventually(what, || serial(state) != *first);
        assert!(server.asked("/acme/renewal-info") > 0, "{what}");
    }
}

#[test]
fn a_server_that_always_says_at_once_is_not_asked_for_one_certificate_after_the_other() {
    let server = Server::start(Trouble::None);
    server.answer("/acme/renewal-info", Some(json(200, PAST, Some("0"))));
    let parent = tempfile::tempdir().unwrap();
    let state = enrol(&server, parent.path());
    let first = serial(&state);
    let running = Running::start(&state, &[]);
    eventually("it was renewed", || serial(&state) != first);
    eventually("it has asked about the new one", || {
        server.asked("/acme/renewal-info") >= 2
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(server.certificates().len(), 2);
    // A Retry-After of nothing is a minute (RFC 9773 section 4.3.2).
    assert_eq!(server.asked("/acme/renewal-info"), 2);
    drop(running);

    // And where renewing fails, it waits as after every failure.
    server.answer("/acme/new-order", Some(problem(500, "serverInternal")));
    let before = server.asked("/acme/new-order");
    let _running = Running::begin(&state, &[]);
    eventually("it tried", || server.asked("/acme/new-order") > before);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(server.asked("/acme/new-order"), before + 1);
}

#[test]
fn an_order_that_was_never_finished_keeps_nobody_from_renewing() {
    let server = Server::start(Trouble::None);
    let parent = tempfile::tempdir().unwrap();
    let state = enrol(&server, parent.path());
    let first = serial(&state);
    // The order is placed, and its certificate never fetched: as if the device had lost its power.
    server.answer("/acme/order/", Some(problem(500, "serverInternal")));
    let failed = agent(&state, &["run", "--once", "--renew-now"]);
    assert_eq!(failed.status.code(), Some(3), "{}", text(&failed));
    assert_eq!(serial(&state), first);
    server.answer("/acme/order/", None);
    succeeds(&state, &["run", "--once", "--renew-now"]);
    assert_ne!(serial(&state), first);
}

#[test]
fn a_server_without_renewal_information_is_renewed_from_as_before() {
    let server = Server::start(Trouble::None);
    let parent = tempfile::tempdir().unwrap();
    let state = enrol(&server, parent.path());
    let first = serial(&state);
    let directory = server.directory_without("renewalInfo");
    server.answer("/acme/directory", Some(json(200, &directory, None)));
    succeeds(&state, &["run", "--once"]);
    assert_eq!(server.asked("/acme/renewal-info"), 0);
    assert_eq!(status(&state)["renewal_window"], Value::Null);
    succeeds(&state, &["run", "--once", "--renew-now"]);
    assert_ne!(serial(&state), first);
}
