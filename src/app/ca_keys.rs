//! CA keys in files of the state directory (PKCS#8, mode 0600, sealed where there is a passphrase), and in a token.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use portcullis_ca::key::{KeyAlgorithm, PublicKey, Signer, SigningKey};
use zeroize::Zeroizing;

use super::{StateDir, StateError, TokenKeys};
use crate::{
    authority::{CaKeyError, CaKeys, KeptKey, KeyHome},
    domain::issuer::KeyPlace,
};

/// The keys of one authority.
pub struct StoredKeys {
    state: StateDir,
    passphrase: Option<Zeroizing<Vec<u8>>>,
    token: Option<TokenKeys>,
    /// What [`Self::check`] has opened already: each opening costs a tenth of a second when keys are sealed.
    opened: Mutex<HashMap<String, Arc<SigningKey>>>,
}

impl StoredKeys {
    /// The keys in a state directory, which the passphrase opens and seals.
    #[must_use]
    pub fn new(state: StateDir, passphrase: Option<Zeroizing<Vec<u8>>>) -> Self {
        Self {
            state,
            passphrase,
            token: None,
            opened: Mutex::default(),
        }
    }

    /// The same, with a token.
    #[must_use]
    pub fn with_token(self, token: TokenKeys) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    /// The token.
    ///
    /// # Errors
    /// [`CaKeyError::Refused`] when none is configured.
    pub fn token(&self) -> Result<&TokenKeys, CaKeyError> {
        self.token.as_ref().ok_or_else(|| {
            CaKeyError::Refused(
                "no token is configured: name its module in [ca.token] of portcullis.toml"
                    .to_owned(),
            )
        })
    }

    fn passphrase(&self) -> Option<&[u8]> {
        self.passphrase.as_ref().map(|phrase| phrase.as_slice())
    }

    fn write(&self, key: &SigningKey) -> Result<KeyPlace, CaKeyError> {
        let failed = |error: &dyn std::fmt::Display| CaKeyError::Failed(error.to_string());
        let name = format!(
            "keys/{}.key",
            hex::encode(&key.public_key().fingerprint()[..8])
        );
        let pem = key
            .to_pkcs8_pem(self.passphrase())
            .map_err(|error| failed(&error))?;
        self.state
            .write_new(&name, 0o600, pem.as_bytes())
            .map_err(|error| failed(&error))?;
        Ok(KeyPlace::File(name))
    }
}

impl StoredKeys {
    /// Opens every key file, so that a wrong passphrase or a file that is open to others is found out before anything
    /// else is touched.
    ///
    /// # Errors
    /// [`StateError`] names the file.
    pub fn check(&self) -> Result<(), StateError> {
        for name in self.state.key_files()? {
            let key = self.state.key(&name, self.passphrase())?;
            self.opened.lock().insert(name, Arc::new(key));
        }
        Ok(())
    }
}

impl CaKeys for StoredKeys {
    fn open<'a>(
        &'a self,
        place: &'a KeyPlace,
        public_key: Option<&'a PublicKey>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Signer>>, CaKeyError>> {
        Box::pin(async move {
            match place {
                KeyPlace::File(name) => {
                    let opened = self.opened.lock().remove(name);
                    let key = match opened {
                        Some(key) => key,
                        None => self
                            .state
                            .key(name, self.passphrase())
                            .map(Arc::new)
                            .map_err(|error| CaKeyError::Failed(error.to_string()))?,
                    };
                    Ok(Some(key as Arc<dyn Signer>))
                }
                KeyPlace::Token(label) => Ok(Some(match public_key {
                    Some(public_key) => self.token()?.open(label, public_key),
                    None => self.token()?.find(label).await?,
                })),
                KeyPlace::Offline => Ok(None),
            }
        })
    }

    fn generate(
        &self,
        algorithm: KeyAlgorithm,
        home: KeyHome,
    ) -> BoxFuture<'_, Result<KeptKey, CaKeyError>> {
        Box::pin(async move {
            match home {
                KeyHome::File => {
                    let key = SigningKey::generate(algorithm)
                        .map_err(|error| CaKeyError::Failed(error.to_string()))?;
                    let place = self.write(&key)?;
                    Ok((Arc::new(key) as Arc<dyn Signer>, place))
                }
                KeyHome::Token => {
                    let (signer, label) = self.token()?.generate(algorithm).await?;
                    Ok((signer, KeyPlace::Token(label)))
                }
            }
        })
    }

    fn keep(&self, key: SigningKey) -> BoxFuture<'_, Result<KeptKey, CaKeyError>> {
        Box::pin(async move {
            let place = self.write(&key)?;
            Ok((Arc::new(key) as Arc<dyn Signer>, place))
        })
    }

    fn export<'a>(
        &'a self,
        place: &'a KeyPlace,
        passphrase: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<String>, CaKeyError>> {
        Box::pin(async move {
            match place {
                KeyPlace::File(name) => self
                    .state
                    .key(name, self.passphrase())
                    .map_err(|error| CaKeyError::Failed(error.to_string()))?
                    .to_pkcs8_pem(Some(passphrase))
                    .map_err(|error| CaKeyError::Failed(error.to_string())),
                KeyPlace::Token(_) => Err(CaKeyError::Refused(
                    "the key is in a token, which gives none away; back the token up with its own tools"
                        .to_owned(),
                )),
                KeyPlace::Offline => {
                    Err(CaKeyError::Refused("the key is not here any more".to_owned()))
                }
            }
        })
    }

    fn is_open_on_disk(&self, place: &KeyPlace) -> bool {
        match place {
            KeyPlace::File(name) => self.state.is_open(name),
            KeyPlace::Token(_) | KeyPlace::Offline => false,
        }
    }

    fn remove<'a>(&'a self, place: &'a KeyPlace) -> BoxFuture<'a, Result<(), CaKeyError>> {
        Box::pin(async move {
            match place {
                KeyPlace::File(name) => self
                    .state
                    .remove(name)
                    .map_err(|error| CaKeyError::Failed(error.to_string())),
                KeyPlace::Token(label) => self.token()?.remove(label).await,
                KeyPlace::Offline => Ok(()),
            }
        })
    }
}
