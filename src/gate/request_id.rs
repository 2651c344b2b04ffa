//! Request ids: unique, in order, and chosen by the gate alone.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand;
use http::HeaderValue;

/// The source of one thread's request ids: 16 hexadecimal digits that are random for each start and thread, and a
/// counter of 16 more.
#[derive(Debug)]
pub(super) struct RequestIds {
    prefix: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// A source with a prefix of its own.
    ///
    /// # Errors
    /// When the provider's generator fails.
    pub(super) fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut prefix = [0; 8];
        rand::fill(&mut prefix)?;
        Ok(Self {
            prefix: u64::from_be_bytes(prefix),
            next: AtomicU64::new(0),
        })
    }

    /// The next id.
    pub(super) fn next(&self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let number = u128::from(self.prefix) << 64 | u128::from(next);
        let mut text = [0; 32];
        for (index, octet) in number.to_be_bytes().into_iter().enumerate() {
            text[2 * index] = DIGITS[usize::from(octet >> 4)];
            text[2 * index + 1] = DIGITS[usize::from(octet & 15)];
        }
        HeaderValue::from_bytes(&text).expect("hexadecimal digits are a header value")
    }
}
