//! What every handler is given.

use std::sync::Arc;

use url::Url;

use super::{
    challenge::Validations,
    config::AcmeSettings,
    http01::{Http01, Http01SetUpError},
    nonce::Nonces,
    urls::Urls,
};
use crate::{authority::Authority, domain::Clock};

/// The ACME server's parts: what decides, what was configured, and what lives as long as the process.
pub struct AcmeState {
    pub(super) authority: Authority,
    pub(super) settings: AcmeSettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) urls: Urls,
    pub(super) nonces: Nonces,
    pub(super) validations: Validations,
}

/// Why the ACME server can't start.
#[derive(Debug, thiserror::Error)]
pub enum AcmeSetUpError {
    /// Validations can't be done.
    #[error(transparent)]
    Http01(#[from] Http01SetUpError),
    /// The system has no random bytes.
    #[error("the system gives no random bytes for the nonces' key")]
    Random,
}

impl AcmeState {
    /// A server that is known to its clients by `base_url`, as in `https://ca.example:8443`.
    ///
    /// # Errors
    /// When the system's resolver can't be read, or there are no random bytes.
    pub fn new(
        authority: Authority,
        settings: AcmeSettings,
        base_url: &Url,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AcmeSetUpError> {
        let http01 = Http01::new(&settings.http01)?;
        Ok(Self {
            authority,
            urls: Urls::new(base_url),
            nonces: Nonces::new().map_err(|_| AcmeSetUpError::Random)?,
            validations: Validations::new(http01, settings.http01.attempts, settings.http01.retry),
            settings,
            clock,
        })
    }
}
