//! Extensions that a profile adds to those that we write ourselves.

use crate::{der, oid::Oid};

/// An extension with a value of the operator's (RFC 5280 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraExtension {
    oid: Oid,
    critical: bool,
    value: Vec<u8>,
}

impl ExtraExtension {
    /// Extensions that decide what a certificate is, whom it is about, or how it is revoked. No profile writes them by
    /// hand: the linter could not say what was meant.
    const OURS: [&'static str; 16] = [
        "2.5.29.9",          // subjectDirectoryAttributes
        "2.5.29.14",         // subjectKeyIdentifier
        "2.5.29.15",         // keyUsage
        "2.5.29.17",         // subjectAltName
        "2.5.29.18",         // issuerAltName
        "2.5.29.19",         // basicConstraints
        "2.5.29.30",         // nameConstraints
        "2.5.29.31",         // cRLDistributionPoints
        "2.5.29.33",         // policyMappings
        "2.5.29.35",         // authorityKeyIdentifier
        "2.5.29.36",         // policyConstraints
        "2.5.29.37",         // extKeyUsage
        "2.5.29.46",         // freshestCRL
        "2.5.29.54",         // inhibitAnyPolicy
        "2.5.29.56",         // noRevAvail (RFC 9608)
        "1.3.6.1.5.5.7.1.1", // authorityInfoAccess
    ];
    /// id-pkix-ocsp-nocheck, the acmeIdentifier of tls-alpn-01 (RFC 8737), and the poison of a pre-certificate (RFC 6962).
    const OURS_TOO: [&'static str; 3] = [
        "1.3.6.1.5.5.7.48.1.5",
        "1.3.6.1.5.5.7.1.31",
        "1.3.6.1.4.1.11129.2.4.3",
    ];
    /// The most octets of a value.
    pub const MAX_OCTETS: usize = 4096;

    /// An extension with its value in DER.
    ///
    /// # Errors
    /// [`InvalidExtension`] for one that we write ourselves, and for what is not one DER value.
    pub fn new(oid: Oid, critical: bool, value: Vec<u8>) -> Result<Self, InvalidExtension> {
        let text = oid.to_string();
        if Self::OURS.contains(&text.as_str()) || Self::OURS_TOO.contains(&text.as_str()) {
            return Err(InvalidExtension::Ours(oid));
        }
        if value.len() > Self::MAX_OCTETS {
            return Err(InvalidExtension::TooLong(value.len()));
        }
        if !der::is_one_value(&value) {
            return Err(InvalidExtension::NotDer);
        }
        Ok(Self {
            oid,
            critical,
            value,
        })
    }

    /// What it is.
    #[must_use]
    pub fn oid(&self) -> &Oid {
        &self.oid
    }

    /// Whether a verifier that does not know it must refuse the certificate. Our own gate knows none of them.
    #[must_use]
    pub fn is_critical(&self) -> bool {
        self.critical
    }

    /// Its value in DER: the contents of the OCTET STRING.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

/// Why a profile can't add an extension.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExtension {
    /// One that the profile decides in another way, or that no leaf may have.
    #[error("{0} is written by the authority itself, or has no place in a profile")]
    Ours(Oid),
    /// Too long.
    #[error("its value has {0} octets; at most {max} are written", max = ExtraExtension::MAX_OCTETS)]
    TooLong(usize),
    /// No DER.
    #[error(
        "its value is not one DER value (X.690); for example 0c026869 is the UTF8String \"hi\""
    )]
    NotDer,
}
