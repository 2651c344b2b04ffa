//! A client that knows just enough of RFC 8555, and costs little: one account, one connection, ES256.

use std::{rc::Rc, time::Duration};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderName, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::spawn_local, time::sleep};
use tokio_rustls::TlsConnector;

use super::world::Challenges;

/// Why a certificate was not to be had, in words for whoever reads the output.
pub type Failure = String;

/// Between two looks at what isn't done yet.
const BETWEEN_POLLS: Duration = Duration::from_millis(5);

/// An account and its connection.
pub struct Client {
    connector: TlsConnector,
    challenges: Challenges,
    directory: Rc<Value>,
    connection: Option<SendRequest<Full<Bytes>>>,
    key: EcdsaKeyPair,
    jwk: Value,
    thumbprint: String,
    account: Option<String>,
    nonce: Option<String>,
    /// How many requests were sent.
    pub requests: usize,
}

struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(words)
    }
}

fn words(error: impl std::fmt::Display) -> Failure {
    error.to_string()
}

fn base64url(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

fn text<'a>(object: &'a Value, member: &str) -> Result<&'a str, Failure> {
    object[member]
        .as_str()
        .ok_or_else(|| format!("there is no {member} in {object}"))
}

impl Client {
    /// With a new key, and a new account of it.
    pub async fn register(
        connector: TlsConnector,
        challenges: Challenges,
        directory: &str,
    ) -> Result<Self, Failure> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(words)?;
        // 04 || x || y.
        let point = key.public_key().as_ref();
        let (x, y) = (base64url(&point[1..33]), base64url(&point[33..65]));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let mut client = Self {
            connector,
            challenges,
            directory: Rc::default(),
            connection: None,
            key,
            jwk: json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y }),
            thumbprint: base64url(digest(&SHA256, canonical.as_bytes())),
            account: None,
            nonce: None,
            requests: 0,
        };
        let resources = client.send(Method::GET, directory, String::new()).await?;
        client.directory = Rc::new(resources.json()?);
        let contact =
            json!({ "termsOfServiceAgreed": true, "contact": ["mailto:bench@bench.test"] });
        let url = text(&client.directory, "newAccount")?.to_owned();
        let answer = client.post(&url, &contact.to_string()).await?;
        client.account = Some(answer.location.ok_or("an account without its URL")?);
        Ok(client)
    }

    /// From newOrder to the chain, for one name.
    pub async fn certificate(&mut self, name: &str) -> Result<Bytes, Failure> {
        let url = text(&self.directory, "newOrder")?.to_owned();
        let wanted = json!({ "identifiers": [{ "type": "dns", "value": name }] });
        let placed = self.post(&url, &wanted.to_string()).await?;
        let order_url = placed.location.clone().ok_or("an order without its URL")?;
        let order = placed.json()?;
        for authorization in order["authorizations"].as_array().into_iter().flatten() {
            let url = authorization.as_str().ok_or("an authorization's URL")?;
            self.prove(url).await?;
        }
        let key = rcgen::KeyPair::generate().map_err(words)?;
        let mut wanted = rcgen::CertificateParams::new([name.to_owned()]).map_err(words)?;
        wanted.distinguished_name = rcgen::DistinguishedName::new();
        let csr = wanted.serialize_request(&key).map_err(words)?;
        let csr = json!({ "csr": base64url(csr.der()) }).to_string();
        let mut order = self.post(text(&order, "finalize")?, &csr).await?.json()?;
        if order["status"] != "valid" {
            let waiting = ["pending", "ready", "processing"];
            order = self.poll(&order_url, &waiting).await?;
        }
        let chain = self.post(text(&order, "certificate")?, "").await?.body;
        if chain.starts_with(b"-----BEGIN CERTIFICATE") {
            Ok(chain)
        } else {
            Err("no certificate was in the answer".to_owned())
        }
    }

    async fn prove(&mut self, url: &str) -> Result<(), Failure> {
        let authorization = self.post(url, "").await?.json()?;
        if authorization["status"] == "valid" {
            return Ok(());
        }
        let challenge = authorization["challenges"]
            .as_array()
            .and_then(|all| all.iter().find(|it| it["type"] == "http-01"))
            .ok_or_else(|| format!("no http-01 in {authorization}"))?;
        let token = text(challenge, "token")?;
        let answer = format!("{token}.{}", self.thumbprint);
        self.challenges
            .borrow_mut()
            .insert(token.to_owned(), answer);
        let challenged = self.post(text(challenge, "url")?, "{}").await?.json()?;
        // Who validates within the request has said so.
        if challenged["status"] != "valid" {
            let ended = self.poll(url, &["pending"]).await?;
            if ended["status"] != "valid" {
                return Err(format!("the authorization ended so: {ended}"));
            }
        }
        self.challenges.borrow_mut().remove(token);
        Ok(())
    }

    async fn poll(&mut self, url: &str, waiting: &[&str]) -> Result<Value, Failure> {
        loop {
            let now = self.post(url, "").await?.json()?;
            if !waiting.contains(&text(&now, "status")?) {
                return Ok(now);
            }
            sleep(BETWEEN_POLLS).await;
        }
    }

    /// A signed request; an empty payload reads (RFC 8555 section 6.3). A nonce that was refused is replaced.
    async fn post(&mut self, url: &str, payload: &str) -> Result<Answer, Failure> {
        for _ in 0..20 {
            let nonce = match self.nonce.take() {
                Some(nonce) => nonce,
                None => {
                    let url = text(&self.directory, "newNonce")?.to_owned();
                    self.send(Method::HEAD, &url, String::new()).await?;
                    self.nonce.take().ok_or("newNonce gave no nonce")?
                }
            };
            let body = self.signed(url, &nonce, payload)?;
            let answer = self.send(Method::POST, url, body).await?;
            if answer.status.is_success() {
                return Ok(answer);
            }
            let problem = String::from_utf8_lossy(&answer.body);
            if !problem.contains("urn:ietf:params:acme:error:badNonce") {
                return Err(format!("{url}: {}: {problem}", answer.status));
            }
        }
        Err(format!("{url}: badNonce, again and again"))
    }

    fn signed(&self, url: &str, nonce: &str, payload: &str) -> Result<String, Failure> {
        let mut protected = json!({ "alg": "ES256", "nonce": nonce, "url": url });
        match &self.account {
            Some(account) => protected["kid"] = account.as_str().into(),
            None => protected["jwk"] = self.jwk.clone(),
        }
        let (protected, payload) = (base64url(protected.to_string()), base64url(payload));
        let signature = self
            .key
            .sign(
                &SystemRandom::new(),
                format!("{protected}.{payload}").as_bytes(),
            )
            .map_err(words)?;
        let signature = base64url(signature);
        Ok(format!(
            r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#
        ))
    }

    async fn send(&mut self, method: Method, url: &str, body: String) -> Result<Answer, Failure> {
        let (host, path) = url
            .strip_prefix("https://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| format!("{url} is no https URL"))?;
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            Some(_) | None => self.connect(host).await?,
        };
        connection.ready().await.map_err(words)?;
        let request = Request::builder()
            .method(method)
            .uri(format!("/{path}"))
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/jose+json")
            .header(header::USER_AGENT, "portcullis-bench")
            .body(Full::from(body))
            .map_err(words)?;
        let answer = connection.send_request(request).await.map_err(words)?;
        self.requests += 1;
        let field = |name: HeaderName| {
            let value = answer.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        self.nonce = field(HeaderName::from_static("replay-nonce")).or(self.nonce.take());
        let (status, location) = (answer.status(), field(header::LOCATION));
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(words)?
            .to_bytes();
        self.connection = Some(connection);
        Ok(Answer {
            status,
            location,
            body,
        })
    }

    async fn connect(&self, host: &str) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "443"));
        let port: u16 = port.parse().map_err(words)?;
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .map_err(words)?;
        stream.set_nodelay(true).map_err(words)?;
        let name = ServerName::try_from(name.to_owned()).map_err(words)?;
        let stream = self.connector.connect(name, stream).await.map_err(words)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(words)?;
        spawn_local(driver);
        Ok(sender)
    }
}
