//! The ACME server's part of the configuration: as read (`AcmeConfig`), and as checked (`AcmeSettings`).

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use url::Url;

use super::{
    limits::LimitsConfig,
    validation::config::{ValidationConfig, ValidationSettings},
};
use crate::domain::{
    Directories, Directory, DirectoryName, ExternalAccount, ProfileName, challenge::ChallengeKind,
    duration::WrittenDuration,
};

/// `[acme]` as read: the default directory, and what all directories share; and `[acme.directories.NAME]`, with the same
/// keys but those that are shared.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcmeConfig {
    /// Whether an account needs an invitation's key. Without one, an account proves its names by challenges and gets
    /// certificates of the profile `server`, which prove no principal.
    pub external_account: ExternalAccount,
    /// Where the terms of service can be read; with it, a new account must agree to them.
    pub terms_of_service: Option<String>,
    /// Whether accounts must agree again when these have changed.
    pub agreement: Agreement,
    /// Where the operator explains this server.
    pub website: Option<String>,
    /// Which profiles may be ordered; empty: all.
    pub profiles: Vec<String>,
    /// Which challenges are offered; without it, all.
    pub challenges: Option<Vec<String>>,
    /// The name of the issuer; without it, whoever issues the profile.
    pub issuer: Option<String>,
    /// `[acme.limits]`: how much clients may use up.
    pub limits: LimitsConfig,
    /// For how long after it was proved an authorization serves other orders of its account.
    pub reuse_authorizations: Option<WrittenDuration>,
    /// `[acme.validation]`, shared.
    pub validation: Option<ValidationConfig>,
    /// `[acme.http01]`, as `[acme.validation]` was called; kept to say so.
    pub http01: Option<toml::Table>,
    /// More directories, at `/acme/NAME/directory`.
    pub directories: BTreeMap<String, AcmeConfig>,
}

/// To which terms of service accounts must have agreed (RFC 8555 section 7.3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Agreement {
    /// Those that there were when it was opened.
    #[default]
    Once,
    /// Those of today: with another `terms_of_service`, nothing is ordered before its owner agrees again.
    Current,
}

/// The longest that authorizations may serve other orders: as long as they are valid.
const MAX_REUSE: Duration = Duration::from_secs(24 * 3600);

/// How many orders a page of an account's list has (RFC 8555 section 7.1.2.1).
const ORDERS_PER_PAGE: usize = 100;

/// `[acme]` as checked.
#[derive(Clone, Debug)]
pub struct AcmeSettings {
    /// The directories, the default one first.
    pub directories: Vec<DirectorySettings>,
    /// How challenges are validated, in all of them.
    pub validation: ValidationSettings,
    /// How many orders a page of an account's list has.
    pub orders_per_page: usize,
    /// The seed of the trouble that is made on purpose. The configuration has no key for it; see [`Self::with_chaos`].
    pub chaos: Option<u64>,
}

/// A directory as checked.
#[derive(Clone, Debug)]
pub struct DirectorySettings {
    /// What is decided by it.
    pub rules: Directory,
    /// Where the terms of service can be read.
    pub terms_of_service: Option<Url>,
    /// Whether accounts must agree again when these have changed.
    pub agreement: Agreement,
    /// Where the operator explains this server.
    pub website: Option<Url>,
}

impl AcmeSettings {
    /// The same with trouble on purpose: for testing clients, and for nothing else.
    #[must_use]
    pub fn with_chaos(mut self, seed: u64) -> Self {
        self.chaos = Some(seed);
        self.orders_per_page = 1;
        for directory in &mut self.directories {
            directory.rules.reuse_authorizations = MAX_REUSE;
        }
        self
    }

    /// The rules of all directories.
    #[must_use]
    pub fn directories(&self) -> Directories {
        Directories::new(
            self.directories
                .iter()
                .map(|directory| directory.rules.clone()),
        )
    }
}

/// What is wrong with `[acme]`: the key, its value, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value} can't be used: {reason}")]
pub struct AcmeConfigError {
    /// The key, as in `acme.validation.http_port`.
    pub key: String,
    /// The value as read.
    pub value: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl AcmeConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// Names the key at fault.
    pub fn check(&self) -> Result<AcmeSettings, AcmeConfigError> {
        if self.http01.is_some() {
            return Err(error(
                "acme.http01",
                "[acme.http01]",
                "it is [acme.validation] now, for all challenges; port is http_port there, retry_seconds = 2 is retry = \"2s\", timeout_seconds = 10 is timeout = \"10s\", and the other keys have their names",
            ));
        }
        let mut directories = vec![self.check_directory(DirectoryName::default(), "acme")?];
        for (name, config) in &self.directories {
            let key = format!("acme.directories.{name}");
            let fault = |reason: String| error(&key, format!("{name:?}"), reason);
            let name: DirectoryName = name
                .parse()
                .map_err(|invalid| fault(format!("{invalid}")))?;
            if name.is_default() {
                return Err(fault(
                    "the default directory is configured in [acme] itself".to_owned(),
                ));
            }
            if config.validation.is_some()
                || config.http01.is_some()
                || !config.directories.is_empty()
            {
                return Err(fault(
                    "validation, and the list of directories, are the same for all of them: write them below [acme]"
                        .to_owned(),
                ));
            }
            directories.push(config.check_directory(name, &key)?);
        }
        Ok(AcmeSettings {
            directories,
            validation: self.validation.clone().unwrap_or_default().check()?,
            orders_per_page: ORDERS_PER_PAGE,
            chaos: None,
        })
    }

    /// Checks what a directory has of its own; `key` is where it stands.
    fn check_directory(
        &self,
        name: DirectoryName,
        key: &str,
    ) -> Result<DirectorySettings, AcmeConfigError> {
        let profiles = self
            .profiles
            .iter()
            .map(|text| {
                text.parse::<ProfileName>().map_err(|invalid| {
                    error(
                        &format!("{key}.profiles"),
                        format!("{text:?}"),
                        invalid.to_string(),
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        let challenges = match &self.challenges {
            None => ChallengeKind::ALL.to_vec(),
            Some(names) => names
                .iter()
                .map(|name| challenge(&format!("{key}.challenges"), name))
                .collect::<Result<_, _>>()?,
        };
        let limits = self.limits.check().map_err(|(limit, value, reason)| {
            error(&format!("{key}.limits.{limit}"), value, reason)
        })?;
        Ok(DirectorySettings {
            rules: Directory {
                name,
                external_account: self.external_account,
                profiles,
                challenges,
                issuer: self.issuer.clone(),
                limits,
                reuse_authorizations: self.reuse(key)?,
            },
            agreement: self.agreement,
            terms_of_service: page(
                &format!("{key}.terms_of_service"),
                self.terms_of_service.as_deref(),
            )?,
            website: page(&format!("{key}.website"), self.website.as_deref())?,
        })
    }
}

impl AcmeConfig {
    fn reuse(&self, key: &str) -> Result<Duration, AcmeConfigError> {
        match self.reuse_authorizations {
            None => Ok(Directory::REUSE_AUTHORIZATIONS),
            Some(WrittenDuration(wanted)) if wanted <= MAX_REUSE => Ok(wanted),
            Some(wanted) => Err(error(
                &format!("{key}.reuse_authorizations"),
                format!("\"{wanted}\""),
                "authorizations are good for 24 hours; say \"24h\" or less, or \"0s\" for never",
            )),
        }
    }
}

fn challenge(key: &str, name: &str) -> Result<ChallengeKind, AcmeConfigError> {
    ChallengeKind::from_name(name).ok_or_else(|| {
        error(
            key,
            format!("{name:?}"),
            format!(
                "a challenge is one of {}",
                ChallengeKind::ALL.map(ChallengeKind::name).join(", ")
            ),
        )
    })
}

/// A fault of `key`.
pub(super) fn error(
    key: &str,
    value: impl Into<String>,
    reason: impl Into<String>,
) -> AcmeConfigError {
    AcmeConfigError {
        key: key.to_owned(),
        value: value.into(),
        reason: reason.into(),
    }
}

fn page(key: &str, text: Option<&str>) -> Result<Option<Url>, AcmeConfigError> {
    let Some(text) = text else { return Ok(None) };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(url)),
        Ok(_) | Err(_) => Err(error(
            key,
            format!("{text:?}"),
            "it must be an address on the web, as in \"https://ca.example/terms\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rate_limit::RateLimits;

    #[test]
    fn each_directory_has_rules_of_its_own() {
        let config: AcmeConfig = toml::from_str(
            r#"
            [directories.factory]
            external_account = "required"
            profiles = ["device"]
            challenges = ["http-01"]
            issuer = "iot"
            limits.orders_per_account = "off"
            "#,
        )
        .unwrap();
        let settings = config.check().unwrap();
        let rules: Vec<_> = settings
            .directories
            .into_iter()
            .map(|it| it.rules)
            .collect();
        assert_eq!(
            rules,
            [
                Directory {
                    limits: LimitsConfig::default().check().unwrap(),
                    ..Directory::new(DirectoryName::default())
                },
                Directory {
                    name: "factory".parse().unwrap(),
                    external_account: ExternalAccount::Required,
                    profiles: vec!["device".parse().unwrap()],
                    challenges: vec![ChallengeKind::Http01],
                    issuer: Some("iot".to_owned()),
                    limits: RateLimits {
                        orders_per_account: None,
                        ..LimitsConfig::default().check().unwrap()
                    },
                    reuse_authorizations: Directory::REUSE_AUTHORIZATIONS,
                }
            ]
        );
    }

    #[test]
    fn a_bad_value_is_refused_with_its_key() {
        for (toml, message) in [
            (
                "http01.port = 80",
                "acme.http01 = [acme.http01] can't be used: it is [acme.validation] now, for all challenges; port is http_port there, retry_seconds = 2 is retry = \"2s\", timeout_seconds = 10 is timeout = \"10s\", and the other keys have their names",
            ),
            (
                "validation.http_port = 0",
                "acme.validation.http_port = 0 can't be used: a port is 1 to 65535; 80 is the standard's",
            ),
            (
                "[directories.order]",
                "acme.directories.order = \"order\" can't be used: \"order\" is no name of a directory: a lower-case letter, then letters, digits and hyphens, at most 40, and none of the words in the default directory's own paths, such as \"order\"",
            ),
            (
                "directories.factory.validation.http_port = 80",
                "acme.directories.factory = \"factory\" can't be used: validation, and the list of directories, are the same for all of them: write them below [acme]",
            ),
            (
                "directories.factory.challenges = [\"http-02\"]",
                "acme.directories.factory.challenges = \"http-02\" can't be used: a challenge is one of http-01, dns-01, tls-alpn-01, dns-account-01, device-attest-01",
            ),
            (
                "directories.factory.limits.ipv4_prefix = 33",
                "acme.directories.factory.limits.ipv4_prefix = 33 can't be used: it must be 1 to 32",
            ),
            (
                r#"terms_of_service = "terms""#,
                "acme.terms_of_service = \"terms\" can't be used: it must be an address on the web, as in \"https://ca.example/terms\"",
            ),
        ] {
            let config: AcmeConfig = toml::from_str(toml).unwrap();
            assert_eq!(config.check().unwrap_err().to_string(), message, "{toml}");
        }
        assert!(toml::from_str::<AcmeConfig>("validation.prot = 80").is_err());
    }
}
