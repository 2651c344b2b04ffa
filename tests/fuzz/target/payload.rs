//! Payloads of every endpoint, rightly signed, sent through the ACME server in this process. An input is the name of a
//! resource, a line feed, and the payload. Whatever it is, the answer is a good one or a problem that says something, and
//! never the server's own fault.

use std::{cell::RefCell, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use http_body_util::BodyExt as _;
use portcullis::{
    acme::{
        self, AcmeConfig, limits::LimitsConfig, state::AcmeServer,
        validation::config::ValidationConfig,
    },
    authority::{Authority, Invite, Profiles},
    domain::{
        Clock, Timestamp, attestation::AttestationRules, audit::Actor, identifier::Identifier,
        rate_limit::Limit,
    },
    listen::Peer,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use url::Url;

use super::{Target, Verdict, signer::Signer};
use crate::{
    acme::authority,
    fuzz::{
        corpus::{self, Entry},
        mutate::json,
        random::Random,
    },
};

const BASE: &str = "https://ca.test";

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000)
    }
}

pub struct PayloadTarget {
    corpus: Vec<Entry>,
    runtime: Runtime,
    session: RefCell<Session>,
    _directory: tempfile::TempDir,
}

/// A server, and two accounts there: one that was invited, with an order that is ready, and one that was not, with an order
/// that is pending.
struct Session {
    authority: Authority,
    router: Router,
    /// How many keys were used. An account that was deactivated needs another one.
    keys: u64,
    invited: Account,
    other: Account,
}

struct Account {
    signer: Signer,
    url: String,
    order: Value,
    order_url: String,
    challenge: String,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl PayloadTarget {
    pub fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let session = runtime.block_on(Session::start(directory.path()));
        Self {
            corpus: corpus::read("payload"),
            runtime,
            session: RefCell::new(session),
            _directory: directory,
        }
    }
}

impl Target for PayloadTarget {
    fn name(&self) -> &'static str {
        "payload"
    }

    fn corpus(&self) -> &[Entry] {
        &self.corpus
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let (seed, other) = (random.pick(&self.corpus), random.pick(&self.corpus));
        let (mut resource, payload) = split(&seed.octets);
        if random.once_in(20) {
            resource = split(&other.octets).0;
        }
        let payload = json::mutate(payload, split(&other.octets).1, random);
        [resource.as_bytes(), b"\n", &payload].concat()
    }

    fn check(&self, input: &[u8]) -> Verdict {
        let (resource, payload) = split(input);
        let mut session = self.session.borrow_mut();
        let reply = self.runtime.block_on(session.send(resource, payload));
        let success = reply.status.is_success();
        if success {
            // What was ended is made anew, so that there is something to be ended the next time.
            let ends = matches!(
                resource,
                "account" | "authorization" | "challenge" | "key-change"
            );
            if ends && !payload.is_empty() {
                self.runtime.block_on(session.reopen());
            }
            return Verdict::Accepted;
        }
        let shown = String::from_utf8_lossy(&reply.body);
        assert!(
            reply.status.is_client_error() || reply.status == StatusCode::SERVICE_UNAVAILABLE,
            "{}: {shown}",
            reply.status
        );
        assert_eq!(reply.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_slice(&reply.body).expect("a problem is JSON");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty()),
            "{shown}"
        );
        assert_eq!(problem["status"], reply.status.as_u16());
        Verdict::Refused
    }
}

fn split(input: &[u8]) -> (&str, &[u8]) {
    let at = input
        .iter()
        .position(|octet| *octet == b'\n')
        .unwrap_or(input.len());
    let resource = std::str::from_utf8(&input[..at]).unwrap_or_default();
    (resource, input.get(at + 1..).unwrap_or_default())
}

impl Session {
    async fn start(directory: &std::path::Path) -> Self {
        let config = AcmeConfig {
            // Nobody is there: what is validated fails at once.
            validation: Some(ValidationConfig {
                http_port: 1,
                tls_alpn_port: 1,
                resolvers: vec!["127.0.0.1:1".to_owned()],
                attempts: 1,
                ..ValidationConfig::default()
            }),
            limits: no_limits(),
            ..AcmeConfig::default()
        };
        let settings = config.check().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(FixedClock);
        let authority = authority::start_with_directories(
            directory,
            Arc::clone(&clock),
            Profiles::default(),
            settings.directories(),
            AttestationRules::default(),
        )
        .await;
        let base = Url::parse(BASE).unwrap();
        let router = acme::router(AcmeServer::new(&authority, settings, &base, &clock).unwrap());
        let nobody = || Account {
            signer: Signer::new(2),
            url: String::new(),
            order: Value::Null,
            order_url: String::new(),
            challenge: String::new(),
        };
        let mut session = Self {
            authority,
            router,
            keys: 100,
            invited: nobody(),
            other: nobody(),
        };
        session.reopen().await;
        session
    }

    /// Opens both accounts with new keys, and places their orders.
    async fn reopen(&mut self) {
        let invite = Invite {
            identifiers: vec![Identifier::parse("dns", "a.example").unwrap()],
            ..Invite::of(format!("service:fuzz/{}", self.keys).parse().unwrap())
        };
        let invited = self
            .authority
            .invite(&Actor::Authority, invite)
            .await
            .unwrap();
        self.invited = self
            .account(Some((
                invited.invitation.id.to_string(),
                invited.mac_key.to_vec(),
            )))
            .await;
        self.other = self.account(None).await;
    }

    async fn account(&mut self, binding: Option<(String, Vec<u8>)>) -> Account {
        use aws_lc_rs::hmac;
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        self.keys += 1;
        let signer = Signer::new(self.keys);
        let url = format!("{BASE}/acme/new-account");
        let mut payload = json!({});
        if let Some((key_id, mac_key)) = binding {
            let header = json!({"alg": "HS256", "kid": key_id, "url": url});
            let protected = URL_SAFE_NO_PAD.encode(header.to_string());
            let bound = URL_SAFE_NO_PAD.encode(signer.jwk().to_string());
            let key = hmac::Key::new(hmac::HMAC_SHA256, &mac_key);
            let mac = hmac::sign(&key, format!("{protected}.{bound}").as_bytes());
            payload["externalAccountBinding"] = json!({"protected": protected, "payload": bound, "signature": URL_SAFE_NO_PAD.encode(mac)});
        }
        let opened = self
            .post(&signer, None, &url, payload.to_string().as_bytes())
            .await;
        let mut account = Account {
            url: location(&opened),
            signer,
            order: Value::Null,
            order_url: String::new(),
            challenge: String::new(),
        };
        let wanted = json!({"identifiers": [{"type": "dns", "value": "a.example"}]});
        let new_order = format!("{BASE}/acme/new-order");
        let placed = self
            .by(&account, &new_order, wanted.to_string().as_bytes())
            .await;
        account.order_url = location(&placed);
        account.order = serde_json::from_slice(&placed.body).unwrap();
        let authorization = account.order["authorizations"][0]
            .as_str()
            .unwrap()
            .to_owned();
        let shown = self.by(&account, &authorization, b"").await;
        let shown: Value = serde_json::from_slice(&shown.body).unwrap();
        account.challenge = shown["challenges"][0]["url"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        account
    }

    /// A payload to a resource.
    async fn send(&self, resource: &str, payload: &[u8]) -> Reply {
        let (invited, other) = (&self.invited, &self.other);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (account, url) = match resource {
            "account" => (other, other.url.clone()),
            "orders" => (other, format!("{}/orders", other.url)),
            "order" => (other, other.order_url.clone()),
            "authorization" => (other, text(&other.order["authorizations"][0])),
            "challenge" => (other, other.challenge.clone()),
            "pending-finalize" => (other, text(&other.order["finalize"])),
            "finalize" => (invited, text(&invited.order["finalize"])),
            "invited-order" => (invited, format!("{BASE}/acme/new-order")),
            "new-account" => {
                let url = format!("{BASE}/acme/new-account");
                return self.post(&other.signer, None, &url, payload).await;
            }
            "another-account" => {
                let url = format!("{BASE}/acme/new-account");
                return self.post(&Signer::new(99), None, &url, payload).await;
            }
            resource => {
                let path: String = resource
                    .chars()
                    .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
                    .collect();
                (other, format!("{BASE}/acme/{path}"))
            }
        };
        self.by(account, &url, payload).await
    }

    async fn by(&self, account: &Account, url: &str, payload: &[u8]) -> Reply {
        self.post(&account.signer, Some(&account.url), url, payload)
            .await
    }

    async fn post(
        &self,
        signer: &Signer,
        account: Option<&str>,
        url: &str,
        payload: &[u8],
    ) -> Reply {
        let new_nonce = format!("{BASE}/acme/new-nonce");
        let nonce = self.request(Method::HEAD, &new_nonce, Vec::new()).await;
        let nonce = nonce.headers["replay-nonce"].to_str().unwrap().to_owned();
        let mut header = json!({"alg": "EdDSA", "nonce": nonce, "url": url});
        match account {
            Some(account) => header["kid"] = json!(account),
            None => header["jwk"] = signer.jwk(),
        }
        let body = signer.jws(header.to_string().as_bytes(), payload);
        self.request(Method::POST, url, body.to_string().into_bytes())
            .await
    }

    async fn request(&self, method: Method, url: &str, body: Vec<u8>) -> Reply {
        let path = url.strip_prefix(BASE).unwrap();
        let peer = Peer {
            address: ([127, 0, 0, 1], 1).into(),
            certificates: Arc::default(),
            server_name: None,
        };
        let request = Request::builder()
            .extension(peer)
            .method(method)
            .uri(path)
            .header("content-type", "application/jose+json")
            .body(Body::from(body))
            .unwrap();
        let (head, body) = self
            .router
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        Reply {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }
}

/// What is limited is refused before it is read.
fn no_limits() -> LimitsConfig {
    let all: toml::Table = Limit::ALL
        .into_iter()
        .map(|limit| (limit.name().to_owned(), "off".into()))
        .collect();
    all.try_into().unwrap()
}

fn location(reply: &Reply) -> String {
    let shown = String::from_utf8_lossy(&reply.body);
    assert!(reply.status.is_success(), "{}: {shown}", reply.status);
    reply.headers["location"].to_str().unwrap().to_owned()
}

/// Payloads of every resource.
pub fn valid() -> Vec<(String, Vec<u8>)> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr = URL_SAFE_NO_PAD.encode(params.serialize_request(&key).unwrap().der());
    let certificate = URL_SAFE_NO_PAD.encode(super::certificate::root(1));
    let names = |names: &[&str]| {
        let all: Vec<Value> = names
            .iter()
            .map(|name| json!({"type": "dns", "value": name}))
            .collect();
        json!({"identifiers": all})
    };
    let good = [
        (
            "new-account",
            json!({"contact": ["mailto:a@b.example"], "termsOfServiceAgreed": true}),
        ),
        ("new-account", json!({"onlyReturnExisting": true})),
        ("another-account", json!({"contact": []})),
        (
            "account",
            json!({"contact": ["mailto:a@b.example", "mailto:c@d.example"]}),
        ),
        ("account", json!({"status": "deactivated"})),
        ("new-order", names(&["a.example", "b.example"])),
        (
            "new-order",
            json!({"identifiers": [{"type": "ip", "value": "192.0.2.1"}, {"type": "ip", "value": "2001:db8::1"}]}),
        ),
        ("invited-order", names(&["a.example"])),
        ("authorization", json!({"status": "deactivated"})),
        ("challenge", json!({})),
        ("finalize", json!({"csr": csr})),
    ];
    let bad = [
        ("pending-finalize", json!({"csr": csr})),
        (
            "new-order",
            json!({"identifiers": [{"type": "permanent-identifier", "value": "x"}], "profile": "p", "replaces": "AA.AA"}),
        ),
        (
            "new-order",
            json!({"identifiers": [], "notBefore": "2030-01-01T00:00:00Z", "notAfter": "2031-01-01T00:00:00Z"}),
        ),
        (
            "revoke-cert",
            json!({"certificate": certificate, "reason": 1}),
        ),
        (
            "key-change",
            json!({"protected": "e30", "payload": "e30", "signature": "AA"}),
        ),
        ("trust-bundle", json!({})),
        ("order", json!({})),
        ("nowhere", json!({})),
    ];
    let empty = [
        "order",
        "orders",
        "authorization",
        "challenge",
        "trust-bundle",
        "directory",
    ];
    let mut all = Vec::new();
    let mut add = |kind: &str, resource: &str, payload: &str| {
        let name = format!("{kind}-{:02}-{resource}", all.len());
        all.push((name, format!("{resource}\n{payload}").into_bytes()));
    };
    good.iter()
        .for_each(|(resource, payload)| add("valid", resource, &payload.to_string()));
    bad.iter()
        .for_each(|(resource, payload)| add("bad", resource, &payload.to_string()));
    empty.iter().for_each(|resource| add("valid", resource, ""));
    all
}
