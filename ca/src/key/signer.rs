//! Whatever signs: a key in this process, in a token, or at a remote service.

use std::{future::Future, pin::Pin};

use super::PublicKey;

/// What a signature comes back as: later, because a token or a remote key service may be slow.
pub type Signature<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SignerError>> + Send + 'a>>;

/// Something that signs with one key, in this process or elsewhere.
pub trait Signer: Send + Sync {
    /// The public half; its algorithm is the algorithm of the signatures.
    fn public_key(&self) -> &PublicKey;

    /// Signs `message` with the hash that belongs to the algorithm; ECDSA as DER (RFC 3279 section 2.2.3), RSA by PKCS#1
    /// v1.5 (RFC 8017 section 8.2).
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signature<'a>;
}

/// The signer could not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signing key could not sign: {0}")]
pub struct SignerError(pub String);
