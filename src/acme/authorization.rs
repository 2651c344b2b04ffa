//! Authorizations (RFC 8555 section 7.5): read and deactivated.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{
    account::check_owner,
    challenge::ChallengeObject,
    identifier::WireIdentifier,
    problem::Problem,
    resource_path::ResourcePath,
    signed_request::{ByAccount, SignedRequest},
    state::AcmeState,
    terms,
    validation::task,
};
use crate::domain::{
    Timestamp,
    account::Account,
    authorization::{Authorization, AuthorizationState},
    challenge::{Challenge, ChallengeState},
    id::AuthorizationId,
};

#[derive(Deserialize)]
struct NewAuthorization {
    identifier: WireIdentifier,
}

#[derive(Deserialize)]
struct AuthorizationUpdate {
    status: Option<String>,
}

/// The authorization object (RFC 8555 section 7.1.4).
#[derive(Serialize)]
struct AuthorizationObject {
    status: &'static str,
    expires: Timestamp,
    identifier: WireIdentifier,
    /// RFC 8555 section 7.1.4: the identifier is then the name without `*.`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    wildcard: bool,
    challenges: Vec<ChallengeObject>,
}

/// newAuthz: an identifier is authorized before any order (RFC 8555 section 7.4.1).
///
/// # Errors
/// Those of identifiers; `rejectedIdentifier` for a wildcard, and for what the account may not order.
pub async fn create(
    State(state): State<Arc<AcmeState>>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    let wanted: NewAuthorization = payload.object()?;
    terms::check_agreed(&state, &account)?;
    let identifier = wanted.identifier.parse_alone()?;
    let authorization = state
        .authority
        .new_authorization(&account.id, identifier)
        .await?;
    let url = state.urls.authorization(&authorization.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, url)],
        answer(&state, &authorization),
    )
        .into_response())
}

/// An authorization's URL: read with an empty payload, else deactivated.
///
/// # Errors
/// 404 when there is none, `unauthorized` when it is another account's, `malformed` for another change.
pub async fn update(
    State(state): State<Arc<AcmeState>>,
    ResourcePath(id): ResourcePath<String>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    let mut authorization = own_authorization(&state, &account, id).await?;
    if !payload.is_empty() {
        let update: AuthorizationUpdate = payload.object()?;
        if update.status.as_deref() != Some("deactivated") {
            return Err(Problem::malformed(
                "an authorization is changed in one way only: {\"status\": \"deactivated\"} (RFC 8555 section 7.5.2)",
            ));
        }
        authorization = state
            .authority
            .deactivate_authorization(&authorization.id)
            .await?;
    }
    task::resume(&state, &account, &authorization);
    Ok(answer(&state, &authorization))
}

/// The authorization of that id, if it is this account's.
///
/// # Errors
/// 404 when there is none, `unauthorized` when it is another account's.
pub async fn own_authorization(
    state: &AcmeState,
    account: &Account,
    id: String,
) -> Result<Authorization, Problem> {
    let authorization = state
        .authority
        .authorization(&AuthorizationId::from_text(id))
        .await?
        .ok_or_else(|| Problem::not_found("authorization"))?;
    check_owner(account, authorization.account.as_str())?;
    Ok(authorization)
}

fn answer(state: &AcmeState, authorization: &Authorization) -> Response {
    let mut identifier = WireIdentifier::from(&authorization.identifier);
    let base_name = identifier.value.strip_prefix("*.").map(str::to_owned);
    let wildcard = base_name.is_some();
    if let Some(base_name) = base_name {
        identifier.value = base_name;
    }
    let object = AuthorizationObject {
        status: authorization.status_at(state.clock.now()),
        expires: authorization.expires_at.whole_seconds(),
        identifier,
        wildcard,
        challenges: authorization
            .challenges
            .iter()
            .filter(|challenge| is_shown(authorization, challenge))
            .map(|challenge| ChallengeObject::of(state, authorization, challenge))
            .collect(),
    };
    let mut response = Json(object).into_response();
    let (id, now) = (&authorization.id, state.clock.now());
    if let Some(wait) = state.validations.retry_after(std::slice::from_ref(id), now) {
        let seconds = HeaderValue::from(wait.as_secs());
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// RFC 8555 section 7.1.4: of a valid authorization the challenge that was validated, of an invalid one that which failed.
fn is_shown(authorization: &Authorization, challenge: &Challenge) -> bool {
    match authorization.state {
        AuthorizationState::Valid { .. } => {
            matches!(challenge.state, ChallengeState::Valid { .. })
        }
        AuthorizationState::Invalid => matches!(challenge.state, ChallengeState::Invalid { .. }),
        AuthorizationState::Pending | AuthorizationState::Deactivated => true,
    }
}
