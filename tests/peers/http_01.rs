//! certbot and lego get server certificates by http-01 (RFC 8555 section 8.3).

use std::net::TcpListener;

use super::{
    acme_client::{Obtained, Order, certbot, lego},
    dns::Dns,
    openssl::{Chain, extension, key_belongs_to, serial},
};
use crate::support::Server;

const NAMES: &[&str] = &["www.fleet.test", "api.fleet.test"];

#[test]
fn certbot_gets_a_certificate_by_http_01() {
    obtains_by_http_01(certbot);
}

#[test]
fn lego_gets_a_certificate_by_http_01() {
    obtains_by_http_01(lego);
}

fn obtains_by_http_01(client: fn(&Order<'_>) -> Option<Obtained>) {
    let dns = Dns::start();
    let port = free_port();
    let server = Server::builder()
        .config(&format!(
            "[acme.validation]\nhttp_port = {port}\nresolvers = [\"{}\"]\nallow_networks = [\"127.0.0.0/8\"]",
            dns.address()
        ))
        .start();
    let obtained = client(&Order {
        directory_url: &server.directory_url(),
        root_pem: &server.root_pem_path(),
        names: NAMES,
        http01_port: port,
        binding: None,
        folder: &server.scratch("client"),
    });
    let Some(obtained) = obtained else { return };

    let root_pem = server.root_pem_path();
    let chain = |purpose| Chain {
        root_pem: &root_pem,
        chain: &obtained.chain,
        purpose,
    };
    chain("sslserver").is_accepted(None).expect("openssl");
    // Without an invitation a certificate proves no principal: no clientAuth, and no URI among its names.
    let said = chain("sslclient").is_refused(None).expect("openssl");
    assert!(said.contains("purpose"), "{said}\n{}", obtained.said);
    assert_eq!(dns_names(&obtained), NAMES_SORTED);
    assert_eq!(key_belongs_to(&obtained.key, &obtained.chain), Some(true));
    let serial = serial(&obtained.chain).expect("openssl");
    let shown = server.json(&["cert", "show", &serial]);
    assert_eq!(shown["status"], "valid");
    assert_eq!(shown["profile"], "server");
    assert!(shown["principal"].is_null(), "{shown}");
}

const NAMES_SORTED: &[&str] = &["DNS:api.fleet.test", "DNS:www.fleet.test"];

/// All subject alternative names, as openssl writes them, in order.
fn dns_names(obtained: &Obtained) -> Vec<String> {
    let said = extension(&obtained.chain, "subjectAltName").expect("openssl");
    let names = said.lines().last().unwrap_or_default();
    let mut names: Vec<String> = names
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    names.sort();
    names
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
