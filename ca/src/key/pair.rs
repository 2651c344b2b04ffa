//! The provider's key pairs, behind one face.

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING,
        ML_DSA_87_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use pkcs8::PrivateKeyInfoRef;
use zeroize::Zeroizing;

use super::{KeyAlgorithm, KeyError};

/// A private key as the provider has it.
pub(super) enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    MlDsa(PqdsaKeyPair),
}

/// Where the provider makes a key pair of an algorithm.
enum Maker {
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Ed25519,
    Rsa(KeySize),
    MlDsa(&'static PqdsaSigningAlgorithm),
}

impl Maker {
    fn of(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::P256 => Self::Ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::P384 => Self::Ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyAlgorithm::Ed25519 => Self::Ed25519,
            KeyAlgorithm::Rsa2048 => Self::Rsa(KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 => Self::Rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => Self::Rsa(KeySize::Rsa4096),
            KeyAlgorithm::MlDsa44 => Self::MlDsa(&ML_DSA_44_SIGNING),
            KeyAlgorithm::MlDsa65 => Self::MlDsa(&ML_DSA_65_SIGNING),
            KeyAlgorithm::MlDsa87 => Self::MlDsa(&ML_DSA_87_SIGNING),
        }
    }
}

/// A key pair and its PKCS#8.
pub(super) type PairAndPkcs8 = (Pair, Zeroizing<Vec<u8>>);

impl Pair {
    /// Makes a new one. Its PKCS#8 is of version 1, which everybody reads; ML-DSA is kept as its seed (RFC 9881 section
    /// 6).
    pub(super) fn generate(algorithm: KeyAlgorithm) -> Result<PairAndPkcs8, KeyError> {
        let failed = |_| KeyError::Provider(format!("it made no {algorithm} key"));
        let owned = |octets: &[u8]| Zeroizing::new(octets.to_vec());
        match Maker::of(algorithm) {
            Maker::Ecdsa(algorithm) => {
                let pair = EcdsaKeyPair::generate(algorithm).map_err(failed)?;
                let pkcs8 = owned(pair.to_pkcs8v1().map_err(failed)?.as_ref());
                Ok((Self::Ecdsa(pair), pkcs8))
            }
            Maker::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                let pkcs8 = owned(pair.to_pkcs8v1().map_err(failed)?.as_ref());
                Ok((Self::Ed25519(pair), pkcs8))
            }
            Maker::Rsa(size) => {
                let pair = RsaKeyPair::generate(size).map_err(failed)?;
                let pkcs8 = owned(pair.as_der().map_err(failed)?.as_ref());
                Ok((Self::Rsa(pair), pkcs8))
            }
            Maker::MlDsa(algorithm) => {
                let pair = PqdsaKeyPair::generate(algorithm).map_err(failed)?;
                let pkcs8 = owned(pair.to_pkcs8v1().map_err(failed)?.as_ref());
                Ok((Self::MlDsa(pair), pkcs8))
            }
        }
    }

    /// Reads PKCS#8. Its AlgorithmIdentifier says what it must be; nothing is tried until it fits.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::try_from(der)
            .map_err(|_| KeyError::Malformed("it is no PKCS#8 structure"))?;
        let unreadable = |_| KeyError::Malformed("the private key in it can't be read");
        let curve = || {
            info.algorithm
                .parameters_oid()
                .ok()
                .map(|it| it.to_string())
        };
        let ml_dsa = |algorithm| {
            PqdsaKeyPair::from_pkcs8(algorithm, der)
                .map(Self::MlDsa)
                .map_err(unreadable)
        };
        match info.algorithm.oid.to_string().as_str() {
            "1.2.840.10045.2.1" => {
                let algorithm = match curve().as_deref() {
                    Some("1.2.840.10045.3.1.7") => &ECDSA_P256_SHA256_ASN1_SIGNING,
                    Some("1.3.132.0.34") => &ECDSA_P384_SHA384_ASN1_SIGNING,
                    Some(_) | None => {
                        return Err(KeyError::NotAllowed("an EC key on another curve"));
                    }
                };
                EcdsaKeyPair::from_pkcs8(algorithm, der)
                    .map(Self::Ecdsa)
                    .map_err(unreadable)
            }
            "1.3.101.112" => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(Self::Ed25519)
                .map_err(unreadable),
            "1.2.840.113549.1.1.1" => RsaKeyPair::from_pkcs8(der).map(Self::Rsa).map_err(|_| {
                KeyError::Malformed("the RSA key in it can't be read, or has less than 2048 bits")
            }),
            "2.16.840.1.101.3.4.3.17" => ml_dsa(&ML_DSA_44_SIGNING),
            "2.16.840.1.101.3.4.3.18" => ml_dsa(&ML_DSA_65_SIGNING),
            "2.16.840.1.101.3.4.3.19" => ml_dsa(&ML_DSA_87_SIGNING),
            _ => Err(KeyError::NotAllowed("a key of another kind")),
        }
    }

    /// The DER SubjectPublicKeyInfo.
    pub(super) fn subject_public_key_info(&self) -> Result<Vec<u8>, KeyError> {
        let der = match self {
            Self::Ecdsa(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
            Self::Rsa(pair) => pair.public_key().as_der(),
            Self::MlDsa(pair) => pair.public_key().as_der(),
        };
        der.map(|der| der.as_ref().to_vec())
            .map_err(|_| KeyError::Provider("it can't write the public key".to_owned()))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec()),
            Self::Ed25519(pair) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
            Self::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(message, &mut signature).map(|length| {
                    signature.truncate(length);
                    signature
                })
            }
        }
    }
}
