//! Requests that the account key signs (RFC 8555 section 6.2), where the ACME library has none for what is needed.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http::{Method, Request, Response, header::CONTENT_TYPE};
use instant_acme::{BodyWrapper, Problem};
use serde_json::{Value, json};

use super::{
    account::{AccountError, StoredAccount},
    directory::Directory,
    error::{AgentError, Step},
    token::InvitationToken,
    transport::Transport,
};

/// How often a request is repeated with a fresh nonce (RFC 8555 section 6.5).
pub(super) const ATTEMPTS: usize = 10;

/// Signs and sends for one account.
pub struct SignedRequests<'a> {
    transport: &'a Transport,
    account: &'a StoredAccount,
    signer: Signer,
    directory: Directory,
}

/// By what the server is to know the key.
#[derive(Clone, Copy, Debug)]
pub enum KeyReference<'a> {
    /// The key itself, which has no account yet.
    Jwk,
    /// The account's URL.
    Account(&'a str),
}

/// What came in the place of success.
#[derive(Debug)]
pub enum Failure {
    /// The server's own words.
    Problem(Box<Problem>),
    /// Anything else.
    Error(AgentError),
}

impl<E: Into<AgentError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Failure {
    /// What it means for `account`.
    #[must_use]
    pub fn told(self, step: Step, account: &StoredAccount) -> AgentError {
        match self {
            Self::Problem(problem) => AgentError::from_problem(step, &problem, account),
            Self::Error(error) => error,
        }
    }
}

impl<'a> SignedRequests<'a> {
    /// Reads the account's key and the server's directory.
    ///
    /// # Errors
    /// The key is damaged, or the directory can't be had.
    pub async fn new(
        transport: &'a Transport,
        account: &'a StoredAccount,
    ) -> Result<Self, AgentError> {
        Ok(Self {
            signer: Signer::new(account)?,
            directory: Directory::fetch(transport, account).await?,
            transport,
            account,
        })
    }

    /// The server's directory.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The account key, signed with the invitation's MAC key (RFC 8555 section 7.3.4).
    #[must_use]
    pub fn external_account_binding(&self, token: &InvitationToken) -> Value {
        let url = &self.directory.new_account;
        let protected = encode_json(&json!({"alg": "HS256", "kid": token.key_id(), "url": url}));
        let payload = encode_json(&self.signer.jwk);
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.mac_key());
        let tag = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        json!({"protected": protected, "payload": payload, "signature": encode(tag.as_ref())})
    }

    /// Sends a signed request; without a payload it is a POST-as-GET (RFC 8555 section 6.3). A refused nonce is replaced.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub async fn post(
        &self,
        step: Step,
        url: &str,
        payload: Option<&Value>,
        key: KeyReference<'_>,
    ) -> Result<Response<Bytes>, Failure> {
        let mut nonce = None;
        for attempt in 1.. {
            let fresh = match nonce.take() {
                Some(nonce) => nonce,
                None => self.nonce(step).await?,
            };
            let body = self.signer.sign(payload, &fresh, url, key)?;
            let answer = self
                .transport
                .send(request(step, Method::POST, url, Some(body))?)
                .await?;
            if answer.status().is_success() {
                return Ok(answer);
            }
            let problem = read_problem(step, &answer)?;
            if !is(&problem, "badNonce") || attempt == ATTEMPTS {
                return Err(Failure::Problem(Box::new(problem)));
            }
            nonce = header(&answer, "replay-nonce");
        }
        unreachable!("the last attempt returns")
    }

    async fn nonce(&self, step: Step) -> Result<String, AgentError> {
        let answer = self
            .transport
            .send(request(
                step,
                Method::HEAD,
                &self.directory.new_nonce,
                None,
            )?)
            .await?;
        if !answer.status().is_success() {
            return Err(AgentError::Unavailable {
                step,
                problem: format!(
                    "no nonce: {} for {}",
                    answer.status(),
                    self.account.directory
                ),
            });
        }
        header(&answer, "replay-nonce")
            .ok_or_else(|| protocol(step, "newNonce gave no Replay-Nonce"))
    }
}

/// Signs as the account key (RFC 8555 section 6.2, RFC 7515 section 7.2.2).
struct Signer {
    key: EcdsaKeyPair,
    jwk: Value,
}

impl Signer {
    fn new(account: &StoredAccount) -> Result<Self, AccountError> {
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            account.key().secret_pkcs8_der(),
        )
        .map_err(|_| AccountError::Key)?;
        // An uncompressed point (SEC 1 section 2.3.3): 4, x, y.
        let point = key.public_key().as_ref();
        let (x, y) = point
            .get(1..)
            .and_then(|point| point.split_at_checked(32))
            .ok_or(AccountError::Key)?;
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)});
        Ok(Self { key, jwk })
    }

    fn sign(
        &self,
        payload: Option<&Value>,
        nonce: &str,
        url: &str,
        key: KeyReference<'_>,
    ) -> Result<Vec<u8>, AccountError> {
        let mut protected = json!({"alg": "ES256", "nonce": nonce, "url": url});
        match key {
            KeyReference::Jwk => protected["jwk"] = self.jwk.clone(),
            KeyReference::Account(account) => protected["kid"] = account.into(),
        }
        let protected = encode_json(&protected);
        let payload = payload.map(encode_json).unwrap_or_default();
        let signature = self
            .key
            .sign(
                &SystemRandom::new(),
                format!("{protected}.{payload}").as_bytes(),
            )
            .map_err(|_| AccountError::Key)?;
        let jws = json!({"protected": protected, "payload": payload, "signature": encode(signature.as_ref())});
        Ok(jws.to_string().into_bytes())
    }
}

/// A request with or without a JWS.
pub(super) fn request(
    step: Step,
    method: Method,
    url: &str,
    jws: Option<Vec<u8>>,
) -> Result<Request<BodyWrapper<Bytes>>, AgentError> {
    let mut builder = Request::builder().method(method).uri(url);
    if jws.is_some() {
        builder = builder.header(CONTENT_TYPE, "application/jose+json");
    }
    builder
        .body(jws.map_or_else(BodyWrapper::default, BodyWrapper::from))
        .map_err(|_| protocol(step, &format!("{url:?} is no URL")))
}

/// The problem document of an answer (RFC 8555 section 6.7).
pub(super) fn read_problem(step: Step, answer: &Response<Bytes>) -> Result<Problem, AgentError> {
    let mut problem: Problem = serde_json::from_slice(answer.body())
        .map_err(|error| protocol(step, &format!("a damaged problem document: {error}")))?;
    problem.status.get_or_insert(answer.status().as_u16());
    Ok(problem)
}

/// Whether a problem is of this type.
pub(super) fn is(problem: &Problem, kind: &str) -> bool {
    problem
        .r#type
        .as_deref()
        .and_then(|full| full.strip_prefix("urn:ietf:params:acme:error:"))
        == Some(kind)
}

/// A header field, if it is there and is text.
pub(super) fn header(answer: &Response<Bytes>, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
}

fn protocol(step: Step, detail: &str) -> AgentError {
    AgentError::Protocol {
        step,
        detail: detail.to_owned(),
    }
}

fn encode(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

fn encode_json(value: &Value) -> String {
    encode(value.to_string().as_bytes())
}
