//! What an answer without a signature says (RFC 6960 section 2.3): that there is no answer, and why.

use super::tag;
use crate::der;

/// OCSPResponseStatus, without `successful`, which only a signed answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResponseStatus {
    /// The request is not what RFC 6960 section 4.1 wants.
    MalformedRequest = 1,
    /// A fault of ours.
    InternalError = 2,
    /// The responder can't answer just now: its store or its key is not to be had.
    TryLater = 3,
    /// The request must be signed. Never so here.
    SigRequired = 5,
    /// We have no authority over the certificate that was asked about (RFC 5019 section 2.2.3).
    Unauthorized = 6,
}

impl ResponseStatus {
    /// The name as RFC 6960 spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformedRequest",
            Self::InternalError => "internalError",
            Self::TryLater => "tryLater",
            Self::SigRequired => "sigRequired",
            Self::Unauthorized => "unauthorized",
        }
    }

    /// The OCSPResponse that says so, DER.
    #[must_use]
    pub fn to_der(self) -> Vec<u8> {
        der::encode(tag::SEQUENCE, &[&[tag::ENUMERATED, 1, self as u8]])
    }
}
