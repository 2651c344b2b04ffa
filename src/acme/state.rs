//! What every handler is given: one state for each directory, and what they share.

use std::sync::Arc;

use url::Url;

use super::{
    chaos::Chaos,
    config::{AcmeSettings, DirectorySettings},
    known_keys::KnownKeys,
    nonce::Nonces,
    urls::Urls,
    validation::{ValidationSetUpError, Validations, Validator},
};
use crate::{authority::Authority, domain::Clock};

/// The ACME server: all its directories.
pub struct AcmeServer {
    pub(super) directories: Vec<Arc<AcmeState>>,
}

/// A directory's parts: what decides, what was configured, and what lives as long as the process.
pub struct AcmeState {
    pub(super) authority: Authority,
    pub(super) settings: DirectorySettings,
    /// How many orders a page of an account's list has.
    pub(super) orders_per_page: usize,
    /// Trouble on purpose, if there is to be any.
    pub(super) chaos: Option<Arc<Chaos>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) urls: Urls,
    pub(super) nonces: Arc<Nonces>,
    pub(super) keys: Arc<KnownKeys>,
    pub(super) validations: Arc<Validations>,
}

/// Why the ACME server can't start.
#[derive(Debug, thiserror::Error)]
pub enum AcmeSetUpError {
    /// Validations can't be done.
    #[error(transparent)]
    Validation(#[from] ValidationSetUpError),
    /// The system has no random bytes.
    #[error("the system gives no random bytes for the nonces' key")]
    Random,
}

impl AcmeServer {
    /// A server that is known to its clients by `base_url`, as in `https://ca.example:8443`. The authority must know the
    /// same directories.
    ///
    /// # Errors
    /// When the system's resolver can't be read, or there are no random bytes.
    pub fn new(
        authority: &Authority,
        settings: AcmeSettings,
        base_url: &Url,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, AcmeSetUpError> {
        let validator = Validator::new(&settings.validation)?;
        let validations = Arc::new(Validations::new(validator, &settings.validation));
        let nonces = Arc::new(Nonces::new().map_err(|_| AcmeSetUpError::Random)?);
        let keys = Arc::new(KnownKeys::default());
        let orders_per_page = settings.orders_per_page.max(1);
        let chaos = settings.chaos.map(|seed| Arc::new(Chaos::new(seed)));
        let directories = settings
            .directories
            .into_iter()
            .map(|settings| {
                Arc::new(AcmeState {
                    authority: authority.clone(),
                    urls: Urls::new(base_url, &settings.rules.name),
                    settings,
                    orders_per_page,
                    chaos: chaos.clone(),
                    clock: Arc::clone(clock),
                    nonces: Arc::clone(&nonces),
                    keys: Arc::clone(&keys),
                    validations: Arc::clone(&validations),
                })
            })
            .collect();
        Ok(Self { directories })
    }

    /// Where the directories are, the default one first.
    pub fn directory_urls(&self) -> impl Iterator<Item = String> {
        self.directories.iter().map(|state| state.urls.directory())
    }
}
