//! `portcullis.toml`: as read ([`Config`]) and as checked ([`Settings`]).
//!
//! Nothing has to be written: every key has a default. A key that isn't known is an error that names the nearest one.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use portcullis_ca::name::GeneralName;
use serde::Deserialize;
use url::Url;

use super::{DoctorConfig, MetricsConfig, StoreConfig, StoreSettings};
use crate::{
    acme::{AcmeConfig, AcmeSettings},
    authority::{DoctorSettings, ListSchedule, OcspSchedule, Profiles},
    domain::{TrustDomain, attestation::AttestationRules, duration::WrittenDuration},
    gate::{GateConfig, GateSettings},
    listen::{Limits, LimitsConfig},
};

mod attestation;
mod ca;
mod profiles;
mod source;

pub use attestation::AttestationConfig;
pub use ca::{CaConfig, CaSettings, TokenChoice, TokenConfig, TokenSettings};
pub use profiles::ProfilesConfig;
pub use source::{ConfigError, ConfigText};

use source::Source;

/// `portcullis.toml` as read.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The trust domain of the SPIFFE IDs that certificates carry.
    pub trust_domain: String,
    /// Where lists and issuer certificates are to be had; certificates carry it. Its default is the status server.
    pub public_url: Option<String>,
    /// `[ca]`.
    pub ca: CaConfig,
    /// `[profiles.NAME]`.
    pub profiles: ProfilesConfig,
    /// `[lists]`.
    pub lists: ListsConfig,
    /// `[ocsp]`.
    pub ocsp: OcspConfig,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[server]`: the HTTPS front of the ACME server, and the names in this process's own certificate.
    pub server: ServerConfig,
    /// `[status]`: plain HTTP for lists and issuer certificates.
    pub status: StatusConfig,
    /// `[gate]`.
    pub gate: GateConfig,
    /// `[acme]`.
    pub acme: AcmeConfig,
    /// `[[attestation]]`.
    pub attestation: Vec<AttestationConfig>,
    /// `[admin]`.
    pub admin: AdminConfig,
    /// `[doctor]`.
    pub doctor: DoctorConfig,
    /// `[metrics]`.
    pub metrics: MetricsConfig,
}

/// `[lists]` as read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListsConfig {
    /// From thisUpdate to nextUpdate.
    pub life: Option<WrittenDuration>,
    /// Over how many lists an issuer that is made from now on spreads its certificates.
    pub shards: Option<u32>,
}

/// `[ocsp]` as read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OcspConfig {
    /// From thisUpdate to nextUpdate.
    pub life: Option<WrittenDuration>,
    /// Over how many lists an issuer that is made from now on spreads its certificates.
    pub shards: Option<u32>,
}

/// `[server]` as read.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: String,
    /// How clients reach it; the default is the first name with the port.
    pub url: Option<String>,
    /// DNS names and addresses of this process's certificate, for this front and the gate.
    pub names: Vec<String>,
    /// `[server.limits]`.
    pub limits: LimitsConfig,
}

/// `[status]` as read.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusConfig {
    /// Address and port.
    pub listen: String,
    /// `[status.limits]`.
    pub limits: LimitsConfig,
}

/// `[admin]` as read.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// The Unix socket of the admin API, relative to the state directory.
    pub socket: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trust_domain: "portcullis.internal".to_owned(),
            public_url: None,
            ca: CaConfig::default(),
            profiles: ProfilesConfig::new(),
            lists: ListsConfig::default(),
            ocsp: OcspConfig::default(),
            store: StoreConfig::default(),
            server: ServerConfig::default(),
            status: StatusConfig::default(),
            gate: GateConfig::default(),
            acme: AcmeConfig::default(),
            attestation: Vec::new(),
            admin: AdminConfig::default(),
            doctor: DoctorConfig::default(),
            metrics: MetricsConfig::default(),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8444".to_owned(),
            url: None,
            names: ["localhost", "127.0.0.1", "::1"]
                .map(str::to_owned)
                .to_vec(),
            limits: LimitsConfig::default(),
        }
    }
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8445".to_owned(),
            limits: LimitsConfig::default(),
        }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("admin.sock"),
        }
    }
}

/// `portcullis.toml` as checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Where lists and issuer certificates are to be had.
    pub public_url: String,
    /// What opens the CA keys, and the token that some may live in.
    pub ca: CaSettings,
    /// What certificates may contain, and for how long.
    pub profiles: Profiles,
    /// The file itself, for faults that only show beside something else.
    pub text: ConfigText,
    /// How often lists are made.
    pub list_schedule: ListSchedule,
    /// How long OCSP answers are good for.
    pub ocsp_schedule: OcspSchedule,
    /// What is kept, and where the high-water mark is.
    pub store: StoreSettings,
    /// From when on the doctor speaks up.
    pub doctor: DoctorSettings,
    /// Where metrics are served, if they are.
    pub metrics_listen: Option<SocketAddr>,
    /// Where the HTTPS front listens.
    pub server_listen: SocketAddr,
    /// How clients reach it.
    pub server_url: Url,
    /// The names of this process's certificate.
    pub server_names: Vec<GeneralName>,
    /// The HTTPS front's limits.
    pub server_limits: Limits,
    /// Where the status server listens.
    pub status_listen: SocketAddr,
    /// The status server's limits.
    pub status_limits: Limits,
    /// The gate.
    pub gate: GateSettings,
    /// The ACME server.
    pub acme: AcmeSettings,
    /// By which rules devices may prove themselves.
    pub attestation: AttestationRules,
    /// The admin API's socket.
    pub admin_socket: PathBuf,
}

impl Settings {
    /// Reads and checks a file's text. Relative paths in it are relative to the state directory.
    ///
    /// # Errors
    /// [`ConfigError`] with the line at fault.
    pub fn from_toml(text: &str, file: &Path, state_dir: &Path) -> Result<Self, ConfigError> {
        let source = Source::new(text, file);
        let config: Config = toml::from_str(text).map_err(|error| source.unreadable(&error))?;
        config.check(&source, state_dir)
    }
}

impl Config {
    fn check(self, source: &Source<'_>, state_dir: &Path) -> Result<Settings, ConfigError> {
        let trust_domain: TrustDomain = self
            .trust_domain
            .parse()
            .map_err(|error| source.fault("trust_domain", error))?;
        let server_listen = source.address("server.listen", &self.server.listen)?;
        let status_listen = source.address("status.listen", &self.status.listen)?;
        let metrics_listen = match self.metrics.listen.as_str() {
            "" => None,
            listen => Some(source.address("metrics.listen", listen)?),
        };
        let server_names = self
            .server
            .names
            .iter()
            .map(|name| general_name(name).map_err(|error| source.fault("server.names", error)))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(first_name) = self.server.names.first() else {
            return Err(source.fault(
                "server.names",
                "at least one name is needed, for example \"localhost\"",
            ));
        };
        let host = if first_name.contains(':') {
            format!("[{first_name}]")
        } else {
            first_name.clone()
        };
        let server_url = self
            .server
            .url
            .unwrap_or_else(|| format!("https://{host}:{}", server_listen.port()));
        let server_url = Url::parse(&server_url)
            .ok()
            .filter(|url| url.scheme() == "https" && url.has_host())
            .ok_or_else(|| {
                source.fault(
                    "server.url",
                    "it must be an https URL, for example https://ca.example.internal:8444",
                )
            })?;
        let public_url = self
            .public_url
            .unwrap_or_else(|| format!("http://{status_listen}"));
        if !is_plain_http(&public_url) {
            return Err(source.fault(
                "public_url",
                "it must be an http URL, for example http://ca.example.internal",
            ));
        }
        let profiles = profiles::check(self.profiles, source)?;
        let acme = self
            .acme
            .check()
            .map_err(|error| source.fault(&error.key.clone(), error))?;
        check_directories(&acme, &profiles, source)?;
        let attestation = attestation::check(self.attestation, &profiles, source, state_dir)?;
        Ok(Settings {
            profiles,
            text: source.into(),
            list_schedule: list_schedule(&self.lists, source)?,
            ocsp_schedule: ocsp_schedule(&self.ocsp, source)?,
            ca: self.ca.check(source, state_dir)?,
            store: self
                .store
                .checked(state_dir)
                .map_err(|(key, error)| source.fault(&format!("store.{key}"), error))?,
            doctor: self.doctor.checked(),
            server_limits: self
                .server
                .limits
                .checked()
                .map_err(|error| source.fault(&format!("server.limits.{}", error.field), error))?,
            status_limits: self
                .status
                .limits
                .checked()
                .map_err(|error| source.fault(&format!("status.limits.{}", error.field), error))?,
            gate: gate_settings(self.gate, &trust_domain, source, state_dir)?,
            acme,
            attestation,
            admin_socket: state_dir.join(self.admin.socket),
            trust_domain,
            public_url,
            server_listen,
            server_url,
            server_names,
            status_listen,
            metrics_listen,
        })
    }
}

/// A profile that a directory names and nobody configured would only be missed by whoever orders it.
fn check_directories(
    acme: &AcmeSettings,
    profiles: &Profiles,
    source: &Source<'_>,
) -> Result<(), ConfigError> {
    for directory in &acme.directories {
        let rules = &directory.rules;
        let key = if rules.name.is_default() {
            "acme.profiles".to_owned()
        } else {
            format!("acme.directories.{}.profiles", rules.name)
        };
        for name in &rules.profiles {
            if !profiles.get(name).is_some_and(|it| it.kind.is_enrolled()) {
                return Err(source.fault(
                    &key,
                    format!("there is no profile {name} that somebody enrols for; [profiles.{name}] would make one"),
                ));
            }
        }
    }
    Ok(())
}

/// Whether a URL is one that certificates may carry: fetching a list over TLS would need a certificate that needs a list
/// (RFC 5280 section 8).
#[must_use]
pub fn is_plain_http(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "http" && url.has_host())
}

fn list_schedule(config: &ListsConfig, source: &Source<'_>) -> Result<ListSchedule, ConfigError> {
    let life = config
        .life
        .map_or(ListSchedule::default().life, |WrittenDuration(life)| life);
    if life < Duration::from_secs(60) || life > Duration::from_secs(365 * 86_400) {
        return Err(source.fault("lists.life", "a list is good for 1 minute to 365 days"));
    }
    let shards = config.shards.unwrap_or(ListSchedule::default().shards);
    if !(1..=ListSchedule::MOST_SHARDS).contains(&shards) {
        return Err(source.fault(
            "lists.shards",
            format!("1 to {}, for example 16", ListSchedule::MOST_SHARDS),
        ));
    }
    Ok(ListSchedule { life, shards })
}

fn gate_settings(
    config: GateConfig,
    trust_domain: &TrustDomain,
    source: &Source<'_>,
    state_dir: &Path,
) -> Result<GateSettings, ConfigError> {
    let mut settings = config
        .checked(trust_domain.clone())
        .map_err(|error| source.fault(&format!("gate.{}", error.field), error))?;
    if let Some(decisions) = &mut settings.decisions {
        decisions.file = state_dir.join(&decisions.file);
    }
    Ok(settings)
}

fn ocsp_schedule(config: &OcspConfig, source: &Source<'_>) -> Result<OcspSchedule, ConfigError> {
    let life = config
        .life
        .map_or(OcspSchedule::default().life, |WrittenDuration(life)| life);
    if life < Duration::from_secs(60) || life > OcspSchedule::LONGEST {
        return Err(source.fault("ocsp.life", "an answer is good for 1 minute to 2 days"));
    }
    Ok(OcspSchedule { life })
}

/// A name of a server certificate: an address or a DNS name.
fn general_name(text: &str) -> Result<GeneralName, String> {
    match text.parse() {
        Ok(address) => Ok(GeneralName::Ip(address)),
        Err(_) => text
            .parse()
            .map(GeneralName::Dns)
            .map_err(|error: portcullis_ca::name::InvalidDnsName| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        Settings::from_toml(text, Path::new("portcullis.toml"), Path::new("state"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_has_to_be_written() {
        let settings = read("").expect("defaults");
        assert_eq!(settings.public_url, "http://127.0.0.1:8445");
        assert_eq!(settings.server_url.as_str(), "https://localhost:8444/");
        assert_eq!(settings.admin_socket, Path::new("state/admin.sock"));
    }

    #[test]
    fn a_fault_is_told_with_its_line_and_what_would_be_right() {
        for (text, place, words) in [
            (
                "\ntrust_domian = \"x\"",
                "line 2, column 1",
                "did you mean `trust_domain`?",
            ),
            (
                "[gate]\nlitsen = \"x\"",
                "line 2, column 1",
                "did you mean `listen`?",
            ),
            (
                "trust_domain = \"Not A Domain\"",
                "line 1, column 1",
                "trust_domain",
            ),
            (
                "[server]\n\nlisten = \"8444\"",
                "line 3, column 1",
                "127.0.0.1:8444",
            ),
            (
                "[server]\nnames = []",
                "line 2, column 1",
                "at least one name",
            ),
            (
                "[server]\nnames = [\"a_b\"]",
                "line 2, column 1",
                "is no DNS name",
            ),
            ("public_url = \"https://x\"", "line 1, column 1", "http URL"),
            (
                "[profiles.device]\nlifetime = \"1 day\"",
                "line 2, column 12",
                "24h",
            ),
            (
                "[profiles.device]\nlifetime = \"5s\"",
                "line 2, column 1",
                "at least 10 s",
            ),
            ("[lists]\nlife = \"1s\"", "line 2, column 1", "1 minute"),
            ("[ocsp]\nlife = \"3d\"", "line 2, column 1", "2 days"),
            (
                "[store]\nkeep_expired = \"5m\"",
                "line 2, column 1",
                "at least an hour",
            ),
            ("[lists]\nshards = 0", "line 2, column 1", "1 to 1024"),
            ("[gate]\nlisten = \"x\"", "line 2, column 1", "gate.listen"),
            (
                "[status.limits]\nconnections = 0",
                "line 2, column 1",
                "status.limits.connections",
            ),
            ("[ca\n", "line 1", ""),
        ] {
            let error = read(text).expect_err(text);
            assert!(
                error.contains(place) && error.contains(words),
                "{text:?}: {error}"
            );
        }
    }
}
