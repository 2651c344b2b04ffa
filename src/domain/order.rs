//! An order: a request for one certificate, and how far it is (RFC 8555 section 7.1.3).
//!
//! ```text
//! pending --authorizations valid--> ready --finalize--> valid (with its certificate)
//!    |                                |
//!    +--an authorization failed-------+--> invalid
//! ```
//!
//! `processing` does not show: a certificate is signed and recorded within the finalize request, or not at all.

mod validity;

pub use validity::{ValidityRefused, WantedValidity};

use portcullis_ca::{csr::CertificateRequest, name::GeneralName, serial::Serial};
use serde::{Deserialize, Serialize};

use super::{
    Timestamp,
    authorization::{Authorization, AuthorizationState},
    certificate_id::CertificateId,
    challenge::{ChallengeState, ValidationFailure, ValidationFailureKind},
    directory::DirectoryName,
    id::{AccountId, AuthorizationId, OrderId},
    identifier::Identifier,
    profile::ProfileName,
    text::as_text,
};

/// The most identifiers that an order may have.
pub const MAX_IDENTIFIERS: usize = 100;

/// An order as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names it.
    pub id: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// Where it was placed.
    pub directory: DirectoryName,
    /// By which profile its certificate is made.
    pub profile: ProfileName,
    /// The certificate that it is to replace (RFC 9773 section 5).
    #[serde(default, with = "as_text::option")]
    pub replaces: Option<CertificateId>,
    /// What is to be certified, sorted, each once.
    pub identifiers: Vec<Identifier>,
    /// One authorization for each identifier, in the same order.
    pub authorizations: Vec<AuthorizationId>,
    /// How far it is.
    pub state: OrderState,
    /// The validity that its certificate is to have.
    #[serde(default)]
    pub validity: WantedValidity,
    /// When it ends, if it isn't valid by then.
    pub expires_at: Timestamp,
    /// When it was placed.
    pub created_at: Timestamp,
}

/// How far an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum OrderState {
    /// An authorization is still missing.
    Pending,
    /// All are there; the certificate may be asked for.
    Ready,
    /// It has its certificate.
    Valid {
        /// The certificate's serial.
        #[serde(with = "as_text")]
        certificate: Serial,
    },
    /// It has ended without one.
    Invalid {
        /// Why, for the client.
        detail: String,
        /// The identifiers whose authorizations have ended, and how.
        #[serde(default)]
        failures: Vec<OrderFailure>,
    },
}

/// Why an order can't have one of its identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFailure {
    /// Which.
    pub identifier: Identifier,
    /// How its authorization ended.
    pub failure: ValidationFailure,
}

impl OrderFailure {
    /// How an authorization ended, if it has.
    fn of(authorization: &Authorization, now: Timestamp) -> Option<Self> {
        let status = authorization.status_at(now);
        if matches!(status, "pending" | "valid") {
            return None;
        }
        let failed = authorization
            .challenges
            .iter()
            .find_map(|challenge| match &challenge.state {
                ChallengeState::Invalid { failure } => Some(failure.clone()),
                ChallengeState::Pending
                | ChallengeState::Processing
                | ChallengeState::Valid { .. } => None,
            })
            .filter(|_| matches!(authorization.state, AuthorizationState::Invalid));
        let failure = failed.unwrap_or_else(|| ValidationFailure {
            kind: ValidationFailureKind::Unauthorized,
            detail: format!("its authorization is {status}"),
        });
        Some(Self {
            identifier: authorization.identifier.clone(),
            failure,
        })
    }
}

impl Order {
    /// The status on the wire at a moment (RFC 8555 section 7.1.6).
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> &'static str {
        match &self.state {
            OrderState::Valid { .. } => "valid",
            OrderState::Invalid { .. } => "invalid",
            OrderState::Pending | OrderState::Ready if now >= self.expires_at => "invalid",
            OrderState::Pending => "pending",
            OrderState::Ready => "ready",
        }
    }

    /// Whether its authorizations have moved it on: to ready when all are valid, to invalid when one has ended. One that
    /// is invalid already remembers what else has ended since.
    #[must_use]
    pub fn follow(mut self, authorizations: &[Authorization], now: Timestamp) -> Self {
        match &self.state {
            OrderState::Pending | OrderState::Ready => {}
            OrderState::Invalid { failures, .. } if !failures.is_empty() => {}
            OrderState::Valid { .. } | OrderState::Invalid { .. } => return self,
        }
        let failures: Vec<OrderFailure> = authorizations
            .iter()
            .filter_map(|authorization| OrderFailure::of(authorization, now))
            .collect();
        if !failures.is_empty() {
            let names: Vec<String> = failures
                .iter()
                .map(|failed| failed.identifier.to_string())
                .collect();
            self.state = OrderState::Invalid {
                detail: format!(
                    "there is no valid authorization for {}; mend what the subproblems say, and place a new order",
                    names.join(", ")
                ),
                failures,
            };
        } else if !authorizations.is_empty()
            && authorizations.iter().all(|authorization| {
                matches!(authorization.state, AuthorizationState::Valid { .. })
            })
        {
            self.state = OrderState::Ready;
        }
        self
    }

    /// The order with its certificate.
    ///
    /// # Errors
    /// [`NotReady`] unless it is ready.
    pub fn complete(mut self, certificate: Serial, now: Timestamp) -> Result<Self, NotReady> {
        match self.status_at(now) {
            "ready" => {
                self.state = OrderState::Valid { certificate };
                Ok(self)
            }
            status => Err(NotReady { status }),
        }
    }

    /// The names that its certificate gets from its identifiers, sorted.
    #[must_use]
    pub fn general_names(&self) -> Vec<GeneralName> {
        let mut names: Vec<_> = self
            .identifiers
            .iter()
            .filter_map(Identifier::general_name)
            .collect();
        names.sort();
        names
    }

    /// Whether a request asks for exactly this order's names (RFC 8555 section 7.4), `principal_uri` aside, which it
    /// may repeat. A common name must be one of the names too; for an order of permanent identifiers only, one of them.
    ///
    /// # Errors
    /// [`NamesDiffer`] lists what is missing and what is too many.
    pub fn check_names(
        &self,
        request: &CertificateRequest,
        principal_uri: Option<&str>,
    ) -> Result<(), NamesDiffer> {
        let ours = self.general_names();
        let theirs: Vec<&GeneralName> = request
            .names()
            .iter()
            .filter(|name| !matches!((name, principal_uri), (GeneralName::Uri(uri), Some(ours)) if uri == ours))
            .collect();
        let mut unknown: Vec<String> = theirs
            .iter()
            .filter(|name| !ours.contains(name))
            .map(ToString::to_string)
            .collect();
        let common_names = request.common_names();
        let mut missing: Vec<String> = ours
            .iter()
            .filter(|name| !theirs.contains(name))
            .map(ToString::to_string)
            .collect();
        // An old client may put its only name into the subject alone (RFC 8555 section 7.4 allows either place).
        missing.retain(|name| {
            !common_names
                .iter()
                .any(|common| *name == format!("dns:{}", common.to_ascii_lowercase()))
        });
        for common in common_names {
            let known = self
                .identifiers
                .iter()
                .any(|identifier| identifier.value().eq_ignore_ascii_case(common));
            if !known {
                unknown.push(format!("common name {common:?}"));
            }
        }
        if missing.is_empty() && unknown.is_empty() {
            Ok(())
        } else {
            Err(NamesDiffer { missing, unknown })
        }
    }
}

/// The order is not in the state that finalizing needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order is {status}, and only one that is ready can be finalized")]
pub struct NotReady {
    /// The state it is in, as the wire spells it.
    pub status: &'static str,
}

/// The request's names are not the order's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesDiffer {
    /// Names of the order that the request lacks.
    pub missing: Vec<String>,
    /// Names of the request that the order lacks.
    pub unknown: Vec<String>,
}

impl std::fmt::Display for NamesDiffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the CSR's names must be exactly the order's")?;
        if !self.missing.is_empty() {
            write!(f, "; the CSR lacks {}", self.missing.join(", "))?;
        }
        if !self.unknown.is_empty() {
            write!(f, "; the order lacks {}", self.unknown.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for NamesDiffer {}
