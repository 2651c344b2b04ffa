//! An invitation: an operator's word that somebody may enrol as a principal. To the wire it is an enrolment key, the key
//! of an external account binding (RFC 8555 section 7.3.4); its MAC key is derived, never stored.
//!
//! What a certificate proves (the kind and path of its principal) comes from here, never from an order.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    Timestamp, api_key::ApiKeyId, directory::DirectoryName, enrolment::Grant, principal::Principal,
};

/// Names an invitation; it is the key identifier of its external account binding.
pub type InvitationId = ApiKeyId;

/// An invitation as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Names it; the binding's `kid`.
    pub id: InvitationId,
    /// Who enrols with it. What a certificate proves comes from here, never from an order.
    pub principal: Principal,
    /// What may be ordered by those who enrol with it.
    #[serde(flatten)]
    pub grant: Grant,
    /// Whether what they order needs more than the key.
    #[serde(default)]
    pub needs: Needs,
    /// In which directories it may be used; empty: in all.
    #[serde(default)]
    pub directories: Vec<DirectoryName>,
    /// How many accounts may be opened with it.
    pub uses: u32,
    /// How many have been.
    pub used: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// What it takes beside the key until a certificate is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Needs {
    /// Nothing: the key vouches for the names that it allows.
    #[default]
    Nothing,
    /// Each name is proved by a challenge as well.
    Challenge,
    /// An operator approves of each account; then the key vouches.
    Approval,
}

/// How an invitation is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvitationStatus {
    /// It may be used.
    Open,
    /// Its uses are spent.
    UsedUp,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl Invitation {
    /// How it is.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> InvitationStatus {
        if self.revoked_at.is_some() {
            InvitationStatus::Revoked
        } else if now >= self.expires_at {
            InvitationStatus::Expired
        } else if self.used >= self.uses {
            InvitationStatus::UsedUp
        } else {
            InvitationStatus::Open
        }
    }

    /// One use less.
    ///
    /// # Errors
    /// [`NotRedeemable`] when it has ended, was taken back, is used up, or is for other directories.
    pub fn redeem(
        mut self,
        directory: &DirectoryName,
        now: Timestamp,
    ) -> Result<Self, NotRedeemable> {
        match self.status_at(now) {
            InvitationStatus::Revoked => return Err(NotRedeemable::Revoked),
            InvitationStatus::Expired => return Err(NotRedeemable::Expired(self.expires_at)),
            InvitationStatus::UsedUp => return Err(NotRedeemable::UsedUp),
            InvitationStatus::Open => {}
        }
        if !self.is_for(directory) {
            return Err(NotRedeemable::OtherDirectory {
                this: directory.clone(),
                its: self.directories,
            });
        }
        self.used += 1;
        Ok(self)
    }

    /// Whether it may be used in a directory.
    #[must_use]
    pub fn is_for(&self, directory: &DirectoryName) -> bool {
        self.directories.is_empty() || self.directories.contains(directory)
    }
}

impl Needs {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Challenge, Self::Approval];

    /// `nothing`, `challenge` or `approval`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Challenge => "challenge",
            Self::Approval => "approval",
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl InvitationStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::UsedUp, Self::Expired, Self::Revoked];

    /// `open`, `used-up`, `expired` or `revoked`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::UsedUp => "used-up",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for InvitationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for InvitationStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or_else(|| {
                format!("{text:?} is no status of an invitation: open, used-up, expired, revoked")
            })
    }
}

/// Why an invitation can't be redeemed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRedeemable {
    /// Its uses are spent.
    #[error(
        "the invitation has been used already; ask the operator for a new one (portcullis invite)"
    )]
    UsedUp,
    /// Its time is over.
    #[error("the invitation expired at {0}; ask the operator for a new one (portcullis invite)")]
    Expired(Timestamp),
    /// It was taken back.
    #[error("the invitation was taken back; ask the operator for a new one (portcullis invite)")]
    Revoked,
    /// It is for another door.
    #[error(
        "the invitation is for {}, and not for {}; use that one's URL, or ask the operator for a new one \
         (portcullis invite --directory {this})",
        directories(.its),
        directories(std::slice::from_ref(.this))
    )]
    OtherDirectory {
        /// Where it was shown.
        this: DirectoryName,
        /// Where it may be used.
        its: Vec<DirectoryName>,
    },
}

/// Directories in words.
fn directories(names: &[DirectoryName]) -> String {
    let names: Vec<&str> = names.iter().map(DirectoryName::as_str).collect();
    let noun = if names.len() == 1 {
        "directory"
    } else {
        "directories"
    };
    format!("the {noun} {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the first release kept it.
    const OLD: &str = r#"{"id":"abcdefghijkl","principal":"device:fra/sensor-42","profile":"device",
        "identifiers":[{"type":"dns","value":"a.example"}],"uses":2,"used":1,
        "expires_at":"2027-01-02T00:00:00Z","created_at":"2027-01-01T00:00:00Z","revoked_at":null}"#;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_invitation_of_the_first_release_is_read_and_vouches() {
        let old: Invitation = serde_json::from_str(OLD).unwrap();
        assert_eq!(
            (old.needs, &old.directories, &old.grant.patterns),
            (Needs::Nothing, &vec![], &vec![])
        );
        assert_eq!(old.grant.profile.as_str(), "device");
        let again: Invitation =
            serde_json::from_str(&serde_json::to_string(&old).unwrap()).unwrap();
        assert_eq!(again, old);
    }

    #[test]
    fn an_invitation_is_redeemed_while_it_is_open_and_where_it_may_be_used() {
        let invitation: Invitation = serde_json::from_str(OLD).unwrap();
        let (now, late) = (at("2027-01-01T12:00:00Z"), at("2027-01-02T00:00:00Z"));
        let default = DirectoryName::default();
        let factory: DirectoryName = "factory".parse().unwrap();
        let revoked = Invitation {
            revoked_at: Some(now),
            ..invitation.clone()
        };
        let used_up = Invitation {
            used: 2,
            ..invitation.clone()
        };
        let bound = Invitation {
            directories: vec![factory.clone()],
            ..invitation.clone()
        };
        for (invitation, directory, moment, expected) in [
            (&invitation, &default, now, Ok(2)),
            (&invitation, &factory, now, Ok(2)),
            (
                &invitation,
                &default,
                late,
                Err(NotRedeemable::Expired(late)),
            ),
            (&revoked, &default, now, Err(NotRedeemable::Revoked)),
            (&used_up, &default, now, Err(NotRedeemable::UsedUp)),
            (&bound, &factory, now, Ok(2)),
            (
                &bound,
                &default,
                now,
                Err(NotRedeemable::OtherDirectory {
                    this: default.clone(),
                    its: vec![factory.clone()],
                }),
            ),
        ] {
            let redeemed = invitation.clone().redeem(directory, moment);
            assert_eq!(redeemed.map(|invitation| invitation.used), expected);
        }
    }
}
