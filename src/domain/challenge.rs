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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// A file under `/.well-known/acme-challenge/` (RFC 8555 section 8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A TXT record at `_acme-challenge` (RFC 8555 section 8.4).
    #[serde(rename = "dns-01")]
    Dns01,
    /// A certificate in a TLS handshake for `acme-tls/1` (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A TXT record at a name of the account's own (draft-ietf-acme-dns-account-label).
    #[serde(rename = "dns-account-01")]
    DnsAccount01,
    /// A device's statement about its key (draft-ietf-acme-device-attest).
    #[serde(rename = "device-attest-01")]
    DeviceAttest01,
}

impl ChallengeKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Http01,
        Self::Dns01,
        Self::TlsAlpn01,
        Self::DnsAccount01,
        Self::DeviceAttest01,
    ];

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// As the registry spells it (RFC 8555 section 9.7.8).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::DnsAccount01 => "dns-account-01",
            Self::DeviceAttest01 => "device-attest-01",
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
    /// The TLS handshake failed, or its certificate was not the right one.
    Tls,
    /// CAA records forbid it.
    Caa,
    /// A device's statement is not acceptable (draft-ietf-acme-device-attest).
    BadAttestationStatement,
    /// The identifier is none that may be proved in this way.
    RejectedIdentifier,
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
            Self::Tls => "tls",
            Self::Caa => "caa",
            Self::BadAttestationStatement => "badAttestationStatement",
            Self::RejectedIdentifier => "rejectedIdentifier",
        }
    }
}
