//! The keys of certificates as JWKs, and JWKs as they are known among the keys of certificates.

use aws_lc_rs::digest;
use portcullis_ca::key::{KeyAlgorithm, PublicKey};

use super::jwk::{Curve, Jwk};

impl Jwk {
    /// The key of a certificate or a CSR. None for ML-DSA, which no account's key is.
    #[must_use]
    pub fn from_public_key(key: &PublicKey) -> Option<Self> {
        let info = key.subject_public_key_info();
        Some(match key.algorithm() {
            KeyAlgorithm::P256 => Self::Ec {
                curve: Curve::P256,
                point: info.strip_prefix(P256_PREFIX)?.to_vec(),
            },
            KeyAlgorithm::P384 => Self::Ec {
                curve: Curve::P384,
                point: info.strip_prefix(P384_PREFIX)?.to_vec(),
            },
            KeyAlgorithm::Ed25519 => Self::Ed25519 {
                x: info.strip_prefix(ED25519_PREFIX)?.to_vec(),
            },
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
                let (n, e) = key.rsa()?;
                Self::Rsa {
                    n: n.to_vec(),
                    e: e.to_vec(),
                }
            }
            KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87 => return None,
        })
    }

    /// The SHA-256 of its SubjectPublicKeyInfo, by which a certificate's key is known. None for kinds of keys that no
    /// certificate of ours has.
    #[must_use]
    pub fn fingerprint(&self) -> Option<[u8; 32]> {
        let (prefix, bits) = match self {
            Self::Ec {
                curve: Curve::P256,
                point,
            } => (P256_PREFIX, point),
            Self::Ec {
                curve: Curve::P384,
                point,
            } => (P384_PREFIX, point),
            Self::Ed25519 { x } => (ED25519_PREFIX, x),
            Self::Rsa { n, e } => {
                return PublicKey::from_rsa(n, e).ok().map(|key| key.fingerprint());
            }
            Self::Ec {
                curve: Curve::P521, ..
            } => return None,
        };
        let info = [prefix, bits].concat();
        digest::digest(&digest::SHA256, &info)
            .as_ref()
            .try_into()
            .ok()
    }
}

/// What stands before the bits of a key in a SubjectPublicKeyInfo (RFC 5480, RFC 8410), the point being uncompressed.
const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P384_PREFIX: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
const ED25519_PREFIX: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_certificate_is_the_same_key_as_a_jwk() {
        use portcullis_ca::key::{Signer as _, SigningKey};
        for algorithm in [
            KeyAlgorithm::P256,
            KeyAlgorithm::P384,
            KeyAlgorithm::Ed25519,
            KeyAlgorithm::Rsa2048,
        ] {
            let key = SigningKey::generate(algorithm).unwrap();
            let jwk = Jwk::from_public_key(key.public_key()).unwrap();
            assert_eq!(
                jwk,
                Jwk::from_json(jwk.canonical_json().as_bytes()).unwrap()
            );
            assert_eq!(jwk.fingerprint(), Some(key.public_key().fingerprint()));
        }
    }
}
