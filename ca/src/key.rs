//! Keys: what signs, and what a certificate is about. It is not about where a key is kept.
//!
//! ECDSA on P-256 and P-384 (RFC 5480), Ed25519 (RFC 8410), RSA of 2048 to 4096 bits (RFC 3279, RFC 4055), and ML-DSA
//! (RFC 9881), which nobody gets who does not name it. A private key at rest is PKCS#8 (RFC 5958), encrypted with a
//! passphrase by scrypt (RFC 7914) when there is one.
//!
//! To add an algorithm: a variant of [`KeyAlgorithm`], and wherever the compiler then asks.

mod algorithm;
mod checksum;
mod error;
mod pair;
mod public;
mod roca;
mod sealed;
mod signer;
mod signing;

pub use algorithm::KeyAlgorithm;
pub use error::KeyError;
pub use public::PublicKey;
pub use signer::{Signature, Signer, SignerError};
pub use signing::SigningKey;

pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref());
    hash
}

#[cfg(test)]
pub(crate) mod tests;
