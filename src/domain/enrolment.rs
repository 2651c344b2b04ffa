//! An enrolment: the lineage of a principal's certificates, from the invitation that it was begun with through every
//! renewal. Revoking a certificate, but for `superseded`, ends it, so that a running agent stays out.
//!
//! ```text
//! awaiting approval --approve--> active --+--> ended
//!     |                                   |
//!     +--reject, or nobody's word---------+
//! ```

use std::time::Duration;

use portcullis_ca::serial::Serial;
use serde::{Deserialize, Serialize};

use super::{
    Timestamp,
    id::{AccountId, EnrolmentId},
    identifier::Identifier,
    identifier_pattern::IdentifierPattern,
    invitation::{Invitation, InvitationId, Needs},
    principal::Principal,
    profile::ProfileName,
};

/// When a client that waits for an approval should ask again.
pub const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Why an enrolment ended that waited in vain.
pub const NOT_APPROVED: &str = "nobody approved of it in time";

/// How long an operator may approve of an enrolment that was found to have a rival when it ordered its first certificate;
/// its invitation may have ended long ago.
pub const HOLD: Duration = Duration::from_secs(7 * 24 * 3600);

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
    /// What may be ordered.
    #[serde(flatten)]
    pub grant: Grant,
    /// What each order needs beside the enrolment.
    #[serde(default)]
    pub needs: Needs,
    /// Whether it goes on.
    pub state: EnrolmentState,
    /// When it began.
    pub created_at: Timestamp,
    /// When an operator approved of it.
    #[serde(default)]
    pub approved_at: Option<Timestamp>,
    /// When it got its first certificate. Nothing: it has none yet, or it began before this was kept.
    #[serde(default)]
    pub certified_at: Option<Timestamp>,
}

/// What an enrolment key lets be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// By which profile certificates are made where an order names none.
    pub profile: ProfileName,
    /// By which others they may be made.
    #[serde(default)]
    pub more_profiles: Vec<ProfileName>,
    /// The identifiers that are named; an agent orders all of them.
    pub identifiers: Vec<Identifier>,
    /// Those that are not named one by one.
    #[serde(default)]
    pub patterns: Vec<IdentifierPattern>,
}

/// Whether an enrolment goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum EnrolmentState {
    /// It does.
    Active,
    /// An operator has to look at it first.
    AwaitingApproval {
        /// Since when.
        since: Timestamp,
        /// Until when it may be approved: the key's own end, or [`HOLD`] where that may have passed.
        until: Timestamp,
        /// Why, for the operator and the client.
        reason: String,
    },
    /// It doesn't, for ever: the principal must be invited again.
    Ended {
        /// Since when.
        at: Timestamp,
        /// Why, for the operator and the client.
        reason: String,
    },
}

impl EnrolmentState {
    /// How an enrolment begins. `rival` is a good certificate of the same principal from an enrolment that began after
    /// the invitation was made, with another one: the invitation was an operator's word, but not on that.
    #[must_use]
    pub fn first(invitation: &Invitation, rival: Option<Serial>, now: Timestamp) -> Self {
        let reason = match (invitation.needs, rival) {
            (_, Some(serial)) => format!(
                "{} has a good certificate, {serial}, of an enrolment that began after the invitation was made",
                invitation.principal
            ),
            (Needs::Approval, None) => "its invitation asks for it".to_owned(),
            (Needs::Nothing | Needs::Challenge, None) => return Self::Active,
        };
        Self::AwaitingApproval {
            since: now,
            until: invitation.expires_at,
            reason,
        }
    }
}

impl Grant {
    /// Whether an identifier may be ordered.
    #[must_use]
    pub fn allows(&self, identifier: &Identifier) -> bool {
        self.identifiers.contains(identifier)
            || self
                .patterns
                .iter()
                .any(|pattern| pattern.covers(identifier))
    }

    /// All profiles, the default one first.
    pub fn profiles(&self) -> impl Iterator<Item = &ProfileName> {
        std::iter::once(&self.profile).chain(&self.more_profiles)
    }

    /// All that may be ordered, in words.
    #[must_use]
    pub fn allowed(&self) -> String {
        let identifiers = self.identifiers.iter().map(ToString::to_string);
        let patterns = self.patterns.iter().map(ToString::to_string);
        identifiers.chain(patterns).collect::<Vec<_>>().join(", ")
    }
}

impl Enrolment {
    /// Whether an identifier that it allows is authorized without a challenge.
    #[must_use]
    pub fn vouches(&self) -> bool {
        match self.needs {
            // An approval was given for the account, or the enrolment would not be active.
            Needs::Nothing | Needs::Approval => true,
            Needs::Challenge => false,
        }
    }

    /// Nothing when it is active.
    ///
    /// # Errors
    /// [`EnrolmentClosed`] otherwise.
    pub fn check_active(&self, now: Timestamp) -> Result<(), EnrolmentClosed> {
        match &self.state {
            EnrolmentState::Active => Ok(()),
            EnrolmentState::AwaitingApproval { until, .. } if now >= *until => {
                Err(EnrolmentClosed::Ended {
                    principal: self.principal.clone(),
                    at: *until,
                    reason: NOT_APPROVED.to_owned(),
                })
            }
            EnrolmentState::AwaitingApproval { reason, .. } => {
                Err(EnrolmentClosed::AwaitingApproval {
                    id: self.id.clone(),
                    principal: self.principal.clone(),
                    reason: reason.clone(),
                })
            }
            EnrolmentState::Ended { at, reason } => Err(EnrolmentClosed::Ended {
                principal: self.principal.clone(),
                at: *at,
                reason: reason.clone(),
            }),
        }
    }

    /// Whether it has not ended for good.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        match self.state {
            EnrolmentState::Active | EnrolmentState::AwaitingApproval { .. } => true,
            EnrolmentState::Ended { .. } => false,
        }
    }

    /// It waits for an approval before its first certificate: `rival` is a good certificate of the same principal from an
    /// enrolment with another invitation, which began after the operator's last word on this one.
    #[must_use]
    pub fn hold(mut self, rival: Serial, now: Timestamp) -> Self {
        self.state = EnrolmentState::AwaitingApproval {
            since: now,
            until: now + HOLD,
            reason: format!(
                "{} has a good certificate, {rival}, of an enrolment with another invitation, and this one has none yet",
                self.principal
            ),
        };
        self
    }

    /// An operator approves of it.
    ///
    /// # Errors
    /// [`NotAwaiting`] unless it waits for that, and its key is still good.
    pub fn approve(mut self, now: Timestamp) -> Result<Self, NotAwaiting> {
        match self.state {
            EnrolmentState::AwaitingApproval { until, .. } if now < until => {
                self.state = EnrolmentState::Active;
                self.approved_at = Some(now);
                Ok(self)
            }
            EnrolmentState::AwaitingApproval { until, .. } => Err(NotAwaiting::TooLate { until }),
            EnrolmentState::Active => Err(NotAwaiting::Active),
            EnrolmentState::Ended { at, reason } => Err(NotAwaiting::Ended { at, reason }),
        }
    }

    /// An operator rejects it.
    ///
    /// # Errors
    /// [`NotAwaiting`] unless it waits.
    pub fn reject(mut self, reason: &str, now: Timestamp) -> Result<Self, NotAwaiting> {
        match self.state {
            EnrolmentState::AwaitingApproval { .. } => {
                self.state = EnrolmentState::Ended {
                    at: now,
                    reason: format!("an operator rejected it: {reason}"),
                };
                Ok(self)
            }
            EnrolmentState::Active => Err(NotAwaiting::Active),
            EnrolmentState::Ended { at, reason } => Err(NotAwaiting::Ended { at, reason }),
        }
    }
}

/// Nothing can be ordered with the enrolment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentClosed {
    /// For ever.
    #[error(
        "the enrolment of {principal} ended at {at} ({reason}); an operator must invite it again: portcullis invite {principal}"
    )]
    Ended {
        /// Whose it was.
        principal: Principal,
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Until an operator has looked at it.
    #[error(
        "the enrolment of {principal} waits for an operator's approval ({reason}); nothing is wrong with the request: once \
         the operator has run portcullis approval approve {id}, send it again"
    )]
    AwaitingApproval {
        /// Which.
        id: EnrolmentId,
        /// Whose it is.
        principal: Principal,
        /// Why it needs one.
        reason: String,
    },
}

/// The enrolment doesn't wait for an operator's decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAwaiting {
    /// It is active.
    #[error(
        "it is approved of, or never needed it; to end it, revoke its certificate (portcullis cert revoke) or its invitation \
         with --stop-accounts (portcullis invite revoke)"
    )]
    Active,
    /// It has ended.
    #[error("it ended at {at} ({reason}); invite again: portcullis invite")]
    Ended {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Its time to be approved of is over.
    #[error("it could be approved of until {until}; invite again: portcullis invite")]
    TooLate {
        /// When that was.
        until: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"id":"e","invitation":"abcdefghijkl","account":"a","principal":"device:fra/sensor-42",
        "profile":"device","identifiers":[{"type":"permanent-identifier","value":"fra/sensor-42"}],
        "state":{"status":"active"},"created_at":"2027-01-01T00:00:00Z"}"#;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn enrolment(state: EnrolmentState) -> Enrolment {
        Enrolment {
            state,
            ..serde_json::from_str(OLD).unwrap()
        }
    }

    fn awaiting() -> Enrolment {
        enrolment(EnrolmentState::AwaitingApproval {
            since: at("2027-01-01T00:00:00Z"),
            until: at("2027-01-02T00:00:00Z"),
            reason: "its invitation asks for it".to_owned(),
        })
    }

    #[test]
    fn an_enrolment_of_the_first_release_is_read_and_vouches() {
        let old: Enrolment = serde_json::from_str(OLD).unwrap();
        assert!(old.vouches());
        assert_eq!(old.check_active(at("2030-01-01T00:00:00Z")), Ok(()));
        for state in [old.clone(), awaiting()] {
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<Enrolment>(&text).unwrap(), state);
        }
    }

    #[test]
    fn an_approval_is_given_once_and_while_the_key_is_good() {
        let (early, late) = (at("2027-01-01T12:00:00Z"), at("2027-01-02T00:00:00Z"));
        let ended = enrolment(EnrolmentState::Ended {
            at: early,
            reason: "x".to_owned(),
        });
        let active = enrolment(EnrolmentState::Active);
        let over = NotAwaiting::Ended {
            at: early,
            reason: "x".to_owned(),
        };
        let approved = Enrolment {
            approved_at: Some(early),
            ..active.clone()
        };
        assert_eq!(awaiting().approve(early), Ok(approved));
        assert_eq!(
            awaiting().approve(late),
            Err(NotAwaiting::TooLate { until: late })
        );
        assert_eq!(active.clone().approve(early), Err(NotAwaiting::Active));
        assert_eq!(ended.clone().approve(early), Err(over.clone()));
        assert!(!awaiting().reject("not ours", early).unwrap().goes_on());
        assert_eq!(active.reject("x", early), Err(NotAwaiting::Active));
        assert_eq!(ended.reject("x", early), Err(over));
    }

    #[test]
    fn nothing_is_ordered_before_the_approval_and_nothing_after_its_time() {
        assert!(matches!(
            awaiting().check_active(at("2027-01-01T12:00:00Z")),
            Err(EnrolmentClosed::AwaitingApproval { .. })
        ));
        assert!(matches!(
            awaiting().check_active(at("2027-01-02T00:00:00Z")),
            Err(EnrolmentClosed::Ended { .. })
        ));
    }
}
