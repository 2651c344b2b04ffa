//! The token goes away under the server: logged out, sessions closed, its files gone, its PIN changed; and comes back.

use std::fs;

use super::{
    softhsm::{LABEL, PIN, SoftHsm},
    trouble::Trouble,
};
use crate::{
    peers::program::{program, succeeds},
    support::Server,
};

/// CKF_USER_PIN_FINAL_TRY and CKF_USER_PIN_LOCKED (PKCS #11 2.40 section 3.2).
const FINAL_TRY: &str = "131072";
const LOCKED: &str = "262144";

fn publish(server: &Server) -> Result<(), String> {
    let output = server.cli(&["crl", "publish"]);
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn when_somebody_logs_out_or_closes_every_session_the_server_logs_in_again_by_itself() {
    let Some(trouble) = Trouble::new() else {
        return;
    };
    let server = trouble.server();
    publish(&server).unwrap();
    for what in ["logout", "close", "logout"] {
        let before = trouble.logins();
        trouble.make(what, "");
        publish(&server).expect(what);
        assert!(trouble.has_happened(what), "{what}");
        assert_eq!(trouble.logins(), before + 1, "{what}");
    }
    assert_eq!(
        server.log().matches("the token was lost").count(),
        3,
        "{}",
        server.log()
    );
}

#[test]
fn a_token_that_is_removed_is_missed_and_used_again_when_it_is_back() {
    let Some(hsm) = SoftHsm::new() else { return };
    let server = hsm.server(&SoftHsm::module(), &[]).start();
    let away = hsm.path().join("away");
    fs::rename(hsm.tokens(), &away).unwrap();
    fs::create_dir(hsm.tokens()).unwrap();
    let error = publish(&server).expect_err("it is gone");
    assert!(
        error.contains(LABEL) && error.contains("is not there (the module has none)"),
        "{error}"
    );
    fs::remove_dir_all(hsm.tokens()).unwrap();
    fs::rename(&away, hsm.tokens()).unwrap();
    publish(&server).expect("it is back");
}

#[test]
fn a_pin_that_is_refused_is_never_tried_again_until_it_is_mended() {
    let Some(trouble) = Trouble::new() else {
        return;
    };
    let hsm = &trouble.hsm;
    let server = trouble.server();
    hsm.set_pin_file("not it");
    trouble.make("logout", "");
    let before = trouble.logins();
    let error = publish(&server).expect_err("the PIN is wrong");
    // SoftHSM sets CKF_USER_PIN_COUNT_LOW after a wrong PIN.
    // A job of the server's may have been the first to be told.
    let told = format!("{error}\n{}", server.log());
    assert!(
        told.contains("refuses the PIN; few tries are left"),
        "{told}"
    );
    for _ in 0..3 {
        let error = publish(&server).expect_err("the PIN is still wrong");
        assert!(
            error.contains("refused this PIN before, and it was not tried again"),
            "{error}"
        );
    }
    assert_eq!(trouble.logins(), before + 1);
    assert!(!server.log().contains("not it"));
    hsm.set_pin_file(PIN);
    publish(&server).expect("the PIN is mended");
    assert_eq!(trouble.logins(), before + 2);
}

#[test]
fn the_last_try_is_not_spent_on_a_pin_that_may_be_wrong() {
    let Some(trouble) = Trouble::new() else {
        return;
    };
    let server = trouble.server();
    // This process has logged in with it before: it is right.
    trouble.make("flags", FINAL_TRY);
    trouble.make("logout", "");
    publish(&server).expect("a PIN that was accepted is tried");
    // Another one is not.
    trouble.hsm.set_pin_file("another");
    trouble.make("logout", "");
    let before = trouble.logins();
    let error = publish(&server).expect_err("one try is left");
    assert!(
        error.contains("has one try left") && error.contains("not tried"),
        "{error}"
    );
    assert_eq!(trouble.logins(), before);
    trouble.end("flags");
    trouble.hsm.set_pin_file(PIN);
    publish(&server).expect("the tries are back");
}

#[test]
fn a_locked_token_says_that_no_tries_are_left() {
    let Some(trouble) = Trouble::new() else {
        return;
    };
    let server = trouble.server();
    let before = trouble.logins();
    trouble.make("flags", LOCKED);
    trouble.make("logout", "");
    let error = publish(&server).expect_err("it is locked");
    assert!(
        error.contains("is locked: no tries are left") && error.contains("--init-pin"),
        "{error}"
    );
    assert_eq!(trouble.logins(), before);
    // Some tokens say so only when they are asked.
    trouble.end("flags");
    trouble.make("locked", "");
    let error = publish(&server).expect_err("it is locked");
    assert!(error.contains("is locked: no tries are left"), "{error}");
    trouble.end("locked");
    publish(&server).expect("it is unlocked");
}

#[test]
fn a_key_that_is_gone_or_another_one_does_not_sign() {
    let Some(hsm) = SoftHsm::new() else { return };
    let mut server = hsm.server(&SoftHsm::module(), &[]).start();
    let shown = server.json(&["ca", "list"]).to_string();
    let label = shown
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .find(|word| word.starts_with("portcullis-") && word.len() == 27)
        .unwrap_or_else(|| panic!("no label: {shown}"))
        .to_owned();
    let Some(mut tool) = program("pkcs11-tool") else {
        return;
    };
    let with_login = |tool: &mut std::process::Command| {
        tool.arg("--module")
            .arg(SoftHsm::module())
            .args(["--token-label", LABEL, "--login", "--pin", PIN])
            .args(["--label", &label])
            .envs(hsm.environment());
    };
    server.kill();
    with_login(&mut tool);
    succeeds(tool.args(["--delete-object", "--type", "privkey"]));
    let mut tool = program("pkcs11-tool").expect("it was there");
    with_login(&mut tool);
    succeeds(tool.args(["--delete-object", "--type", "pubkey"]));
    let missing = serve(&server, &hsm);
    assert!(
        missing.contains(&format!("has no private key labelled {label:?}")),
        "{missing}"
    );
    let mut tool = program("pkcs11-tool").expect("it was there");
    with_login(&mut tool);
    succeeds(tool.args(["--keypairgen", "--key-type", "EC:prime256v1"]));
    let other = serve(&server, &hsm);
    assert!(
        other.contains(&format!("has another key labelled {label:?}")),
        "{other}"
    );
}

/// What `serve` says when it does not start.
fn serve(server: &Server, hsm: &SoftHsm) -> String {
    let output = std::process::Command::new(crate::support::PORTCULLIS)
        .arg("--dir")
        .arg(server.state_dir())
        .arg("serve")
        .envs(hsm.environment())
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}
