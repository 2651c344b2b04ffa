//! openssl and GnuTLS ask our responder, and verify what it answers (RFC 6960).

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    openssl::{extension, serial},
    program::{fails, program, succeeds},
};
use crate::support::Server;

/// What every question needs.
struct Asker {
    root: PathBuf,
    intermediate: PathBuf,
    url: String,
}

impl Asker {
    fn of(server: &Server) -> Self {
        Self {
            root: server.root_pem_path(),
            intermediate: server.state_dir().join("intermediate.pem"),
            url: format!("{}/ocsp", server.status_url()),
        }
    }

    fn openssl(&self, options: &[&str], certificates: &[&Path]) -> Option<std::process::Command> {
        let mut openssl = program("openssl")?;
        openssl.args(["ocsp", "-url", &self.url]);
        openssl.arg("-CAfile").arg(&self.root);
        openssl.arg("-verify_other").arg(&self.intermediate);
        // Order matters to openssl: a certificate is named by the issuer and the hash that stand before it.
        openssl.arg("-issuer").arg(&self.intermediate).args(options);
        for certificate in certificates {
            openssl.arg("-cert").arg(certificate);
        }
        Some(openssl)
    }

    /// What openssl says about each certificate, having verified the answer.
    fn ask(&self, options: &[&str], certificates: &[&Path]) -> Option<String> {
        let said = succeeds(&mut self.openssl(options, certificates)?);
        assert!(said.contains("Response verify OK"), "{options:?}: {said}");
        Some(said)
    }
}

#[test]
fn openssl_and_gnutls_hear_good_then_revoked_then_unknown() {
    let server = Server::start();
    let good = server
        .enrol("device:fra/sensor-42")
        .join("current/cert.pem");
    let lost = server
        .enrol("device:fra/sensor-43")
        .join("current/cert.pem");
    let asker = Asker::of(&server);
    let Some(access) = extension(&good, "authorityInfoAccess") else {
        return;
    };
    assert!(
        access.contains(&format!("OCSP - URI:{}", asker.url)),
        "{access}"
    );

    // SHA-1 and SHA-256, with a nonce and without, one certificate and two.
    let ways: [&[&str]; 4] = [
        &["-nonce"],
        &["-no_nonce"],
        &["-sha256", "-nonce"],
        &["-sha256", "-no_nonce"],
    ];
    for options in ways {
        let said = asker.ask(options, &[&good, &lost]).expect("openssl");
        assert_eq!(said.matches(": good").count(), 2, "{options:?}: {said}");
        assert!(!said.contains("WARNING"), "{options:?}: {said}");
    }

    let number = serial(&lost).expect("openssl");
    server.json(&["cert", "revoke", &number, "--reason", "keyCompromise"]);
    // No waiting: the very next answer says so.
    for options in ways {
        let said = asker.ask(options, &[&lost]).expect("openssl");
        assert!(
            said.contains(": revoked") && said.contains("Reason: keyCompromise"),
            "{options:?}: {said}"
        );
        let said = asker.ask(options, &[&good]).expect("openssl");
        assert!(said.contains(": good"), "{options:?}: {said}");
    }
    let said = asker
        .ask(&["-serial", "0x1234567890abcdef1234567890abcdef"], &[])
        .expect("openssl");
    assert!(said.contains(": unknown"), "{said}");

    // The root answers for the intermediate, by a responder of its own.
    let mut openssl = program("openssl").expect("openssl");
    openssl.args(["ocsp", "-url", &asker.url, "-CAfile"]);
    openssl.arg(&asker.root).arg("-issuer").arg(&asker.root);
    let said = succeeds(openssl.arg("-cert").arg(&asker.intermediate));
    assert!(
        said.contains("Response verify OK") && said.contains(": good"),
        "{said}"
    );
    // Over somebody else's certificates we have no authority.
    let mut openssl = program("openssl").expect("openssl");
    openssl.args(["ocsp", "-url", &asker.url, "-issuer"]);
    let said = fails(openssl.arg(&good).arg("-serial").arg("1"));
    assert!(said.contains("unauthorized (6)"), "{said}");

    gnutls_agrees(&server, &asker, &good, &lost);
}

fn gnutls_agrees(server: &Server, asker: &Asker, good: &Path, revoked: &Path) {
    let scratch = server.scratch("gnutls");
    // ocsptool wants one certificate in a file, and takes what it is told to trust as the signer's issuer.
    let one = |from: &Path, name: &str| {
        let text = fs::read_to_string(from).expect("a chain");
        let end = text
            .find("-----END CERTIFICATE-----")
            .expect("a certificate")
            + 25;
        let path = scratch.join(name);
        fs::write(&path, format!("{}\n", &text[..end])).expect("written");
        path
    };
    for (certificate, name, status) in [
        (good, "good.pem", "Certificate Status: good"),
        (revoked, "revoked.pem", "Certificate Status: revoked"),
    ] {
        for nonce in ["--nonce", "--no-nonce"] {
            let Some(mut ocsptool) = program("ocsptool") else {
                return;
            };
            ocsptool.arg(format!("--ask={}", asker.url)).arg(nonce);
            ocsptool.arg("--load-issuer").arg(&asker.intermediate);
            ocsptool.arg("--load-cert").arg(one(certificate, name));
            let said = succeeds(
                ocsptool
                    .arg("--load-trust")
                    .arg(&asker.intermediate)
                    .arg("--verify-allow-broken"),
            );
            assert!(
                said.contains(status) && said.contains("Verifying OCSP Response: Success"),
                "{nonce}: {said}"
            );
        }
    }
}
