//! The token that CA keys may live in, as the configuration names it.

use std::sync::Arc;

use portcullis_ca::key::{KeyAlgorithm, PublicKey, Signer};

use super::{PassphraseSource, TokenChoice, TokenSettings};
use crate::{
    authority::CaKeyError,
    token::{self, PinSource, Token, TokenError},
};

/// What the PIN is called at the terminal.
const PIN: &str = "PIN of the token";

/// The keys of one token.
pub struct TokenKeys {
    token: Token,
}

impl TokenKeys {
    /// The token of these settings, not asked for anything yet; only whoever sits at the terminal is asked for the PIN.
    ///
    /// # Errors
    /// [`CaKeyError`] when nobody can be asked, or the threads can't be started.
    pub fn new(settings: &TokenSettings) -> Result<Self, CaKeyError> {
        let which = match &settings.token {
            TokenChoice::Label(label) => token::TokenChoice::Label(label.clone()),
            TokenChoice::Slot(slot) => token::TokenChoice::Slot(*slot),
        };
        let used = token::TokenSettings {
            module: settings.module.clone(),
            token: which,
            sessions: settings.sessions,
            timeout: settings.timeout,
        };
        let pin = settings.pin.as_ref().map(pin_source).transpose()?;
        Ok(Self {
            token: Token::new(used, pin).map_err(|error| ca_key_error(&error))?,
        })
    }

    /// Opens the token, so that what is wrong with it is found out before anything else is touched.
    ///
    /// # Errors
    /// [`CaKeyError`] says what is wrong, and what to do.
    pub async fn check(&self) -> Result<(), CaKeyError> {
        self.token
            .check()
            .await
            .map_err(|error| ca_key_error(&error))
    }

    /// The key with this label, which should be there.
    #[must_use]
    pub fn open(&self, label: &str, public_key: &PublicKey) -> Arc<dyn Signer> {
        Arc::new(self.token.key(label, public_key.clone()))
    }

    /// The key with this label, as the token has it.
    ///
    /// # Errors
    /// [`CaKeyError`] from the token.
    pub async fn find(&self, label: &str) -> Result<Arc<dyn Signer>, CaKeyError> {
        match self.token.find(label).await {
            Ok(key) => Ok(Arc::new(key)),
            Err(error) => Err(ca_key_error(&error)),
        }
    }

    /// Makes a key under a label of its own, which comes back with it.
    ///
    /// # Errors
    /// [`CaKeyError`] from the token.
    pub async fn generate(
        &self,
        algorithm: KeyAlgorithm,
    ) -> Result<(Arc<dyn Signer>, String), CaKeyError> {
        let mut bits = [0; 8];
        aws_lc_rs::rand::fill(&mut bits)
            .map_err(|_| CaKeyError::Failed("the system's random generator failed".to_owned()))?;
        let label = format!("portcullis-{}", hex::encode(bits));
        let key = self
            .token
            .generate(&label, algorithm)
            .await
            .map_err(|error| ca_key_error(&error))?;
        Ok((Arc::new(key), label))
    }

    /// Destroys a key.
    ///
    /// # Errors
    /// [`CaKeyError`] from the token.
    pub async fn remove(&self, label: &str) -> Result<(), CaKeyError> {
        self.token
            .destroy(label)
            .await
            .map_err(|error| ca_key_error(&error))
    }
}

/// The PIN is fetched for each login, so that one that was mended is taken up; but nobody is asked twice.
fn pin_source(source: &PassphraseSource) -> Result<PinSource, CaKeyError> {
    let fetch = {
        let source = source.clone();
        move || source.read(PIN).map_err(|error| error.to_string())
    };
    match source {
        PassphraseSource::File(_)
        | PassphraseSource::Credential(_)
        | PassphraseSource::Environment(_) => Ok(Arc::new(fetch)),
        PassphraseSource::Prompt => {
            let pin = fetch().map_err(CaKeyError::Refused)?;
            Ok(Arc::new(move || Ok(pin.clone())))
        }
    }
}

fn ca_key_error(error: &TokenError) -> CaKeyError {
    if error.is_configuration() {
        CaKeyError::Refused(error.to_string())
    } else {
        CaKeyError::Failed(error.to_string())
    }
}
