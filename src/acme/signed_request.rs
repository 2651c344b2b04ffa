//! A request whose form, URL and nonce are right (RFC 8555 sections 6.1 to 6.5). Its payload comes out only once its
//! signature was verified, under the key of a valid account or the key that it carries.

use std::{error::Error, net::IpAddr, sync::Arc};

use axum::{
    body::{Body, Bytes, HttpBody as _, to_bytes},
    extract::{FromRequest, OriginalUri, Request},
    http::{StatusCode, Uri, header},
};

use http_body_util::LengthLimitError;

use super::{
    jwk::Jwk,
    jws::{Jws, KeyReference, MAX_BODY_BYTES, Payload},
    limits::client_address,
    problem::{Problem, ProblemType},
    state::AcmeState,
};
use crate::{
    domain::account::{Account, AccountStatus},
    listen::BodyError,
};

/// A request whose nonce was redeemed, not yet verified.
pub struct SignedRequest {
    jws: Jws,
    /// The URL that it was sent to, and signed for.
    pub url: String,
    /// The address that it came from, if `listen` knows it.
    pub from: Option<IpAddr>,
}

/// A request that a valid account signed.
pub struct ByAccount {
    /// Whose request it is.
    pub account: Account,
    /// What it says.
    pub payload: Payload,
}

/// A request that was signed with the key that it carries.
pub struct ByKey {
    /// The key.
    pub key: Jwk,
    /// What it says.
    pub payload: Payload,
}

/// Who signed a request that may be signed in either way: revokeCert.
pub enum ByEither {
    /// An account.
    Account(Box<ByAccount>),
    /// A key.
    Key(ByKey),
}

impl FromRequest<Arc<AcmeState>> for SignedRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<AcmeState>) -> Result<Self, Problem> {
        check_content_type(&request)?;
        let uri: Uri = match request.extensions().get::<OriginalUri>() {
            Some(OriginalUri(uri)) => uri.clone(),
            None => request.uri().clone(),
        };
        let from = client_address(request.extensions());
        let body = read_body(request.into_body()).await?;
        let jws = Jws::parse(&body)?;
        let url = state.urls.of_request(&uri);
        if jws.url != url {
            return Err(Problem::unauthorized(format!(
                "\"url\" in the protected header is {:?}, but the request came to {url:?}; sign the URL that you send to (RFC 8555 section 6.4)",
                jws.url
            )));
        }
        redeem_nonce(&jws, state)?;
        Ok(Self { jws, url, from })
    }
}

async fn read_body(body: Body) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::malformed(format!(
            "the body is larger than {MAX_BODY_BYTES} octets, the most that is read; a certificate request for fewer names makes it smaller"
        ))
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    // What says that it is too large is not waited for.
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    to_bytes(body, MAX_BODY_BYTES).await.map_err(|error| {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(current) = cause {
            if current.is::<LengthLimitError>() {
                return too_large();
            }
            if let Some(slow @ BodyError::Slow(_)) = current.downcast_ref() {
                return Problem::malformed(format!("{slow}; send it in one piece"))
                    .with_status(StatusCode::REQUEST_TIMEOUT);
            }
            cause = current.source();
        }
        Problem::malformed("the body broke off; send it again")
    })
}

fn check_content_type(request: &Request) -> Result<(), Problem> {
    let given = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let essence = given
        .as_deref()
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/jose+json")) {
        return Ok(());
    }
    Err(Problem::malformed(format!(
        "Content-Type is {}; it must be application/jose+json (RFC 8555 section 6.2)",
        given.as_deref().unwrap_or("missing")
    ))
    .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

fn redeem_nonce(jws: &Jws, state: &AcmeState) -> Result<(), Problem> {
    let bad = |reason: String| {
        Problem::new(
            ProblemType::BadNonce,
            format!("{reason}; try again with the one in this answer's Replay-Nonce"),
        )
    };
    let nonce = jws
        .nonce
        .as_deref()
        .ok_or_else(|| bad("the protected header has no \"nonce\"".to_owned()))?;
    state
        .nonces
        .redeem(nonce, state.clock.now())
        .map_err(|error| bad(error.to_string()))?;
    if state
        .chaos
        .as_ref()
        .is_some_and(|chaos| chaos.refuses_nonce())
    {
        return Err(bad(
            "this server was started with --chaos and refuses the nonce on purpose".to_owned(),
        ));
    }
    Ok(())
}

impl SignedRequest {
    /// Verifies it as the request of an account.
    ///
    /// # Errors
    /// `malformed` when it carries a key instead, `accountDoesNotExist`, `unauthorized` when the account has ended
    /// or the signature is not its.
    pub async fn by_account(self, state: &AcmeState) -> Result<ByAccount, Problem> {
        let KeyReference::KeyId(kid) = &self.jws.key else {
            return Err(Problem::malformed(
                "the protected header has \"jwk\"; only newAccount, and revokeCert by the certificate's key, take it: give the account's URL as \"kid\"",
            ));
        };
        let unknown = || {
            Problem::new(
                ProblemType::AccountDoesNotExist,
                format!(
                    "\"kid\" is {kid:?}, and there is no such account; take its URL from the Location of newAccount"
                ),
            )
        };
        let id = state.urls.account_of(kid).ok_or_else(unknown)?;
        let account = state
            .authority
            .account(&id)
            .await?
            .filter(|account| account.directory == state.settings.rules.name)
            .ok_or_else(unknown)?;
        let key = state.keys.of(&account)?;
        let payload = self.jws.verify(&key)?;
        check_standing(state, &account).await?;
        Ok(ByAccount { account, payload })
    }

    /// Verifies it under the key that it carries.
    ///
    /// # Errors
    /// `malformed` when it names an account instead, `unauthorized` when the signature is not the key's.
    pub fn by_key(self) -> Result<ByKey, Problem> {
        let KeyReference::Jwk(key) = self.jws.key.clone() else {
            return Err(Problem::malformed(
                "the protected header has \"kid\"; this request is signed with the key itself, as \"jwk\" (RFC 8555 section 6.2)",
            ));
        };
        let payload = self.jws.verify(&key)?;
        Ok(ByKey { key, payload })
    }

    /// Verifies it in the way that it is signed.
    ///
    /// # Errors
    /// Those of [`Self::by_account`] and [`Self::by_key`].
    pub async fn by_either(self, state: &AcmeState) -> Result<ByEither, Problem> {
        match self.jws.key {
            KeyReference::KeyId(_) => {
                Ok(ByEither::Account(Box::new(self.by_account(state).await?)))
            }
            KeyReference::Jwk(_) => Ok(ByEither::Key(self.by_key()?)),
        }
    }
}

/// Whether the account may still act.
///
/// # Errors
/// `unauthorized` when it was deactivated or revoked; its key never comes back (RFC 8555 section 7.3.6).
pub async fn check_standing(state: &AcmeState, account: &Account) -> Result<(), Problem> {
    let why = match account.status {
        AccountStatus::Valid => return Ok(()),
        AccountStatus::Deactivated => None,
        AccountStatus::Revoked => state.authority.why_revoked(account).await?,
    };
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    Err(Problem::unauthorized(format!(
        "the account of this key is {}{why}, for good; make a new key and a new account",
        account.status.name()
    )))
}
