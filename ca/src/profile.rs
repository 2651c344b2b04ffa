//! Profiles: what a kind of certificate may contain, and for how long.

use std::{fmt, str::FromStr, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProfileKind {
    /// A trust anchor: self-signed, signs intermediates and its own list.
    Root,
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
    pub const ALL: [Self; 6] = [
        Self::Root,
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
            Self::Root | Self::Intermediate => true,
            Self::Server | Self::Device | Self::Service | Self::OcspResponder => false,
        }
    }

    /// Whether the certificate proves a principal by its URI.
    #[must_use]
    pub fn proves_principal(self) -> bool {
        match self {
            Self::Device | Self::Service => true,
            Self::Root | Self::Intermediate | Self::Server | Self::OcspResponder => false,
        }
    }

    /// How many CAs may stand below it (RFC 5280 section 4.2.1.9); nothing for a leaf.
    #[must_use]
    pub fn path_length(self) -> Option<u8> {
        match self {
            Self::Root => Some(1),
            Self::Intermediate => Some(0),
            Self::Server | Self::Device | Self::Service | Self::OcspResponder => None,
        }
    }

    /// The extended key usages: clientAuth, serverAuth. Our CAs carry none and so restrict nothing (RFC 5280 section
    /// 4.2.1.12); an intermediate that named only serverAuth would make client certificates that nobody accepts.
    #[must_use]
    pub fn extended_key_usages(self) -> &'static [ExtendedKeyUsage] {
        match self {
            Self::Root | Self::Intermediate => &[],
            Self::Server => &[ExtendedKeyUsage::ServerAuth],
            Self::Device => &[ExtendedKeyUsage::ClientAuth],
            Self::Service => &[ExtendedKeyUsage::ClientAuth, ExtendedKeyUsage::ServerAuth],
            Self::OcspResponder => &[ExtendedKeyUsage::OcspSigning],
        }
    }

    /// Whether its certificates have subject alternative names.
    #[must_use]
    pub fn is_named(self) -> bool {
        match self {
            Self::Server | Self::Device | Self::Service => true,
            Self::Root | Self::Intermediate | Self::OcspResponder => false,
        }
    }

    /// Whether its certificates say id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1) and so name no list.
    #[must_use]
    pub fn is_never_checked(self) -> bool {
        match self {
            Self::OcspResponder => true,
            Self::Root | Self::Intermediate | Self::Server | Self::Device | Self::Service => false,
        }
    }

    fn default_lifetime(self) -> Duration {
        match self {
            Self::Root => 3650 * DAY,
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
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}

/// The text names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no profile; one of root, intermediate, server, device, service, ocsp")]
pub struct UnknownProfile(String);

/// An extended key usage that we issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedKeyUsage {
    /// id-kp-clientAuth.
    ClientAuth,
    /// id-kp-serverAuth.
    ServerAuth,
    /// id-kp-OCSPSigning.
    OcspSigning,
}

/// A kind of certificate, and how long one is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// What it is for.
    pub kind: ProfileKind,
    /// From notBefore to notAfter, both of which belong to it (RFC 5280 section 4.1.2.5).
    pub lifetime: Duration,
    /// How far before the moment of issuing notBefore lies, for clocks that are slow.
    pub backdate: Duration,
}

impl Profile {
    /// The shortest lifetime that a profile may have.
    pub const MIN_LIFETIME: Duration = Duration::from_secs(10);

    /// The profile of a kind as it is without configuration: leaves of 24 hours, back-dated by a minute.
    #[must_use]
    pub fn default_for(kind: ProfileKind) -> Self {
        Self {
            kind,
            lifetime: kind.default_lifetime(),
            backdate: Duration::from_secs(60),
        }
    }

    /// notBefore and notAfter, in seconds since the epoch, for a certificate that is issued now. notAfter is never
    /// beyond `latest`, the issuer's.
    #[must_use]
    pub fn validity(&self, now: i64, latest: i64) -> (i64, i64) {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let not_before = now.saturating_sub(seconds(self.backdate));
        // Both ends are inclusive, so a lifetime of one day ends a second before the same time tomorrow.
        let not_after = not_before
            .saturating_add(seconds(self.lifetime))
            .saturating_sub(1);
        (not_before, not_after.min(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Let's Encrypt 2021: certificates were valid one second longer than was allowed.
    #[test]
    fn a_day_ends_one_second_before_the_same_time_tomorrow() {
        let profile = Profile {
            backdate: Duration::ZERO,
            ..Profile::default_for(ProfileKind::Device)
        };
        assert_eq!(profile.validity(1000, i64::MAX), (1000, 1000 + 86_400 - 1));
        assert_eq!(profile.validity(1000, 5000), (1000, 5000));
    }
}
