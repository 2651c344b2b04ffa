//! A small ACME client that signs anything it is told to, so that it can be told wrong things.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An account's key.
pub enum Key {
    Ec(EcdsaKeyPair, &'static str, &'static str),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Key {
    pub fn new() -> Self {
        Self::of("ES256")
    }

    pub fn of(algorithm: &str) -> Self {
        let ec = |signing, alg, crv| Self::Ec(EcdsaKeyPair::generate(signing).unwrap(), alg, crv);
        match algorithm {
            "ES256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256", "P-256"),
            "ES384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384", "P-384"),
            "ES512" => ec(&ECDSA_P521_SHA512_FIXED_SIGNING, "ES512", "P-521"),
            "EdDSA" => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
            "RS256" => Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
            other => panic!("{other}"),
        }
    }

    /// The key pair of a certificate.
    pub fn from_p256_pkcs8(der: &[u8]) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).unwrap();
        Self::Ec(pair, "ES256", "P-256")
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Ec(_, algorithm, _) => algorithm,
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    pub fn jwk(&self) -> Value {
        match self {
            Self::Ec(pair, _, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
            }
            Self::Rsa(pair) => {
                let key = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": encode(key.modulus().big_endian_without_leading_zero()),
                    "e": encode(key.exponent().big_endian_without_leading_zero()),
                })
            }
        }
    }

    /// RFC 7638; the members of the map are sorted by name.
    pub fn thumbprint(&self) -> String {
        let canonical = self.jwk().to_string();
        encode(aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            canonical.as_bytes(),
        ))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ec(pair, ..) => pair
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }
        }
    }

    /// A flattened JWS over a protected header and a payload, as they are.
    pub fn jws(&self, protected: &Value, payload: &str) -> Value {
        let (protected, payload) = (encode(protected.to_string()), encode(payload));
        let signature = encode(self.sign(format!("{protected}.{payload}").as_bytes()));
        json!({"protected": protected, "payload": payload, "signature": signature})
    }
}

/// An external account binding of a key, for a URL.
pub fn binding(key_id: &str, mac_key: &[u8], account_key: &Key, url: &str) -> Value {
    let protected = json!({"alg": "HS256", "kid": key_id, "url": url});
    mac(mac_key, &protected, &account_key.jwk())
}

/// A flattened JWS with HS256.
pub fn mac(mac_key: &[u8], protected: &Value, payload: &Value) -> Value {
    let (protected, payload) = (encode(protected.to_string()), encode(payload.to_string()));
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, mac_key),
        format!("{protected}.{payload}").as_bytes(),
    );
    json!({"protected": protected, "payload": payload, "signature": encode(tag)})
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {self:?}"))
            .to_str()
            .unwrap()
    }

    pub fn location(&self) -> String {
        self.header("location").to_owned()
    }

    pub fn links(&self) -> Vec<&str> {
        let links = self.headers.get_all(header::LINK);
        links.iter().map(|link| link.to_str().unwrap()).collect()
    }

    /// Status and the last part of the problem's type.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        let kind = problem["type"].as_str().unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty())
        );
        (
            self.status.as_u16(),
            kind.strip_prefix("urn:ietf:params:acme:error:")
                .unwrap()
                .to_owned(),
        )
    }

    /// Its status and, if it is a problem, the last part of its type.
    pub fn outcome(&self) -> (u16, String) {
        if self.status.is_success() {
            return (self.status.as_u16(), String::new());
        }
        self.problem()
    }

    /// That it worked.
    pub fn ok(self) -> Self {
        assert!(self.status.is_success(), "{self:?}");
        self
    }
}

/// A client with a key, and perhaps an account.
pub struct Client {
    pub base: String,
    pub key: Key,
    pub account: Option<String>,
}

impl Client {
    pub fn new(base: &str, key: Key) -> Self {
        Self {
            base: base.to_owned(),
            key,
            account: None,
        }
    }

    /// One with a fresh account.
    pub async fn registered(base: &str) -> Self {
        let mut client = Self::new(base, Key::new());
        client.register(json!({})).await.ok();
        client
    }

    /// Sends newAccount, and remembers the account.
    pub async fn register(&mut self, payload: Value) -> Reply {
        let reply = self
            .post_with_key(&self.url("new-account"), &payload.to_string())
            .await;
        if reply.status.is_success() {
            self.account = Some(reply.location());
        }
        reply
    }

    pub fn url(&self, resource: &str) -> String {
        format!("{}/acme/{resource}", self.base)
    }

    pub async fn nonce(&self) -> String {
        let reply = send(Method::HEAD, &self.url("new-nonce"), None, Vec::new()).await;
        reply.header("replay-nonce").to_owned()
    }

    /// The protected header of a good request by the account.
    pub async fn protected(&self, url: &str) -> Value {
        json!({
            "alg": self.key.algorithm(),
            "kid": self.account,
            "nonce": self.nonce().await,
            "url": url,
        })
    }

    /// A request by the account.
    pub async fn post(&self, url: &str, payload: Value) -> Reply {
        let protected = self.protected(url).await;
        self.send(url, &self.key.jws(&protected, &payload.to_string()))
            .await
    }

    /// A POST-as-GET by the account.
    pub async fn get(&self, url: &str) -> Reply {
        let protected = self.protected(url).await;
        self.send(url, &self.key.jws(&protected, "")).await
    }

    /// A request by the key itself.
    pub async fn post_with_key(&self, url: &str, payload: &str) -> Reply {
        let protected = json!({
            "alg": self.key.algorithm(),
            "jwk": self.key.jwk(),
            "nonce": self.nonce().await,
            "url": url,
        });
        self.send(url, &self.key.jws(&protected, payload)).await
    }

    pub async fn send(&self, url: &str, jws: &Value) -> Reply {
        let reply = send(
            Method::POST,
            url,
            Some("application/jose+json"),
            jws.to_string().into(),
        )
        .await;
        // RFC 8555 section 6.5: in every answer to a POST, whatever it is.
        assert!(!reply.header("replay-nonce").is_empty());
        reply
    }
}

/// Any request.
pub async fn send(method: Method, url: &str, content_type: Option<&str>, body: Vec<u8>) -> Reply {
    send_from("127.0.0.1", method, url, content_type, body).await
}

/// Any request, from an address of this machine's own.
pub async fn send_from(
    address: &str,
    method: Method,
    url: &str,
    content_type: Option<&str>,
    body: Vec<u8>,
) -> Reply {
    let mut request = Request::builder().method(method).uri(url);
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let mut connector = HttpConnector::new();
    connector.set_local_address(Some(address.parse().unwrap()));
    let client = HttpClient::builder(TokioExecutor::new()).build(connector);
    let response = client
        .request(request.body(Full::new(Bytes::from(body))).unwrap())
        .await
        .unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply {
        status: head.status,
        headers: head.headers,
        body,
    }
}
