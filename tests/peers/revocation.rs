//! openssl checks every certificate of a chain against the lists that the certificates themselves name
//! (RFC 5280 section 6.3).

use super::openssl::{Chain, extension, fetch_lists, serial};
use crate::support::{Server, eventually};

#[test]
fn openssl_accepts_a_good_certificate_and_refuses_a_revoked_one() {
    let server = Server::start();
    let good = server
        .enrol("device:fra/sensor-42")
        .join("current/cert.pem");
    let Some(point) = extension(&good, "crlDistributionPoints") else {
        return;
    };
    // Serials choose the shard: one in 16 falls into that of the first.
    let revoked = (43..60)
        .map(|number| {
            server
                .enrol(&format!("device:fra/sensor-{number}"))
                .join("current/cert.pem")
        })
        .find(|path| extension(path, "crlDistributionPoints").expect("openssl") != point)
        .expect("one of another shard");
    let root_pem = server.root_pem_path();
    let (scratch, other_scratch) = (server.scratch("lists"), server.scratch("others"));
    let of = |certificate| Chain {
        root_pem: &root_pem,
        chain: certificate,
        purpose: "sslclient",
    };
    let lists = fetch_lists(&good, &scratch).expect("openssl and curl");
    let others = fetch_lists(&revoked, &other_scratch).expect("openssl and curl");
    // Without lists the check fails, so it is a check.
    let without = of(&good).is_refused(Some(&root_pem)).expect("openssl");
    assert!(
        without.contains("CRL") || without.contains("crl"),
        "{without}"
    );
    of(&good).is_accepted(Some(&lists)).expect("openssl");
    of(&revoked).is_accepted(Some(&others)).expect("openssl");
    // A good list of the right issuer, but of another shard: it says nothing (RFC 5280 section 6.3.3 (b)).
    let wrong = of(&good).is_refused(Some(&others)).expect("openssl");
    assert!(wrong.contains("CRL scope"), "{wrong}");

    let serial = serial(&revoked).expect("openssl");
    server.json(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    eventually("the list names the revoked certificate", || {
        fetch_lists(&revoked, &other_scratch).expect("openssl and curl");
        let mut openssl = super::program::program("openssl").expect("openssl");
        let said = super::program::succeeds(
            openssl
                .args(["crl", "-noout", "-text", "-in"])
                .arg(other_scratch.join("leaf.pem")),
        );
        said.to_lowercase().contains(&serial) && said.contains("Key Compromise")
    });
    let said = of(&revoked).is_refused(Some(&others)).expect("openssl");
    assert!(said.contains("certificate revoked"), "{said}");
    of(&good).is_accepted(Some(&lists)).expect("openssl");
}
