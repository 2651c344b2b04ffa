//! openssl checks every certificate of a chain against the lists that the certificates themselves name
//! (RFC 5280 section 6.3).

use super::openssl::{Chain, fetch_lists, serial};
use crate::support::{Server, eventually};

#[test]
fn openssl_accepts_a_good_certificate_and_refuses_a_revoked_one() {
    let server = Server::start();
    let good = server
        .enrol("device:fra/sensor-42")
        .join("current/cert.pem");
    let revoked = server
        .enrol("device:fra/sensor-43")
        .join("current/cert.pem");
    let root_pem = server.root_pem_path();
    let scratch = server.scratch("lists");
    let of = |certificate| Chain {
        root_pem: &root_pem,
        chain: certificate,
        purpose: "sslclient",
    };
    let Some(lists) = fetch_lists(&good, &scratch) else {
        return;
    };
    // Without lists the check fails, so it is a check.
    let without = of(&good).is_refused(Some(&root_pem)).expect("openssl");
    assert!(
        without.contains("CRL") || without.contains("crl"),
        "{without}"
    );
    of(&good).is_accepted(Some(&lists)).expect("openssl");
    of(&revoked).is_accepted(Some(&lists)).expect("openssl");

    let serial = serial(&revoked).expect("openssl");
    server.json(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    eventually("the list names the revoked certificate", || {
        fetch_lists(&good, &scratch).expect("openssl and curl");
        let mut openssl = super::program::program("openssl").expect("openssl");
        let said = super::program::succeeds(
            openssl
                .args(["crl", "-noout", "-text", "-in"])
                .arg(scratch.join("leaf.pem")),
        );
        said.to_lowercase().contains(&serial) && said.contains("Key Compromise")
    });
    let said = of(&revoked).is_refused(Some(&lists)).expect("openssl");
    assert!(said.contains("certificate revoked"), "{said}");
    of(&good).is_accepted(Some(&lists)).expect("openssl");
}
