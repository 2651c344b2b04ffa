//! Which mechanism of PKCS#11 makes and uses the keys of each algorithm.

use cryptoki::{
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::Attribute,
};
use portcullis_ca::key::KeyAlgorithm;

use super::public_key::curve;

/// What signs; it is given what [`super::key`] makes of the message.
pub(super) fn signature_mechanism(algorithm: KeyAlgorithm) -> Mechanism<'static> {
    match algorithm {
        KeyAlgorithm::P256 | KeyAlgorithm::P384 => Mechanism::Ecdsa,
        KeyAlgorithm::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
    }
}

/// What makes a key pair.
pub(super) fn key_pair_mechanism(algorithm: KeyAlgorithm) -> Mechanism<'static> {
    match algorithm {
        KeyAlgorithm::P256 | KeyAlgorithm::P384 => Mechanism::EccKeyPairGen,
        KeyAlgorithm::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
    }
}

/// What a public key's template says of its kind.
pub(super) fn key_parameters(algorithm: KeyAlgorithm) -> Vec<Attribute> {
    match algorithm {
        KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::Ed25519 => {
            vec![Attribute::EcParams(curve(algorithm).to_vec())]
        }
    }
}
