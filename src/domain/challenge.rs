//! A challenge: one way to prove control of an identifier (RFC 8555 section 8).
//!
//! ```text
//! pending --respond--> processing --+--> valid
//!                          ^  |     +--> invalid
//!                          +--+ another attempt
//! ```

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A challenge of an authorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// How control is proved.
    pub kind: ChallengeKind,
    /// 128 random bits as base64url (RFC 8555 section 8.1).
    pub token: String,
    /// How far it is.
    pub state: ChallengeState,
}

/// How control of an identifier is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// A file under `/.well-known/acme-challenge/` (RFC 8555 section 8.3).
    #[serde(rename = "http-01")]
    Http01,
}

impl ChallengeKind {
    /// As the registry spells it (RFC 8555 section 9.7.8).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
        }
    }
}

/// How far a challenge is (RFC 8555 section 7.1.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ChallengeState {
    /// The client has not said yet that it is ready.
    Pending,
    /// The client is ready; the server is looking.
    Processing,
    /// Proved.
    Valid {
        /// When.
        validated_at: Timestamp,
    },
    /// Not proved; final.
    Invalid {
        /// Why.
        failure: ValidationFailure,
    },
}

impl ChallengeState {
    /// As RFC 8555 spells it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Valid { .. } => "valid",
            Self::Invalid { .. } => "invalid",
        }
    }
}

/// Why a validation failed: an ACME error type and what to tell the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationFailure {
    /// Which of RFC 8555's error types it is.
    pub kind: ValidationFailureKind,
    /// What was seen and what would be right.
    pub detail: String,
}

/// The error types of RFC 8555 section 6.7 that a validation ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ValidationFailureKind {
    /// The server could not connect.
    Connection,
    /// The name did not resolve.
    Dns,
    /// The answer wasn't the key authorization.
    IncorrectResponse,
    /// The server's rules forbid to look there.
    Unauthorized,
}

impl ValidationFailureKind {
    /// The last part of the error type's URN.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Dns => "dns",
            Self::IncorrectResponse => "incorrectResponse",
            Self::Unauthorized => "unauthorized",
        }
    }
}
