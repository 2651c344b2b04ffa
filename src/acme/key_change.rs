//! keyChange (RFC 8555 section 7.3.5): an account's key makes room for another one, and both sign for it.
//!
//! The outer request is signed with the old key like every other; its payload is a JWS of its own, signed with the new
//! key, that names the account and the old key.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    account,
    jwk::Jwk,
    jws::{Jws, KeyReference},
    problem::{Problem, ProblemType},
    signed_request::{ByAccount, SignedRequest, check_standing},
    state::AcmeState,
};
use crate::{
    authority::{AuthorityError, NewAccountKey},
    domain::account::{Account, Thumbprint},
};

/// The payload of the inner JWS.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyChange {
    account: String,
    old_key: Box<RawValue>,
}

/// keyChange.
///
/// # Errors
/// `malformed` when the inner JWS is not as it must be or names the same key again, `unauthorized` when the new key did
/// not sign it, 409 with the `Location` of the account that has the new key already, `badPublicKey` for a key that is
/// refused.
pub async fn change(
    State(state): State<Arc<AcmeState>>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let url = request.url.clone();
    let ByAccount { account, payload } = request.by_account(&state).await?;
    let new_key = read_inner(&state, payload.as_bytes(), &url, &account)?;
    let thumbprint = new_key.thumbprint();
    check_is_free(&state, &account, thumbprint).await?;
    check_new_key(&state, &new_key).await?;
    let change = NewAccountKey {
        from: account.thumbprint,
        to: thumbprint,
        jwk: new_key.to_value(),
        fingerprint: new_key.fingerprint(),
    };
    match state
        .authority
        .change_account_key(&account.id, change)
        .await
    {
        Ok(account) => Ok(account::answer(&state, StatusCode::OK, account)),
        Err(AuthorityError::KeyBlocked) => Err(key_is_blocked()),
        Err(error) => {
            // Somebody else may have taken the key in the meantime.
            check_is_free(&state, &account, thumbprint).await?;
            Err(error.into())
        }
    }
}

/// The new key, if the inner JWS is right.
fn read_inner(
    state: &AcmeState,
    inner: &[u8],
    url: &str,
    account: &Account,
) -> Result<Jwk, Problem> {
    let inner = Jws::parse_part(inner, "inner JWS")?;
    let KeyReference::Jwk(new_key) = inner.key.clone() else {
        return Err(Problem::malformed(
            "the inner JWS has \"kid\"; it is signed with the new key, which stands in its protected header as \"jwk\" (RFC 8555 section 7.3.5)",
        ));
    };
    if inner.url != url {
        return Err(Problem::malformed(format!(
            "\"url\" of the inner JWS is {:?}; it must be the outer one's, {url:?}",
            inner.url
        )));
    }
    if inner.nonce.is_some() {
        return Err(Problem::malformed(
            "the inner JWS has a \"nonce\"; it must not (RFC 8555 section 7.3.5)",
        ));
    }
    let change: KeyChange = inner.verify(&new_key)?.object()?;
    let ours = state.urls.account(&account.id);
    if change.account != ours {
        return Err(Problem::malformed(format!(
            "\"account\" is {:?}; it must be the account that signs the request, {ours:?}",
            change.account
        )));
    }
    let old_key = Jwk::from_json(change.old_key.get().as_bytes())?;
    if old_key.thumbprint() != account.thumbprint {
        return Err(Problem::malformed(
            "\"oldKey\" is not the account's key; give the key that signs the outer request",
        ));
    }
    if new_key == old_key {
        return Err(Problem::malformed(
            "the new key is the account's key already; make another one",
        ));
    }
    Ok(new_key)
}

/// Whether a key may become an account's: one that was revoked as compromised may not, nor one that a certificate has.
///
/// # Errors
/// `badPublicKey`.
pub(super) async fn check_new_key(state: &AcmeState, key: &Jwk) -> Result<(), Problem> {
    let Some(fingerprint) = key.fingerprint() else {
        return Ok(());
    };
    if state.authority.is_key_blocked(fingerprint).await? {
        return Err(key_is_blocked());
    }
    if state.authority.is_certificate_key(fingerprint).await? {
        return Err(Problem::new(
            ProblemType::BadPublicKey,
            "the key is that of a certificate; make another one for the account (RFC 8555 section 11.1)",
        ));
    }
    Ok(())
}

/// What a key that was revoked as compromised is refused with, where it is to be an account's.
fn key_is_blocked() -> Problem {
    Problem::new(
        ProblemType::BadPublicKey,
        "the key was revoked as compromised and is refused for ever; make a new one",
    )
}

/// Whether no account of the directory has the key.
async fn check_is_free(
    state: &AcmeState,
    account: &Account,
    thumbprint: Thumbprint,
) -> Result<(), Problem> {
    let Some(other) = state
        .authority
        .account_by_key(&account.directory, &thumbprint)
        .await?
    else {
        return Ok(());
    };
    // The key of an account that has ended never comes back.
    check_standing(state, &other).await?;
    let url = state.urls.account(&other.id);
    let problem = Problem::new(
        ProblemType::Malformed,
        format!("the new key is the key of the account {url}; make another one"),
    )
    .with_status(StatusCode::CONFLICT);
    Err(match HeaderValue::try_from(url) {
        Ok(url) => problem.with_field(header::LOCATION, url),
        Err(_) => problem,
    })
}
