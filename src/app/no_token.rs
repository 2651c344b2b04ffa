//! In place of `token.rs`, where Portcullis was built without PKCS#11 (Cargo feature `pkcs11`): there is no token.

use std::sync::Arc;

use portcullis_ca::key::{KeyAlgorithm, PublicKey, Signer};

use super::TokenSettings;
use crate::authority::CaKeyError;

/// The keys of one token; there can't be any.
pub enum TokenKeys {}

#[expect(
    clippy::unused_async,
    reason = "the same signatures as with the feature"
)]
impl TokenKeys {
    /// There is none.
    ///
    /// # Errors
    /// Always.
    pub fn new(_settings: &TokenSettings) -> Result<Self, CaKeyError> {
        Err(CaKeyError::Refused(
            "[ca.token]: this portcullis was built without PKCS#11 (Cargo feature pkcs11)"
                .to_owned(),
        ))
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub async fn check(&self) -> Result<(), CaKeyError> {
        match *self {}
    }

    /// Never called.
    #[must_use]
    pub fn open(&self, _label: &str, _public_key: &PublicKey) -> Arc<dyn Signer> {
        match *self {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub async fn find(&self, _label: &str) -> Result<Arc<dyn Signer>, CaKeyError> {
        match *self {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub async fn generate(
        &self,
        _algorithm: KeyAlgorithm,
    ) -> Result<(Arc<dyn Signer>, String), CaKeyError> {
        match *self {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub async fn remove(&self, _label: &str) -> Result<(), CaKeyError> {
        match *self {}
    }
}
