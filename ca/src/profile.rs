//! Profiles: what a kind of certificate may contain, and for how long.
//!
//! To add a rule: a field here with its default, its line in [`Profile::check`], the octets in `certificate::write`, the
//! comparison in `lint`, and the key in the application's `[profiles.NAME]`.

use std::time::Duration;

use crate::key::KeyAlgorithm;

mod check;
mod constraints;
mod extension;
mod kind;
mod names;
mod subject;
mod usage;

pub use check::Contradiction;
pub use constraints::{DnsSubtree, NameConstraints};
pub use extension::{ExtraExtension, InvalidExtension};
pub use kind::{ProfileKind, UnknownKind};
pub use names::{DnsPattern, InvalidDnsPattern, NameRefused, NameRules};
pub use subject::{CommonNameRule, Subject, SubjectAttributes, SubjectRule, UnknownCommonNameRule};
pub use usage::{ExtendedKeyUsage, KeyUsage, UnknownKeyUsage};

/// What certificates of one name are to be. Shared as `Arc<Profile>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What it is called: NAME of `[profiles.NAME]`.
    pub name: String,
    /// What it is for.
    pub kind: ProfileKind,
    /// From notBefore to notAfter, both of which belong to it (RFC 5280 section 4.1.2.5).
    pub lifetime: Duration,
    /// How far before the moment of issuing notBefore lies, for clocks that are slow.
    pub backdate: Duration,
    /// The key usages; of these a certificate has those that its key can be used for.
    pub key_usages: Vec<KeyUsage>,
    /// The extended key usages, in the order in which they are written.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// The keys that are certified.
    pub keys: Vec<KeyAlgorithm>,
    /// What stands in the subject.
    pub subject: SubjectRule,
    /// Which names may stand in a certificate.
    pub names: NameRules,
    /// Extensions of the operator's.
    pub extensions: Vec<ExtraExtension>,
    /// Certificates that live shorter than this say noRevAvail (RFC 9608) instead of where their list is.
    pub no_revocation_below: Option<Duration>,
    /// How many CAs may stand below it (RFC 5280 section 4.2.1.9); for CAs. Nothing means that there is no limit.
    pub path_length: Option<u8>,
    /// For which names a CA may issue.
    pub name_constraints: NameConstraints,
}

impl Profile {
    /// The shortest lifetime that a profile may have.
    pub const MIN_LIFETIME: Duration = Duration::from_secs(10);

    /// The profile of a kind as it is without configuration, under the kind's name: leaves of 24 hours, back-dated by a
    /// minute.
    #[must_use]
    pub fn default_for(kind: ProfileKind) -> Self {
        let key_usages = if kind.is_ca() {
            vec![KeyUsage::KeyCertSign, KeyUsage::CrlSign]
        } else {
            vec![KeyUsage::DigitalSignature]
        };
        // A cross-certificate is about a key that is there already, an OCSP responder's key about nobody else's wishes.
        let keys = match kind {
            ProfileKind::CrossRoot | ProfileKind::OcspResponder => KeyAlgorithm::ALL.to_vec(),
            ProfileKind::Root
            | ProfileKind::Intermediate
            | ProfileKind::Server
            | ProfileKind::Device
            | ProfileKind::Service => KeyAlgorithm::DEFAULT.to_vec(),
        };
        Self {
            name: kind.name().to_owned(),
            kind,
            lifetime: kind.default_lifetime(),
            backdate: Duration::from_secs(60),
            key_usages,
            extended_key_usages: kind.extended_key_usages().to_vec(),
            keys,
            subject: SubjectRule::default(),
            names: NameRules::default(),
            extensions: Vec::new(),
            no_revocation_below: None,
            path_length: kind.default_path_length(),
            name_constraints: NameConstraints::default(),
        }
    }

    /// The profile with a kind of key that somebody asked for by name among those that it certifies.
    #[must_use]
    pub fn with_key(mut self, algorithm: KeyAlgorithm) -> Self {
        if !self.keys.contains(&algorithm) {
            self.keys.push(algorithm);
        }
        self
    }

    /// notBefore and notAfter, in seconds since the epoch, for a certificate that is issued now. notAfter is never
    /// beyond `latest`, the issuer's.
    #[must_use]
    pub fn validity(&self, now: i64, latest: i64) -> (i64, i64) {
        let not_before = now.saturating_sub(seconds(self.backdate));
        // Both ends are inclusive, so a lifetime of one day ends a second before the same time tomorrow.
        let not_after = not_before
            .saturating_add(seconds(self.lifetime))
            .saturating_sub(1);
        (not_before, not_after.min(latest))
    }

    /// The key usages of a certificate for such a key.
    pub fn key_usages_for(&self, algorithm: KeyAlgorithm) -> impl Iterator<Item = KeyUsage> + '_ {
        self.key_usages
            .iter()
            .copied()
            .filter(move |usage| usage.fits(algorithm))
    }

    /// Whether a certificate with this validity says noRevAvail (RFC 9608): then it names neither a list nor an OCSP
    /// responder. It can be revoked all the same; whoever looks our own index up sees it.
    #[must_use]
    pub fn is_without_revocation(&self, not_before: i64, not_after: i64) -> bool {
        let life = not_after.saturating_sub(not_before).saturating_add(1);
        self.no_revocation_below
            .is_some_and(|threshold| life < seconds(threshold))
    }
}

pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
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

    #[test]
    fn a_certificate_is_without_revocation_below_the_threshold_only() {
        let profile = Profile {
            no_revocation_below: Some(Duration::from_secs(3600)),
            ..Profile::default_for(ProfileKind::Device)
        };
        assert!(profile.is_without_revocation(0, 3598));
        assert!(!profile.is_without_revocation(0, 3599));
        assert!(!Profile::default_for(ProfileKind::Device).is_without_revocation(0, 0));
    }
}
