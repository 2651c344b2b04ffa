//! Checkpoints of the audit trail: the hash that it had at a number, signed with a key of its own (Ed25519, RFC 8032).
//! Whoever rewrites the trail, hashes and all, can't make these again without the key.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::domain::Timestamp;

/// A checkpoint as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which checkpoint it is, from 1 without gaps: one that was taken away is missed.
    pub sequence: u64,
    /// The number of the entry that it stands for.
    pub number: u64,
    /// That entry's hash, and so that of all before it.
    pub hash: [u8; 32],
    /// When it was made.
    pub at: Timestamp,
    /// The signature over all of the above.
    pub signature: [u8; 64],
}

/// The first octets of what is signed, so that nothing else that this key might ever sign is taken for a checkpoint.
const CONTEXT: &[u8] = b"portcullis audit checkpoint 1\0";

/// What a checkpoint's signature covers.
pub(super) fn to_be_signed(sequence: i64, number: i64, hash: &[u8], at: i64) -> Vec<u8> {
    let mut octets = CONTEXT.to_vec();
    for value in [sequence, number, at] {
        octets.extend(value.to_be_bytes());
    }
    octets.extend(hash);
    octets
}

/// The key that signs checkpoints.
pub struct AuditKey(Ed25519KeyPair);

impl AuditKey {
    /// The key of a seed of 256 random bits (RFC 8032 section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 octets are a seed"))
    }

    /// Signs a checkpoint.
    #[must_use]
    pub fn sign(&self, sequence: u64, number: u64, hash: [u8; 32], at: Timestamp) -> Checkpoint {
        let octets = to_be_signed(signed(sequence), signed(number), &hash, at.unix_millis());
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(&octets).as_ref());
        Checkpoint {
            sequence,
            number,
            hash,
            at,
            signature,
        }
    }

    /// Its public half, which may be shown to everybody and should be kept where the trail can't be reached.
    #[must_use]
    pub fn public_key(&self) -> AuditPublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        AuditPublicKey(key)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({})", self.public_key())
    }
}

/// The key that checkpoints are verified with. It prints as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuditPublicKey([u8; 32]);

impl AuditPublicKey {
    pub(super) fn verifies(&self, octets: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(octets, signature)
            .is_ok()
    }

    /// The key as a PEM SubjectPublicKeyInfo (RFC 8410 section 4), for other programs.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let mut der = hex::decode("302a300506032b6570032100").expect("these are hexadecimal");
        der.extend(self.0);
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }
}

impl fmt::Display for AuditPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for AuditPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditPublicKey({self})")
    }
}

impl FromStr for AuditPublicKey {
    type Err = InvalidAuditKey;

    fn from_str(text: &str) -> Result<Self, InvalidAuditKey> {
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| InvalidAuditKey)?;
        Ok(Self(key))
    }
}

/// Text that is no audit key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an audit key is written as 64 hexadecimal digits, as `portcullis audit key` prints it")]
pub struct InvalidAuditKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_verifies_with_its_key_alone_and_in_every_part() {
        let (key, other) = (AuditKey::from_seed(&[1; 32]), AuditKey::from_seed(&[2; 32]));
        let at = Timestamp::from_unix_seconds(5);
        let made = key.sign(1, 2, [3; 32], at);
        let verifies = |key: &AuditKey, sequence, number, hash: [u8; 32], at| {
            key.public_key()
                .verifies(&to_be_signed(sequence, number, &hash, at), &made.signature)
        };
        assert!(verifies(&key, 1, 2, [3; 32], 5000));
        for wrong in [
            verifies(&other, 1, 2, [3; 32], 5000),
            verifies(&key, 2, 2, [3; 32], 5000),
            verifies(&key, 1, 1, [3; 32], 5000),
            verifies(&key, 1, 2, [4; 32], 5000),
            verifies(&key, 1, 2, [3; 32], 5001),
        ] {
            assert!(!wrong);
        }
        let text = key.public_key().to_string();
        assert_eq!(text.parse(), Ok(key.public_key()));
        assert!(!format!("{key:?}").contains(&hex::encode([1; 32])));
    }
}
