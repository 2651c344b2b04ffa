//! The chains that a certificate comes with, over HTTP (RFC 8555 sections 7.4.2 and 9.1).

use portcullis::{authority::ca::RotateIssuer, domain::audit::Actor};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    client::{Client, Reply},
    order::{csr, finalized, ready},
    server::Server,
};

fn linked<'a>(reply: &'a Reply, relation: &str) -> Vec<&'a str> {
    let end = format!(">;rel=\"{relation}\"");
    reply
        .links()
        .into_iter()
        .filter_map(|link| link.strip_suffix(&end)?.strip_prefix('<'))
        .collect()
}

async fn certificate(server: &Server, client: &Client) -> String {
    let (_, order) = ready(server, client, &["a.example"]).await;
    let done: Value = finalized(client, &order, &csr(&["a.example"]).0)
        .await
        .ok()
        .json();
    done["certificate"].as_str().unwrap().to_owned()
}

/// The certificates of a chain.
fn chain(reply: &Reply) -> Vec<Vec<u8>> {
    assert_eq!(
        reply.header("content-type"),
        "application/pem-certificate-chain"
    );
    CertificateDer::pem_slice_iter(&reply.body)
        .map(|der| der.unwrap().to_vec())
        .collect()
}

/// Each certificate of a chain was signed by the next one; the answer is the last one's issuer.
fn root_of(chain: &[Vec<u8>]) -> String {
    let parsed: Vec<X509Certificate<'_>> = chain
        .iter()
        .map(|der| X509Certificate::from_der(der).unwrap().1)
        .collect();
    for pair in parsed.windows(2) {
        pair[0]
            .verify_signature(Some(pair[1].public_key()))
            .unwrap();
    }
    parsed.last().unwrap().issuer().to_string()
}

#[tokio::test]
async fn a_certificate_has_one_chain_while_there_is_one_root() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = certificate(&server, &client).await;
    let reply = client.get(&url).await.ok();
    // With its chain inside, an answer has none elsewhere (RFC 8555 section 7.1); Caddy would fetch it and fail.
    assert_eq!(linked(&reply, "up"), [""; 0]);
    assert_eq!(linked(&reply, "alternate"), [""; 0]);
    assert_eq!(linked(&reply, "index"), [client.url("directory")]);
    assert_eq!(chain(&reply).len(), 2);
    for number in ["0", "1", "x", "99999999999999999999"] {
        let reply = client.get(&format!("{url}/alternate/{number}")).await;
        assert_eq!(reply.problem(), (404, "malformed".to_owned()), "{number}");
    }
}

#[tokio::test]
async fn while_a_root_is_replaced_every_root_has_a_chain_of_its_own() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let old_root = server.authority.issuers().roots()[0].name().to_string();
    let rotate = RotateIssuer {
        name: old_root,
        algorithm: None,
        home: None,
    };
    server
        .authority
        .rotate_issuer(&Actor::Authority, rotate)
        .await
        .unwrap();
    let url = certificate(&server, &client).await;
    let usual = client.get(&url).await.ok();
    let alternates = linked(&usual, "alternate");
    assert_eq!(alternates, [format!("{url}/alternate/1")]);
    let other = client.get(alternates[0]).await.ok();
    assert_eq!(linked(&other, "alternate"), [url.as_str()]);
    assert_eq!(chain(&usual)[0], chain(&other)[0]);
    assert_ne!(root_of(&chain(&usual)), root_of(&chain(&other)));

    let stranger = Client::registered(&server.base).await;
    let denied = stranger.get(alternates[0]).await;
    assert_eq!(denied.problem(), (403, "unauthorized".to_owned()));
}
