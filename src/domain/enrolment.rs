//! An enrolment: the lineage of a principal's certificates, from the invitation that it was begun with through every
//! renewal. Revoking a certificate, but for `superseded`, ends it, so that a running agent stays out.

use serde::{Deserialize, Serialize};

use super::{
    Timestamp,
    id::{AccountId, EnrolmentId},
    identifier::Identifier,
    invitation::InvitationId,
    principal::Principal,
    profile::ProfileName,
};

/// An enrolment as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Names it.
    pub id: EnrolmentId,
    /// What it was begun with.
    pub invitation: InvitationId,
    /// Who renews with it.
    pub account: AccountId,
    /// The principal that its certificates prove.
    pub principal: Principal,
    /// By which profile its certificates are made.
    pub profile: ProfileName,
    /// The names that it may have certified without a challenge.
    pub identifiers: Vec<Identifier>,
    /// Whether it goes on.
    pub state: EnrolmentState,
    /// When it began.
    pub created_at: Timestamp,
}

/// Whether an enrolment goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum EnrolmentState {
    /// It does.
    Active,
    /// It doesn't, for ever: the principal must be invited again.
    Ended {
        /// Since when.
        at: Timestamp,
        /// Why, for the operator and the client.
        reason: String,
    },
}

impl Enrolment {
    /// Whether an identifier may be ordered with it.
    #[must_use]
    pub fn vouches_for(&self, identifier: &Identifier) -> bool {
        self.identifiers.contains(identifier)
    }

    /// Nothing when it is active.
    ///
    /// # Errors
    /// [`EnrolmentEnded`] otherwise.
    pub fn check_active(&self) -> Result<(), EnrolmentEnded> {
        match &self.state {
            EnrolmentState::Active => Ok(()),
            EnrolmentState::Ended { at, reason } => Err(EnrolmentEnded {
                principal: self.principal.clone(),
                at: *at,
                reason: reason.clone(),
            }),
        }
    }
}

/// The enrolment has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the enrolment of {principal} ended at {at} ({reason}); an operator must invite it again: portcullis invite {principal}"
)]
pub struct EnrolmentEnded {
    /// Whose it was.
    pub principal: Principal,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}
