//! Random numbers for jitter, where it is used; what computes with them takes them as arguments.

/// A random number of 64 bits, or half of the range should the provider have none: jitter is no secret.
#[must_use]
pub fn random() -> u64 {
    let mut octets = [0; 8];
    match aws_lc_rs::rand::fill(&mut octets) {
        Ok(()) => u64::from_be_bytes(octets),
        Err(aws_lc_rs::error::Unspecified) => u64::MAX / 2,
    }
}
