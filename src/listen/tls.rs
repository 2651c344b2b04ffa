//! The TLS side of a listener: versions, ALPN, resumption, client certificates.
//!
//! Every listener has its own ticket key and session store, so that no session crosses from one to another (nginx
//! CVE-2025-23419). There is no 0-RTT. Resumption never calls the verifier of client certificates: whoever admits a
//! connection must look at its certificates again.

use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ServerSessionMemoryCache, danger::ClientCertVerifier},
    time_provider::TimeProvider,
    version::{TLS12, TLS13},
};
use rustls_pki_types::UnixTime;

use super::{ServerCertificate, client_certificate::unix_time};
use crate::domain::Clock;

/// What the TLS side of a listener needs.
pub struct TlsSettings {
    /// The certificate that it shows.
    pub certificate: Arc<ServerCertificate>,
    /// What it asks of clients.
    pub clients: ClientCertificates,
    /// The protocols that it offers (RFC 7301), the preferred one first.
    pub protocols: Vec<ApplicationProtocol>,
    /// Where the time comes from by which certificates and tickets are judged.
    pub clock: Arc<dyn Clock>,
}

/// What a listener asks of its clients in the handshake.
#[derive(Debug, Clone)]
pub enum ClientCertificates {
    /// Nothing: a certificate is not asked for.
    NotAsked,
    /// A certificate is asked for and judged by this verifier, which also says whether one must be presented.
    Verified(Arc<dyn ClientCertVerifier>),
}

/// A protocol on top of TLS, as ALPN names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationProtocol {
    /// `h2`
    Http2,
    /// `http/1.1`, also when the client names no protocol.
    Http1,
}

impl ApplicationProtocol {
    /// The identifier that IANA registered.
    #[must_use]
    pub fn identifier(self) -> &'static [u8] {
        match self {
            Self::Http2 => b"h2",
            Self::Http1 => b"http/1.1",
        }
    }

    /// What a handshake agreed on.
    #[must_use]
    pub fn agreed(identifier: Option<&[u8]>) -> Self {
        if identifier == Some(Self::Http2.identifier()) {
            Self::Http2
        } else {
            Self::Http1
        }
    }
}

impl TlsSettings {
    /// A rustls configuration with a ticket key and a session store of its own.
    ///
    /// # Errors
    /// [`rustls::Error`] when the provider fails, which only a lack of randomness can make it.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let builder = ServerConfig::builder_with_details(
            Arc::new(aws_lc_rs::default_provider()),
            Arc::new(TlsTime(Arc::clone(&self.clock))),
        )
        .with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match &self.clients {
            ClientCertificates::NotAsked => builder.with_no_client_auth(),
            ClientCertificates::Verified(verifier) => {
                builder.with_client_cert_verifier(Arc::clone(verifier))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&self.certificate) as Arc<_>);
        config.alpn_protocols = self
            .protocols
            .iter()
            .map(|protocol| protocol.identifier().to_vec())
            .collect();
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_KEPT);
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("clients", &self.clients)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}

/// TLS 1.2 sessions without tickets that are remembered.
const SESSIONS_KEPT: usize = 1024;

/// Our clock as rustls wants it.
struct TlsTime(Arc<dyn Clock>);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now()))
    }
}

impl fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTime")
    }
}
