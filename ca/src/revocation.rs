//! Revocation: its reasons, and the compact index that the gate looks serials up in.
//!
//! RFC 5280 section 5.3.1.

mod index;

use std::{fmt, str::FromStr};

pub use index::RevocationIndex;

/// Why a certificate was revoked (RFC 5280 section 5.3.1). `removeFromCRL` is for delta lists, which we do not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RevocationReason {
    /// No reason was given; the entry of a list carries no reason code then.
    Unspecified = 0,
    /// The private key is, or may be, in other hands; the key is refused for ever.
    KeyCompromise = 1,
    /// The same for the key of a CA.
    CaCompromise = 2,
    /// The subject's name or affiliation changed.
    AffiliationChanged = 3,
    /// Replaced by another certificate; the enrolment goes on.
    Superseded = 4,
    /// No longer needed.
    CessationOfOperation = 5,
    /// On hold.
    CertificateHold = 6,
    /// What the certificate allowed was taken away.
    PrivilegeWithdrawn = 9,
    /// The key of an attribute authority is, or may be, in other hands.
    AaCompromise = 10,
}

impl RevocationReason {
    /// Every reason, in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// The CRLReason code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this CRLReason code, if there is one that a full list may carry.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The name as RFC 5280 spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RevocationReason {
    type Err = UnknownReason;

    /// Reads RFC 5280's name, without regard to case and hyphens (`key-compromise` is `keyCompromise`).
    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let wanted = text.replace('-', "").to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|reason| reason.name().to_ascii_lowercase() == wanted)
            .ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

/// The text names no revocation reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no revocation reason; one of unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, \
     cessationOfOperation, certificateHold, privilegeWithdrawn, aACompromise"
)]
pub struct UnknownReason(String);
