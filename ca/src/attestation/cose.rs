//! COSE's numbers for signature algorithms and keys (RFC 9053), as statements have them.

use aws_lc_rs::digest;
use rustls_pki_types::{AlgorithmIdentifier, alg_id};

use super::{
    AttestationError,
    cbor::{Key, Map},
};
use crate::{
    chain::verify_signature,
    key::{KeyAlgorithm, KeyError, PublicKey},
};

/// A signature algorithm that statements may be signed with. SHA-1 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Algorithm {
    pub(super) scheme: Scheme,
    pub(super) hash: Hash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Ecdsa,
    RsaPkcs1,
    RsaPss,
    Ed25519,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(super) fn digest(self, octets: &[u8]) -> digest::Digest {
        digest::digest(
            match self {
                Self::Sha256 => &digest::SHA256,
                Self::Sha384 => &digest::SHA384,
                Self::Sha512 => &digest::SHA512,
            },
            octets,
        )
    }
}

impl Algorithm {
    /// The algorithm of this number (IANA's registry "COSE Algorithms").
    pub(super) fn from_number(number: i64) -> Result<Self, AttestationError> {
        use {Hash as H, Scheme as S};
        let (scheme, hash) = match number {
            -7 => (S::Ecdsa, H::Sha256),
            -35 => (S::Ecdsa, H::Sha384),
            -36 => (S::Ecdsa, H::Sha512),
            -257 => (S::RsaPkcs1, H::Sha256),
            -258 => (S::RsaPkcs1, H::Sha384),
            -259 => (S::RsaPkcs1, H::Sha512),
            -37 => (S::RsaPss, H::Sha256),
            -38 => (S::RsaPss, H::Sha384),
            -39 => (S::RsaPss, H::Sha512),
            -8 => (S::Ed25519, H::Sha512),
            -65535 => {
                return Err(AttestationError::Algorithm(
                    "RS1 is RSA with SHA-1, which is broken; sign with SHA-256 (RS256, -257)"
                        .to_owned(),
                ));
            }
            other => {
                return Err(AttestationError::Algorithm(format!(
                    "{other} is not accepted; ES256 (-7), ES384 (-35), ES512 (-36), RS256 (-257), RS384 (-258), RS512 \
                     (-259), PS256 (-37), PS384 (-38), PS512 (-39) and EdDSA (-8) are"
                )));
            }
        };
        Ok(Self { scheme, hash })
    }

    /// What a key of ours signs with when nothing else is said.
    pub(super) fn of_key(key: KeyAlgorithm) -> Option<Self> {
        let (scheme, hash) = match key {
            KeyAlgorithm::P256 => (Scheme::Ecdsa, Hash::Sha256),
            KeyAlgorithm::P384 => (Scheme::Ecdsa, Hash::Sha384),
            KeyAlgorithm::Ed25519 => (Scheme::Ed25519, Hash::Sha512),
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
                (Scheme::RsaPkcs1, Hash::Sha256)
            }
            KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87 => return None,
        };
        Some(Self { scheme, hash })
    }

    fn identifier(self) -> AlgorithmIdentifier {
        match (self.scheme, self.hash) {
            (Scheme::Ecdsa, Hash::Sha256) => alg_id::ECDSA_SHA256,
            (Scheme::Ecdsa, Hash::Sha384) => alg_id::ECDSA_SHA384,
            (Scheme::Ecdsa, Hash::Sha512) => alg_id::ECDSA_SHA512,
            (Scheme::RsaPkcs1, Hash::Sha256) => alg_id::RSA_PKCS1_SHA256,
            (Scheme::RsaPkcs1, Hash::Sha384) => alg_id::RSA_PKCS1_SHA384,
            (Scheme::RsaPkcs1, Hash::Sha512) => alg_id::RSA_PKCS1_SHA512,
            (Scheme::RsaPss, Hash::Sha256) => alg_id::RSA_PSS_SHA256,
            (Scheme::RsaPss, Hash::Sha384) => alg_id::RSA_PSS_SHA384,
            (Scheme::RsaPss, Hash::Sha512) => alg_id::RSA_PSS_SHA512,
            (Scheme::Ed25519, Hash::Sha256 | Hash::Sha384 | Hash::Sha512) => alg_id::ED25519,
        }
    }

    /// Verifies a signature with the key `subject_public_key_info`, which `whose` names for people.
    pub(super) fn verify(
        self,
        subject_public_key_info: &[u8],
        message: &[u8],
        signature: &[u8],
        whose: &'static str,
    ) -> Result<(), AttestationError> {
        verify_signature(
            subject_public_key_info,
            self.identifier().as_ref(),
            message,
            signature,
        )
        .map_err(|_| AttestationError::Signature(whose))
    }
}

/// Reads a COSE_Key (RFC 9052 section 7) of one of our algorithms.
pub(super) fn public_key(key: &Map<'_>) -> Result<PublicKey, AttestationError> {
    let malformed = |reason| AttestationError::Key(KeyError::Malformed(reason));
    let bytes = |label| {
        key.bytes(Key::Integer(label))
            .ok_or_else(|| malformed("a member of the COSE key is missing"))
    };
    // RFC 9053 section 7: 1 is OKP, 2 EC2, 3 RSA.
    match (key.integer(Key::Integer(1)), key.integer(Key::Integer(-1))) {
        (Some(2), Some(1)) => PublicKey::from_point(KeyAlgorithm::P256, bytes(-2)?, bytes(-3)?),
        (Some(2), Some(2)) => PublicKey::from_point(KeyAlgorithm::P384, bytes(-2)?, bytes(-3)?),
        (Some(1), Some(6)) => PublicKey::from_ed25519(bytes(-2)?),
        (Some(3), None) => PublicKey::from_rsa(bytes(-1)?, bytes(-2)?),
        _ => Err(KeyError::NotAllowed("a key of another kind")),
    }
    .map_err(AttestationError::Key)
}
