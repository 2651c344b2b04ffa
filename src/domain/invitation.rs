//! An invitation: an operator's word that somebody may enrol as a principal. To the wire it is the key of an external
//! account binding (RFC 8555 section 7.3.4); its MAC key is derived, never stored.

use serde::{Deserialize, Serialize};

use super::{
    Timestamp, api_key::ApiKeyId, identifier::Identifier, principal::Principal,
    profile::ProfileName,
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
    /// By which profile its certificates are made.
    pub profile: ProfileName,
    /// The names that it vouches for: they need no challenge, and others may not be ordered.
    pub identifiers: Vec<Identifier>,
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

impl Invitation {
    /// One use less.
    ///
    /// # Errors
    /// [`NotRedeemable`] when it has ended, was taken back or is used up.
    pub fn redeem(mut self, now: Timestamp) -> Result<Self, NotRedeemable> {
        if self.revoked_at.is_some() {
            return Err(NotRedeemable::Revoked);
        }
        if now >= self.expires_at {
            return Err(NotRedeemable::Expired(self.expires_at));
        }
        if self.used >= self.uses {
            return Err(NotRedeemable::UsedUp);
        }
        self.used += 1;
        Ok(self)
    }
}

/// Why an invitation can't be redeemed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
}
