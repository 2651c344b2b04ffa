//! The trust bundle on the device: what is put in force, what is refused, and who is told.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::{
    other_side::Trouble,
    pebble::{agent, text},
    renewal::Running,
    server::Server,
};

fn stranger() -> String {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    parameters.self_signed(&key).unwrap().pem()
}

fn enrolled(server: &Server, state: &Path) {
    let token = server.invite("fra/sensor-42").encode();
    let output = agent(state, &["enroll", &token]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

fn roots(state: &Path) -> String {
    let pem = fs::read_to_string(state.join("root.pem")).unwrap();
    // The server ends its lines in its own way.
    pem.split_inclusive("-----END CERTIFICATE-----\n")
        .map(normal)
        .collect()
}

fn normal(pem: &str) -> String {
    pem.lines()
        .map(|line| line.trim().to_owned() + "\n")
        .collect()
}

with_and_without_chaos! {
    the_roots_on_the_device_are_those_of_the_bundle_and_the_hook_hears_of_every_change
    a_bundle_that_would_cut_the_device_off_never_replaces_what_it_trusts_and_status_tells_of_it
    a_device_enrols_though_the_bundle_is_of_no_use_and_trusts_the_root_of_its_invitation
    an_agent_that_runs_fetches_the_bundle_after_it_has_renewed
}

fn the_roots_on_the_device_are_those_of_the_bundle_and_the_hook_hears_of_every_change(
    trouble: Trouble,
) {
    let server = Server::start(trouble);
    let parent = tempfile::tempdir().unwrap();
    let (state, seen) = (parent.path().join("state"), parent.path().join("seen"));
    enrolled(&server, &state);
    let own = normal(&server.bundle());
    assert_eq!(roots(&state), own);

    let hook = format!(
        "echo \"$PORTCULLIS_CHANGED: $(grep -c BEGIN \"$PORTCULLIS_ROOT\")\" >>{}",
        seen.display()
    );
    let once = |arguments: &[&str]| {
        let output = agent(
            &state,
            &[&["run", "--once", "--hook", &hook], arguments].concat(),
        );
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    };
    let other = stranger();
    once(&[]);
    server.hand_out(Some(&(own.clone() + &other)));
    once(&[]);
    assert_eq!(roots(&state), own.clone() + &normal(&other));
    // Nothing is new: neither the file nor the hook is touched.
    once(&[]);
    once(&["--renew-now"]);
    server.hand_out(None);
    once(&[]);
    assert_eq!(roots(&state), own, "what is gone from the bundle is gone");
    server.hand_out(Some(&(own.clone() + &other)));
    once(&["--renew-now"]);
    assert_eq!(
        fs::read_to_string(&seen).unwrap(),
        "certificate trust: 1\ntrust: 2\ncertificate: 2\ntrust: 1\ncertificate trust: 2\n"
    );

    let status = agent(&state, &["status"]);
    assert_eq!(status.status.code(), Some(0), "{}", text(&status));
    let shown = text(&status);
    let lines = shown.lines().filter(|line| line.starts_with("root  "));
    assert_eq!(lines.count(), 2, "{shown}");
}

fn a_bundle_that_would_cut_the_device_off_never_replaces_what_it_trusts_and_status_tells_of_it(
    trouble: Trouble,
) {
    let server = Server::start(trouble);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    enrolled(&server, &state);
    let own = roots(&state);
    let cases = [
        ("", "PEM"),
        ("<html>no</html>", "PEM"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "no X.509",
        ),
        // It is in order by itself, but the server could not be trusted by it.
        (&stranger(), "by its own trust bundle"),
    ];
    for (bundle, part) in cases {
        server.hand_out(Some(bundle));
        let output = agent(&state, &["run", "--once"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains(part), "{}", text(&output));
        assert_eq!(roots(&state), own, "{part}");
        let status = agent(&state, &["status"]);
        assert_eq!(status.status.code(), Some(1), "{}", text(&status));
        assert!(
            text(&status).contains("trust bundle") && text(&status).contains(part),
            "{}",
            text(&status)
        );
    }
    server.hand_out(None);
    let output = agent(&state, &["run", "--once", "--renew-now"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let status = agent(&state, &["status"]);
    assert_eq!(status.status.code(), Some(0), "{}", text(&status));
}

fn a_device_enrols_though_the_bundle_is_of_no_use_and_trusts_the_root_of_its_invitation(
    trouble: Trouble,
) {
    let server = Server::start(trouble);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    server.hand_out(Some(""));
    enrolled(&server, &state);
    assert_eq!(roots(&state), normal(&server.bundle()));
    let status = agent(&state, &["status", "--json"]);
    assert_eq!(status.status.code(), Some(1), "{}", text(&status));
    let shown: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(shown["condition"], "fresh");
    assert_eq!(shown["failures"]["trust"]["final"], false);
}

fn an_agent_that_runs_fetches_the_bundle_after_it_has_renewed(trouble: Trouble) {
    let server = Server::start(trouble);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    enrolled(&server, &state);
    let running = Running::start(&state, &[]);
    server.hand_out(Some(&(server.bundle() + &stranger())));
    running.signal("HUP");
    running.says("the trust bundle has changed");
    assert_eq!(roots(&state).matches("BEGIN").count(), 2);
}
