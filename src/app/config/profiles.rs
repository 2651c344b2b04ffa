//! `[profiles.NAME]`: as read, and as the profiles of the authority.

use std::{collections::BTreeMap, fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ipnet::IpNet;
use portcullis_ca::{
    key::KeyAlgorithm,
    oid::Oid,
    profile::{
        CommonNameRule, DnsPattern, DnsSubtree, ExtendedKeyUsage, ExtraExtension, KeyUsage,
        NameConstraints, NameRules, Profile, ProfileKind, SubjectRule,
    },
};
use serde::Deserialize;

use super::{ConfigError, Source};
use crate::{
    authority::Profiles,
    domain::{ProfileName, duration::WrittenDuration},
};

/// `[profiles]` as read: the built-in names, and whatever else there is with its `kind`.
pub type ProfilesConfig = BTreeMap<String, ProfileConfig>;

/// A profile as read. What is left out is the kind's default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileConfig {
    /// `device`, `service` or `server`; needed where the name is not a kind's.
    pub kind: Option<String>,
    /// What it is for, in a sentence or as the address of a page: ACME clients are shown it.
    pub description: Option<String>,
    /// From notBefore to notAfter.
    pub lifetime: Option<WrittenDuration>,
    /// How far before the moment of issuing notBefore lies.
    pub backdate: Option<WrittenDuration>,
    /// The kinds of keys that are certified.
    pub keys: Option<Vec<String>>,
    /// Key usages.
    pub key_usages: Option<Vec<String>>,
    /// Extended key usages, object identifiers, beside those of the kind.
    pub extended_key_usages: Vec<String>,
    /// Where the common name comes from.
    pub common_name: Option<String>,
    /// Fixed part of the subject.
    pub organization: Option<String>,
    /// Fixed part of the subject.
    pub organizational_unit: Option<String>,
    /// Fixed part of the subject.
    pub country: Option<String>,
    /// DNS names that are certified; empty: all that were authorized.
    pub allow_dns: Vec<String>,
    /// DNS names that are never certified.
    pub deny_dns: Vec<String>,
    /// Networks whose addresses are certified; empty: all that were authorized.
    pub allow_ip: Vec<String>,
    /// Networks whose addresses are never certified.
    pub deny_ip: Vec<String>,
    /// Extensions of the operator's.
    pub extensions: Vec<ExtensionConfig>,
    /// Below this lifetime certificates say noRevAvail instead of where their list is.
    pub no_revocation_below: Option<WrittenDuration>,
    /// How many CAs may stand below; for CAs.
    pub max_path_length: Option<PathLength>,
    /// For which names may be issued; for CAs.
    pub name_constraints: NameConstraintsConfig,
}

/// `[[profiles.NAME.extensions]]` as read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionConfig {
    /// What it is.
    pub oid: String,
    /// Whether who does not know it must refuse the certificate.
    #[serde(default)]
    pub critical: bool,
    /// Its value in DER, as hexadecimal.
    pub hex: Option<String>,
    /// Its value in DER, as base64.
    pub base64: Option<String>,
}

/// `max_path_length` as read: a number, or `"none"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum PathLength {
    /// How many.
    Limit(u8),
    /// `"none"`.
    Word(String),
}

/// `[profiles.NAME.name_constraints]` as read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameConstraintsConfig {
    /// DNS names, each with all below it.
    pub permit_dns: Vec<String>,
    /// DNS names, each with all below it.
    pub exclude_dns: Vec<String>,
    /// Networks.
    pub permit_ip: Vec<String>,
    /// Networks.
    pub exclude_ip: Vec<String>,
}

pub(super) fn check(config: ProfilesConfig, source: &Source<'_>) -> Result<Profiles, ConfigError> {
    let mut descriptions = Vec::new();
    let profiles = config
        .into_iter()
        .map(|(name, profile)| {
            let read: ProfileName = name
                .parse()
                .map_err(|error| source.fault(&format!("profiles.{name}"), error))?;
            let at = Place {
                name: &name,
                source,
            };
            if let Some(description) = &profile.description {
                if description.is_empty() || description.chars().any(char::is_control) {
                    return Err(at.fault("description", "it must be one line of text"));
                }
                descriptions.push((read.clone(), description.clone()));
            }
            Ok((read, profile.check(&at)?))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Profiles::new(profiles).with_descriptions(descriptions))
}

/// A profile's place in the file.
struct Place<'a> {
    name: &'a str,
    source: &'a Source<'a>,
}

impl Place<'_> {
    fn fault(&self, key: &str, message: impl fmt::Display) -> ConfigError {
        self.source
            .fault(&format!("profiles.{}.{key}", self.name), message)
    }

    fn list<T: FromStr>(&self, key: &str, texts: &[String]) -> Result<Vec<T>, ConfigError>
    where
        T::Err: fmt::Display,
    {
        texts
            .iter()
            .map(|text| text.parse().map_err(|error| self.fault(key, error)))
            .collect()
    }

    fn networks(&self, key: &str, texts: &[String]) -> Result<Vec<IpNet>, ConfigError> {
        texts
            .iter()
            .map(|text| {
                text.parse()
                    .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
                    .map_err(|_| {
                        self.fault(
                            key,
                            format!("{text:?} is no network; for example 10.20.0.0/16 or fd00::/8"),
                        )
                    })
            })
            .collect()
    }
}

impl ProfileConfig {
    fn check(self, at: &Place<'_>) -> Result<Profile, ConfigError> {
        let kind = self.kind(at)?;
        let mut profile = Profile::default_for(kind);
        profile.name = at.name.to_owned();
        if let Some(WrittenDuration(lifetime)) = self.lifetime {
            profile.lifetime = lifetime;
        }
        if let Some(WrittenDuration(backdate)) = self.backdate {
            profile.backdate = backdate;
        }
        if let Some(keys) = &self.keys {
            profile.keys = at.list::<KeyAlgorithm>("keys", keys)?;
        }
        if let Some(usages) = &self.key_usages {
            profile.key_usages = at.list::<KeyUsage>("key_usages", usages)?;
        }
        for oid in at.list::<Oid>("extended_key_usages", &self.extended_key_usages)? {
            profile
                .extended_key_usages
                .push(ExtendedKeyUsage::from_oid(oid));
        }
        profile.subject = SubjectRule {
            common_name: match self.common_name {
                Some(text) => text
                    .parse::<CommonNameRule>()
                    .map_err(|error| at.fault("common_name", error))?,
                None => CommonNameRule::default(),
            },
            country: self.country,
            organization: self.organization,
            organizational_unit: self.organizational_unit,
        };
        profile.names = NameRules {
            allow_dns: at.list::<DnsPattern>("allow_dns", &self.allow_dns)?,
            deny_dns: at.list::<DnsPattern>("deny_dns", &self.deny_dns)?,
            allow_ip: at.networks("allow_ip", &self.allow_ip)?,
            deny_ip: at.networks("deny_ip", &self.deny_ip)?,
        };
        profile.extensions = self
            .extensions
            .iter()
            .map(|extension| {
                extension
                    .check()
                    .map_err(|error| at.fault("extensions", error))
            })
            .collect::<Result<_, _>>()?;
        profile.no_revocation_below = self.no_revocation_below.map(|written| written.0);
        match self.max_path_length {
            None => {}
            Some(PathLength::Limit(limit)) => profile.path_length = Some(limit),
            Some(PathLength::Word(word)) if word == "none" => profile.path_length = None,
            Some(PathLength::Word(word)) => {
                return Err(at.fault(
                    "max_path_length",
                    format!("{word:?} is no path length: a number from 0, or \"none\""),
                ));
            }
        }
        profile.name_constraints = self.name_constraints.check(at)?;
        match profile.check() {
            Ok(()) => Ok(profile),
            Err(contradiction) => Err(at.fault(contradiction.key, contradiction.reason)),
        }
    }

    /// A kind's own name needs no `kind`, and takes no other; any other name is for what somebody enrols for.
    fn kind(&self, at: &Place<'_>) -> Result<ProfileKind, ConfigError> {
        let own = at.name.parse::<ProfileKind>().ok();
        let written = match self.kind.as_deref() {
            None => None,
            Some(text) => Some(
                text.parse::<ProfileKind>()
                    .ok()
                    .filter(|kind| own == Some(*kind) || kind.is_enrolled())
                    .ok_or_else(|| {
                        at.fault(
                            "kind",
                            format!("{text:?} is none; \"device\", \"service\" or \"server\""),
                        )
                    })?,
            ),
        };
        match (own, written) {
            (Some(own), Some(written)) if own != written => Err(at.fault(
                "kind",
                format!(
                    "{} is built in, for what is {own}; give the profile another name",
                    at.name
                ),
            )),
            (Some(kind), _) | (None, Some(kind)) => Ok(kind),
            (None, None) => {
                let nearest = ProfileKind::ALL
                    .into_iter()
                    .find(|kind| strsim::damerau_levenshtein(kind.name(), at.name) <= 2)
                    .map_or_else(String::new, |kind| {
                        format!("; did you mean [profiles.{kind}]?")
                    });
                Err(at.source.fault(
                    &format!("profiles.{}", at.name),
                    format!(
                        "say what it is for: kind = \"device\", \"service\" or \"server\"{nearest}"
                    ),
                ))
            }
        }
    }
}

impl ExtensionConfig {
    fn check(&self) -> Result<ExtraExtension, String> {
        let oid: Oid = self.oid.parse().map_err(|error| format!("{error}"))?;
        let value = match (&self.hex, &self.base64) {
            (Some(text), None) => hex::decode(text)
                .map_err(|_| format!("{oid}: {text:?} is no hexadecimal; for example 0c026869"))?,
            (None, Some(text)) => STANDARD
                .decode(text)
                .map_err(|_| format!("{oid}: {text:?} is no base64; for example DAJoaQ=="))?,
            (Some(_), Some(_)) | (None, None) => {
                return Err(format!("{oid}: give its value in DER as hex or as base64"));
            }
        };
        ExtraExtension::new(oid.clone(), self.critical, value)
            .map_err(|error| format!("{oid}: {error}"))
    }
}

impl NameConstraintsConfig {
    fn check(&self, at: &Place<'_>) -> Result<NameConstraints, ConfigError> {
        Ok(NameConstraints {
            permitted_dns: at
                .list::<DnsSubtree>("name_constraints.permit_dns", &self.permit_dns)?,
            excluded_dns: at
                .list::<DnsSubtree>("name_constraints.exclude_dns", &self.exclude_dns)?,
            permitted_ip: at.networks("name_constraints.permit_ip", &self.permit_ip)?,
            excluded_ip: at.networks("name_constraints.exclude_ip", &self.exclude_ip)?,
        })
    }
}

#[cfg(test)]
mod tests;
