//! Where CA keys are kept, as the authority sees it: opened, made, taken in, handed out sealed, removed. `app` knows of
//! files and tokens.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use portcullis_ca::key::{KeyAlgorithm, PublicKey, Signer, SigningKey};
use zeroize::Zeroizing;

use super::issuer::KeyHome;
use crate::domain::issuer::KeyPlace;

/// A key that is kept: what signs with it, and where it is.
pub type KeptKey = (Arc<dyn Signer>, KeyPlace);

/// The keeper of CA keys.
pub trait CaKeys: Send + Sync {
    /// The key at a place; nothing when it is offline. With its public half given, a token that is away is no error here:
    /// its signer says so, and works again when it is back. Without, the token is asked for it.
    fn open<'a>(
        &'a self,
        place: &'a KeyPlace,
        public_key: Option<&'a PublicKey>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Signer>>, CaKeyError>>;

    /// Makes a key; it is durable when this returns.
    fn generate(
        &self,
        algorithm: KeyAlgorithm,
        home: KeyHome,
    ) -> BoxFuture<'_, Result<KeptKey, CaKeyError>>;

    /// Takes a key in; it is durable when this returns.
    fn keep(&self, key: SigningKey) -> BoxFuture<'_, Result<KeptKey, CaKeyError>>;

    /// A key as PKCS#8 in PEM, sealed with a passphrase. A token gives none away.
    fn export<'a>(
        &'a self,
        place: &'a KeyPlace,
        passphrase: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<String>, CaKeyError>>;

    /// Whether a key lies in a file that no passphrase seals.
    fn is_open_on_disk(&self, place: &KeyPlace) -> bool;

    /// Removes a key for good.
    fn remove<'a>(&'a self, place: &'a KeyPlace) -> BoxFuture<'a, Result<(), CaKeyError>>;
}

/// What the keeper of CA keys says when it can't. No variant carries anything of a key.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CaKeyError {
    /// What was asked for is not possible here; the text says what would be.
    #[error("{0}")]
    Refused(String),
    /// A file or a token failed.
    #[error("{0}")]
    Failed(String),
}
