//! The ACME server's part of the configuration: as read (`AcmeConfig`), and as checked (`AcmeSettings`).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use super::{http01::AllowedNetworks, limits::LimitsConfig};
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
    /// `[acme.http01]`, shared.
    pub http01: Option<Http01Config>,
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

/// `[acme.http01]` as read.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http01Config {
    /// The port that files are fetched from. Other than 80 it is for tests and closed networks (RFC 8555 section 8.3).
    pub port: u16,
    /// The resolvers, each an address with or without port. Empty: the system's.
    pub resolvers: Vec<String>,
    /// Networks that may be connected to although they are internal.
    pub allow_networks: Vec<String>,
    /// How often a challenge is tried before it fails.
    pub attempts: u32,
    /// Seconds between two attempts.
    pub retry_seconds: u64,
    /// Seconds that an attempt may take, redirects included.
    pub timeout_seconds: u64,
}

impl Default for Http01Config {
    fn default() -> Self {
        Self {
            port: 80,
            resolvers: Vec::new(),
            allow_networks: Vec::new(),
            attempts: 3,
            retry_seconds: 2,
            timeout_seconds: 10,
        }
    }
}

/// `[acme]` as checked.
#[derive(Clone, Debug)]
pub struct AcmeSettings {
    /// The directories, the default one first.
    pub directories: Vec<DirectorySettings>,
    /// How http-01 is validated.
    pub http01: Http01Settings,
    /// How many orders a page of an account's list has.
    pub orders_per_page: usize,
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

/// `[acme.http01]` as checked.
#[derive(Clone, Debug)]
pub struct Http01Settings {
    /// The port that files are fetched from.
    pub port: u16,
    /// The resolvers; empty: the system's.
    pub resolvers: Vec<SocketAddr>,
    /// What may be connected to.
    pub networks: AllowedNetworks,
    /// How often a challenge is tried before it fails; at least once.
    pub attempts: u32,
    /// The time between two attempts.
    pub retry: Duration,
    /// The time that an attempt may take.
    pub timeout: Duration,
}

/// What is wrong with `[acme]`: the key, its value, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value} can't be used: {reason}")]
pub struct AcmeConfigError {
    /// The key, as in `acme.http01.port`.
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
            if config.http01.is_some() || !config.directories.is_empty() {
                return Err(fault(
                    "validation, and the list of directories, are the same for all of them: write them below [acme]"
                        .to_owned(),
                ));
            }
            directories.push(config.check_directory(name, &key)?);
        }
        Ok(AcmeSettings {
            directories,
            http01: self.http01.clone().unwrap_or_default().check()?,
            orders_per_page: ORDERS_PER_PAGE,
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
            None => ChallengeKind::OFFERED.to_vec(),
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

impl Http01Config {
    fn check(&self) -> Result<Http01Settings, AcmeConfigError> {
        if self.port == 0 {
            return Err(error(
                "acme.http01.port",
                "0",
                "a port is 1 to 65535; 80 is the standard's",
            ));
        }
        Ok(Http01Settings {
            port: self.port,
            resolvers: self
                .resolvers
                .iter()
                .map(|text| resolver(text))
                .collect::<Result<_, _>>()?,
            networks: AllowedNetworks::new(
                self.allow_networks
                    .iter()
                    .map(|text| network(text))
                    .collect::<Result<_, _>>()?,
            ),
            attempts: u32::try_from(between(
                "acme.http01.attempts",
                self.attempts.into(),
                1,
                10,
            )?)
            .expect("it is at most ten"),
            retry: Duration::from_secs(between(
                "acme.http01.retry_seconds",
                self.retry_seconds,
                0,
                60,
            )?),
            timeout: Duration::from_secs(between(
                "acme.http01.timeout_seconds",
                self.timeout_seconds,
                1,
                60,
            )?),
        })
    }
}

fn error(key: &str, value: impl Into<String>, reason: impl Into<String>) -> AcmeConfigError {
    AcmeConfigError {
        key: key.to_owned(),
        value: value.into(),
        reason: reason.into(),
    }
}

fn between(key: &str, value: u64, least: u64, most: u64) -> Result<u64, AcmeConfigError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(error(
        key,
        value.to_string(),
        format!("it must be {least} to {most}"),
    ))
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

fn resolver(text: &str) -> Result<SocketAddr, AcmeConfigError> {
    text.parse::<SocketAddr>()
        .or_else(|_| text.parse::<IpAddr>().map(|address| (address, 53).into()))
        .map_err(|_| {
            error(
                "acme.http01.resolvers",
                format!("{text:?}"),
                "a resolver is an address with or without a port, as in \"192.0.2.53\" or \"[2001:db8::53]:5353\"",
            )
        })
}

fn network(text: &str) -> Result<IpNet, AcmeConfigError> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            error(
                "acme.http01.allow_networks",
                format!("{text:?}"),
                "a network is an address and a prefix length, as in \"10.1.0.0/16\"",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rate_limit::RateLimits;

    #[test]
    fn the_default_is_port_80_the_systems_resolver_and_public_addresses_only() {
        let settings = AcmeConfig::default().check().unwrap();
        assert_eq!(
            (
                settings.directories[0].rules.external_account,
                settings.http01.port,
                settings.http01.attempts
            ),
            (ExternalAccount::Optional, 80, 3)
        );
        assert!(settings.http01.resolvers.is_empty());
        assert!(
            settings
                .http01
                .networks
                .check("127.0.0.1".parse().unwrap())
                .is_err()
        );
    }

    #[test]
    fn a_whole_section_is_read() {
        let config: AcmeConfig = toml::from_str(
            r#"
            external_account = "required"
            terms_of_service = "https://ca.example/terms"
            [http01]
            port = 5002
            resolvers = ["192.0.2.53", "[2001:db8::53]:5353"]
            allow_networks = ["10.0.0.0/8", "::1"]
            "#,
        )
        .unwrap();
        let settings = config.check().unwrap();
        assert_eq!(
            settings.http01.resolvers,
            [
                "192.0.2.53:53".parse().unwrap(),
                "[2001:db8::53]:5353".parse().unwrap()
            ]
        );
        assert!(
            settings
                .http01
                .networks
                .check("::1".parse().unwrap())
                .is_ok()
        );
    }

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
                "http01.port = 0",
                "acme.http01.port = 0 can't be used: a port is 1 to 65535; 80 is the standard's",
            ),
            (
                "[directories.order]",
                "acme.directories.order = \"order\" can't be used: \"order\" is no name of a directory: a lower-case letter, then letters, digits and hyphens, at most 40, and none of the words in the default directory's own paths, such as \"order\"",
            ),
            (
                "directories.factory.http01.port = 80",
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
                "http01.attempts = 0",
                "acme.http01.attempts = 0 can't be used: it must be 1 to 10",
            ),
            (
                r#"http01.resolvers = ["dns.example"]"#,
                "acme.http01.resolvers = \"dns.example\" can't be used: a resolver is an address with or without a port, as in \"192.0.2.53\" or \"[2001:db8::53]:5353\"",
            ),
            (
                r#"http01.allow_networks = ["10.0.0.0/33"]"#,
                "acme.http01.allow_networks = \"10.0.0.0/33\" can't be used: a network is an address and a prefix length, as in \"10.1.0.0/16\"",
            ),
            (
                r#"terms_of_service = "terms""#,
                "acme.terms_of_service = \"terms\" can't be used: it must be an address on the web, as in \"https://ca.example/terms\"",
            ),
        ] {
            let config: AcmeConfig = toml::from_str(toml).unwrap();
            assert_eq!(config.check().unwrap_err().to_string(), message, "{toml}");
        }
        assert!(toml::from_str::<AcmeConfig>("http01.prot = 80").is_err());
    }
}
