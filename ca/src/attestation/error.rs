//! Why a statement is refused: what is wrong, and what would be right. Nothing in here is secret.

use super::{AttestationFormat, format::UnknownFormat};
use crate::{
    chain::{Fault, Place},
    key::KeyError,
};

/// Why a statement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// It is longer than any honest statement.
    #[error("the statement has {0} octets; at most 65536 are read")]
    TooLarge(usize),
    /// It is no CBOR, or not written as CTAP2 wants it.
    #[error(
        "the statement is no attestation object in CBOR (RFC 8949, in the form of CTAP2: definite and shortest lengths, no tags, no key twice): {0}"
    )]
    Cbor(&'static str),
    /// A member is missing or something else than it must be.
    #[error("the statement's {name} is missing or is no {wanted}")]
    Member {
        /// Which.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// A format that is not verified here.
    #[error("{0}")]
    UnknownFormat(UnknownFormat),
    /// A signature algorithm that isn't accepted, or that doesn't fit.
    #[error("the signature algorithm: {0}")]
    Algorithm(String),
    /// A certificate that can't be accepted.
    #[error("{place} of x5c: {fault}")]
    Certificate {
        /// Which one.
        place: Place,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The path ends at none of the roots.
    #[error(
        "x5c leads to none of the roots that are trusted for this: the last certificate was issued by {issuer}"
    )]
    UnknownRoot {
        /// Who issued the last certificate, for people.
        issuer: String,
    },
    /// The certificate that speaks for the device is not one of its format.
    #[error("the first certificate of x5c is no {format} certificate: {reason}")]
    NotOfFormat {
        /// The format.
        format: AttestationFormat,
        /// What it lacks.
        reason: String,
    },
    /// It answers another challenge, or none.
    #[error("the statement is not about this challenge: {0}")]
    OtherChallenge(&'static str),
    /// The signature is not that of the key that should have made it.
    #[error("the statement's signature does not verify with {0}")]
    Signature(&'static str),
    /// What the device says can't be read.
    #[error("{what} can't be read: {reason}")]
    Malformed {
        /// Which structure.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is not bound to the device.
    #[error("the key is not one that only the device can use: {0}")]
    NotBound(String),
    /// The key that it is about is not one that we certify.
    #[error("the attested key: {0}")]
    Key(KeyError),
    /// Nothing in it says which device it is.
    #[error("the {format} statement does not say which device it is about: {}", lacking(*.format))]
    NoIdentity {
        /// Its format.
        format: AttestationFormat,
    },
    /// It says which device it is in a way that can be read in two.
    #[error("which device the statement is about is not plain: {0}")]
    Identity(String),
}

impl AttestationError {
    pub(super) fn malformed(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            what,
            reason: reason.into(),
        }
    }

    pub(super) fn not_of_format(format: AttestationFormat, reason: impl Into<String>) -> Self {
        Self::NotOfFormat {
            format,
            reason: reason.into(),
        }
    }
}

/// Where the identity would have been.
fn lacking(format: AttestationFormat) -> &'static str {
    match format {
        AttestationFormat::Tpm => {
            "its certificate's subjectAltName has neither a permanentIdentifier (RFC 4043) nor a hardwareModuleName (RFC 4108)"
        }
        AttestationFormat::AndroidKey => {
            "it has no attestationIdSerial; ask the keystore for device identifiers (only a device owner's app may)"
        }
        AttestationFormat::Apple => {
            "it has neither a serial number nor a UDID; the device must be enrolled in device management"
        }
        AttestationFormat::Packed => {
            "its certificate has neither a serialNumber in its subject nor a permanentIdentifier (RFC 4043)"
        }
        AttestationFormat::Step => "its certificate has no YubiKey serial number",
    }
}
