//! Whether a profile contradicts itself, or the CA that is to issue by it.

use super::{ExtendedKeyUsage, KeyUsage, Profile, ProfileKind, SubjectRule, seconds};
use crate::certificate::IssuerCertificate;

/// Two things that can't both be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The key at fault, as it stands in `[profiles.NAME]`.
    pub key: &'static str,
    /// What contradicts what, and what would be right.
    pub reason: String,
}

impl Profile {
    /// The first contradiction of a profile with itself.
    ///
    /// # Errors
    /// [`Contradiction`].
    pub fn check(&self) -> Result<(), Contradiction> {
        let no = |key, reason: String| Err(Contradiction { key, reason });
        if self.lifetime < Self::MIN_LIFETIME || self.backdate >= self.lifetime {
            return no(
                "lifetime",
                format!(
                    "a lifetime is at least {} s, and longer than backdate ({} s)",
                    Self::MIN_LIFETIME.as_secs(),
                    self.backdate.as_secs()
                ),
            );
        }
        if self.keys.is_empty() {
            return no(
                "keys",
                "no key would be certified; name at least one kind, for example \"p256\""
                    .to_owned(),
            );
        }
        self.check_usages()?;
        self.check_subject()?;
        if let Some((key, pattern)) = self.names.allowed_in_vain() {
            return no(
                key,
                format!(
                    "{pattern} is allowed and all of it is denied: nothing of it could be issued"
                ),
            );
        }
        let mut oids: Vec<_> = self.extensions.iter().map(|it| it.oid()).collect();
        oids.sort();
        if let Some(twice) = oids.windows(2).find(|pair| pair[0] == pair[1]) {
            return no(
                "extensions",
                format!("{} stands there twice (RFC 5280 section 4.2)", twice[0]),
            );
        }
        if self.kind.is_ca() {
            if self.no_revocation_below.is_some() {
                return no(
                    "no_revocation_below",
                    "a CA's certificate names its list always (RFC 9608 section 4)".to_owned(),
                );
            }
        } else {
            if self.path_length.is_some() {
                return no(
                    "max_path_length",
                    "only CAs have one (RFC 5280 section 4.2.1.9)".to_owned(),
                );
            }
            if !self.name_constraints.is_empty() {
                return no(
                    "name_constraints",
                    "only CAs have them (RFC 5280 section 4.2.1.10); a leaf's names are held to allow_dns, deny_dns, allow_ip and deny_ip".to_owned(),
                );
            }
        }
        Ok(())
    }

    fn check_usages(&self) -> Result<(), Contradiction> {
        let no = |key, reason: String| Err(Contradiction { key, reason });
        let needed: &[KeyUsage] = if self.kind.is_ca() {
            &[KeyUsage::KeyCertSign, KeyUsage::CrlSign]
        } else {
            &[KeyUsage::DigitalSignature]
        };
        for usage in needed {
            if !self.key_usages.contains(usage) {
                return no(
                    "key_usages",
                    format!("what is {} needs {}", self.kind, usage.name()),
                );
            }
        }
        for usage in &self.key_usages {
            let for_cas = matches!(usage, KeyUsage::KeyCertSign | KeyUsage::CrlSign);
            if for_cas != self.kind.is_ca() && *usage != KeyUsage::DigitalSignature {
                return no(
                    "key_usages",
                    format!("{} is no usage of what is {}", usage.name(), self.kind),
                );
            }
            if !self.keys.iter().any(|key| usage.fits(*key)) {
                let keys: Vec<&str> = self.keys.iter().map(|key| key.name()).collect();
                return no(
                    "key_usages",
                    format!(
                        "no key of the profile ({}) can be used for {}; {}",
                        keys.join(", "),
                        usage.name(),
                        match usage {
                            KeyUsage::KeyAgreement => "it takes p256 or p384",
                            KeyUsage::KeyEncipherment
                            | KeyUsage::DataEncipherment
                            | KeyUsage::DigitalSignature
                            | KeyUsage::ContentCommitment
                            | KeyUsage::KeyCertSign
                            | KeyUsage::CrlSign => "it takes rsa2048, rsa3072 or rsa4096",
                        }
                    ),
                );
            }
        }
        for usage in self.kind.extended_key_usages() {
            if !self.extended_key_usages.contains(usage) {
                return no(
                    "extended_key_usages",
                    format!("what is {} has {usage}", self.kind),
                );
            }
        }
        for usage in &self.extended_key_usages {
            if self.kind.extended_key_usages().contains(usage) {
                continue;
            }
            let reason = match usage {
                ExtendedKeyUsage::OcspSigning => Some(
                    "OCSPSigning would let its holder answer for the issuer (RFC 6960 section 4.2.2.2)",
                ),
                ExtendedKeyUsage::ClientAuth if self.kind == ProfileKind::Server => {
                    Some("a server proves no principal; make it a profile of kind \"service\"")
                }
                ExtendedKeyUsage::ClientAuth | ExtendedKeyUsage::ServerAuth => {
                    if self.kind.is_enrolled() {
                        None
                    } else {
                        Some("it has no place here")
                    }
                }
                ExtendedKeyUsage::Other(oid) => match oid.to_string().as_str() {
                    "2.5.29.37.0" => Some("anyExtendedKeyUsage would make it good for everything"),
                    "1.3.6.1.5.5.7.3.8" => {
                        Some("timeStamping must stand alone (RFC 3161 section 2.3)")
                    }
                    _ if !self.kind.is_enrolled() => Some("it has no place here"),
                    _ => None,
                },
            };
            if let Some(reason) = reason {
                return no("extended_key_usages", format!("{usage}: {reason}"));
            }
        }
        let mut usages = self.extended_key_usages.clone();
        usages.sort();
        if let Some(twice) = usages.windows(2).find(|pair| pair[0] == pair[1]) {
            return no(
                "extended_key_usages",
                format!("{} stands there twice", twice[0]),
            );
        }
        Ok(())
    }

    fn check_subject(&self) -> Result<(), Contradiction> {
        for (key, text) in [
            ("organization", &self.subject.organization),
            ("organizational_unit", &self.subject.organizational_unit),
        ] {
            let good = text.as_ref().is_none_or(|text| {
                (1..=SubjectRule::MAX_CHARACTERS).contains(&text.chars().count())
                    && !text.chars().any(char::is_control)
            });
            if !good {
                return Err(Contradiction {
                    key,
                    reason: format!(
                        "it has 1 to {} characters, none a control character (RFC 5280 appendix A.1)",
                        SubjectRule::MAX_CHARACTERS
                    ),
                });
            }
        }
        let country = self.subject.country.as_ref();
        if !country
            .is_none_or(|text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()))
        {
            return Err(Contradiction {
                key: "country",
                reason: "it is two capital letters of ISO 3166, for example \"DE\"".to_owned(),
            });
        }
        Ok(())
    }

    /// What contradicts the CA that is to issue by the profile.
    #[must_use]
    pub fn contradictions_under(&self, issuer: &IssuerCertificate) -> Vec<Contradiction> {
        let mut found = Vec::new();
        let mut no = |key, reason: String| found.push(Contradiction { key, reason });
        let life = issuer
            .not_after()
            .saturating_sub(issuer.not_before())
            .saturating_add(1);
        if seconds(self.lifetime) > life {
            no(
                "lifetime",
                format!(
                    "it is longer than the issuer itself is valid ({life} s); no certificate outlives its issuer"
                ),
            );
        }
        if let Some(usage) = issuer.forbids(self) {
            no(
                "kind",
                format!(
                    "the issuer's own extended key usages lack {usage}: nobody would accept what it issues"
                ),
            );
        }
        let constraints = issuer.name_constraints();
        for pattern in &self.names.allow_dns {
            if !constraints.allow_all_of(pattern) {
                no(
                    "allow_dns",
                    format!("{pattern} is outside of the issuer's name constraints"),
                );
            }
        }
        for network in &self.names.allow_ip {
            if !constraints.allow_all_of_network(network) {
                no(
                    "allow_ip",
                    format!("{network} is outside of the issuer's name constraints"),
                );
            }
        }
        for subtree in &self.name_constraints.permitted_dns {
            if !constraints.allow_subtree(subtree) {
                no(
                    "name_constraints.permit_dns",
                    format!("{subtree} is outside of the issuer's own name constraints"),
                );
            }
        }
        for network in &self.name_constraints.permitted_ip {
            if !constraints.allow_all_of_network(network) {
                no(
                    "name_constraints.permit_ip",
                    format!("{network} is outside of the issuer's own name constraints"),
                );
            }
        }
        if let (true, Some(room)) = (self.kind.is_ca(), issuer.path_length()) {
            // Without a limit of its own, a CA has what its issuer leaves it.
            let own = self.path_length.map_or(0, u32::from);
            if own >= room {
                no(
                    "max_path_length",
                    format!(
                        "it is {own}, and the issuer's own path length is {room}: one below it has less"
                    ),
                );
            }
        }
        found
    }
}
