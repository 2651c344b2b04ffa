//! The nonce that binds an answer to its request (RFC 9654).

/// 1 to 128 octets that an answer echoes (RFC 9654 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// The most octets that a nonce may have.
    pub const MAX: usize = 128;

    /// A nonce of these octets; nothing when there are none or more than [`Self::MAX`].
    #[must_use]
    pub fn new(octets: &[u8]) -> Option<Self> {
        (1..=Self::MAX)
            .contains(&octets.len())
            .then(|| Self(octets.to_vec()))
    }

    /// Its octets.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}
