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

/// The issuers of the built-in authority, as a gate knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownIssuers {
    /// Those whose leaves prove principals. A root above them may have issued other CAs, which are none of ours.
    pub of_leaves: Vec<IssuerKeyId>,
    /// Those whose time is over: whatever they issued is refused.
    pub retired: Vec<IssuerKeyId>,
}

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
    IssuersChanged(KnownIssuers),
    /// A principal's labels or life-cycle changed.
    PrincipalChanged {
        /// Which.
        principal: Principal,
        /// What it is now.
        state: PrincipalState,
    },
}
