//! What can go wrong in a store.

use std::sync::Arc;

use crate::domain::{
    authorization::WrongState,
    device::DeviceRefused,
    enrolment::{EnrolmentClosed, NotAwaiting},
    id::OrderId,
    invitation::NotRedeemable,
    order::NotReady,
};

/// Why a call of the store did not do what was asked. Nothing of a refused command remains.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The record that the command is about isn't there.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The record changed since it was looked up, or one with this name exists.
    #[error("{0}")]
    Conflict(&'static str),
    /// The order can't be finalized now.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The authorization does not allow the move.
    #[error(transparent)]
    WrongState(#[from] WrongState),
    /// The enrolment has ended, or waits for an operator's approval.
    #[error(transparent)]
    EnrolmentClosed(#[from] EnrolmentClosed),
    /// The enrolment doesn't wait for an operator's approval.
    #[error(transparent)]
    NotAwaiting(#[from] NotAwaiting),
    /// A device's statement alone is not enough.
    #[error(transparent)]
    DeviceRefused(#[from] DeviceRefused),
    /// The invitation can't be redeemed.
    #[error(transparent)]
    NotRedeemable(#[from] NotRedeemable),
    /// Another order replaces the certificate, or has replaced it (RFC 9773 section 5).
    #[error("the certificate is replaced by the order {order} already")]
    AlreadyReplaced {
        /// Which order.
        order: OrderId,
    },
    /// The key was revoked as compromised and is refused for ever.
    #[error("the key was revoked as compromised and is refused for ever; make a new one")]
    KeyBlocked,
    /// A record can't be read: the database was damaged or written by another version.
    #[error("the store is damaged: {0}")]
    Damaged(Arc<str>),
    /// The database can't do it now: a full disk, a failed write. Nothing was changed.
    #[error("the store is not available: {0}")]
    Unavailable(Arc<str>),
}

impl StoreError {
    /// A record that can't be read.
    pub(crate) fn damaged(what: impl std::fmt::Display) -> Self {
        Self::Damaged(what.to_string().into())
    }
}
