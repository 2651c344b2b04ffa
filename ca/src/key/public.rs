//! Public keys, held to the key policy.

use std::fmt;

use aws_lc_rs::signature as s;
use x509_parser::{prelude::FromDer, x509::SubjectPublicKeyInfo};

use super::{KeyAlgorithm, KeyError, roca::is_roca, sha256};
use crate::der::{self, reader::Reader, tag};

/// A public key whose SubjectPublicKeyInfo was checked against the key policy.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    subject_public_key_info: Vec<u8>,
    /// Where the key's own bits begin in `subject_public_key_info`; they end with it.
    bits_at: usize,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) and holds it to the key policy: one of
    /// [`KeyAlgorithm`], a named curve and an uncompressed point, RSA with 2048 to 4096 bits, an exponent from 65537
    /// to 32 bits, and a modulus that no faulty chip made (ROCA).
    ///
    /// Whether a point lies on its curve is found out when a signature is verified, which proof of possession does.
    ///
    /// # Errors
    /// [`KeyError::NotAllowed`] for other algorithms, sizes and parameters, [`KeyError::Malformed`] for anything else.
    pub fn from_subject_public_key_info(der: &[u8]) -> Result<Self, KeyError> {
        let (rest, info) = SubjectPublicKeyInfo::from_der(der)
            .map_err(|_| KeyError::Malformed("it is no SubjectPublicKeyInfo"))?;
        if !rest.is_empty() {
            return Err(KeyError::Malformed("data follows the SubjectPublicKeyInfo"));
        }
        let bits: &[u8] = &info.subject_public_key.data;
        if info.subject_public_key.unused_bits != 0 {
            return Err(KeyError::Malformed("its bits are no whole octets"));
        }
        let algorithm = algorithm(&info, bits)?;
        let key = Self {
            algorithm,
            bits_at: der.len() - bits.len(),
            subject_public_key_info: der.to_vec(),
        };
        // A key is known by the hash of its encoding, so there must be no other one: who has lost a key to a block could
        // otherwise bring it again with another tag or length, where the parser forgives them.
        let same_numbers = key
            .rsa()
            .is_none_or(|(modulus, exponent)| rsa_public_key(modulus, exponent) == key.bits());
        if !same_numbers || rcgen::PublicKeyData::subject_public_key_info(&key) != der {
            return Err(KeyError::Malformed(
                "its SubjectPublicKeyInfo is not in DER, in which a key has one encoding only",
            ));
        }
        Ok(key)
    }

    /// The key's algorithm.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The DER SubjectPublicKeyInfo, to the byte as it came.
    #[must_use]
    pub fn subject_public_key_info(&self) -> &[u8] {
        &self.subject_public_key_info
    }

    /// SHA-256 of the SubjectPublicKeyInfo: what a key is known by in the store.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.subject_public_key_info)
    }

    /// The key identifier for SKI and AKI: the leftmost 160 bits of the SHA-256 of the key's bits (RFC 7093 section 2,
    /// method 1).
    #[must_use]
    pub fn key_identifier(&self) -> [u8; 20] {
        let mut identifier = [0; 20];
        identifier.copy_from_slice(&sha256(self.bits())[..20]);
        identifier
    }

    /// Verifies `signature` over `message`, made with one of the hashes that the key's algorithm goes with.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] when it isn't this key's, [`KeyError::NotAllowed`] for another algorithm.
    pub fn verify(
        &self,
        signature_algorithm_oid: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        use KeyAlgorithm as K;
        // The key decides what algorithms are possible, never the signature's own identifier alone.
        let verifier: &dyn s::VerificationAlgorithm =
            match (self.algorithm, signature_algorithm_oid) {
                (K::P256, "1.2.840.10045.4.3.2") => &s::ECDSA_P256_SHA256_ASN1,
                (K::P256, "1.2.840.10045.4.3.3") => &s::ECDSA_P256_SHA384_ASN1,
                (K::P256, "1.2.840.10045.4.3.4") => &s::ECDSA_P256_SHA512_ASN1,
                (K::P384, "1.2.840.10045.4.3.2") => &s::ECDSA_P384_SHA256_ASN1,
                (K::P384, "1.2.840.10045.4.3.3") => &s::ECDSA_P384_SHA384_ASN1,
                (K::P384, "1.2.840.10045.4.3.4") => &s::ECDSA_P384_SHA512_ASN1,
                (K::Ed25519, "1.3.101.112") => &s::ED25519,
                (K::Rsa2048 | K::Rsa3072 | K::Rsa4096, "1.2.840.113549.1.1.11") => {
                    &s::RSA_PKCS1_2048_8192_SHA256
                }
                (K::Rsa2048 | K::Rsa3072 | K::Rsa4096, "1.2.840.113549.1.1.12") => {
                    &s::RSA_PKCS1_2048_8192_SHA384
                }
                (K::Rsa2048 | K::Rsa3072 | K::Rsa4096, "1.2.840.113549.1.1.13") => {
                    &s::RSA_PKCS1_2048_8192_SHA512
                }
                (K::MlDsa44, "2.16.840.1.101.3.4.3.17") => &s::ML_DSA_44,
                (K::MlDsa65, "2.16.840.1.101.3.4.3.18") => &s::ML_DSA_65,
                (K::MlDsa87, "2.16.840.1.101.3.4.3.19") => &s::ML_DSA_87,
                (
                    K::P256
                    | K::P384
                    | K::Ed25519
                    | K::Rsa2048
                    | K::Rsa3072
                    | K::Rsa4096
                    | K::MlDsa44
                    | K::MlDsa65
                    | K::MlDsa87,
                    _,
                ) => {
                    return Err(KeyError::NotAllowed(
                        "a signature algorithm that doesn't belong to the key",
                    ));
                }
            };
        s::UnparsedPublicKey::new(verifier, self.bits())
            .verify(message, signature)
            .map_err(|_| KeyError::BadSignature)
    }

    /// Verifies a signature that the key's [`Signer`](super::Signer) made.
    pub(crate) fn verify_own(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        self.verify(self.algorithm.signature_oid(), message, signature)
    }

    /// An RSA key of its modulus and exponent, big-endian without leading zeros, held to the key policy.
    ///
    /// # Errors
    /// As [`PublicKey::from_subject_public_key_info`].
    pub fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let key = rsa_public_key(modulus, exponent);
        // rsaEncryption with NULL (RFC 3279 section 2.3.1).
        const IDENTIFIER: [u8; 15] = [
            0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
            0x00,
        ];
        let bits = der::encode(tag::BIT_STRING, &[&[0], &key]);
        Self::from_subject_public_key_info(&der::encode(tag::SEQUENCE, &[&IDENTIFIER, &bits]))
    }

    /// An EC key of its point's coordinates, big-endian, shorter ones with zeros put before them.
    ///
    /// # Errors
    /// [`KeyError::NotAllowed`] when the algorithm is none on a curve, [`KeyError::Malformed`] for coordinates that are too
    /// long.
    pub fn from_point(algorithm: KeyAlgorithm, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        // id-ecPublicKey and the curve (RFC 5480 section 2.1.1).
        const P256: &[u8] = &[
            0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
            0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
        ];
        const P384: &[u8] = &[
            0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
            0x81, 0x04, 0x00, 0x22,
        ];
        let (identifier, octets): (&[u8], usize) = match algorithm {
            KeyAlgorithm::P256 => (P256, 32),
            KeyAlgorithm::P384 => (P384, 48),
            KeyAlgorithm::Ed25519
            | KeyAlgorithm::Rsa2048
            | KeyAlgorithm::Rsa3072
            | KeyAlgorithm::Rsa4096
            | KeyAlgorithm::MlDsa44
            | KeyAlgorithm::MlDsa65
            | KeyAlgorithm::MlDsa87 => {
                return Err(KeyError::NotAllowed("a point of a key that is none"));
            }
        };
        let zeros = [0; 48];
        let zeros_before = |coordinate: &[u8]| {
            octets
                .checked_sub(coordinate.len())
                .map(|count| &zeros[..count])
                .filter(|_| !coordinate.is_empty())
                .ok_or(KeyError::Malformed("a coordinate has the wrong length"))
        };
        let bits = der::encode(
            tag::BIT_STRING,
            &[&[0, 4], zeros_before(x)?, x, zeros_before(y)?, y],
        );
        Self::from_subject_public_key_info(&der::encode(tag::SEQUENCE, &[identifier, &bits]))
    }

    /// An Ed25519 key of its 32 octets (RFC 8410 section 4).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for another length.
    pub fn from_ed25519(key: &[u8]) -> Result<Self, KeyError> {
        const IDENTIFIER: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
        let bits = der::encode(tag::BIT_STRING, &[&[0], key]);
        Self::from_subject_public_key_info(&der::encode(tag::SEQUENCE, &[&IDENTIFIER, &bits]))
    }

    /// The RSA modulus and exponent, big-endian without leading zeros; nothing for a key of another kind.
    #[must_use]
    pub fn rsa(&self) -> Option<(&[u8], &[u8])> {
        if self.algorithm.is_rsa() {
            modulus_and_exponent(self.bits())
        } else {
            None
        }
    }

    /// The contents of the BIT STRING.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        &self.subject_public_key_info[self.bits_at..]
    }
}

fn algorithm(info: &SubjectPublicKeyInfo<'_>, bits: &[u8]) -> Result<KeyAlgorithm, KeyError> {
    let parameters = info.algorithm.parameters.as_ref();
    let absent = |algorithm, octets: usize| {
        if parameters.is_some() {
            Err(KeyError::NotAllowed(
                "a key with parameters where its algorithm has none",
            ))
        } else if bits.len() == octets {
            Ok(algorithm)
        } else {
            Err(KeyError::Malformed("it has the wrong length"))
        }
    };
    match info.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.2.1" => {
            let curve = parameters
                .and_then(|parameters| parameters.as_oid().ok())
                .map(|curve| curve.to_id_string());
            let (algorithm, octets) = match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => (KeyAlgorithm::P256, 65),
                Some("1.3.132.0.34") => (KeyAlgorithm::P384, 97),
                Some(_) | None => return Err(KeyError::NotAllowed("an EC key on another curve")),
            };
            // RFC 5480 section 2.2: 04 is an uncompressed point.
            if bits.len() == octets && bits[0] == 4 {
                Ok(algorithm)
            } else {
                Err(KeyError::Malformed(
                    "the key's bits are no uncompressed point of its curve",
                ))
            }
        }
        "1.2.840.113549.1.1.1" => {
            // RFC 3279 section 2.3.1: the parameters are there, and NULL.
            let null = parameters.is_some_and(|it| it.header.tag().0 == 5 && it.data.is_empty());
            if null {
                rsa_algorithm(bits)
            } else {
                Err(KeyError::NotAllowed("an RSA key without NULL parameters"))
            }
        }
        "1.2.840.113549.1.1.10" => Err(KeyError::NotAllowed(
            "an RSA key that is for PSS signatures only",
        )),
        "1.3.101.112" => absent(KeyAlgorithm::Ed25519, 32),
        "2.16.840.1.101.3.4.3.17" => absent(KeyAlgorithm::MlDsa44, 1312),
        "2.16.840.1.101.3.4.3.18" => absent(KeyAlgorithm::MlDsa65, 1952),
        "2.16.840.1.101.3.4.3.19" => absent(KeyAlgorithm::MlDsa87, 2592),
        _ => Err(KeyError::NotAllowed("a key of another kind")),
    }
}

fn rsa_algorithm(bits: &[u8]) -> Result<KeyAlgorithm, KeyError> {
    let (modulus, exponent) = modulus_and_exponent(bits).ok_or(KeyError::Malformed(
        "it is no RSAPublicKey of two positive numbers",
    ))?;
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    let value = exponent
        .iter()
        .take(5)
        .fold(0_u64, |value, octet| value << 8 | u64::from(*octet));
    if exponent.len() > 4 || value < 65_537 || !odd(exponent) {
        return Err(KeyError::NotAllowed(
            "an RSA key whose exponent is not an odd number from 65537 to 32 bits",
        ));
    }
    if !odd(modulus) {
        return Err(KeyError::Malformed("its modulus is even"));
    }
    if is_roca(modulus) {
        return Err(KeyError::NotAllowed(
            "an RSA key that can be factored, since a faulty chip made it (ROCA, CVE-2017-15361)",
        ));
    }
    let size = modulus.len() * 8
        - modulus
            .first()
            .map_or(0, |first| first.leading_zeros() as usize);
    match size {
        2048..3072 => Ok(KeyAlgorithm::Rsa2048),
        3072..4096 => Ok(KeyAlgorithm::Rsa3072),
        4096 => Ok(KeyAlgorithm::Rsa4096),
        0..2048 => Err(KeyError::NotAllowed("an RSA key of less than 2048 bits")),
        4097.. => Err(KeyError::NotAllowed("an RSA key of more than 4096 bits")),
    }
}

/// An RSAPublicKey (RFC 8017 appendix A.1.1) of its numbers, which have no leading zeros.
fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let zero: &[u8] = match number.first() {
            Some(0x80..) => &[0],
            Some(_) | None => &[],
        };
        der::encode(tag::INTEGER, &[zero, number])
    };
    der::encode(tag::SEQUENCE, &[&integer(modulus), &integer(exponent)])
}

/// The two numbers of an RSAPublicKey (RFC 8017 appendix A.1.1), without leading zeros.
fn modulus_and_exponent(bits: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Reader::new(bits);
    let mut numbers = outer.within(tag::SEQUENCE)?;
    outer.end()?;
    let modulus = positive(numbers.expect(tag::INTEGER)?.contents)?;
    let exponent = positive(numbers.expect(tag::INTEGER)?.contents)?;
    numbers.end()?;
    Some((modulus, exponent))
}

/// A positive INTEGER in the fewest octets (X.690 section 8.3.2), without the zero that keeps it positive.
fn positive(contents: &[u8]) -> Option<&[u8]> {
    match contents {
        [0, rest @ ..] if rest.first().is_some_and(|first| first & 0x80 != 0) => Some(rest),
        [1..0x80, ..] => Some(contents),
        _ => None,
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey({} {})",
            self.algorithm,
            hex::encode(&self.fingerprint()[..8])
        )
    }
}

impl rcgen::PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        self.bits()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm.rcgen()
    }
}
