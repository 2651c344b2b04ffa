//! What is asked of invitations and of the enrolments that they began.

use crate::domain::{
    Timestamp,
    invitation::{Invitation, InvitationId, InvitationStatus},
    principal::Principal,
};

/// Which invitations are wanted. An empty query is all of them, newest first.
#[derive(Debug, Clone, Default)]
pub struct InvitationQuery {
    /// Those of a principal.
    pub principal: Option<Principal>,
    /// Those with a status.
    pub status: Option<InvitationStatus>,
    /// Those that were made before this one.
    pub before: Option<InvitationId>,
    /// At most so many.
    pub limit: usize,
}

/// An invitation that is to be taken back.
#[derive(Debug, Clone, Copy)]
pub struct RevokeInvitation {
    /// Which.
    pub id: InvitationId,
    /// Whether the accounts that were opened with it end too.
    pub stop_accounts: bool,
    /// When.
    pub at: Timestamp,
}

/// What taking an invitation back did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedInvitation {
    /// The invitation as it is now.
    pub invitation: Invitation,
    /// How many accounts ended.
    pub accounts_stopped: usize,
    /// How many enrolments ended, those that waited for an approval included.
    pub enrolments_ended: usize,
}
