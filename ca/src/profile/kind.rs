//! What a certificate is for: the part of a profile that nobody configures.

use std::{fmt, str::FromStr, time::Duration};

use super::ExtendedKeyUsage;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfileKind {
    /// A trust anchor: self-signed, signs intermediates and its own list.
    Root,
    /// Another root's certificate for a root that there is already, with that one's very subject and key: whoever trusts
    /// only the signer can go on to the subject (RFC 5280 section 3.2, RFC 4949 "cross-certificate").
    CrossRoot,
    /// An issuing CA below a root: signs leaves and its own lists.
    Intermediate,
    /// A TLS server. It proves no principal.
    Server,
    /// A device: a TLS client whose one URI says which principal it is.
    Device,
    /// A service: TLS client and server, whose one URI says which principal it is.
    Service,
    /// A delegated OCSP responder (RFC 6960 section 4.2.2.2): signs an issuer's answers, and nothing else. Its
    /// certificate says id-pkix-ocsp-nocheck, so that nobody asks whether it is revoked, and is short-lived instead.
    OcspResponder,
}

impl ProfileKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Root,
        Self::CrossRoot,
        Self::Intermediate,
        Self::Server,
        Self::Device,
        Self::Service,
        Self::OcspResponder,
    ];

    /// The name in configuration and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::CrossRoot => "cross-root",
            Self::Intermediate => "intermediate",
            Self::Server => "server",
            Self::Device => "device",
            Self::Service => "service",
            Self::OcspResponder => "ocsp",
        }
    }

    /// Whether it is a CA.
    #[must_use]
    pub fn is_ca(self) -> bool {
        match self {
            Self::Root | Self::CrossRoot | Self::Intermediate => true,
            Self::Server | Self::Device | Self::Service | Self::OcspResponder => false,
        }
    }

    /// Whether it is what devices, services and servers enrol for: not a part of the authority itself.
    #[must_use]
    pub fn is_enrolled(self) -> bool {
        match self {
            Self::Server | Self::Device | Self::Service => true,
            Self::Root | Self::CrossRoot | Self::Intermediate | Self::OcspResponder => false,
        }
    }

    /// Whether the certificate proves a principal by its URI.
    #[must_use]
    pub fn proves_principal(self) -> bool {
        match self {
            Self::Device | Self::Service => true,
            Self::Root
            | Self::CrossRoot
            | Self::Intermediate
            | Self::Server
            | Self::OcspResponder => false,
        }
    }

    /// Whether its certificates have subject alternative names.
    #[must_use]
    pub fn is_named(self) -> bool {
        self.is_enrolled()
    }

    /// Whether its certificates say id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1) and so name no list.
    #[must_use]
    pub fn is_never_checked(self) -> bool {
        match self {
            Self::OcspResponder => true,
            Self::Root
            | Self::CrossRoot
            | Self::Intermediate
            | Self::Server
            | Self::Device
            | Self::Service => false,
        }
    }

    /// How many CAs may stand below it, unless its profile says otherwise (RFC 5280 section 4.2.1.9). A root has no
    /// limit: with one, it could neither be signed by another root nor sign one when they follow each other.
    #[must_use]
    pub fn default_path_length(self) -> Option<u8> {
        match self {
            Self::Intermediate => Some(0),
            Self::Root
            | Self::CrossRoot
            | Self::Server
            | Self::Device
            | Self::Service
            | Self::OcspResponder => None,
        }
    }

    /// The extended key usages that every certificate of the kind has. Our CAs carry none and so restrict nothing (RFC
    /// 5280 section 4.2.1.12); an intermediate that named only serverAuth would make client certificates that nobody
    /// accepts.
    #[must_use]
    pub fn extended_key_usages(self) -> &'static [ExtendedKeyUsage] {
        match self {
            Self::Root | Self::CrossRoot | Self::Intermediate => &[],
            Self::Server => &[ExtendedKeyUsage::ServerAuth],
            Self::Device => &[ExtendedKeyUsage::ClientAuth],
            Self::Service => &[ExtendedKeyUsage::ClientAuth, ExtendedKeyUsage::ServerAuth],
            Self::OcspResponder => &[ExtendedKeyUsage::OcspSigning],
        }
    }

    pub(super) fn default_lifetime(self) -> Duration {
        match self {
            Self::Root | Self::CrossRoot => 3650 * DAY,
            Self::Intermediate => 1095 * DAY,
            Self::Server | Self::Device | Self::Service | Self::OcspResponder => 24 * HOUR,
        }
    }
}

impl fmt::Display for ProfileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProfileKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// The text names no kind of certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no kind of certificate; one of root, cross-root, intermediate, server, device, service, ocsp"
)]
pub struct UnknownKind(String);
