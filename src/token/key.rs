//! A key in a token, as a [`Signer`].

use std::{fmt, sync::Arc};

use aws_lc_rs::digest;
use portcullis_ca::key::{KeyAlgorithm, PublicKey, Signature, Signer, SignerError};

use super::{TokenError, ecdsa, pool::Pool};

/// A private key that stays in its token.
pub struct TokenKey {
    pool: Arc<Pool>,
    label: Arc<str>,
    public_key: PublicKey,
}

impl TokenKey {
    pub(super) fn new(pool: Arc<Pool>, label: &str, public_key: PublicKey) -> Self {
        Self {
            pool,
            label: label.into(),
            public_key,
        }
    }

    /// The key's label in the token.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    async fn sign_there(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let algorithm = self.public_key.algorithm();
        let hashed = |hash| digest::digest(hash, message).as_ref().to_vec();
        let input = match algorithm {
            KeyAlgorithm::P256 => hashed(&digest::SHA256),
            KeyAlgorithm::P384 => hashed(&digest::SHA384),
            KeyAlgorithm::Ed25519 => message.to_vec(),
        };
        let (label, public_key) = (Arc::clone(&self.label), self.public_key.clone());
        let signature = self
            .pool
            .run(move |worker| worker.sign(&label, &public_key, &input))
            .await?;
        let size = match algorithm {
            KeyAlgorithm::P256 => 32,
            KeyAlgorithm::P384 => 48,
            KeyAlgorithm::Ed25519 => return Ok(signature),
        };
        ecdsa::to_der(&signature, size)
            .ok_or_else(|| self.pool.failed("what it gave back is no ECDSA signature"))
    }
}

impl Signer for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signature<'a> {
        Box::pin(async move {
            self.sign_there(message)
                .await
                .map_err(|error| SignerError(error.to_string()))
        })
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({:?}, {:?})", self.label, self.public_key)
    }
}
