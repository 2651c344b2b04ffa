//! Identifiers as they stand in orders and authorizations (RFC 8555 section 9.7.7, RFC 8738, and
//! draft-ietf-acme-device-attest section 3), and what becomes of them in the domain.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::problem::{Problem, ProblemType, Subproblem};

/// The most identifiers in one order.
pub const MAX_IDENTIFIERS: usize = 100;

/// `{"type": ..., "value": ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireIdentifier {
    /// `dns`, `ip`, `permanent-identifier`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In the form that the type prescribes.
    pub value: String,
}

impl WireIdentifier {
    /// A name.
    #[must_use]
    pub fn dns(name: &str) -> Self {
        Self { kind: "dns".into(), value: name.into() }
    }
}

impl fmt::Display for WireIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}
