//! An invitation of our own server, from its token to the end of the enrolment.

use std::path::Path;

use portcullis::agent::state::StateDirectory;
use portcullis_ca::revocation::RevocationReason;

use super::{
    other_side::Trouble,
    pebble::{agent, text},
    server::Server,
};

fn serial(state: &Path) -> String {
    let installed = StateDirectory::open(state).unwrap().installed().unwrap();
    installed
        .unwrap()
        .credentials
        .certificate
        .serial()
        .to_owned()
}

with_and_without_chaos! {
    an_invited_device_enrols_by_its_permanent_identifier_and_gets_its_principal
    an_invitation_for_one_device_enrols_no_second_one
    a_device_whose_certificate_was_revoked_stays_out_until_it_is_invited_again
    the_directory_of_another_identity_is_not_taken_unless_that_is_said
    an_agent_left_running_after_a_revocation_says_what_to_do_and_recovers_when_invited_again
}

fn an_invited_device_enrols_by_its_permanent_identifier_and_gets_its_principal(trouble: Trouble) {
    let server = Server::start(trouble);
    let parent = tempfile::tempdir().unwrap();
    for key_type in ["p256", "p384", "ed25519"] {
        let state = parent.path().join(key_type);
        let token = server.invite(&format!("fra/{key_type}")).encode();
        let enrolled = agent(
            &state,
            &["enroll", &token, "--json", "--key-type", key_type],
        );
        assert_eq!(enrolled.status.code(), Some(0), "{}", text(&enrolled));
        let shown: serde_json::Value = serde_json::from_slice(&enrolled.stdout).unwrap();
        assert_eq!(
            shown["principal"],
            format!("spiffe://acme.test/device/fra/{key_type}")
        );
        assert_eq!(shown["condition"], "fresh");

        let first = serial(&state);
        let renewed = agent(&state, &["run", "--once", "--renew-now"]);
        assert_eq!(renewed.status.code(), Some(0), "{}", text(&renewed));
        assert_ne!(serial(&state), first);
    }
    assert_eq!(server.certificates().len(), 6);
}

fn an_invitation_for_one_device_enrols_no_second_one(trouble: Trouble) {
    let server = Server::start(trouble);
    let parent = tempfile::tempdir().unwrap();
    let token = server.invite("fra/sensor-42").encode();
    let first = agent(&parent.path().join("first"), &["enroll", &token]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first));
    let second = agent(&parent.path().join("second"), &["enroll", &token]);
    assert_eq!(second.status.code(), Some(4), "{}", text(&second));
    assert!(
        text(&second).contains("portcullis invite device:fra/sensor-42"),
        "{}",
        text(&second)
    );
}

// Issue "The main job", point 5: the device's agent, left running, can't get another certificate until it is invited
// again.
fn a_device_whose_certificate_was_revoked_stays_out_until_it_is_invited_again(trouble: Trouble) {
    let server = Server::start(trouble);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    let enrolled = agent(
        &state,
        &["enroll", &server.invite("fra/sensor-42").encode()],
    );
    assert_eq!(enrolled.status.code(), Some(0), "{}", text(&enrolled));
    let revoked = serial(&state);

    let certificates = server.certificates();
    server.revoke(&certificates[0], RevocationReason::KeyCompromise);
    let refused = agent(&state, &["run", "--once", "--renew-now"]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
    assert!(
        text(&refused).contains("portcullis invite device:fra/sensor-42"),
        "{}",
        text(&refused)
    );
    assert_eq!(serial(&state), revoked);
    assert_eq!(server.certificates().len(), 1);
    // It says so later too, to who wasn't there.
    let status = agent(&state, &["status"]);
    assert_eq!(status.status.code(), Some(1), "{}", text(&status));
    for part in [
        "the server refuses to renew it",
        "last renewal      failed at ",
        "enrolment of device:fra/sensor-42 ended",
        "portcullis invite device:fra/sensor-42",
    ] {
        assert!(text(&status).contains(part), "{}", text(&status));
    }

    let again = agent(
        &state,
        &["enroll", &server.invite("fra/sensor-42").encode()],
    );
    assert_eq!(again.status.code(), Some(0), "{}", text(&again));
    assert_ne!(serial(&state), revoked);
    let status = agent(&state, &["status"]);
    assert_eq!(status.status.code(), Some(0), "{}", text(&status));
}

fn the_directory_of_another_identity_is_not_taken_unless_that_is_said(trouble: Trouble) {
    let server = Server::start(trouble);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    let mine = server.invite("fra/a").encode();
    let enrolled = agent(&state, &["enroll", &mine]);
    assert_eq!(enrolled.status.code(), Some(0), "{}", text(&enrolled));
    let before = serial(&state);

    let other = server.invite("fra/b").encode();
    let refused = agent(&state, &["enroll", &other]);
    assert_eq!(refused.status.code(), Some(6), "{}", text(&refused));
    for part in [
        "holds the enrolment of device:fra/a",
        "this invitation is for device:fra/b",
        "--state-dir",
        "--replace",
    ] {
        assert!(text(&refused).contains(part), "{}", text(&refused));
    }
    assert_eq!(serial(&state), before);
    assert!(!state.join("pending-account.json").exists());

    // The same principal again is no other identity, and the invitation that was refused is still good.
    let again = server.invite("fra/a").encode();
    let enrolled = agent(&state, &["enroll", &again]);
    assert_eq!(enrolled.status.code(), Some(0), "{}", text(&enrolled));
    let replaced = agent(&state, &["enroll", &other, "--replace", "--json"]);
    assert_eq!(replaced.status.code(), Some(0), "{}", text(&replaced));
    let shown: serde_json::Value = serde_json::from_slice(&replaced.stdout).unwrap();
    assert_eq!(shown["principal"], "spiffe://acme.test/device/fra/b");
}

fn an_agent_left_running_after_a_revocation_says_what_to_do_and_recovers_when_invited_again(
    trouble: Trouble,
) {
    let server = Server::start(trouble);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    let enrolled = agent(
        &state,
        &["enroll", &server.invite("fra/sensor-42").encode()],
    );
    assert_eq!(enrolled.status.code(), Some(0), "{}", text(&enrolled));
    let mut running = super::renewal::Running::start(&state, &[]);
    server.revoke(&server.certificates()[0], RevocationReason::KeyCompromise);
    running.signal("HUP");
    running.says("portcullis invite device:fra/sensor-42");
    assert!(running.is_running());
    let again = agent(
        &state,
        &["enroll", &server.invite("fra/sensor-42").encode()],
    );
    assert_eq!(again.status.code(), Some(0), "{}", text(&again));
    let invited = serial(&state);
    running.signal("HUP");
    super::pebble::eventually("it renews again", || serial(&state) != invited);
}
