//! SHA-256, as the agent uses it.

use aws_lc_rs::digest::{SHA256, digest};

/// The SHA-256 of `octets`.
#[must_use]
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut value = [0; 32];
    value.copy_from_slice(digest(&SHA256, octets).as_ref());
    value
}
