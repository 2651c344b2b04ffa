//! Validating challenges (RFC 8555 section 8): what an identifier shows to the network is looked at and compared. One
//! attempt each; how often, how many at once and whose turn it is, is `queue`'s and `task`'s.
//!
//! ```text
//! task -> queue (a place, a turn, what failed so far)
//!   `---> Validator -> http01      --.
//!                   -> tls_alpn01  --+-> dialer -> resolver, networks     nothing else connects to anything
//!                   -> dns01       ----------------^
//! ```
//!
//! To add one more kind of challenge: its file here, its row in [`Validator::validate`], and which identifiers get it in
//! `authority/challenge.rs`. device-attest-01 isn't one of these: its statement comes with the response and is verified
//! there.

mod any_certificate;
mod challenge_certificate;
pub mod config;
mod dialer;
mod dns01;
mod failure;
pub mod http01;
pub mod networks;
pub mod queue;
mod resolver;
pub(super) mod task;
mod tls_alpn01;

use std::time::Duration;

use hickory_resolver::net::NetError;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::domain::{
    challenge::{ChallengeKind, ValidationFailure},
    identifier::Identifier,
};
use config::ValidationSettings;
use dialer::Dialer;
use resolver::Resolver;

pub use queue::Validations;

/// Makes attempts to validate challenges.
pub struct Validator {
    resolver: Resolver,
    dialer: Dialer,
    http_port: u16,
    tls_alpn_port: u16,
    timeout: Duration,
    redirect_tls: TlsConnector,
    challenge_tls: TlsConnector,
}

/// A challenge that is to be validated.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// How control is proved.
    pub kind: ChallengeKind,
    /// What is to be proved; of a wildcard, the name below which it stands.
    pub identifier: &'a Identifier,
    /// The challenge's token.
    pub token: &'a str,
    /// The token, a dot, and the thumbprint of the account's key (RFC 8555 section 8.1).
    pub key_authorization: &'a str,
    /// The account's URL, which names the record of dns-account-01.
    pub account_url: &'a str,
}

/// Why validations can't be done at all.
#[derive(Debug, thiserror::Error)]
pub enum ValidationSetUpError {
    /// The system's resolver configuration can't be read, or the given one can't be used.
    #[error(
        "the DNS resolver can't be set up: {0}; name one under [acme.validation], as in resolvers = [\"192.0.2.53:53\"]"
    )]
    Resolver(#[from] NetError),
    /// TLS can't be set up.
    #[error("TLS for validations can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Validator {
    /// With the resolvers, ports and networks of the configuration.
    ///
    /// # Errors
    /// When the system's resolver can't be read.
    pub fn new(settings: &ValidationSettings) -> Result<Self, ValidationSetUpError> {
        let resolver = Resolver::new(&settings.resolvers)?;
        Ok(Self {
            dialer: Dialer::new(resolver.clone(), settings.networks.clone()),
            resolver,
            http_port: settings.http_port,
            tls_alpn_port: settings.tls_alpn_port,
            timeout: settings.timeout,
            redirect_tls: any_certificate::connector(&[])?,
            challenge_tls: any_certificate::connector(&[tls_alpn01::PROTOCOL])?,
        })
    }

    /// Makes one attempt, within the time that the configuration gives it.
    ///
    /// # Errors
    /// Says what was looked up, where, what came back and what would be right.
    pub async fn validate(&self, attempt: &Attempt<'_>) -> Result<(), ValidationFailure> {
        let &Attempt {
            kind,
            identifier,
            token,
            key_authorization,
            account_url,
        } = attempt;
        let attempted = async {
            match kind {
                ChallengeKind::Http01 => self.http01(identifier, token, key_authorization).await,
                ChallengeKind::Dns01 => self.dns01(identifier, key_authorization).await,
                ChallengeKind::DnsAccount01 => {
                    self.dns_account01(identifier, account_url, key_authorization)
                        .await
                }
                ChallengeKind::TlsAlpn01 => self.tls_alpn01(identifier, key_authorization).await,
                ChallengeKind::DeviceAttest01 => Err(failure::unfit(kind, identifier)),
            }
        };
        timeout(self.timeout, attempted).await.unwrap_or_else(|_| {
            Err(failure::connection(format!(
                "{} of {} did not end within {} seconds, look-ups, connections and redirects included; see that what answers for it is quick",
                kind.name(),
                identifier.value(),
                self.timeout.as_secs()
            )))
        })
    }
}
