//! What the authority answers when it doesn't do what was asked.

use portcullis_ca::{certificate::Refused, csr::RequestError, key::SignerError};

use super::ca_key::CaKeyError;
use super::tally::FAILURES;
use crate::{
    domain::{
        authorization::WrongState,
        enrolment::EnrolmentClosed,
        id::OrderId,
        issuer::WrongIssuerState,
        order::{NamesDiffer, NotReady},
        rate_limit::LimitReached,
    },
    store::StoreError,
};

/// Why the authority did not do what was asked. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthorityError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The caller may not do this; the text says why and what would help.
    #[error("{0}")]
    Unauthorized(String),
    /// An operator has to approve first; the same request works afterwards.
    #[error("{0}")]
    AwaitingApproval(String),
    /// What was asked for is malformed or contradicts itself.
    #[error("{0}")]
    Invalid(String),
    /// Somebody else was first, or it has happened already.
    #[error("{0}")]
    Conflict(String),
    /// An identifier may not be ordered.
    #[error("{identifier} may not be ordered: {reason}")]
    RejectedIdentifier {
        /// Which.
        identifier: String,
        /// Why, and what would be right.
        reason: String,
    },
    /// A limit was reached.
    #[error(transparent)]
    RateLimited(Box<LimitReached>),
    /// Several identifiers may not be ordered.
    #[error("{} of the identifiers may not be ordered", .0.len())]
    RejectedIdentifiers(Vec<RejectedIdentifier>),
    /// A profile can't be ordered; the text says which can.
    #[error("{0}")]
    InvalidProfile(String),
    /// A CSR can't be used, for these reasons.
    #[error("{}", .0.iter().map(|fault| fault.detail.as_str()).collect::<Vec<_>>().join("; "))]
    BadCsr(Vec<CsrFault>),
    /// The request to be certified is not acceptable.
    #[error("{0}")]
    BadRequest(String),
    /// The key to be certified is refused for ever.
    #[error("the key was revoked as compromised and is refused for ever; make a new one")]
    KeyBlocked,
    /// The order is not ready.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The authorization does not allow the move.
    #[error(transparent)]
    WrongState(#[from] WrongState),
    /// The certificate is revoked already.
    #[error("the certificate is revoked already")]
    AlreadyRevoked,
    /// Another order replaces the certificate, or has replaced it (RFC 9773 section 5).
    #[error(
        "the certificate is being replaced, or was, by the order {0}; go on with that one, or leave \"replaces\" out"
    )]
    AlreadyReplaced(OrderId),
    /// The key that must sign is not here.
    #[error(
        "the key of {0} is offline: it is kept elsewhere; sign with it where it is (portcullis ca sign, portcullis ca root crl {0})"
    )]
    KeyOffline(String),
    /// The key that must sign did not, as when its token is away. It was logged; the text is for operators, not for
    /// devices.
    #[error("{0}")]
    NotSigned(SignerError),
    /// No active issuer issues a profile.
    #[error(
        "no active issuer issues the profile {0}; portcullis ca list shows the issuers, portcullis ca activate makes one issue"
    )]
    NoIssuer(String),
    /// The linter refused; an alarm, because it means that a fault of ours was caught.
    #[error("{0}")]
    Refused(Refused),
    /// A fault of ours, or of the machine: the store, the signer. The text is for the log, not for the wire.
    #[error("{0}")]
    Internal(String),
}

/// One of several identifiers that may not be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedIdentifier {
    /// Which.
    pub identifier: String,
    /// Why, and what would be right.
    pub reason: String,
}

/// What is wrong with a CSR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsrFault {
    /// What is wrong and what would be right.
    pub detail: String,
    /// The names that it is about: which, and what is wrong with each.
    pub names: Vec<(String, &'static str)>,
}

impl From<NamesDiffer> for CsrFault {
    fn from(differ: NamesDiffer) -> Self {
        let missing = differ.missing.iter().map(|name| (name, "the CSR lacks it"));
        let unknown = differ
            .unknown
            .iter()
            .map(|name| (name, "the order lacks it"));
        Self {
            names: missing
                .chain(unknown)
                .map(|(name, what)| (name.clone(), what))
                .collect(),
            detail: differ.to_string(),
        }
    }
}

impl From<RejectedIdentifier> for AuthorityError {
    fn from(RejectedIdentifier { identifier, reason }: RejectedIdentifier) -> Self {
        Self::RejectedIdentifier { identifier, reason }
    }
}

impl From<StoreError> for AuthorityError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::NotFound(what),
            StoreError::Conflict(why) => Self::Conflict(why.to_owned()),
            StoreError::NotReady(error) => Self::NotReady(error),
            StoreError::WrongState(error) => Self::WrongState(error),
            StoreError::EnrolmentClosed(error) => error.into(),
            StoreError::NotAwaiting(error) => Self::Conflict(error.to_string()),
            StoreError::DeviceRefused(error) => Self::Unauthorized(error.to_string()),
            StoreError::NotRedeemable(error) => Self::Unauthorized(error.to_string()),
            StoreError::AlreadyReplaced { order } => Self::AlreadyReplaced(order),
            StoreError::KeyBlocked => Self::KeyBlocked,
            error @ (StoreError::Damaged(_) | StoreError::Unavailable(_)) => {
                tracing::error!(%error, "the store failed");
                FAILURES.add("store", 1);
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<EnrolmentClosed> for AuthorityError {
    fn from(error: EnrolmentClosed) -> Self {
        match error {
            EnrolmentClosed::Ended { .. } => Self::Unauthorized(error.to_string()),
            EnrolmentClosed::AwaitingApproval { .. } => Self::AwaitingApproval(error.to_string()),
        }
    }
}

impl From<RequestError> for AuthorityError {
    fn from(error: RequestError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl From<SignerError> for AuthorityError {
    fn from(error: SignerError) -> Self {
        tracing::error!(alarm = "key", %error, "a signature could not be made");
        FAILURES.add("signer", 1);
        Self::NotSigned(error)
    }
}

impl From<CaKeyError> for AuthorityError {
    fn from(error: CaKeyError) -> Self {
        match error {
            CaKeyError::Refused(why) => Self::Invalid(why),
            CaKeyError::Failed(why) => {
                tracing::error!(error = %why, "a CA key could not be reached");
                Self::Internal(why)
            }
        }
    }
}

impl From<WrongIssuerState> for AuthorityError {
    fn from(error: WrongIssuerState) -> Self {
        Self::Conflict(error.to_string())
    }
}

impl From<Refused> for AuthorityError {
    fn from(refused: Refused) -> Self {
        FAILURES.add("lint", 1);
        tracing::error!(alarm = "lint", %refused, "the linter refused what was about to be signed");
        Self::Refused(refused)
    }
}
