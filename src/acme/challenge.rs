//! Challenges (RFC 8555 section 7.5.1): responded to and read. A validation is a task of its own (`validation::task`); the
//! request that begins it waits for a moment only, for those that are settled at once.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    attestation,
    authorization::own_authorization,
    problem::{Problem, ProblemDocument, ProblemType, Subproblem},
    resource_path::ResourcePath,
    signed_request::{ByAccount, SignedRequest},
    state::AcmeState,
    validation::{
        queue::{MAX_UNDER_WAY_PER_ACCOUNT, NoPlace},
        task,
    },
};
use crate::{
    authority::AuthorityError,
    domain::{
        Timestamp,
        account::Account,
        authorization::Authorization,
        challenge::{
            Challenge, ChallengeKind, ChallengeState, ValidationFailure, ValidationFailureKind,
        },
    },
};

/// How long the answer to a response waits for the validation: no longer than anybody notices. In a network of one's own
/// most are settled within; their clients need not look again, for which they would wait a second at least.
const PATIENCE: Duration = Duration::from_millis(50);

/// When to come back, where too much is being validated.
const NO_PLACE: Duration = Duration::from_secs(30);

/// The challenge object (RFC 8555 section 7.1.5).
#[derive(Serialize)]
pub struct ChallengeObject {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
    token: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    validated: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProblemDocument>,
}

impl ChallengeObject {
    /// How a challenge is shown. While it is processing, `error` says what failed so far (RFC 8555 section 8.2).
    #[must_use]
    pub fn of(state: &AcmeState, authorization: &Authorization, challenge: &Challenge) -> Self {
        let (id, kind) = (&authorization.id, challenge.kind);
        let (validated, error) = match &challenge.state {
            ChallengeState::Pending => (None, None),
            ChallengeState::Processing => {
                let shown = state.validations.shown(id, kind, state.clock.now());
                let error = shown.and_then(|shown| problem_so_far(&shown.failures));
                (None, error.map(|problem| problem.document()))
            }
            ChallengeState::Valid { validated_at } => (Some(validated_at.whole_seconds()), None),
            ChallengeState::Invalid { failure } => (None, Some(problem_of(failure).document())),
        };
        Self {
            kind: kind.name(),
            url: state.urls.challenge(id, kind),
            token: challenge.token.clone(),
            status: challenge.state.name(),
            validated,
            error,
        }
    }
}

fn problem_of(failure: &ValidationFailure) -> Problem {
    Problem::new(type_of(failure.kind), failure.detail.clone())
}

/// The last failure, with one part for each if there were several.
fn problem_so_far(failures: &[ValidationFailure]) -> Option<Problem> {
    let problem = problem_of(failures.last()?);
    if failures.len() == 1 {
        return Some(problem);
    }
    let part = |failure: &ValidationFailure| Subproblem {
        kind: type_of(failure.kind),
        detail: failure.detail.clone(),
        identifier: None,
    };
    Some(problem.with_subproblems(failures.iter().map(part).collect()))
}

/// The type of error that a failed validation is on the wire.
pub(super) fn type_of(kind: ValidationFailureKind) -> ProblemType {
    match kind {
        ValidationFailureKind::Connection => ProblemType::Connection,
        ValidationFailureKind::Dns => ProblemType::Dns,
        ValidationFailureKind::IncorrectResponse => ProblemType::IncorrectResponse,
        ValidationFailureKind::Unauthorized => ProblemType::Unauthorized,
        ValidationFailureKind::Tls => ProblemType::Tls,
        ValidationFailureKind::Caa => ProblemType::Caa,
        ValidationFailureKind::BadAttestationStatement => ProblemType::BadAttestationStatement,
        ValidationFailureKind::RejectedIdentifier => ProblemType::RejectedIdentifier,
    }
}

fn no_place(reason: NoPlace) -> Option<Problem> {
    match reason {
        NoPlace::UnderWay => None,
        NoPlace::AccountIsFull => Some(
            Problem::new(
                ProblemType::RateLimited,
                format!("{MAX_UNDER_WAY_PER_ACCOUNT} challenges of this account are being validated; respond to this one when some of them have ended"),
            )
            .with_retry_after(NO_PLACE),
        ),
        NoPlace::Full => Some(
            Problem::new(
                ProblemType::ServerInternal,
                "too many challenges are being validated; nothing is wrong with the request, so send it again later",
            )
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .with_retry_after(NO_PLACE),
        ),
    }
}

/// The response to a challenge is an empty object; what it may hold besides is ignored.
#[derive(Deserialize)]
struct ChallengeResponse {}

/// A challenge's URL: read with an empty payload; with `{}`, validated; with a device's statement, judged at once.
///
/// # Errors
/// 404 when there is none, `unauthorized` when it is another account's, `malformed` when it can't be responded to any
/// more, `rateLimited` or 503 when too many are being validated.
pub async fn respond(
    State(state): State<Arc<AcmeState>>,
    ResourcePath((id, kind)): ResourcePath<(String, String)>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    let mut authorization = own_authorization(&state, &account, id).await?;
    let find = |authorization: &Authorization| {
        authorization
            .challenges
            .iter()
            .find(|challenge| challenge.kind.name() == kind)
            .cloned()
            .ok_or_else(|| Problem::not_found("challenge"))
    };
    let mut challenge = find(&authorization)?;
    if !payload.is_empty() && challenge.kind == ChallengeKind::DeviceAttest01 {
        if !authorization.is_valid_at(state.clock.now()) {
            let statement = attestation::statement(&payload)?;
            authorization = state
                .authority
                .attest(&authorization.id, &account, statement)
                .await?;
            challenge = find(&authorization)?;
        }
    } else if !payload.is_empty() {
        let ChallengeResponse {} = payload.object()?;
        // Where an authorization serves another order, too, some clients respond again. There is nothing left to do.
        if !authorization.is_valid_at(state.clock.now()) {
            authorization = begin(&state, &account, &authorization, &challenge).await?;
            challenge = find(&authorization)?;
        }
    }
    task::resume(&state, &account, &authorization);
    let mut response =
        Json(ChallengeObject::of(&state, &authorization, &challenge)).into_response();
    let headers = response.headers_mut();
    let up = format!(
        "<{}>;rel=\"up\"",
        state.urls.authorization(&authorization.id)
    );
    if let Ok(up) = HeaderValue::try_from(up) {
        headers.append(header::LINK, up);
    }
    if matches!(challenge.state, ChallengeState::Processing) {
        let now = state.clock.now();
        let shown = state
            .validations
            .shown(&authorization.id, challenge.kind, now);
        let wait = shown.map_or(Duration::from_secs(1), |shown| shown.retry_after);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    Ok(response)
}

/// Has a challenge validated. It comes back as soon as that is settled; as being validated, if it takes longer, and that is
/// recorded then, so that the next process takes it up.
async fn begin(
    state: &Arc<AcmeState>,
    account: &Account,
    authorization: &Authorization,
    challenge: &Challenge,
) -> Result<Authorization, Problem> {
    let (id, kind) = (&authorization.id, challenge.kind);
    state.authority.check_challenge(authorization, kind).await?;
    match state.validations.enter(&account.id, id, kind) {
        Ok(place) => {
            let first_look = task::start(state, account, authorization, challenge, place);
            if let Ok(Ok(settled)) = timeout(PATIENCE, first_look).await {
                return Ok(settled);
            }
        }
        Err(reason) => {
            if let Some(problem) = no_place(reason) {
                return Err(problem);
            }
            state.validations.ask(id, kind);
        }
    }
    match state.authority.begin_challenge(id, kind).await {
        // It was settled in that very moment.
        Err(AuthorityError::WrongState(_)) => {
            own_authorization(state, account, id.to_string()).await
        }
        begun => Ok(begun?),
    }
}
