//! Every kind of key that a token can have: made there, and what it signs verified by openssl.

use std::process::Command;

use super::softhsm::SoftHsm;
use crate::{
    peers::{
        openssl::{Chain, fetch_lists},
        program::{program, succeeds},
    },
    support::PORTCULLIS,
};

#[test]
fn openssl_verifies_what_each_kind_of_key_in_a_token_signs() {
    let mut algorithms = vec!["p256", "p384", "ed25519", "rsa2048"];
    if std::env::var_os("PORTCULLIS_SOAK").is_some() {
        algorithms.extend(["rsa3072", "rsa4096"]);
    }
    for algorithm in algorithms {
        let Some(hsm) = SoftHsm::new() else { return };
        let mut server = hsm
            .server(&SoftHsm::module(), &[])
            .init(&["--key-type", algorithm])
            .start();
        let keys = server.state_dir().join("keys");
        assert!(keys.join("root.key").exists());
        assert!(
            !keys.join("intermediate.key").exists(),
            "{algorithm}: the key is in a file"
        );
        let chain = server
            .enrol("device:fra/sensor-42")
            .join("current/cert.pem");
        let Some(lists) = fetch_lists(&chain, &server.scratch("lists")) else {
            return;
        };
        Chain {
            root_pem: &server.root_pem_path(),
            chain: &chain,
            purpose: "sslclient",
        }
        .is_accepted(Some(&lists))
        .expect("openssl");
        // After a restart the key is found again.
        server.restart();
        server.json(&["crl", "publish"]);
        let ended = server.terminate();
        assert!(ended.success(), "{ended}\n{}", server.log());
        assert!(!server.log().contains(super::softhsm::PIN));
    }
}

#[test]
fn a_key_in_a_token_can_not_be_taken_out() {
    let Some(hsm) = SoftHsm::new() else { return };
    let Some(mut tool) = program("pkcs11-tool") else {
        return;
    };
    let server = hsm.server(&SoftHsm::module(), &[]).start();
    let objects = succeeds(
        tool.arg("--module")
            .arg(SoftHsm::module())
            .args(["--token-label", super::softhsm::LABEL])
            .args(["--login", "--pin", super::softhsm::PIN, "--list-objects"])
            .envs(hsm.environment()),
    );
    let issuers = server.json(&["ca", "list"]);
    let shown = issuers.to_string();
    let label = shown
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .find(|word| word.starts_with("portcullis-") && word.len() == 27)
        .unwrap_or_else(|| panic!("no label: {shown}"));
    assert!(objects.contains(label), "{objects}");
    let private = objects
        .split("Private Key Object")
        .nth(1)
        .unwrap_or_else(|| panic!("no private key: {objects}"));
    for word in ["sensitive", "always sensitive", "never extractable", "sign"] {
        assert!(private.contains(word), "{word}: {private}");
    }
    assert!(!private.contains("decrypt") && !private.contains("unwrap"));
}

#[test]
fn the_whole_story_of_the_demo_with_the_intermediates_key_in_a_token() {
    let Some(hsm) = SoftHsm::new() else { return };
    let output = Command::new(PORTCULLIS)
        .arg("demo")
        .args(hsm.arguments(&SoftHsm::module()))
        .envs(hsm.environment())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(told.contains("That was all of it"), "{told}");
    assert!(
        told.contains("the intermediate's, which is in the token"),
        "{told}"
    );
}

#[test]
fn a_second_ca_can_have_its_key_in_the_token_and_take_over() {
    let Some(hsm) = SoftHsm::new() else { return };
    let server = hsm.server(&SoftHsm::module(), &[]).start();
    server.json(&["ca", "create", "second", "--token", "--key-type", "p384"]);
    server.json(&["ca", "activate", "second"]);
    let chain = server
        .enrol("device:fra/sensor-42")
        .join("current/cert.pem");
    let Some(lists) = fetch_lists(&chain, &server.scratch("lists")) else {
        return;
    };
    Chain {
        root_pem: &server.root_pem_path(),
        chain: &chain,
        purpose: "sslclient",
    }
    .is_accepted(Some(&lists))
    .expect("openssl");
    let mut openssl = program("openssl").expect("openssl");
    let text = succeeds(openssl.args(["x509", "-noout", "-text", "-in"]).arg(&chain));
    assert!(text.contains("ecdsa-with-SHA384"), "{text}");
}
