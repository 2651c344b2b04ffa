//! Trust events: every change of standing, numbered without gaps. The number is the epoch that decisions are stamped
//! with.

use std::sync::Arc;

use portcullis_ca::{issuer_key_id::IssuerKeyId, serial::Serial};

use super::{
    api_key::{ApiKey, ApiKeyId},
    labels::PrincipalState,
    policy::Policy,
    principal::Principal,
};

/// A change of standing, as a node applies it.
#[derive(Debug, Clone)]
pub enum TrustEvent {
    /// Certificates were revoked; a bulk revocation is one event.
    CertificatesRevoked {
        /// Whose certificates.
        issuer: IssuerKeyId,
        /// Which.
        serials: Vec<Serial>,
    },
    /// A key was made.
    ApiKeyMinted(Arc<ApiKey>),
    /// A key was revoked.
    ApiKeyRevoked(ApiKeyId),
    /// Another policy is in force.
    PolicyApplied(Arc<Policy>),
    /// Issuers came, went or moved on.
    IssuersChanged {
        /// Every issuer that is retired now: whatever it issued is refused.
        retired: Vec<IssuerKeyId>,
    },
    /// A principal's labels or life-cycle changed.
    PrincipalChanged {
        /// Which.
        principal: Principal,
        /// What it is now.
        state: PrincipalState,
    },
}
