//! Why a chain is refused: which certificate, and what is wrong with it. Nothing in here is secret.

use std::fmt;

use rustls_pki_types::UnixTime;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{revocation::RevocationReason, serial::InvalidSerial};

/// Why a chain is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct ChainError {
    /// Which certificate it is about.
    pub place: Place,
    /// What is wrong with it.
    pub fault: Fault,
}

impl ChainError {
    pub(super) fn new(place: Place, fault: Fault) -> Self {
        Self { place, fault }
    }

    /// What kind of refusal it is, as TLS alerts and metrics tell them apart.
    #[must_use]
    pub fn category(&self) -> Category {
        match &self.fault {
            Fault::Malformed(_)
            | Fault::InvalidSerial(_)
            | Fault::InvalidName(_)
            | Fault::TooManyCertificates { .. }
            | Fault::TooLarge { .. } => Category::Malformed,
            Fault::Expired { .. } => Category::Expired,
            Fault::NotYetValid { .. } => Category::NotYetValid,
            Fault::Revoked(_) => Category::Revoked,
            Fault::RevocationStatusUnknown => Category::RevocationStatusUnknown,
            Fault::UnknownIssuer => Category::UnknownIssuer,
            Fault::BadSignature | Fault::UnsupportedAlgorithm => Category::BadSignature,
            Fault::CaAsClient
            | Fault::KeyUsageWithoutDigitalSignature
            | Fault::NoExtendedKeyUsage
            | Fault::NotForClientAuthentication => Category::UnsuitablePurpose,
            Fault::UnknownCriticalExtension(_) => Category::UnknownCriticalExtension,
            Fault::NotACa
            | Fault::KeyUsageWithoutCertSign
            | Fault::PathTooLong
            | Fault::NameConstraints
            | Fault::SelfSigned
            | Fault::TooComplex => Category::Forbidden,
        }
    }
}

/// Which certificate a [`ChainError`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The client's own certificate.
    Leaf,
    /// The certificate at this index, from 0, of those that came with it.
    Presented(usize),
    /// The trust anchor with this id.
    Anchor(String),
    /// The chain as a whole.
    Chain,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf => f.write_str("the leaf certificate"),
            Self::Presented(index) => write!(f, "certificate {} after the leaf", index + 1),
            Self::Anchor(id) => write!(f, "the trust anchor {id:?}"),
            Self::Chain => f.write_str("the chain"),
        }
    }
}

/// What is wrong with a certificate or chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no X.509 v3 certificate in DER, or an extension of it can't be read.
    #[error("it can't be read: {0}")]
    Malformed(String),
    /// Its serial number is not what RFC 5280 section 4.1.2.2 wants.
    #[error("its serial number is invalid: {0}")]
    InvalidSerial(InvalidSerial),
    /// A subject alternative name that is none, or that would be dangerous to print or forward.
    #[error("a subject alternative name is invalid: {0}")]
    InvalidName(String),
    /// More certificates than [`Limits`](super::Limits) allow.
    #[error("{presented} certificates were presented, at most {limit} are looked at")]
    TooManyCertificates {
        /// How many came, with the leaf.
        presented: usize,
        /// How many may come.
        limit: usize,
    },
    /// Larger than [`Limits`](super::Limits) allow.
    #[error("{octets} octets are too large, at most {limit} are looked at")]
    TooLarge {
        /// Its size.
        octets: usize,
        /// How large it may be.
        limit: usize,
    },
    /// After its notAfter.
    #[error("it expired at {}", rfc3339(.not_after))]
    Expired {
        /// The last second in which it was valid.
        not_after: UnixTime,
    },
    /// Before its notBefore.
    #[error("it is not valid before {}", rfc3339(.not_before))]
    NotYetValid {
        /// The first second in which it is valid.
        not_before: UnixTime,
    },
    /// It is on a list, or in the index.
    #[error("it was revoked ({0})")]
    Revoked(RevocationReason),
    /// No list that is valid now covers it.
    #[error("its revocation status is unknown: no valid list covers it")]
    RevocationStatusUnknown,
    /// No path leads to a trust anchor.
    #[error("no path leads from it to a trust anchor")]
    UnknownIssuer,
    /// A signature on every path does not verify.
    #[error("a signature does not verify with the issuer's key")]
    BadSignature,
    /// SHA-1, RSA below 2048 bits, DSA, an unknown curve and so on.
    #[error(
        "a key or signature algorithm is not accepted (RSA from 2048 bits, P-256, P-384, P-521 or Ed25519, with SHA-2)"
    )]
    UnsupportedAlgorithm,
    /// It signs certificates, and so is no client's.
    #[error("it is a CA certificate; a client needs a certificate of its own")]
    CaAsClient,
    /// RFC 5280 section 4.2.1.3: signing a handshake is digitalSignature.
    #[error("its key usage does not allow digitalSignature")]
    KeyUsageWithoutDigitalSignature,
    /// RFC 5280 would take that for any purpose; a client must be meant to be one.
    #[error("it has no extended key usage; clientAuth must be named")]
    NoExtendedKeyUsage,
    /// clientAuth is not among its purposes; anyExtendedKeyUsage alone does not do.
    #[error("its extended key usage does not name clientAuth")]
    NotForClientAuthentication,
    /// RFC 5280 section 4.2: what is critical must be understood.
    #[error("it has a critical extension that is not understood{}", .0.as_ref().map(|oid| format!(": {oid}")).unwrap_or_default())]
    UnknownCriticalExtension(Option<String>),
    /// It issued a certificate of the path, and is no CA.
    #[error("it is used as an issuer and its basicConstraints do not say that it is a CA")]
    NotACa,
    /// RFC 5280 section 6.1.4 (n).
    #[error("it is used as an issuer and its key usage lacks keyCertSign")]
    KeyUsageWithoutCertSign,
    /// RFC 5280 section 4.2.1.9.
    #[error("more CAs follow it than its pathLenConstraint allows")]
    PathTooLong,
    /// RFC 5280 section 4.2.1.10. Constraints on directory names and URIs are not processed, so whatever they would
    /// apply to is refused.
    #[error(
        "a name is outside the name constraints of a CA above it, or the constraint is of a kind that is not processed"
    )]
    NameConstraints,
    /// Its key is the key of a CA on its path, or its own issuer's.
    #[error("its key is that of its issuer")]
    SelfSigned,
    /// Looking for a path was given up.
    #[error("there are too many possible paths or names to look at")]
    TooComplex,
}

/// The kinds of refusal that TLS alerts and metrics tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Category {
    /// TLS `bad_certificate`.
    Malformed,
    /// TLS `certificate_expired`.
    Expired,
    /// TLS `certificate_expired` too (RFC 8446 section 6.2: "expired or is not currently valid").
    NotYetValid,
    /// TLS `certificate_revoked`.
    Revoked,
    /// TLS `certificate_unknown`.
    RevocationStatusUnknown,
    /// TLS `unknown_ca`.
    UnknownIssuer,
    /// TLS `decrypt_error` or `bad_certificate`.
    BadSignature,
    /// TLS `unsupported_certificate`.
    UnsuitablePurpose,
    /// TLS `unsupported_certificate`.
    UnknownCriticalExtension,
    /// What a CA of the path does not allow. TLS `bad_certificate`.
    Forbidden,
}

impl Category {
    /// A stable name for logs, metrics and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Revoked => "revoked",
            Self::RevocationStatusUnknown => "revocation-status-unknown",
            Self::UnknownIssuer => "unknown-issuer",
            Self::BadSignature => "bad-signature",
            Self::UnsuitablePurpose => "unsuitable-purpose",
            Self::UnknownCriticalExtension => "unknown-critical-extension",
            Self::Forbidden => "forbidden",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The time as people read it; seconds since the epoch where a calendar ends.
fn rfc3339(time: &UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} s since 1970", time.as_secs()))
}
