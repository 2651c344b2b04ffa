//! certbot and lego get a principal's certificate with the key of its invitation, as external account binding
//! (RFC 8555 section 7.3.4); nothing answers a challenge here.

use super::{
    acme_client::{Obtained, Order, certbot, lego},
    openssl::{Chain, extension, key_belongs_to, serial},
};
use crate::support::Server;

#[test]
fn certbot_gets_a_certificate_with_external_account_binding() {
    obtains_with_a_binding(certbot);
}

#[test]
fn lego_gets_a_certificate_with_external_account_binding() {
    obtains_with_a_binding(lego);
}

fn obtains_with_a_binding(client: fn(&Order<'_>) -> Option<Obtained>) {
    // Nobody enrols without an invitation here.
    let server = Server::builder()
        .config("[acme]\nexternal_account = \"required\"")
        .start();
    let invitation = server.invite("service:billing/etl", &["--dns", "etl.fleet.test"]);
    let obtained = client(&Order {
        directory_url: &server.directory_url(),
        root_pem: &server.root_pem_path(),
        names: &["etl.fleet.test"],
        // Nothing listens there: the invitation vouches for the name.
        http01_port: 9,
        binding: Some((
            invitation["key_id"].as_str().expect("a key id"),
            invitation["mac_key"].as_str().expect("a MAC key"),
        )),
        folder: &server.scratch("client"),
    });
    let Some(obtained) = obtained else { return };

    let chain = Chain {
        root_pem: &server.root_pem_path(),
        chain: &obtained.chain,
        purpose: "sslclient",
    };
    chain.is_accepted(None).expect("openssl");
    let names = extension(&obtained.chain, "subjectAltName").expect("openssl");
    for name in [
        "DNS:etl.fleet.test",
        "URI:spiffe://portcullis.internal/service/billing/etl",
    ] {
        assert!(names.contains(name), "{names}\n{}", obtained.said);
    }
    assert_eq!(key_belongs_to(&obtained.key, &obtained.chain), Some(true));
    let serial = serial(&obtained.chain).expect("openssl");
    let shown = server.json(&["cert", "show", &serial]);
    assert_eq!(shown["principal"], "service:billing/etl");
    assert_eq!(shown["status"], "valid");
}
