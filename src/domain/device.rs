//! A device that enrolled itself: no invitation, only statements of its own, by a rule that says which principal it is.
//! It begins with its first certificate, and ends when one is revoked (but for `superseded`); then it stays out until an
//! operator invites its principal.

use serde::{Deserialize, Serialize};

use super::{Timestamp, id::EnrolmentId, identifier::Identifier, principal::Principal};

/// A device as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Names the lineage of its certificates, as an enrolment's id does.
    pub enrolment: EnrolmentId,
    /// The principal that its certificates prove.
    pub principal: Principal,
    /// The rule that let it in first.
    pub rule: String,
    /// All that its maker calls it; none of them is in another device.
    pub identities: Vec<Identifier>,
    /// Whether it goes on.
    pub state: DeviceState,
    /// When it enrolled.
    pub created_at: Timestamp,
}

/// Whether a device may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum DeviceState {
    /// It may.
    Active,
    /// It may not, for ever.
    Ended {
        /// Since when.
        at: Timestamp,
        /// Why, for the operator and the client.
        reason: String,
    },
}

impl Device {
    /// Nothing when it is active.
    ///
    /// # Errors
    /// [`DeviceEnded`] otherwise.
    pub fn check_active(&self) -> Result<(), DeviceEnded> {
        match &self.state {
            DeviceState::Active => Ok(()),
            DeviceState::Ended { at, reason } => Err(DeviceEnded {
                principal: self.principal.clone(),
                at: *at,
                reason: reason.clone(),
            }),
        }
    }
}

/// The device was enrolled, and is no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the device that is {principal} proves nothing any more since {at} ({reason}); an operator must invite it again: portcullis invite {principal}"
)]
pub struct DeviceEnded {
    /// Which principal it was.
    pub principal: Principal,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Who wants to be a device by its statement alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCandidate {
    /// The principal that its rule names.
    pub principal: Principal,
    /// All that its maker calls it, as far as that is known.
    pub identities: Vec<Identifier>,
}

/// Why a statement alone is not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceRefused {
    /// It was, and was revoked.
    #[error(transparent)]
    Ended(#[from] DeviceEnded),
    /// An operator's word is stronger than a statement.
    #[error(
        "{0} is enrolled by invitation here, or is about to be, and no statement can prove it by itself; open an account with an invitation (portcullis invite {0})"
    )]
    Invited(Principal),
    /// Another device is that principal.
    #[error(
        "{principal} is the device {device} already; the operator must revoke its certificates, or name another principal for this one"
    )]
    OtherDevice {
        /// Which principal.
        principal: Principal,
        /// What is known of the other one.
        device: String,
    },
    /// The device is another principal.
    #[error(
        "the device {device} is {principal} already, and the rules name another principal for it now; the operator must invite it as what it is to be (portcullis invite)"
    )]
    OtherPrincipal {
        /// Which one it is.
        principal: Principal,
        /// The device.
        device: String,
    },
}
