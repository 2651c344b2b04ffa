//! The server is stopped at each place in the life of an order, killed there (`kill -9`), and started again: the client
//! finishes what it began, and nothing is issued twice.

use std::{sync::Arc, time::Duration};

use axum::http::{Request, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client as HttpClient, rt::TokioExecutor};
use portcullis::authority::crash_point::CrashPoint;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::{
    acme::{
        client::{Key, Reply},
        name_server::NameServer,
        order::{csr, first_of},
        web_server::{Page, WebServer},
    },
    support::{DEADLINE, Server},
};

/// What a client is at when the server dies, and how many orders it then has: no place leaves it with another number.
const TABLE: [(CrashPoint, usize); 14] = [
    (CrashPoint::AccountBeforeCommit, 1),
    (CrashPoint::AccountCommitted, 1),
    (CrashPoint::OrderBeforeCommit, 1),
    (CrashPoint::OrderCommitted, 1),
    (CrashPoint::ChallengeBeforeBegin, 1),
    (CrashPoint::ChallengeBegun, 1),
    (CrashPoint::ChallengeValidated, 1),
    (CrashPoint::ChallengeRecorded, 1),
    (CrashPoint::FinalizeBeforeSign, 1),
    (CrashPoint::FinalizeSigned, 1),
    (CrashPoint::FinalizeCommitted, 1),
    (CrashPoint::CertificateRead, 1),
    (CrashPoint::RevokeBeforeCommit, 1),
    (CrashPoint::RevokeCommitted, 1),
];

/// What the server writes when it has come to the place.
const STOPPED: &str = "a test stops this process here";

#[tokio::test(flavor = "multi_thread")]
async fn wherever_an_order_is_when_the_server_is_killed_the_client_finishes_and_gets_one_certificate()
 {
    assert_eq!(TABLE.map(|(point, _)| point), CrashPoint::ALL);
    let (names, web) = (
        NameServer::start().await,
        WebServer::start("127.0.0.1:0").await,
    );
    let config = format!(
        "[acme.validation]\nhttp_port = {}\nresolvers = [\"{}\"]\nallow_networks = [\"127.0.0.1/32\"]",
        web.address.port(),
        names.address
    );
    let mut server = block_in_place(|| Server::builder().config(&config).start());
    for (row, (point, orders)) in TABLE.into_iter().enumerate() {
        let what = point.name();
        let name = format!("row-{row}.crash.test");
        names.set(&name, &["127.0.0.1"]);
        let mut applicant = Applicant::new(&server, &web, &name);
        // What is settled at the first look was never begun.
        applicant.is_late = matches!(
            point,
            CrashPoint::ChallengeBeforeBegin | CrashPoint::ChallengeBegun
        );

        server.serve_with(&["--test-stop-at", &what]);
        block_in_place(|| server.restart());
        let before = server.log().matches(STOPPED).count();
        tokio::select! {
            outcome = applicant.work() => panic!("{what}: it never came there: {outcome:?}"),
            () = stopped(&server, before) => {}
        }
        server.kill();

        applicant.is_late = false;
        server.serve_with(&[]);
        block_in_place(|| server.restart());
        let finished = tokio::time::timeout(DEADLINE, applicant.work()).await;
        let finished = finished.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"));
        assert!(finished.is_some(), "{what}: no answer");

        assert_eq!(applicant.orders().await.unwrap().len(), orders, "{what}");
        let listed = block_in_place(|| server.json(&["cert", "list", "--limit", "1000"]));
        let issued: Vec<&Value> = listed
            .as_array()
            .expect("a list")
            .iter()
            .filter(|certificate| certificate.to_string().contains(&name))
            .collect();
        assert_eq!(issued.len(), 1, "{what}: {issued:?}");
        let serial = serial(&applicant.certificate.clone().expect("received"));
        assert_eq!(issued[0]["serial"], *serial, "{what}");
        let shown = block_in_place(|| server.json(&["cert", "show", &serial])).to_string();
        assert!(shown.contains("superseded"), "{what}: {shown}");
    }
    let audit = block_in_place(|| server.cli(&["audit", "verify"]));
    assert!(audit.status.success(), "{audit:?}");
}

async fn stopped(server: &Server, before: usize) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while server.log().matches(STOPPED).count() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "it never stopped:\n{}", server.log());
}

fn serial(der: &[u8]) -> String {
    use x509_parser::prelude::FromDer as _;
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).unwrap();
    let octets = certificate.raw_serial();
    let leading = octets.iter().take_while(|octet| **octet == 0).count();
    hex::encode(&octets[leading..])
}

/// A client that remembers what it was told, and goes on from there.
struct Applicant<'a> {
    web: &'a WebServer,
    base: String,
    tls: Arc<rustls::ClientConfig>,
    key: Key,
    name: String,
    csr: String,
    account: Option<String>,
    certificate: Option<Vec<u8>>,
    /// Its web server does not have what is asked for.
    is_late: bool,
}

impl<'a> Applicant<'a> {
    fn new(server: &Server, web: &'a WebServer, name: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_file(server.root_pem_path()).unwrap();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let directory = server.directory_url();
        Self {
            web,
            base: directory.strip_suffix("/directory").unwrap().to_owned(),
            tls: Arc::new(tls),
            key: Key::new(),
            name: name.to_owned(),
            csr: csr(&[name]).0,
            account: None,
            certificate: None,
            is_late: false,
        }
    }

    /// All from the account to the revocation, but for what is done already. Nothing if an answer did not come.
    async fn work(&mut self) -> Option<()> {
        if self.account.is_none() {
            let url = format!("{}/new-account", self.base);
            let opened = self.post(&url, "{}").await?.ok();
            self.account = Some(opened.location());
        }
        // It may not have heard of its own order.
        let order = match self.orders().await?.into_iter().next() {
            Some(order) => order,
            None => {
                let wanted = json!({"identifiers": [{"type": "dns", "value": self.name}]});
                let url = format!("{}/new-order", self.base);
                let placed = self.post(&url, &wanted.to_string()).await?.ok();
                placed.location()
            }
        };
        let shown = self.post(&order, "").await?.ok().json();
        let authorization = shown["authorizations"][0].as_str().unwrap();
        self.prove(authorization).await?;
        let shown = self.post(&order, "").await?.ok().json();
        if shown["status"] == "ready" {
            let finalize = shown["finalize"].as_str().unwrap();
            let payload = json!({"csr": self.csr}).to_string();
            self.post(finalize, &payload).await?.ok();
        }
        let shown = self.post(&order, "").await?.ok().json();
        assert_eq!(shown["status"], "valid", "{shown}");
        let pem = self
            .post(shown["certificate"].as_str().unwrap(), "")
            .await?
            .ok();
        let der = first_of(&pem.body);
        self.certificate = Some(der.clone());
        let payload = json!({"certificate": URL_SAFE_NO_PAD.encode(der), "reason": 4});
        let url = format!("{}/revoke-cert", self.base);
        let revoked = self.post(&url, &payload.to_string()).await?;
        if !revoked.status.is_success() {
            assert_eq!(revoked.problem(), (400, "alreadyRevoked".to_owned()));
        }
        Some(())
    }

    async fn orders(&self) -> Option<Vec<String>> {
        let url = format!("{}/orders", self.account.as_deref().unwrap());
        let page = self.post(&url, "").await?.ok().json();
        let orders = page["orders"].as_array().unwrap();
        let urls = orders.iter().map(|url| url.as_str().unwrap().to_owned());
        Some(urls.collect())
    }

    /// Responds to http-01, unless that is done, and waits for the outcome.
    async fn prove(&self, authorization: &str) -> Option<()> {
        loop {
            let shown = self.post(authorization, "").await?.ok().json();
            if shown["status"] != "pending" {
                assert_eq!(shown["status"], "valid", "{shown}");
                return Some(());
            }
            let challenges = shown["challenges"].as_array().unwrap();
            let challenge = challenges
                .iter()
                .find(|challenge| challenge["type"] == "http-01")
                .unwrap();
            let token = challenge["token"].as_str().unwrap();
            if !self.is_late {
                let key_authorization = format!("{token}.{}", self.key.thumbprint());
                self.web
                    .respond(token, Page::Body(key_authorization.into()));
            }
            if challenge["status"] == "pending" {
                let url = challenge["url"].as_str().unwrap();
                self.post(url, "{}").await?.ok();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A signed request; nothing if no answer comes.
    async fn post(&self, url: &str, payload: &str) -> Option<Reply> {
        let new_nonce = format!("{}/new-nonce", self.base);
        let nonce = self.request("HEAD", &new_nonce, Vec::new()).await?;
        let mut protected = json!({
            "alg": self.key.algorithm(),
            "nonce": nonce.header("replay-nonce"),
            "url": url,
        });
        match &self.account {
            Some(account) => protected["kid"] = json!(account),
            None => protected["jwk"] = self.key.jwk(),
        }
        let body = self.key.jws(&protected, payload).to_string();
        self.request("POST", url, body.into_bytes()).await
    }

    async fn request(&self, method: &str, url: &str, body: Vec<u8>) -> Option<Reply> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config((*self.tls).clone())
            .https_only()
            .enable_http1()
            .build();
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::CONTENT_TYPE, "application/jose+json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let client = HttpClient::builder(TokioExecutor::new()).build(connector);
        let (head, body) = client.request(request).await.ok()?.into_parts();
        Some(Reply {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.ok()?.to_bytes(),
        })
    }
}
