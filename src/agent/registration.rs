//! Registering the account, with the invitation as its external account binding (RFC 8555 sections 7.3, 7.3.4).
//!
//! The ACME library can register a new account with a binding only by making the key itself, so that the key would
//! exist nowhere but in memory at the moment at which the invitation is used up. Here the key is on disk first.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http::{
    Method, Request, Response,
    header::{CONTENT_TYPE, LOCATION},
};
use instant_acme::{BodyWrapper, Problem};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    account::{AccountError, StoredAccount},
    error::{AgentError, Step},
    token::InvitationToken,
    transport::Transport,
};

/// How often a request is repeated with a fresh nonce (RFC 8555 section 6.5).
const ATTEMPTS: usize = 5;

/// Registers the account, and returns its URL. An account that is registered already is found again by its key, also
/// when the invitation is used up.
///
/// # Errors
/// The server can't be reached, isn't trusted, or refuses the invitation.
pub async fn register(
    transport: &Transport,
    account: &StoredAccount,
    token: &InvitationToken,
) -> Result<String, AgentError> {
    let registration = Registration {
        transport,
        account,
        signer: Signer::new(account)?,
        directory: directory(transport, account).await?,
    };
    let existing = json!({"onlyReturnExisting": true});
    match registration.new_account(&existing).await {
        Ok(url) => return Ok(url),
        Err(Answer::Problem(problem)) if is(&problem, "accountDoesNotExist") => {}
        Err(Answer::Problem(problem)) => {
            return Err(AgentError::from_problem(Step::Register, &problem, account));
        }
        Err(Answer::Error(error)) => return Err(error),
    }
    let binding = registration
        .signer
        .binding(token, &registration.directory.new_account);
    let payload = json!({"termsOfServiceAgreed": true, "externalAccountBinding": binding});
    registration
        .new_account(&payload)
        .await
        .map_err(|answer| match answer {
            Answer::Problem(problem) => AgentError::from_problem(Step::Register, &problem, account),
            Answer::Error(error) => error,
        })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    new_nonce: String,
    new_account: String,
}

async fn directory(
    transport: &Transport,
    account: &StoredAccount,
) -> Result<Directory, AgentError> {
    let answer = transport
        .send(request(Method::GET, &account.directory, None)?)
        .await?;
    if !answer.status().is_success() {
        let problem = read_problem(&answer)?;
        return Err(AgentError::from_problem(Step::Directory, &problem, account));
    }
    serde_json::from_slice(answer.body()).map_err(|error| AgentError::Protocol {
        step: Step::Directory,
        detail: format!("{} holds no ACME directory: {error}", account.directory),
    })
}

struct Registration<'a> {
    transport: &'a Transport,
    account: &'a StoredAccount,
    signer: Signer,
    directory: Directory,
}

enum Answer {
    Problem(Problem),
    Error(AgentError),
}

impl<E: Into<AgentError>> From<E> for Answer {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Registration<'_> {
    async fn new_account(&self, payload: &Value) -> Result<String, Answer> {
        let mut nonce = None;
        for attempt in 1.. {
            let fresh = match nonce.take() {
                Some(nonce) => nonce,
                None => self.nonce().await?,
            };
            let url = &self.directory.new_account;
            let body = self.signer.sign(payload, &fresh, url)?;
            let answer = self
                .transport
                .send(request(Method::POST, url, Some(body))?)
                .await?;
            if answer.status().is_success() {
                return Ok(header(&answer, LOCATION.as_str())
                    .ok_or_else(|| protocol("the new account has no Location"))?);
            }
            let problem = read_problem(&answer)?;
            if !is(&problem, "badNonce") || attempt == ATTEMPTS {
                return Err(Answer::Problem(problem));
            }
            nonce = header(&answer, "replay-nonce");
        }
        unreachable!("the last attempt returns")
    }

    async fn nonce(&self) -> Result<String, AgentError> {
        let answer = self
            .transport
            .send(request(Method::HEAD, &self.directory.new_nonce, None)?)
            .await?;
        if !answer.status().is_success() {
            return Err(AgentError::Unavailable {
                step: Step::Register,
                problem: format!(
                    "no nonce: {} for {}",
                    answer.status(),
                    self.account.directory
                ),
            });
        }
        header(&answer, "replay-nonce").ok_or_else(|| protocol("newNonce gave no Replay-Nonce"))
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

    fn sign(&self, payload: &Value, nonce: &str, url: &str) -> Result<Vec<u8>, AccountError> {
        let protected = json!({"alg": "ES256", "jwk": self.jwk, "nonce": nonce, "url": url});
        let (protected, payload) = (encode_json(&protected), encode_json(payload));
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

    /// The account key, signed with the invitation's MAC key.
    fn binding(&self, token: &InvitationToken, url: &str) -> Value {
        let protected = encode_json(&json!({"alg": "HS256", "kid": token.key_id(), "url": url}));
        let payload = encode_json(&self.jwk);
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.mac_key());
        let tag = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        json!({"protected": protected, "payload": payload, "signature": encode(tag.as_ref())})
    }
}

fn request(
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
        .map_err(|_| protocol(&format!("{url:?} is no URL")))
}

fn read_problem(answer: &Response<Bytes>) -> Result<Problem, AgentError> {
    let mut problem: Problem = serde_json::from_slice(answer.body())
        .map_err(|error| protocol(&format!("a damaged problem document: {error}")))?;
    problem.status.get_or_insert(answer.status().as_u16());
    Ok(problem)
}

fn is(problem: &Problem, kind: &str) -> bool {
    problem
        .r#type
        .as_deref()
        .and_then(|full| full.strip_prefix("urn:ietf:params:acme:error:"))
        == Some(kind)
}

fn header(answer: &Response<Bytes>, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
}

fn protocol(detail: &str) -> AgentError {
    AgentError::Protocol {
        step: Step::Register,
        detail: detail.to_owned(),
    }
}

fn encode(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

fn encode_json(value: &Value) -> String {
    encode(value.to_string().as_bytes())
}
