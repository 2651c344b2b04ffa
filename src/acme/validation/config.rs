//! `[acme.validation]`: as read, and as checked. It holds for all directories of the server.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use serde::Deserialize;

use super::networks::Networks;
use crate::{
    acme::config::{AcmeConfigError, error},
    domain::duration::WrittenDuration,
};

/// `[acme.validation]` as read.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationConfig {
    /// The resolvers, each an address with or without port. Empty: the system's.
    pub resolvers: Vec<String>,
    /// Networks that may be connected to although they are internal.
    pub allow_networks: Vec<String>,
    /// Networks that may not be connected to, be they public or in `allow_networks`.
    pub deny_networks: Vec<String>,
    /// How often a challenge is tried before it fails.
    pub attempts: u32,
    /// The time between the first two attempts; it doubles with each.
    pub retry: WrittenDuration,
    /// The time that an attempt may take, look-ups and redirects included.
    pub timeout: WrittenDuration,
    /// The port of http-01. Other than 80 it is for tests and closed networks (RFC 8555 section 8.3).
    pub http_port: u16,
    /// The port of tls-alpn-01. Other than 443 it is for tests and closed networks (RFC 8737 section 3).
    pub tls_alpn_port: u16,
    /// How many attempts are on the network at a time; one account has a quarter of them at most.
    pub max_concurrent: u32,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self {
            resolvers: Vec::new(),
            allow_networks: Vec::new(),
            deny_networks: Vec::new(),
            attempts: 3,
            retry: WrittenDuration(Duration::from_secs(2)),
            timeout: WrittenDuration(Duration::from_secs(10)),
            http_port: 80,
            tls_alpn_port: 443,
            max_concurrent: 64,
        }
    }
}

/// `[acme.validation]` as checked.
#[derive(Clone, Debug)]
pub struct ValidationSettings {
    /// The resolvers; empty: the system's.
    pub resolvers: Vec<SocketAddr>,
    /// What may be connected to.
    pub networks: Networks,
    /// How often a challenge is tried before it fails; at least once.
    pub attempts: u32,
    /// The time between the first two attempts.
    pub retry: Duration,
    /// The time that an attempt may take.
    pub timeout: Duration,
    /// The port of http-01.
    pub http_port: u16,
    /// The port of tls-alpn-01.
    pub tls_alpn_port: u16,
    /// How many attempts are on the network at a time; at least one.
    pub max_concurrent: usize,
}

impl ValidationConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// Names the key at fault.
    pub fn check(&self) -> Result<ValidationSettings, AcmeConfigError> {
        let attempts = between("attempts", self.attempts.into(), 1, 10)?;
        let max_concurrent = between("max_concurrent", self.max_concurrent.into(), 1, 1024)?;
        Ok(ValidationSettings {
            resolvers: self
                .resolvers
                .iter()
                .map(|text| resolver(text))
                .collect::<Result<_, _>>()?,
            networks: Networks::new(
                networks("allow_networks", &self.allow_networks)?,
                networks("deny_networks", &self.deny_networks)?,
            ),
            attempts: u32::try_from(attempts).expect("it is at most ten"),
            retry: seconds("retry", self.retry, 0, 60)?,
            timeout: seconds("timeout", self.timeout, 1, 60)?,
            http_port: port("http_port", self.http_port, 80)?,
            tls_alpn_port: port("tls_alpn_port", self.tls_alpn_port, 443)?,
            max_concurrent: usize::try_from(max_concurrent).expect("it is at most 1024"),
        })
    }
}

fn fault(key: &str, value: impl Into<String>, reason: impl Into<String>) -> AcmeConfigError {
    error(&format!("acme.validation.{key}"), value, reason)
}

fn between(key: &str, value: u64, least: u64, most: u64) -> Result<u64, AcmeConfigError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let reason = format!("it must be {least} to {most}");
    Err(fault(key, value.to_string(), reason))
}

fn seconds(
    key: &str,
    WrittenDuration(value): WrittenDuration,
    least: u64,
    most: u64,
) -> Result<Duration, AcmeConfigError> {
    if (least..=most).contains(&value.as_secs()) {
        return Ok(value);
    }
    let (written, reason) = (
        format!("\"{}\"", WrittenDuration(value)),
        format!("it must be \"{least}s\" to \"{most}s\""),
    );
    Err(fault(key, written, reason))
}

fn port(key: &str, value: u16, standard: u16) -> Result<u16, AcmeConfigError> {
    if value == 0 {
        let reason = format!("a port is 1 to 65535; {standard} is the standard's");
        return Err(fault(key, "0", reason));
    }
    Ok(value)
}

fn resolver(text: &str) -> Result<SocketAddr, AcmeConfigError> {
    text.parse::<SocketAddr>()
        .or_else(|_| text.parse::<IpAddr>().map(|address| (address, 53).into()))
        .map_err(|_| {
            fault(
                "resolvers",
                format!("{text:?}"),
                "a resolver is an address with or without a port, as in \"192.0.2.53\" or \"[2001:db8::53]:5353\"",
            )
        })
}

fn networks(key: &str, texts: &[String]) -> Result<Vec<IpNet>, AcmeConfigError> {
    let network = |text: &String| {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                fault(
                    key,
                    format!("{text:?}"),
                    "a network is an address and a prefix length, as in \"10.1.0.0/16\"",
                )
            })
    };
    texts.iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> ValidationConfig {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn the_default_is_the_standards_ports_the_systems_resolver_and_public_addresses_only() {
        let settings = ValidationConfig::default().check().unwrap();
        assert_eq!(
            (
                settings.http_port,
                settings.tls_alpn_port,
                settings.attempts,
                settings.retry.as_secs(),
                settings.timeout.as_secs(),
                settings.max_concurrent,
                settings.resolvers.len(),
            ),
            (80, 443, 3, 2, 10, 64, 0)
        );
        assert_eq!(settings.networks, Networks::default());
    }

    #[test]
    fn a_whole_section_is_read() {
        let settings = read(
            r#"
            resolvers = ["192.0.2.53", "[2001:db8::53]:5353"]
            allow_networks = ["10.0.0.0/8", "::1"]
            deny_networks = ["10.66.0.0/16"]
            attempts = 5
            retry = "1s"
            timeout = "1m"
            http_port = 5002
            tls_alpn_port = 5001
            max_concurrent = 8
            "#,
        )
        .check()
        .unwrap();
        assert_eq!(
            settings.resolvers,
            [
                "192.0.2.53:53".parse().unwrap(),
                "[2001:db8::53]:5353".parse().unwrap()
            ]
        );
        let check = |address: &str| settings.networks.check(address.parse().unwrap());
        assert!(check("::1").is_ok());
        assert!(check("10.66.0.1").is_err());
        assert_eq!(
            (settings.timeout.as_secs(), settings.tls_alpn_port),
            (60, 5001)
        );
    }

    #[test]
    fn a_bad_value_is_refused_with_its_key() {
        for (toml, message) in [
            (
                "http_port = 0",
                "acme.validation.http_port = 0 can't be used: a port is 1 to 65535; 80 is the standard's",
            ),
            (
                "attempts = 0",
                "acme.validation.attempts = 0 can't be used: it must be 1 to 10",
            ),
            (
                "max_concurrent = 0",
                "acme.validation.max_concurrent = 0 can't be used: it must be 1 to 1024",
            ),
            (
                r#"timeout = "2m""#,
                "acme.validation.timeout = \"2m\" can't be used: it must be \"1s\" to \"60s\"",
            ),
            (
                r#"resolvers = ["dns.example"]"#,
                "acme.validation.resolvers = \"dns.example\" can't be used: a resolver is an address with or without a port, as in \"192.0.2.53\" or \"[2001:db8::53]:5353\"",
            ),
            (
                r#"deny_networks = ["10.0.0.0/33"]"#,
                "acme.validation.deny_networks = \"10.0.0.0/33\" can't be used: a network is an address and a prefix length, as in \"10.1.0.0/16\"",
            ),
        ] {
            assert_eq!(read(toml).check().unwrap_err().to_string(), message);
        }
        assert!(toml::from_str::<ValidationConfig>("port = 80").is_err());
    }
}
