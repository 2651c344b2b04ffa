//! A key in a token, as a [`Signer`].

use std::{fmt, sync::Arc};

use portcullis_ca::key::{PublicKey, Signature, Signer, SignerError};

use super::{TokenError, mechanism::Kind, pool::Pool};

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
        let kind = Kind::of(algorithm).ok_or_else(|| self.pool.unsupported(algorithm))?;
        let input = kind.input(message);
        let (label, public_key) = (Arc::clone(&self.label), self.public_key.clone());
        let output = self
            .pool
            .run(move |worker| worker.sign(&label, &public_key, kind, &input))
            .await?;
        kind.signature(output).ok_or_else(|| {
            self.pool
                .failed("what it gave back is no signature of its algorithm")
        })
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
