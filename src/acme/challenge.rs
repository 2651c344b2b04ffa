//! Challenges (RFC 8555 section 7.5.1): responded to and read, and the tasks that validate them.
//!
//! A request never waits for a validation: it starts a task, which tries a few times and tells `authority` the outcome.
//! A validation that a restart of the process cut off begins again at the start, and when its client asks.

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::sleep};

use super::{
    authorization::own_authorization,
    http01::Http01,
    problem::{Problem, ProblemDocument, ProblemType},
    resource_path::ResourcePath,
    signed_request::{ByAccount, SignedRequest},
    state::AcmeState,
    urls::Urls,
};
use crate::domain::{
    Timestamp,
    account::Account,
    authorization::Authorization,
    challenge::{
        Challenge, ChallengeKind, ChallengeState, ValidationFailure, ValidationFailureKind,
    },
    id::AuthorizationId,
};

/// How many validations are on the network at a time; the others wait for their turn.
pub const MAX_CONCURRENT_VALIDATIONS: usize = 64;

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
    /// How a challenge is shown.
    #[must_use]
    pub fn of(urls: &Urls, authorization: &Authorization, challenge: &Challenge) -> Self {
        let (validated, error) = match &challenge.state {
            ChallengeState::Pending | ChallengeState::Processing => (None, None),
            ChallengeState::Valid { validated_at } => (Some(validated_at.whole_seconds()), None),
            ChallengeState::Invalid { failure } => (None, Some(problem_of(failure).document())),
        };
        Self {
            kind: challenge.kind.name(),
            url: urls.challenge(&authorization.id, challenge.kind),
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

/// The response to a challenge is an empty object; what it may hold besides is ignored.
#[derive(Deserialize)]
struct ChallengeResponse {}

/// A challenge's URL: read with an empty payload; with `{}`, validated.
///
/// # Errors
/// 404 when there is none, `unauthorized` when it is another account's, `malformed` when it can't be responded to any more.
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
    if !payload.is_empty() {
        let ChallengeResponse {} = payload.object()?;
        // Where an authorization serves another order, too, some clients respond again. There is nothing left to do.
        if !authorization.is_valid_at(state.clock.now()) {
            authorization = state
                .authority
                .begin_challenge(&authorization.id, challenge.kind)
                .await?;
            challenge = find(&authorization)?;
        }
    }
    resume(&state, &account, &authorization);
    let mut response =
        Json(ChallengeObject::of(&state.urls, &authorization, &challenge)).into_response();
    let headers = response.headers_mut();
    let up = format!(
        "<{}>;rel=\"up\"",
        state.urls.authorization(&authorization.id)
    );
    if let Ok(up) = HeaderValue::try_from(up) {
        headers.append(header::LINK, up);
    }
    if matches!(challenge.state, ChallengeState::Processing) {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(state.validations.retry_after().as_secs()),
        );
    }
    Ok(response)
}

/// The validations that are under way in this process.
pub struct Validations {
    http01: Http01,
    attempts: u32,
    retry: Duration,
    running: Mutex<HashSet<AuthorizationId>>,
    slots: Semaphore,
}

impl Validations {
    /// With so many attempts for each challenge and so much time between them.
    #[must_use]
    pub fn new(http01: Http01, attempts: u32, retry: Duration) -> Self {
        Self {
            http01,
            attempts,
            retry,
            running: Mutex::default(),
            slots: Semaphore::new(MAX_CONCURRENT_VALIDATIONS),
        }
    }

    /// When a client should look again; a whole second at least.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.retry.max(Duration::from_secs(1))
    }

    async fn validate(
        &self,
        authorization: &Authorization,
        challenge: &Challenge,
        key_authorization: &str,
    ) -> Result<(), ValidationFailure> {
        let mut attempt = 1;
        loop {
            let outcome = {
                let _slot = self.slots.acquire().await;
                match challenge.kind {
                    ChallengeKind::Http01 => {
                        self.http01
                            .validate(
                                &authorization.identifier,
                                &challenge.token,
                                key_authorization,
                            )
                            .await
                    }
                    ChallengeKind::Dns01
                    | ChallengeKind::TlsAlpn01
                    | ChallengeKind::DnsAccount01
                    | ChallengeKind::DeviceAttest01 => Err(ValidationFailure {
                        kind: ValidationFailureKind::Unauthorized,
                        detail: format!(
                            "{} is not offered here; take another challenge",
                            challenge.kind.name()
                        ),
                    }),
                }
            };
            match outcome {
                // What the rules forbid stays forbidden.
                Err(failure)
                    if attempt < self.attempts
                        && failure.kind != ValidationFailureKind::Unauthorized =>
                {
                    tracing::debug!(identifier = %authorization.identifier, attempt, detail = failure.detail, "an attempt to validate failed");
                    attempt += 1;
                    sleep(self.retry).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Takes up the validations that the last process left unfinished.
pub(super) async fn resume_all(state: Arc<AcmeState>) {
    let unfinished = match state.authority.store().authorizations_in_processing().await {
        Ok(unfinished) => unfinished,
        Err(error) => {
            tracing::error!(%error, "unfinished validations can't be looked up; each begins again when its client asks");
            return;
        }
    };
    for authorization in unfinished {
        match state.authority.account(&authorization.account).await {
            Ok(Some(account)) if account.directory == state.settings.rules.name => {
                resume(&state, &account, &authorization);
            }
            // Another directory's, which takes it up itself.
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, authorization = %authorization.id, "a validation can't be taken up");
            }
        }
    }
}

/// Starts the validation of a challenge that is processing, unless it is under way here.
pub fn resume(state: &Arc<AcmeState>, account: &Account, authorization: &Authorization) {
    let Some(challenge) = authorization
        .challenges
        .iter()
        .find(|challenge| matches!(challenge.state, ChallengeState::Processing))
    else {
        return;
    };
    if authorization.status_at(state.clock.now()) != "pending"
        || !state
            .validations
            .running
            .lock()
            .insert(authorization.id.clone())
    {
        return;
    }
    // RFC 8555 section 8.1.
    let key_authorization = format!("{}.{}", challenge.token, account.thumbprint.to_base64url());
    let running = Running {
        state: Arc::clone(state),
        authorization: authorization.clone(),
    };
    let challenge = challenge.clone();
    tokio::spawn(async move {
        let Running {
            state,
            authorization,
        } = &running;
        let outcome = state
            .validations
            .validate(authorization, &challenge, &key_authorization)
            .await;
        match &outcome {
            Ok(()) => {
                tracing::info!(identifier = %authorization.identifier, authorization = %authorization.id, "a challenge was validated");
            }
            Err(failure) => {
                tracing::info!(identifier = %authorization.identifier, authorization = %authorization.id, detail = failure.detail, "a challenge failed");
            }
        }
        if let Err(error) = state
            .authority
            .finish_challenge(&authorization.id, challenge.kind, outcome)
            .await
        {
            tracing::warn!(authorization = %authorization.id, %error, "the outcome of a validation could not be recorded");
        }
    });
}

/// Takes the authorization off the list however its task ends.
struct Running {
    state: Arc<AcmeState>,
    authorization: Authorization,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.state
            .validations
            .running
            .lock()
            .remove(&self.authorization.id);
    }
}
