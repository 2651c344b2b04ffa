//! An authorization: whether an account may have an identifier certified (RFC 8555 section 7.1.4).
//!
//! ```text
//! pending --+--> valid --+--> deactivated
//!           |            +--> expired (by time)
//!           +--> invalid
//! ```

use serde::{Deserialize, Serialize};

use super::{
    Timestamp,
    attestation::Attestation,
    challenge::{Challenge, ChallengeKind, ChallengeState, ValidationFailure},
    id::{AccountId, AuthorizationId, OrderId},
    identifier::Identifier,
    invitation::InvitationId,
};

/// An authorization as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// Names it.
    pub id: AuthorizationId,
    /// Whose it is.
    pub account: AccountId,
    /// The order that it was made for; nothing for one that was asked for before any order (RFC 8555 section 7.4.1).
    pub order: Option<OrderId>,
    /// What it is about.
    pub identifier: Identifier,
    /// How far it is.
    pub state: AuthorizationState,
    /// When it ends, whatever its state.
    pub expires_at: Timestamp,
    /// How it can be, or was, proved. Empty where an invitation vouches.
    pub challenges: Vec<Challenge>,
    /// The key that device-attest-01 proved to be the device's, as the SHA-256 of its SubjectPublicKeyInfo: no other key may be
    /// certified for the identifier.
    #[serde(default)]
    pub attested_key: Option<[u8; 32]>,
    /// What the device's statement said, and the rule that let it through.
    #[serde(default)]
    pub attestation: Option<Attestation>,
}

/// How far an authorization is (RFC 8555 section 7.1.6); expiry is a matter of time, see
/// [`Authorization::status_at`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum AuthorizationState {
    /// A challenge has still to be met.
    Pending,
    /// Proved, by a challenge or by the invitation that vouches for it.
    Valid {
        /// The invitation that vouched, if no challenge was needed.
        vouched_by: Option<InvitationId>,
    },
    /// A challenge failed.
    Invalid,
    /// The client gave it up.
    Deactivated,
}

impl Authorization {
    /// The status on the wire at a moment.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> &'static str {
        match &self.state {
            AuthorizationState::Invalid => "invalid",
            AuthorizationState::Deactivated => "deactivated",
            AuthorizationState::Valid { .. } if now >= self.expires_at => "expired",
            AuthorizationState::Pending if now >= self.expires_at => "invalid",
            AuthorizationState::Valid { .. } => "valid",
            AuthorizationState::Pending => "pending",
        }
    }

    /// Whether it lets its identifier be certified at a moment.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        matches!(self.state, AuthorizationState::Valid { .. }) && now < self.expires_at
    }

    /// The challenge that proved it, and when; nothing for one that an invitation vouches for.
    #[must_use]
    pub fn proof(&self) -> Option<(ChallengeKind, Timestamp)> {
        if !matches!(self.state, AuthorizationState::Valid { vouched_by: None }) {
            return None;
        }
        self.challenges
            .iter()
            .find_map(|challenge| match challenge.state {
                ChallengeState::Valid { validated_at } => Some((challenge.kind, validated_at)),
                ChallengeState::Pending
                | ChallengeState::Processing
                | ChallengeState::Invalid { .. } => None,
            })
    }

    /// The client says that a challenge is ready to be looked at.
    ///
    /// # Errors
    /// [`WrongState`] unless authorization and challenge are pending (or processing already: saying so twice is fine).
    pub fn begin(mut self, kind: ChallengeKind, now: Timestamp) -> Result<Self, WrongState> {
        let status = self.status_at(now);
        let refusal = WrongState {
            status,
            action: "respond to its challenge",
        };
        if status != "pending" {
            return Err(refusal);
        }
        let challenge = self
            .challenges
            .iter_mut()
            .find(|challenge| challenge.kind == kind)
            .ok_or(refusal)?;
        match challenge.state {
            ChallengeState::Pending => challenge.state = ChallengeState::Processing,
            ChallengeState::Processing => {}
            ChallengeState::Valid { .. } | ChallengeState::Invalid { .. } => return Err(refusal),
        }
        Ok(self)
    }

    /// The outcome of looking at a challenge: one proof is enough, one failure ends it (RFC 8555 section 7.1.6).
    ///
    /// # Errors
    /// [`WrongState`] unless the challenge is processing.
    pub fn finish(
        mut self,
        kind: ChallengeKind,
        outcome: Result<(), ValidationFailure>,
        now: Timestamp,
    ) -> Result<Self, WrongState> {
        self.settle(
            kind,
            &ChallengeState::Processing,
            "record a validation",
            outcome,
            now,
        )?;
        Ok(self)
    }

    /// The outcome of reading a device's statement, which came with the response to its challenge: it never is processing.
    ///
    /// # Errors
    /// [`WrongState`] unless authorization and challenge are pending.
    pub fn attest(
        mut self,
        outcome: Result<Attestation, ValidationFailure>,
        now: Timestamp,
    ) -> Result<Self, WrongState> {
        let (proved, outcome) = match outcome {
            Ok(attestation) => (Some(attestation), Ok(())),
            Err(failure) => (None, Err(failure)),
        };
        self.settle(
            ChallengeKind::DeviceAttest01,
            &ChallengeState::Pending,
            "respond to its challenge",
            outcome,
            now,
        )?;
        if let Some(attestation) = proved {
            self.attested_key = Some(attestation.key);
            self.attestation = Some(attestation);
        }
        Ok(self)
    }

    /// Moves a challenge from a state to its end, and the authorization with it.
    fn settle(
        &mut self,
        kind: ChallengeKind,
        from: &ChallengeState,
        action: &'static str,
        outcome: Result<(), ValidationFailure>,
        now: Timestamp,
    ) -> Result<(), WrongState> {
        let status = self.status_at(now);
        let refusal = WrongState { status, action };
        if status != "pending" {
            return Err(refusal);
        }
        let challenge = self
            .challenges
            .iter_mut()
            .find(|challenge| challenge.kind == kind && challenge.state == *from)
            .ok_or(refusal)?;
        match outcome {
            Ok(()) => {
                challenge.state = ChallengeState::Valid { validated_at: now };
                self.state = AuthorizationState::Valid { vouched_by: None };
            }
            Err(failure) => {
                challenge.state = ChallengeState::Invalid { failure };
                self.state = AuthorizationState::Invalid;
            }
        }
        Ok(())
    }

    /// Whether it is pending and one of its challenges is being looked at.
    #[must_use]
    pub fn is_in_processing(&self) -> bool {
        matches!(self.state, AuthorizationState::Pending)
            && self
                .challenges
                .iter()
                .any(|challenge| challenge.state == ChallengeState::Processing)
    }

    /// The client gives it up (RFC 8555 section 7.5.2).
    ///
    /// # Errors
    /// [`WrongState`] when it has ended already.
    pub fn deactivate(mut self, now: Timestamp) -> Result<Self, WrongState> {
        match self.status_at(now) {
            "pending" | "valid" => {
                self.state = AuthorizationState::Deactivated;
                Ok(self)
            }
            status => Err(WrongState {
                status,
                action: "deactivate it",
            }),
        }
    }
}

/// A move that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is {status}: one can't {action} now")]
pub struct WrongState {
    /// The state it is in, as the wire spells it.
    pub status: &'static str,
    /// What was tried.
    pub action: &'static str,
}
