//! How much of this machine a listener's clients may take, and for how long.

use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use serde::Deserialize;

/// The checked limits of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection may wait for a request's head: idle, or in the middle of it. One with HTTP/2 may take up to
    /// twice as long; the gate's are pinged instead.
    pub head_timeout: Duration,
    /// How long the body of a request may take to come, from the end of its head. The gate streams bodies and has no such
    /// limit.
    pub body_timeout: Duration,
    /// The most octets of a request's head.
    pub head_octets: u32,
    /// The most concurrent streams of an HTTP/2 connection.
    pub http2_streams: u32,
    /// How many streams a client may open and reset before the connection is ended (rapid reset, CVE-2023-44487).
    pub http2_pending_resets: usize,
    /// How many streams a client may make *us* reset before the connection is ended (MadeYouReset, CVE-2025-8671).
    pub http2_provoked_resets: usize,
    /// How long an HTTP/2 connection may be silent before it is pinged.
    pub http2_ping_interval: Duration,
    /// How long the answer to that ping may take.
    pub http2_ping_timeout: Duration,
    /// How long requests under way may take to end once a shutdown has begun.
    pub drain: Duration,
}

impl Limits {
    /// An HTTP/1.1 server under these limits.
    #[must_use]
    pub fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            // Without a timer hyper's timeouts do nothing.
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .max_header_size(self.head_octets as usize);
        builder
    }

    /// An HTTP/2 server under these limits.
    pub fn http2<E: Clone>(&self, executor: E) -> http2::Builder<E> {
        let mut builder = http2::Builder::new(executor);
        builder
            .timer(TokioTimer::new())
            .max_header_list_size(self.head_octets)
            .max_concurrent_streams(self.http2_streams)
            .max_pending_accept_reset_streams(self.http2_pending_resets)
            .max_local_error_reset_streams(self.http2_provoked_resets)
            .keep_alive_interval(self.http2_ping_interval)
            .keep_alive_timeout(self.http2_ping_timeout);
        builder
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            head_octets: 32 * 1024,
            http2_streams: 128,
            http2_pending_resets: 20,
            http2_provoked_resets: 256,
            http2_ping_interval: Duration::from_secs(60),
            http2_ping_timeout: Duration::from_secs(20),
            drain: Duration::from_secs(10),
        }
    }
}

/// The limits as the configuration file writes them; what is left out has [`Limits::default`]'s value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// The most connections at once.
    pub connections: usize,
    /// Seconds that a TLS handshake may take.
    pub handshake_seconds: u64,
    /// Seconds that a connection may wait for a request's head.
    pub head_seconds: u64,
    /// Seconds that a request's body may take to come; not for the gate, which streams bodies.
    pub body_seconds: Option<u64>,
    /// The most octets of a request's head.
    pub head_octets: u32,
    /// The most concurrent streams of an HTTP/2 connection.
    pub http2_streams: u32,
    /// How many streams a client may open and reset at once.
    pub http2_pending_resets: usize,
    /// How many streams a client may make us reset.
    pub http2_provoked_resets: usize,
    /// Seconds of silence before an HTTP/2 connection is pinged.
    pub http2_ping_seconds: u64,
    /// Seconds that requests may take to end once a shutdown has begun.
    pub drain_seconds: u64,
}

impl LimitsConfig {
    /// The limits that this part of the file asks for.
    ///
    /// # Errors
    /// [`InvalidLimit`] names the first field whose value can't work.
    pub fn checked(&self) -> Result<Limits, InvalidLimit> {
        let seconds =
            |field, value, least, most| between(field, value, least, most).map(Duration::from_secs);
        Ok(Limits {
            connections: between("connections", self.connections, 1, 10_000_000)?,
            handshake_timeout: seconds("handshake_seconds", self.handshake_seconds, 1, 300)?,
            head_timeout: seconds("head_seconds", self.head_seconds, 1, 86_400)?,
            body_timeout: match self.body_seconds {
                Some(value) => seconds("body_seconds", value, 1, 3600)?,
                None => Limits::default().body_timeout,
            },
            head_octets: between("head_octets", self.head_octets, 1024, 1024 * 1024)?,
            http2_streams: between("http2_streams", self.http2_streams, 1, 10_000)?,
            http2_pending_resets: between(
                "http2_pending_resets",
                self.http2_pending_resets,
                1,
                10_000,
            )?,
            http2_provoked_resets: between(
                "http2_provoked_resets",
                self.http2_provoked_resets,
                1,
                10_000,
            )?,
            http2_ping_interval: seconds("http2_ping_seconds", self.http2_ping_seconds, 1, 86_400)?,
            http2_ping_timeout: Limits::default().http2_ping_timeout,
            drain: seconds("drain_seconds", self.drain_seconds, 0, 3600)?,
        })
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            connections: limits.connections,
            handshake_seconds: limits.handshake_timeout.as_secs(),
            head_seconds: limits.head_timeout.as_secs(),
            body_seconds: None,
            head_octets: limits.head_octets,
            http2_streams: limits.http2_streams,
            http2_pending_resets: limits.http2_pending_resets,
            http2_provoked_resets: limits.http2_provoked_resets,
            http2_ping_seconds: limits.http2_ping_interval.as_secs(),
            drain_seconds: limits.drain.as_secs(),
        }
    }
}

fn between<T: Copy + PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<T, InvalidLimit> {
    if value < least || value > most {
        return Err(InvalidLimit {
            field,
            problem: format!("is {value}; it may be from {least} to {most}"),
        });
    }
    Ok(value)
}

/// A limit of the configuration that can't work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct InvalidLimit {
    /// The field at fault, as the file spells it.
    pub field: &'static str,
    /// What is wrong with its value, and what would be right.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_leaves_out_has_the_default() {
        assert_eq!(LimitsConfig::default().checked(), Ok(Limits::default()));
    }

    #[test]
    fn a_limit_that_cannot_work_is_named() {
        let config = LimitsConfig {
            head_octets: 10,
            ..LimitsConfig::default()
        };
        assert_eq!(
            config.checked().map_err(|e| e.to_string()),
            Err("`head_octets` is 10; it may be from 1024 to 1048576".to_owned())
        );
    }

    #[test]
    fn an_unknown_limit_is_an_error() {
        let error = toml::from_str::<LimitsConfig>("conections = 3").expect_err("unknown field");
        assert!(
            error.to_string().contains("unknown field `conections`"),
            "{error}"
        );
    }
}
