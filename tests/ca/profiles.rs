//! Profiles as operators and devices meet them: a real server with its configuration, a real agent.

use std::{fs, process::Command};

use x509_parser::{pem::parse_x509_pem, prelude::X509Certificate};

use crate::{
    revocation::{DEVICE, Upstream, curl, server, status},
    support::{AGENT, PORTCULLIS, Server},
};

const CAMERA: &str = r#"
[profiles.camera]
kind = "device"
lifetime = "30m"
no_revocation_below = "1h"
organization = "Example"
organizational_unit = "Cameras"
allow_dns = ["*.cam.example.internal"]
extended_key_usages = ["1.3.6.1.4.1.55738.10"]
extensions = [{ oid = "1.3.6.1.4.1.55738.11", hex = "0c026869" }]
"#;

#[test]
fn an_invitation_for_a_profile_gets_its_certificates_and_they_pass_the_gate() {
    let upstream = Upstream::start();
    let server = server(&upstream, CAMERA);
    let invited = server.invite(DEVICE, &["--profile", "camera"]);
    assert_eq!(invited["profile"], "camera");
    let device = server.scratch("devices").join("camera");
    let output = Command::new(AGENT)
        .args(["enroll", "--state-dir"])
        .arg(&device)
        .env(
            "PORTCULLIS_TOKEN",
            invited["token"].as_str().expect("a token"),
        )
        .output()
        .expect("portcullis-agent runs");
    assert!(output.status.success(), "{output:?}\n{}", server.log());
    let pem = fs::read(device.join("current/cert.pem")).expect("a certificate");
    let (_, pem) = parse_x509_pem(&pem).expect("PEM");
    let certificate: X509Certificate<'_> = pem.parse_x509().expect("a certificate");
    assert_eq!(
        certificate.subject().to_string(),
        "O=Example, OU=Cameras, CN=fra/sensor-42"
    );
    let life = certificate.validity().not_after.timestamp()
        - certificate.validity().not_before.timestamp()
        + 1;
    assert_eq!(life, 1800);
    let oids: Vec<String> = certificate
        .extensions()
        .iter()
        .map(|extension| extension.oid.to_id_string())
        .collect();
    for (oid, there) in [
        ("2.5.29.56", true),
        ("2.5.29.31", false),
        ("1.3.6.1.4.1.55738.11", true),
    ] {
        assert_eq!(oids.contains(&oid.to_owned()), there, "{oid}");
    }
    let usages = certificate
        .extended_key_usage()
        .expect("unique")
        .expect("there");
    assert!(usages.value.client_auth && usages.value.other.len() == 1);
    let listed = server.json(&["cert", "list", "--profile", "camera"]);
    assert_eq!(
        listed
            .as_array()
            .or(listed["certificates"].as_array())
            .map(Vec::len),
        Some(1)
    );

    let call = || {
        status(
            &curl(&server, &device, &[], "config")
                .output()
                .expect("curl runs"),
        )
    };
    assert_eq!(call(), "200");
    // It names no list, and is revoked all the same: the gate looks its own index up.
    assert!(server.cli(&["cert", "revoke", DEVICE]).status.success());
    assert_ne!(call(), "200");
}

#[test]
fn a_profile_that_does_not_fit_is_refused_when_inviting() {
    let server = Server::builder().config(CAMERA).start();
    for (arguments, words) in [
        (
            ["invite", "service:web/shop", "--profile", "camera"],
            "the profile camera is for what is device, and service:web/shop is a service; one of service",
        ),
        (
            ["invite", DEVICE, "--profile", "camra"],
            "there is no profile camra; for a device one of camera, device",
        ),
        (
            ["invite", DEVICE, "--profile", "root"],
            "the profile root is for what is root",
        ),
    ] {
        let output = server.cli(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(words),
            "{arguments:?}: {said}"
        );
    }
}

/// What contradicts itself is told when the file is read (`app::config::profiles`); this needs the issuers too.
#[test]
fn a_profile_that_contradicts_its_issuer_stops_the_start_with_its_line() {
    let mut server = Server::start();
    server.kill();
    let file = server.state_dir().join("portcullis.toml");
    let before = fs::read_to_string(&file).expect("a configuration");
    let line = before.lines().count() + 2;
    for (added, words) in [
        (
            "[profiles.device]\nlifetime = \"2000d\"\n",
            "column 1: profiles.device.lifetime: it is longer than the issuer itself is valid",
        ),
        (
            "[profiles.intermediate]\nlifetime = \"9000d\"\n",
            "column 1: profiles.intermediate.lifetime: it is longer than the issuer itself is valid",
        ),
        (
            "[profiles.device]\nbackdate = \"48h\"\n",
            "longer than backdate",
        ),
    ] {
        fs::write(&file, format!("{before}{added}")).expect("written");
        // One that starts all the same is ended, and told by what it did not say.
        let output = Command::new("timeout")
            .args(["20", PORTCULLIS, "--dir"])
            .arg(server.state_dir())
            .arg("serve")
            .output()
            .expect("timeout runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success()
                && said.contains(words)
                && (said.contains(&format!("line {line}, ")) || words.contains("backdate")),
            "{added}: {said}"
        );
    }
    // What nobody wrote gives way, and stops nothing.
    fs::write(&file, &before).expect("written");
    server.restart();
}

/// Keys of CAs: those that are in no default are made for who names them.
#[test]
fn cas_have_the_kind_of_key_that_was_asked_for() {
    let server = Server::builder()
        .config("[profiles.intermediate]\nkeys = [\"p384\", \"rsa3072\"]")
        .start();
    for key in ["p384", "rsa3072", "mldsa65"] {
        server.json(&["ca", "create", &format!("ca-{key}"), "--key-type", key]);
    }
    let refused = server.cli(&["ca", "create", "ca-p256", "--key-type", "p256"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("profiles.intermediate.keys certifies p384, rsa3072"),
        "{said}"
    );
}
