//! The agent gets a device's certificate by permanent-identifier (RFC 8555, with the identifier of
//! draft-ietf-acme-device-attest), the invitation vouching for it.

use super::openssl::{Chain, extension, serial};
use crate::support::Server;

#[test]
fn the_agent_gets_a_certificate_by_permanent_identifier() {
    let server = Server::start();
    let device = server.enrol("device:fra/sensor-42");
    let certificate = device.join("current/cert.pem");
    let chain = Chain {
        root_pem: &server.root_pem_path(),
        chain: &certificate,
        purpose: "sslclient",
    };
    if chain.is_accepted(None).is_none() {
        return;
    }
    // The permanent identifier is no name of the certificate: the principal is.
    let names = extension(&certificate, "subjectAltName").expect("openssl");
    assert_eq!(
        names.lines().last().map(str::trim),
        Some("URI:spiffe://portcullis.internal/device/fra/sensor-42")
    );
    let shown = server.json(&["cert", "show", &serial(&certificate).expect("openssl")]);
    assert_eq!(shown["principal"], "device:fra/sensor-42");
    assert_eq!(shown["profile"], "device");
}
