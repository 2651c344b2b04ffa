//! Key usages (RFC 5280 sections 4.2.1.3 and 4.2.1.12).

use std::{fmt, str::FromStr};

use crate::{key::KeyAlgorithm, oid::Oid};

/// A key usage (RFC 5280 section 4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUsage {
    /// digitalSignature.
    DigitalSignature,
    /// contentCommitment, once nonRepudiation.
    ContentCommitment,
    /// keyEncipherment: for RSA keys only.
    KeyEncipherment,
    /// dataEncipherment: for RSA keys only.
    DataEncipherment,
    /// keyAgreement: for keys on P-256 and P-384 only.
    KeyAgreement,
    /// keyCertSign: for CAs.
    KeyCertSign,
    /// cRLSign: for CAs.
    CrlSign,
}

impl KeyUsage {
    /// Every usage that we write.
    pub const ALL: [Self; 7] = [
        Self::DigitalSignature,
        Self::ContentCommitment,
        Self::KeyEncipherment,
        Self::DataEncipherment,
        Self::KeyAgreement,
        Self::KeyCertSign,
        Self::CrlSign,
    ];

    /// The name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DigitalSignature => "digital_signature",
            Self::ContentCommitment => "content_commitment",
            Self::KeyEncipherment => "key_encipherment",
            Self::DataEncipherment => "data_encipherment",
            Self::KeyAgreement => "key_agreement",
            Self::KeyCertSign => "key_cert_sign",
            Self::CrlSign => "crl_sign",
        }
    }

    /// Its bit in the BIT STRING, the first being 0.
    #[must_use]
    pub fn bit(self) -> u16 {
        match self {
            Self::DigitalSignature => 0,
            Self::ContentCommitment => 1,
            Self::KeyEncipherment => 2,
            Self::DataEncipherment => 3,
            Self::KeyAgreement => 4,
            Self::KeyCertSign => 5,
            Self::CrlSign => 6,
        }
    }

    /// Whether a key of this algorithm can be used so (RFC 3279 section 2.3, RFC 8813 section 3, RFC 9295 section 3, RFC
    /// 9881 section 5).
    #[must_use]
    pub fn fits(self, algorithm: KeyAlgorithm) -> bool {
        match self {
            Self::DigitalSignature
            | Self::ContentCommitment
            | Self::KeyCertSign
            | Self::CrlSign => true,
            Self::KeyEncipherment | Self::DataEncipherment => algorithm.is_rsa(),
            Self::KeyAgreement => algorithm.is_ec(),
        }
    }
}

impl FromStr for KeyUsage {
    type Err = UnknownKeyUsage;

    fn from_str(text: &str) -> Result<Self, UnknownKeyUsage> {
        Self::ALL
            .into_iter()
            .find(|usage| usage.name() == text)
            .ok_or_else(|| UnknownKeyUsage(text.to_owned()))
    }
}

/// The text names no key usage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no key usage; one of digital_signature, content_commitment, key_encipherment, data_encipherment, key_agreement"
)]
pub struct UnknownKeyUsage(String);

/// An extended key usage (RFC 5280 section 4.2.1.12).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExtendedKeyUsage {
    /// id-kp-clientAuth.
    ClientAuth,
    /// id-kp-serverAuth.
    ServerAuth,
    /// id-kp-OCSPSigning.
    OcspSigning,
    /// Any other.
    Other(Oid),
}

impl ExtendedKeyUsage {
    /// Those with a name, and their identifiers.
    const NAMED: [(Self, &'static str); 3] = [
        (Self::ClientAuth, "1.3.6.1.5.5.7.3.2"),
        (Self::ServerAuth, "1.3.6.1.5.5.7.3.1"),
        (Self::OcspSigning, "1.3.6.1.5.5.7.3.9"),
    ];

    /// The usage with this identifier.
    #[must_use]
    pub fn from_oid(oid: Oid) -> Self {
        let text = oid.to_string();
        Self::NAMED
            .into_iter()
            .find(|(_, known)| *known == text)
            .map_or(Self::Other(oid), |(usage, _)| usage)
    }
}

impl fmt::Display for ExtendedKeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientAuth => f.write_str(Self::NAMED[0].1),
            Self::ServerAuth => f.write_str(Self::NAMED[1].1),
            Self::OcspSigning => f.write_str(Self::NAMED[2].1),
            Self::Other(oid) => write!(f, "{oid}"),
        }
    }
}
