//! The checksum of a sealed key: by it a wrong passphrase is told from a damaged file. It protects nothing.
//!
//! PBES2 (RFC 8018 section 6.2) has no integrity check: a key that does not open looks the same with one bit flipped and
//! with one letter mistyped. So a line before the PEM block, where other programs look past it (RFC 7468 section 2), has
//! the SHA-256 of what is sealed.

use super::sha256;

/// What the line begins with; the hash follows, in hexadecimal.
const LINE: &str = "Sealed key, SHA-256 of its DER: ";

/// What the checksum says of a sealed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    /// The octets are those that were written.
    Sound,
    /// They are not.
    Damaged,
    /// There is no checksum: somebody else sealed the key.
    Absent,
}

/// Puts the line before a PEM block, whose DER this is.
pub(super) fn with_checksum(pem: &str, der: &[u8]) -> String {
    format!("{LINE}{}\n{pem}", hex::encode(sha256(der)))
}

/// Compares the line with what is there.
pub(super) fn check(text: &str, der: &[u8]) -> Checksum {
    let before = text.split("-----BEGIN").next().unwrap_or_default();
    match before.lines().find_map(|line| line.strip_prefix(LINE)) {
        Some(written) if written.trim() == hex::encode(sha256(der)) => Checksum::Sound,
        Some(_) => Checksum::Damaged,
        None => Checksum::Absent,
    }
}
