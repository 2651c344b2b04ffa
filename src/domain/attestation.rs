//! The rules by which devices may prove themselves with statements of their own: which roots, which devices, which makers,
//! and for which principals. What no rule names is refused; a list that is empty names nothing.

use std::fmt;

use portcullis_ca::{
    attestation::{
        self, AttestationChallenge, AttestationError, AttestationFormat, AttestationObject,
        Attested, DeviceIdentity, Roots, SecurityLevel,
    },
    pki_types::UnixTime,
};
use serde::{Deserialize, Serialize};

use super::{
    identifier::Identifier,
    principal::{Principal, PrincipalPattern},
    profile::ProfileName,
};

mod devices;
mod proves;

pub use devices::{DeviceList, InvalidDevice};
pub use proves::{InvalidProves, Proves};

/// One rule, `[[attestation]]` of the configuration.
#[derive(Debug, Clone)]
pub struct AttestationRule {
    /// Names it, in the audit trail too.
    pub name: String,
    /// The format of the statements.
    pub format: AttestationFormat,
    /// Where their certificates must lead to.
    pub roots: Roots,
    /// The devices that are meant, one by one.
    pub devices: DeviceList,
    /// Who made them.
    pub makers: Makers,
    /// The least that keeps the key, for `android-key`.
    pub security_level: SecurityLevel,
    /// Whether the device must have started the system of its maker, for `android-key`.
    pub verified_boot: VerifiedBoot,
    /// What such a statement proves by itself.
    pub proves: Option<Proof>,
}

/// Whose devices a rule is about.
#[derive(Debug, Clone, Default)]
pub struct Makers {
    /// Names of vendors; formats with one vendor only need none.
    pub vendors: Vec<String>,
    /// Models; nothing: all of the vendors'.
    pub models: Option<Vec<String>>,
    /// The numbers of models (FIDO).
    pub aaguids: Vec<[u8; 16]>,
}

/// Whether a device must have started verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VerifiedBoot {
    /// It must be locked, and its system its maker's.
    #[default]
    Required,
    /// It is not looked at.
    Ignored,
}

/// What a statement proves without an invitation.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Which principal a device is.
    pub principal: Proves,
    /// Which principals it may ever be.
    pub may_prove: Vec<PrincipalPattern>,
    /// The profile of its certificates.
    pub profile: ProfileName,
}

/// What was attested, as it is kept with an authorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The rule that let the statement through.
    pub rule: String,
    /// The statement's format.
    pub format: String,
    /// All that its maker calls the device.
    pub identities: Vec<Identifier>,
    /// SHA-256 of the SubjectPublicKeyInfo of the device's key.
    pub key: [u8; 32],
}

/// All rules, in the order in which they stand in the configuration.
#[derive(Debug, Clone, Default)]
pub struct AttestationRules(Vec<AttestationRule>);

impl AttestationRules {
    /// These rules; their names differ.
    #[must_use]
    pub fn new(rules: Vec<AttestationRule>) -> Self {
        Self(rules)
    }

    /// The rule of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AttestationRule> {
        self.0.iter().find(|rule| rule.name == name)
    }

    /// Whether there is any rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any rule names a device.
    #[must_use]
    pub fn names(&self, identifier: &Identifier) -> bool {
        self.0.iter().any(|rule| rule.names(identifier))
    }

    /// Which principal a device proves by its statement alone, and by which profile. Nothing, when no rule says so.
    ///
    /// # Errors
    /// [`UnclearProof`] when two rules name different ones, or a rule names one that it may not prove.
    pub fn proved_by(
        &self,
        identifier: &Identifier,
    ) -> Result<Option<(Principal, ProfileName)>, UnclearProof> {
        let mut found: Option<(&str, Principal, &ProfileName)> = None;
        for rule in self.0.iter().filter(|rule| rule.names(identifier)) {
            let Some((principal, profile)) = rule.proved_by(identifier)? else {
                continue;
            };
            match &found {
                Some((_, known, by)) if *known == principal && *by == profile => {}
                Some((other, ..)) => {
                    return Err(UnclearProof::TwoRules {
                        identifier: identifier.to_string(),
                        rules: [(*other).to_owned(), rule.name.clone()],
                    });
                }
                None => found = Some((&rule.name, principal, profile)),
            }
        }
        Ok(found.map(|(_, principal, profile)| (principal, profile.clone())))
    }

    /// Verifies a statement about `identifier` by the rules that may let it through: all of them, or where a statement
    /// must prove `principal` by itself, those that say so.
    ///
    /// # Errors
    /// [`NotAttested`]: why no rule lets it through; of several, what the rule that got farthest says.
    pub fn attest(
        &self,
        statement: &[u8],
        identifier: &Identifier,
        principal: Option<&Principal>,
        challenge: &AttestationChallenge<'_>,
        at: UnixTime,
    ) -> Result<Attestation, NotAttested> {
        let object = AttestationObject::from_cbor(statement).map_err(NotAttested::Statement)?;
        let format = object.format().map_err(NotAttested::Statement)?;
        let mut refused = NotAttested::NoRule { format };
        for rule in self.0.iter().filter(|rule| rule.format == format) {
            let proves = |rule: &AttestationRule| {
                principal.is_none_or(|principal| {
                    matches!(rule.proved_by(identifier), Ok(Some((proved, _))) if proved == *principal)
                })
            };
            let judged = if rule.names(identifier) && !proves(rule) {
                Err(rule.refusal("it does not say which principal the device is"))
            } else {
                rule.judge(&object, identifier, challenge, at)
            };
            match judged {
                Ok(attestation) => return Ok(attestation),
                Err(error) if error.progress() >= refused.progress() => refused = error,
                Err(_) => {}
            }
        }
        Err(refused)
    }
}

impl AttestationRule {
    /// Whether its list of devices has this one.
    #[must_use]
    pub fn names(&self, identifier: &Identifier) -> bool {
        device_identity(identifier).is_some_and(|identity| self.devices.has(&identity))
    }

    fn proved_by(
        &self,
        identifier: &Identifier,
    ) -> Result<Option<(Principal, &ProfileName)>, UnclearProof> {
        let (Some(proof), Some(identity)) = (&self.proves, device_identity(identifier)) else {
            return Ok(None);
        };
        let principal =
            proof
                .principal
                .of(&identity)
                .map_err(|reason| UnclearProof::NoPrincipal {
                    identifier: identifier.to_string(),
                    rule: self.name.clone(),
                    reason,
                })?;
        if !proof
            .may_prove
            .iter()
            .any(|pattern| pattern.matches(&principal))
        {
            return Err(UnclearProof::MayNotProve {
                rule: self.name.clone(),
                principal,
            });
        }
        Ok(Some((principal, &proof.profile)))
    }

    fn judge(
        &self,
        object: &AttestationObject<'_>,
        identifier: &Identifier,
        challenge: &AttestationChallenge<'_>,
        at: UnixTime,
    ) -> Result<Attestation, NotAttested> {
        let attested = attestation::verify(object, challenge, &self.roots, at)
            .map_err(NotAttested::Statement)?;
        let identities: Vec<Identifier> = attested.identities.iter().map(identifier_of).collect();
        if !identities.contains(identifier) {
            return Err(NotAttested::OtherDevice {
                ordered: identifier.to_string(),
                attested: identities.iter().map(ToString::to_string).collect(),
            });
        }
        self.check(&attested, identifier)
            .map_err(|reason| self.refusal(reason))?;
        Ok(Attestation {
            rule: self.name.clone(),
            format: attested.format.to_string(),
            identities,
            key: attested.public_key.fingerprint(),
        })
    }

    /// Whether what a statement says is what the rule is about.
    fn check(&self, attested: &Attested, identifier: &Identifier) -> Result<(), String> {
        let listed = |what: &str, value: Option<&str>, list: &[String]| match value {
            Some(value) if list.iter().any(|listed| listed == value) => Ok(()),
            Some(value) => Err(format!("it does not list the {what} {value:?}")),
            None => Err(format!("the statement names no {what}")),
        };
        if !self.names(identifier) {
            return Err(format!(
                "it does not list the device {}",
                identifier.value()
            ));
        }
        let Makers {
            vendors,
            models,
            aaguids,
        } = &self.makers;
        let by_model_number = attested.aaguid.filter(|_| !aaguids.is_empty());
        if let Some(aaguid) = by_model_number
            && !aaguids.contains(&aaguid)
        {
            return Err(format!(
                "it does not list the AAGUID {}",
                hex::encode(aaguid)
            ));
        }
        match attested.format {
            AttestationFormat::Tpm | AttestationFormat::AndroidKey => {
                listed("vendor", attested.vendor.as_deref(), vendors)?;
            }
            // Either says who made it; where both are listed, both must be right.
            AttestationFormat::Packed if by_model_number.is_none() || !vendors.is_empty() => {
                listed("vendor", attested.vendor.as_deref(), vendors)?;
            }
            // One vendor each, whose roots are listed.
            AttestationFormat::Packed | AttestationFormat::Apple | AttestationFormat::Step => {}
        }
        if let Some(models) = models {
            listed("model", attested.model.as_deref(), models)?;
        }
        if attested
            .security_level
            .is_some_and(|level| level < self.security_level)
        {
            return Err("it wants the key in a StrongBox".to_owned());
        }
        match (self.verified_boot, attested.verified_boot) {
            (VerifiedBoot::Required, Some(false)) => Err(
                "it wants a device that is locked and started the system of its maker".to_owned(),
            ),
            (VerifiedBoot::Required | VerifiedBoot::Ignored, _) => Ok(()),
        }
    }

    fn refusal(&self, reason: impl Into<String>) -> NotAttested {
        NotAttested::Rule {
            rule: self.name.clone(),
            reason: reason.into(),
        }
    }
}

/// The identifier as devices have it; nothing for others, and for a principal's path.
fn device_identity(identifier: &Identifier) -> Option<DeviceIdentity> {
    match identifier {
        Identifier::PermanentIdentifier(value) => DeviceIdentity::parse_permanent(value).ok(),
        Identifier::HardwareModule(value) => DeviceIdentity::parse_hardware_module(value).ok(),
        Identifier::Dns(_) | Identifier::Ip(_) => None,
    }
}

fn identifier_of(identity: &DeviceIdentity) -> Identifier {
    match identity {
        DeviceIdentity::Permanent { .. } => Identifier::PermanentIdentifier(identity.value()),
        DeviceIdentity::HardwareModule { .. } => Identifier::HardwareModule(identity.value()),
    }
}

/// Why a statement is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAttested {
    /// Nobody wrote a rule for the format.
    NoRule {
        /// Which format.
        format: AttestationFormat,
    },
    /// It does not hold.
    Statement(AttestationError),
    /// It is about another device.
    OtherDevice {
        /// What was ordered.
        ordered: String,
        /// What the statement says.
        attested: Vec<String>,
    },
    /// It holds, and the rule is not about such devices.
    Rule {
        /// Which rule.
        rule: String,
        /// What it lacks.
        reason: String,
    },
}

impl NotAttested {
    /// How far a rule got, so that the most telling reason is told.
    fn progress(&self) -> u8 {
        match self {
            Self::NoRule { .. } => 0,
            Self::Statement(AttestationError::UnknownRoot { .. }) => 1,
            Self::Statement(_) => 2,
            Self::OtherDevice { .. } => 3,
            Self::Rule { .. } => 4,
        }
    }
}

impl fmt::Display for NotAttested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule { format } => write!(
                f,
                "no rule of this server takes {format} statements; its operator must write one ([[attestation]] in \
                 portcullis.toml)"
            ),
            Self::Statement(error) => error.fmt(f),
            Self::OtherDevice { ordered, attested } => write!(
                f,
                "the statement is about another device: {}, and {ordered} was ordered",
                attested.join(", ")
            ),
            Self::Rule { rule, reason } => write!(
                f,
                "the statement holds, but the rule {rule} does not let it through: {reason}; ask the operator of this \
                 server ([[attestation]] in portcullis.toml)"
            ),
        }
    }
}

impl std::error::Error for NotAttested {}

/// Why it is not clear which principal a device is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnclearProof {
    /// Two rules differ.
    #[error(
        "the rules {} and {} name different principals or profiles for {identifier}; the operator must list the device in one of them",
        .rules[0], .rules[1]
    )]
    TwoRules {
        /// About which device.
        identifier: String,
        /// Which rules.
        rules: [String; 2],
    },
    /// It can't be one.
    #[error("the rule {rule} makes no principal of {identifier}: {reason}")]
    NoPrincipal {
        /// Of which device.
        identifier: String,
        /// Which rule.
        rule: String,
        /// Why not.
        reason: String,
    },
    /// The fence.
    #[error("the rule {rule} may not prove {principal}: none of its may_prove has it")]
    MayNotProve {
        /// Which rule.
        rule: String,
        /// Which principal.
        principal: Principal,
    },
}

#[cfg(test)]
mod tests;
