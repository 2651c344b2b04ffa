//! Which mechanism of PKCS#11 makes and uses the keys of each algorithm, what it is given, and what it gives back.

use aws_lc_rs::digest;
use cryptoki::{
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::Attribute,
};
use portcullis_ca::key::KeyAlgorithm;

use super::ecdsa;

/// A kind of key that a token can have and that we use.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// ECDSA; the hash is made here, for many tokens have the bare mechanism only.
    Ecdsa {
        curve: &'static [u8],
        hash: &'static digest::Algorithm,
        /// Octets of r, and of s.
        scalar: usize,
    },
    /// Ed25519, pure.
    Ed25519,
    /// RSA, PKCS#1 v1.5 with SHA-256.
    Rsa { bits: u64 },
}

/// OIDs as DER.
pub(super) const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
pub(super) const P384: &[u8] = &[0x06, 5, 0x2b, 0x81, 0x04, 0x00, 0x22];
pub(super) const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];

impl Kind {
    /// None for what PKCS#11 has only since version 3.2.
    pub(super) fn of(algorithm: KeyAlgorithm) -> Option<Self> {
        match algorithm {
            KeyAlgorithm::P256 => Some(Self::Ecdsa {
                curve: P256,
                hash: &digest::SHA256,
                scalar: 32,
            }),
            KeyAlgorithm::P384 => Some(Self::Ecdsa {
                curve: P384,
                hash: &digest::SHA384,
                scalar: 48,
            }),
            KeyAlgorithm::Ed25519 => Some(Self::Ed25519),
            KeyAlgorithm::Rsa2048 => Some(Self::Rsa { bits: 2048 }),
            KeyAlgorithm::Rsa3072 => Some(Self::Rsa { bits: 3072 }),
            KeyAlgorithm::Rsa4096 => Some(Self::Rsa { bits: 4096 }),
            KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87 => None,
        }
    }

    /// What signs.
    pub(super) fn signature_mechanism(self) -> Mechanism<'static> {
        match self {
            Self::Ecdsa { .. } => Mechanism::Ecdsa,
            Self::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
            Self::Rsa { .. } => Mechanism::Sha256RsaPkcs,
        }
    }

    /// What makes a key pair.
    pub(super) fn key_pair_mechanism(self) -> Mechanism<'static> {
        match self {
            Self::Ecdsa { .. } => Mechanism::EccKeyPairGen,
            Self::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
            Self::Rsa { .. } => Mechanism::RsaPkcsKeyPairGen,
        }
    }

    /// What a public key's template says of its kind.
    pub(super) fn key_parameters(self) -> Vec<Attribute> {
        match self {
            Self::Ecdsa { curve, .. } => vec![Attribute::EcParams(curve.to_vec())],
            Self::Ed25519 => vec![Attribute::EcParams(ED25519.to_vec())],
            Self::Rsa { bits } => vec![
                Attribute::ModulusBits(bits.into()),
                Attribute::PublicExponent(vec![1, 0, 1]),
            ],
        }
    }

    /// What the mechanism is given for a message.
    pub(super) fn input(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ecdsa { hash, .. } => digest::digest(hash, message).as_ref().to_vec(),
            Self::Ed25519 | Self::Rsa { .. } => message.to_vec(),
        }
    }

    /// The signature as certificates have it. None where the mechanism gave back something else.
    pub(super) fn signature(self, output: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Ecdsa { scalar, .. } => ecdsa::to_der(&output, scalar),
            Self::Ed25519 => (output.len() == 64).then_some(output),
            Self::Rsa { .. } => (!output.is_empty()).then_some(output),
        }
    }
}
