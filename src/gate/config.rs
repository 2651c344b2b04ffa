//! The gate's part of the configuration: as the file writes it, and as it was checked.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::decisions::DecisionSettings;
use crate::{
    domain::{duration::WrittenDuration, principal::TrustDomain, size::WrittenSize},
    listen::{Limits, LimitsConfig},
};

/// What a gate needs to know before it starts.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many threads it has, each with its own runtime, socket and connections.
    pub threads: NonZeroUsize,
    /// What its clients may take.
    pub limits: Limits,
    /// Whose SPIFFE IDs the certificates of the built-in authority carry.
    pub trust_domain: TrustDomain,
    /// The realm that a 401 names (RFC 6750 section 3).
    pub realm: String,
    /// What it grants to upstreams.
    pub upstream: UpstreamSettings,
    /// Where its decisions are logged; nothing where they are not.
    pub decisions: Option<DecisionSettings>,
}

/// What the gate grants to upstreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer's head may take, counted from when the request is sent.
    pub head_timeout: Duration,
    /// How long a connection is kept without a request.
    pub idle_timeout: Duration,
    /// How many idle connections to one upstream each thread keeps.
    pub idle_connections: usize,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            idle_connections: 256,
        }
    }
}

/// The gate's part of the file; what is left out has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// Where it listens, `address:port`.
    pub listen: String,
    /// How many threads it has; 0 means one for each core.
    pub threads: usize,
    /// The realm that a 401 names.
    pub realm: String,
    /// What its clients may take.
    pub limits: LimitsConfig,
    /// What it grants to upstreams.
    pub upstream: UpstreamConfig,
    /// The log of its decisions.
    pub decisions: DecisionsConfig,
}

/// The part of it about the log of decisions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionsConfig {
    /// The file; relative to the state directory. Empty: decisions are not logged.
    pub file: PathBuf,
    /// From how much on it is put aside.
    pub max_size: WrittenSize,
    /// How many that were put aside are kept.
    pub keep: u32,
    /// How often it is synced.
    pub sync: WrittenDuration,
}

impl Default for DecisionsConfig {
    fn default() -> Self {
        Self {
            file: PathBuf::from("decisions.log"),
            max_size: WrittenSize(64 << 20),
            keep: 8,
            sync: WrittenDuration(Duration::from_secs(5)),
        }
    }
}

/// The part of it about upstreams.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Seconds that a connection may take to be made.
    pub connect_seconds: u64,
    /// Seconds that an answer's head may take.
    pub head_seconds: u64,
    /// Seconds that a connection is kept without a request.
    pub idle_seconds: u64,
    /// How many idle connections to one upstream each thread keeps.
    pub idle_connections: usize,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8443".to_owned(),
            threads: 0,
            realm: "portcullis".to_owned(),
            limits: LimitsConfig::default(),
            upstream: UpstreamConfig::default(),
            decisions: DecisionsConfig::default(),
        }
    }
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        let upstream = UpstreamSettings::default();
        Self {
            connect_seconds: upstream.connect_timeout.as_secs(),
            head_seconds: upstream.head_timeout.as_secs(),
            idle_seconds: upstream.idle_timeout.as_secs(),
            idle_connections: upstream.idle_connections,
        }
    }
}

impl GateConfig {
    /// The settings that this part of the file asks for, in this trust domain.
    ///
    /// # Errors
    /// [`InvalidGateConfig`] names the first field whose value can't work, relative to the gate's part.
    pub fn checked(&self, trust_domain: TrustDomain) -> Result<GateSettings, InvalidGateConfig> {
        let invalid = |field: &str, problem: String| InvalidGateConfig {
            field: field.to_owned(),
            problem,
        };
        let listen = self.listen.parse().map_err(|_| {
            invalid(
                "listen",
                format!(
                    "is {:?}; it must be an address and a port, for example 0.0.0.0:8443",
                    self.listen
                ),
            )
        })?;
        if self.threads > MOST_THREADS {
            return Err(invalid(
                "threads",
                format!(
                    "is {}; it may be 0 (one for each core) to {MOST_THREADS}",
                    self.threads
                ),
            ));
        }
        // It stands between quotes in a header field (RFC 9110 section 5.6.4).
        let realm_is_plain = self
            .realm
            .bytes()
            .all(|b| (b.is_ascii_graphic() || b == b' ') && b != b'"' && b != b'\\');
        if self.realm.is_empty() || !realm_is_plain {
            return Err(invalid(
                "realm",
                "must be plain ASCII text without quotes and backslashes".to_owned(),
            ));
        }
        if self.limits.body_seconds.is_some() {
            return Err(invalid(
                "limits.body_seconds",
                "can't be set here: the gate streams bodies, for as long as they take".to_owned(),
            ));
        }
        let limits = self
            .limits
            .checked()
            .map_err(|error| invalid(&format!("limits.{}", error.field), error.problem))?;
        let seconds = |field: &str, value: u64| {
            if (1..=86_400).contains(&value) {
                Ok(Duration::from_secs(value))
            } else {
                Err(invalid(
                    &format!("upstream.{field}"),
                    format!("is {value}; it may be from 1 to 86400"),
                ))
            }
        };
        let threads = NonZeroUsize::new(self.threads)
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        Ok(GateSettings {
            listen,
            threads,
            limits,
            trust_domain,
            realm: self.realm.clone(),
            upstream: UpstreamSettings {
                connect_timeout: seconds("connect_seconds", self.upstream.connect_seconds)?,
                head_timeout: seconds("head_seconds", self.upstream.head_seconds)?,
                idle_timeout: seconds("idle_seconds", self.upstream.idle_seconds)?,
                idle_connections: self.upstream.idle_connections,
            },
            decisions: self.decisions.checked()?,
        })
    }
}

impl DecisionsConfig {
    fn checked(&self) -> Result<Option<DecisionSettings>, InvalidGateConfig> {
        let invalid = |field: &str, problem: String| InvalidGateConfig {
            field: format!("decisions.{field}"),
            problem,
        };
        if self.file.as_os_str().is_empty() {
            return Ok(None);
        }
        if self.max_size < WrittenSize(64 << 10) {
            return Err(invalid(
                "max_size",
                format!("is {}; it may be from 64KiB on", self.max_size),
            ));
        }
        if self.keep > 1000 {
            return Err(invalid(
                "keep",
                format!("is {}; it may be from 0 to 1000", self.keep),
            ));
        }
        let WrittenDuration(sync) = self.sync;
        if sync < Duration::from_secs(1) || sync > Duration::from_secs(3600) {
            return Err(invalid(
                "sync",
                format!("is {}; it may be from 1s to 1h", self.sync),
            ));
        }
        Ok(Some(DecisionSettings {
            file: self.file.clone(),
            max_size: self.max_size.0,
            keep: self.keep,
            sync,
        }))
    }
}

const MOST_THREADS: usize = 1024;

/// A field of the gate's configuration that can't work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct InvalidGateConfig {
    /// The field at fault, as a path within the gate's part of the file: `limits.head_octets`.
    pub field: String,
    /// What is wrong with its value, and what would be right.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_cannot_work_is_named_with_what_would_be_right() {
        let cases = [
            (
                "listen = \"localhost\"",
                "`listen` is \"localhost\"; it must be an address and a port, for example 0.0.0.0:8443",
            ),
            (
                "threads = 5000",
                "`threads` is 5000; it may be 0 (one for each core) to 1024",
            ),
            (
                "realm = 'a\"b'",
                "`realm` must be plain ASCII text without quotes and backslashes",
            ),
            (
                "[limits]\nconnections = 0",
                "`limits.connections` is 0; it may be from 1 to 10000000",
            ),
            (
                "[upstream]\nhead_seconds = 0",
                "`upstream.head_seconds` is 0; it may be from 1 to 86400",
            ),
            (
                "[decisions]\nmax_size = \"1KiB\"",
                "`decisions.max_size` is 1KiB; it may be from 64KiB on",
            ),
            (
                "[decisions]\nsync = \"2h\"",
                "`decisions.sync` is 2h; it may be from 1s to 1h",
            ),
        ];
        for (text, expected) in cases {
            let config: GateConfig = toml::from_str(text).expect(text);
            let domain = "home.example".parse().expect("a trust domain");
            let error = config.checked(domain).expect_err(text);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn the_defaults_work_and_unknown_fields_do_not() {
        let domain = "home.example".parse().expect("a trust domain");
        let settings = GateConfig::default().checked(domain).expect("defaults");
        assert_eq!(settings.upstream, UpstreamSettings::default());
        assert!(toml::from_str::<GateConfig>("listne = \"x\"").is_err());
    }
}
