//! What is wrong with a token's configuration is told at the start, with what to do, and nothing is changed by it.

use std::{
    fs,
    process::{Command, Output},
};

use super::softhsm::{LABEL, SoftHsm};
use crate::support::PORTCULLIS;

fn init(hsm: &SoftHsm, arguments: &[&str]) -> Output {
    Command::new(PORTCULLIS)
        .arg("--dir")
        .arg(hsm.path().join("state"))
        .arg("init")
        .args(arguments)
        .envs(hsm.environment())
        .output()
        .unwrap()
}

#[test]
fn what_is_wrong_with_a_token_is_told_with_what_to_do() {
    let Some(hsm) = SoftHsm::new() else { return };
    let state = hsm.path().join("state");
    let module = SoftHsm::module().display().to_string();
    let pin = hsm.pin_file().display().to_string();
    let wrong_pin = hsm.path().join("wrong");
    fs::write(&wrong_pin, "nope-nope\n").unwrap();
    let wrong_pin = wrong_pin.display().to_string();
    let open_pin = wrong_pin.clone();
    let text = hsm.path().join("text.so");
    fs::write(&text, "no library").unwrap();
    let text = text.display().to_string();
    let table: [(&[&str], u8, &[&str]); 9] = [
        (
            &["--token-module", "/nowhere/p11.so", "--token-label", LABEL],
            64,
            &["/nowhere/p11.so is missing", "install the package"],
        ),
        (
            &["--token-module", &text, "--token-label", LABEL],
            64,
            &["can't be used as a PKCS#11 module"],
        ),
        (
            &[
                "--token-module",
                "/lib/x86_64-linux-gnu/libm.so.6",
                "--token-label",
                LABEL,
            ],
            64,
            &["PKCS#11 module"],
        ),
        (
            &["--token-module", &module, "--token-label", "no such"],
            1,
            &[
                "the token \"no such\" is not there",
                "the module has \"ca of the test\" in slot",
                "ca.token.label",
            ],
        ),
        (
            &["--token-module", &module, "--token-label", LABEL],
            64,
            &["wants a PIN", "ca.token.pin_file"],
        ),
        (
            &[
                "--token-module",
                &module,
                "--token-label",
                LABEL,
                "--pin-file",
                &open_pin,
            ],
            64,
            &["open to everybody", "chmod 600"],
        ),
        (
            &[
                "--token-module",
                &module,
                "--token-label",
                LABEL,
                "--pin-env",
                "NO_SUCH_VARIABLE",
            ],
            64,
            &["the environment variable NO_SUCH_VARIABLE is not set"],
        ),
        (
            &["--token-module", &module, "--pin-file", &pin],
            64,
            &["--token-label or --token-slot"],
        ),
        (&["--pin-file", &pin], 64, &["--token-module"]),
    ];
    for (arguments, code, words) in table {
        let output = init(&hsm, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code.into()),
            "{arguments:?}: {said}"
        );
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {said}");
        }
        assert!(!said.contains("nope-nope"));
        assert!(!state.exists(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_pin_stops_the_start_and_says_how_many_tries_are_left() {
    let Some(hsm) = SoftHsm::new() else { return };
    hsm.set_pin_file("999999");
    let arguments = hsm.arguments(&SoftHsm::module());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = init(&hsm, &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("refuses the PIN; few tries are left"),
        "{said}"
    );
    assert!(!said.contains("999999"));
    hsm.set_pin_file(super::softhsm::PIN);
    let output = init(&hsm, &arguments);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn tokens_that_share_a_label_are_told_apart_by_their_slots() {
    let Some(hsm) = SoftHsm::new() else { return };
    hsm.add_token(LABEL).unwrap();
    let arguments = hsm.arguments(&SoftHsm::module());
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = init(&hsm, &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is there 2 times"), "{said}");
    let slots = said.split("slots ").nth(1).unwrap();
    let slot = slots.split([',', ')']).next().unwrap().to_owned();
    let at = arguments
        .iter()
        .position(|word| *word == "--token-label")
        .unwrap();
    arguments[at] = "--token-slot";
    arguments[at + 1] = &slot;
    let output = init(&hsm, &arguments);
    assert!(output.status.success(), "{output:?}");
    let config = fs::read_to_string(hsm.path().join("state/portcullis.toml")).unwrap();
    assert!(config.contains(&format!("\nslot = {slot}\n")), "{config}");
}
