//! The server's own secrets: the pepper under which API keys are digested, the root from which the MAC keys of external
//! account bindings are derived, the key that signs the audit trail's checkpoints, and the one under which the
//! high-water mark is authentic. All come from one seed, which is kept beside the CA keys, not in the store.

use std::sync::Arc;

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::domain::{
    api_key::{Pepper, ServerRoot},
    audit::AuditKey,
    high_water::MarkKey,
};

/// What is derived from the seed.
pub struct Secrets {
    /// For the digests of API keys.
    pub pepper: Arc<Pepper>,
    /// For derived MAC keys.
    pub server_root: ServerRoot,
    /// Signs checkpoints of the audit trail.
    pub audit_key: AuditKey,
    /// Makes high-water marks authentic.
    pub mark_key: MarkKey,
}

impl Secrets {
    /// Derives them from a seed of 256 random bits (HKDF-SHA-256, RFC 5869).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            pepper: Arc::new(Pepper::new(&derive(seed, b"portcullis api key pepper"))),
            server_root: ServerRoot::new(*derive(seed, b"portcullis server root")),
            audit_key: AuditKey::from_seed(&derive(seed, b"portcullis audit checkpoints")),
            mark_key: MarkKey::new(&derive(seed, b"portcullis high-water mark")),
        }
    }
}

fn derive(seed: &[u8; 32], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(seed)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|key| key.fill(out.as_mut()))
        .expect("32 octets are one block of HKDF-SHA-256");
    out
}
