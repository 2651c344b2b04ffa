//! Which signatures are accepted: RSA from 2048 bits, P-256, P-384, P-521 and Ed25519, all with SHA-2; and ML-DSA.

use rustls_pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use webpki::{Error, RawPublicKeyEntity, aws_lc_rs as algorithm};
use x509_parser::{public_key::PublicKey, x509::SubjectPublicKeyInfo};

use super::error::Fault;

/// The algorithms of certificates' and lists' signatures. SHA-1, MD5, DSA and short RSA keys are not among them.
pub(crate) static ACCEPTED: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithm::ECDSA_P256_SHA256,
    algorithm::ECDSA_P384_SHA384,
    algorithm::ED25519,
    algorithm::ECDSA_P256_SHA384,
    algorithm::ECDSA_P256_SHA512,
    algorithm::ECDSA_P384_SHA256,
    algorithm::ECDSA_P384_SHA512,
    algorithm::ECDSA_P521_SHA256,
    algorithm::ECDSA_P521_SHA384,
    algorithm::ECDSA_P521_SHA512,
    algorithm::RSA_PKCS1_2048_8192_SHA256,
    algorithm::RSA_PKCS1_2048_8192_SHA384,
    algorithm::RSA_PKCS1_2048_8192_SHA512,
    algorithm::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    algorithm::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    algorithm::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    algorithm::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithm::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithm::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    algorithm::ML_DSA_44,
    algorithm::ML_DSA_65,
    algorithm::ML_DSA_87,
];

/// Verifies `signature` over `message` with the key `subject_public_key_info` (DER), where `identifier` is the
/// contents of the signature's AlgorithmIdentifier.
pub(crate) fn verify(
    subject_public_key_info: &[u8],
    identifier: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), Fault> {
    let key = SubjectPublicKeyInfoDer::from(subject_public_key_info);
    let key = RawPublicKeyEntity::try_from(&key)
        .map_err(|_| Fault::Malformed("the issuer's public key".to_owned()))?;
    for candidate in ACCEPTED
        .iter()
        .filter(|candidate| candidate.signature_alg_id().as_ref() == identifier)
    {
        match key.verify_signature(*candidate, message, signature) {
            Ok(()) => return Ok(()),
            // The same signature algorithm with a key on another curve.
            Err(Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) => return Err(Fault::BadSignature),
        }
    }
    Err(Fault::UnsupportedAlgorithm)
}

/// Whether a leaf's own key is one that we would accept a signature of. `webpki` looks only at the keys of issuers.
pub(crate) fn check_leaf_key(key: &SubjectPublicKeyInfo<'_>) -> Result<(), Fault> {
    const UNPARSED: [&[u8]; 4] = [
        &[0x2b, 0x65, 0x70],                                     // Ed25519
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11], // ML-DSA-44 (RFC 9881)
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12], // ML-DSA-65
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13], // ML-DSA-87
    ];
    const NAMED_CURVES: [&[u8]; 3] = [
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], // P-256
        &[0x2b, 0x81, 0x04, 0x00, 0x22],                   // P-384
        &[0x2b, 0x81, 0x04, 0x00, 0x23],                   // P-521
    ];
    let accepted = match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => (2048..=8192).contains(&bits(rsa.modulus)),
        Ok(PublicKey::EC(_)) => key
            .algorithm
            .parameters
            .as_ref()
            .and_then(|curve| curve.as_oid().ok())
            .is_some_and(|curve| NAMED_CURVES.contains(&curve.as_bytes())),
        Ok(PublicKey::Unknown(_)) => UNPARSED.contains(&key.algorithm.algorithm.as_bytes()),
        Ok(PublicKey::DSA(_) | PublicKey::GostR3410(_) | PublicKey::GostR3410_2012(_)) | Err(_) => {
            false
        }
    };
    if accepted {
        Ok(())
    } else {
        Err(Fault::UnsupportedAlgorithm)
    }
}

/// The length of a big-endian number in bits.
fn bits(number: &[u8]) -> usize {
    let significant: &[u8] = match number.iter().position(|octet| *octet != 0) {
        Some(start) => &number[start..],
        None => &[],
    };
    significant.first().map_or(0, |first| {
        significant.len() * 8 - first.leading_zeros() as usize
    })
}
