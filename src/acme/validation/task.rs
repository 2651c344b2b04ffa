//! The tasks that validate challenges: a few attempts each, and the outcome told to `authority`, and to the request that
//! began it if the first attempt settled it. A validation that a restart of the process cut off begins again at the start,
//! and when its client asks.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::sleep};

use super::{
    Attempt,
    queue::{NoPlace, PauseEnd, Place},
};
use crate::{
    acme::state::AcmeState,
    authority::AuthorityError,
    domain::{
        account::Account,
        authorization::Authorization,
        challenge::{Challenge, ChallengeState, ValidationFailure, ValidationFailureKind},
    },
};

/// How long the taking up of unfinished validations waits for places.
const WAIT_FOR_PLACES: Duration = Duration::from_secs(1);

/// Takes up the validations of this directory that the last process left unfinished.
pub async fn resume_all(state: Arc<AcmeState>) {
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
                while !resume(&state, &account, &authorization) {
                    sleep(WAIT_FOR_PLACES).await;
                }
            }
            // Another directory's, which takes it up itself.
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, authorization = %authorization.id, "a validation can't be taken up");
            }
        }
    }
}

/// Starts the validation of each challenge that is processing, unless it is under way here. Says whether there was a
/// place; without one it begins when its client looks again.
pub fn resume(state: &Arc<AcmeState>, account: &Account, authorization: &Authorization) -> bool {
    // A challenge stays as it was when its authorization was given up or ran out.
    if authorization.status_at(state.clock.now()) != "pending" {
        return true;
    }
    let mut had_places = true;
    for challenge in &authorization.challenges {
        if !matches!(challenge.state, ChallengeState::Processing) {
            continue;
        }
        let (id, kind) = (&authorization.id, challenge.kind);
        match state.validations.enter(&account.id, id, kind) {
            Ok(place) => drop(start(state, account, authorization, challenge, place)),
            Err(NoPlace::UnderWay) => {}
            Err(NoPlace::AccountIsFull | NoPlace::Full) => had_places = false,
        }
    }
    had_places
}

/// Starts the validation of a challenge. What comes back is the authorization as it was recorded, or, as soon as the first
/// attempt has failed and others will follow, nothing.
pub fn start(
    state: &Arc<AcmeState>,
    account: &Account,
    authorization: &Authorization,
    challenge: &Challenge,
    place: Place,
) -> oneshot::Receiver<Authorization> {
    let task = Task {
        state: Arc::clone(state),
        // RFC 8555 section 8.1.
        key_authorization: format!("{}.{}", challenge.token, account.thumbprint.to_base64url()),
        account_url: state.urls.account(&account.id),
        authorization: authorization.clone(),
        challenge: challenge.clone(),
        place,
    };
    let (settled, first_look) = oneshot::channel();
    tokio::spawn(task.run(settled));
    first_look
}

struct Task {
    state: Arc<AcmeState>,
    key_authorization: String,
    account_url: String,
    authorization: Authorization,
    challenge: Challenge,
    place: Place,
}

impl Task {
    async fn run(self, settled: oneshot::Sender<Authorization>) {
        let mut settled = Some(settled);
        let Some(outcome) = self.validate(&mut settled).await else {
            return;
        };
        let (identifier, id) = (&self.authorization.identifier, &self.authorization.id);
        let challenge = self.challenge.kind.name();
        match &outcome {
            Ok(()) => {
                tracing::info!(%identifier, authorization = %id, challenge, "a challenge was validated");
            }
            Err(failure) => {
                tracing::info!(%identifier, authorization = %id, challenge, detail = failure.detail, "a challenge failed");
            }
        }
        let finished = self
            .state
            .authority
            .finish_challenge(id, self.challenge.kind, outcome)
            .await;
        match finished {
            Ok(authorization) => {
                // Whoever began it may be gone.
                if let Some(settled) = settled {
                    let _ = settled.send(authorization);
                }
            }
            Err(AuthorityError::WrongState(error)) => {
                tracing::debug!(authorization = %id, %error, "a validation came too late");
            }
            Err(error) => {
                tracing::warn!(authorization = %id, %error, "the outcome of a validation could not be recorded");
            }
        }
    }

    /// Attempts until one succeeds, the last one failed, or the authorization has ended otherwise. `settled` is dropped
    /// with the first failure that isn't the last one.
    async fn validate(
        &self,
        settled: &mut Option<oneshot::Sender<Authorization>>,
    ) -> Option<Result<(), ValidationFailure>> {
        let validations = self.place.validations();
        let attempt = Attempt {
            kind: self.challenge.kind,
            identifier: &self.authorization.identifier,
            token: &self.challenge.token,
            key_authorization: &self.key_authorization,
            account_url: &self.account_url,
        };
        let mut attempts = 1;
        loop {
            let outcome = {
                let _turn = self.place.turn().await;
                validations.validator().validate(&attempt).await
            };
            let failure = match outcome {
                Ok(()) => return Some(Ok(())),
                Err(failure) if is_final(failure.kind) => return Some(Err(failure)),
                Err(failure) => failure,
            };
            let Some(pause) = validations.pause_after(attempts) else {
                return Some(Err(failure));
            };
            tracing::debug!(identifier = %self.authorization.identifier, attempts, detail = failure.detail, "an attempt to validate failed");
            settled.take();
            let now = self.state.clock.now();
            match self.place.pause(failure, pause, now).await {
                PauseEnd::Over => attempts += 1,
                PauseEnd::Asked => {}
            }
            if self.has_ended().await {
                return None;
            }
        }
    }

    /// Whether the client gave the authorization up, or another challenge settled it, or its time is over.
    async fn has_ended(&self) -> bool {
        let authorization = self
            .state
            .authority
            .authorization(&self.authorization.id)
            .await;
        match authorization {
            Ok(Some(it)) => it.status_at(self.state.clock.now()) != "pending",
            Ok(None) => true,
            // What is recorded in the end is checked again.
            Err(_) => false,
        }
    }
}

/// Whether it would be the same the next time: what the rules forbid stays forbidden.
fn is_final(kind: ValidationFailureKind) -> bool {
    match kind {
        ValidationFailureKind::Unauthorized
        | ValidationFailureKind::RejectedIdentifier
        | ValidationFailureKind::BadAttestationStatement
        | ValidationFailureKind::Caa => true,
        ValidationFailureKind::Connection
        | ValidationFailureKind::Dns
        | ValidationFailureKind::IncorrectResponse
        | ValidationFailureKind::Tls => false,
    }
}
