//! The structures of a TPM 2.0 that a statement has (TPM 2.0 Library, Part 2), read strictly: every octet is accounted for,
//! and nothing is indexed.

use super::super::{
    AttestationError,
    cose::{Algorithm, Hash, Scheme},
};
use crate::{
    der::{self, tag},
    key::{KeyAlgorithm, KeyError, PublicKey},
};

// TPM_ALG_ID (Part 2 section 6.3).
const ALG_RSA: u16 = 0x0001;
const ALG_NULL: u16 = 0x0010;
const ALG_RSASSA: u16 = 0x0014;
const ALG_RSAES: u16 = 0x0015;
const ALG_RSAPSS: u16 = 0x0016;
const ALG_OAEP: u16 = 0x0017;
const ALG_ECDSA: u16 = 0x0018;
const ALG_ECDH: u16 = 0x0019;
const ALG_ECDAA: u16 = 0x001a;
const ALG_SM2: u16 = 0x001b;
const ALG_ECSCHNORR: u16 = 0x001c;
const ALG_ECMQV: u16 = 0x001d;
const ALG_ECC: u16 = 0x0023;

/// A TPMS_ATTEST of a certified key (Part 2 section 10.12.8).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attest<'a> {
    /// What the caller wanted to have signed along.
    pub(super) extra_data: &'a [u8],
    /// The key's name.
    pub(super) name: &'a [u8],
}

impl<'a> Attest<'a> {
    pub(super) fn read(octets: &'a [u8]) -> Result<Self, AttestationError> {
        let refuse = |reason| AttestationError::malformed("certInfo (TPMS_ATTEST)", reason);
        let truncated = || refuse("it ends too early, or a length in it is wrong");
        let mut reader = Reader(octets);
        // TPM_GENERATED_VALUE: no TPM signs octets from outside that begin like this.
        if reader.u32().ok_or_else(truncated)? != 0xff54_4347 {
            return Err(refuse("it does not begin with TPM_GENERATED_VALUE"));
        }
        if reader.u16().ok_or_else(truncated)? != 0x8017 {
            return Err(refuse("its type is not TPM_ST_ATTEST_CERTIFY"));
        }
        let mut read = || {
            let _qualified_signer = reader.sized()?;
            let extra_data = reader.sized()?;
            // TPMS_CLOCK_INFO: clock, resetCount, restartCount, safe.
            reader.take(8 + 4 + 4)?;
            let safe = reader.u8()?;
            let _firmware_version = reader.take(8)?;
            let name = reader.sized()?;
            let _qualified_name = reader.sized()?;
            (safe <= 1).then_some(())?;
            reader.end()?;
            Some(Self { extra_data, name })
        };
        read().ok_or_else(truncated)
    }
}

/// A TPMT_PUBLIC (Part 2 section 12.2.4).
#[derive(Debug)]
pub(super) struct Public {
    pub(super) key: PublicKey,
    name_algorithm: u16,
    name_hash: Hash,
    attributes: u32,
}

impl Public {
    pub(super) fn read(octets: &[u8]) -> Result<Self, AttestationError> {
        let refuse = |reason| AttestationError::malformed("pubArea (TPMT_PUBLIC)", reason);
        let truncated = || refuse("it ends too early, or a length in it is wrong");
        let mut reader = Reader(octets);
        let kind = reader.u16().ok_or_else(truncated)?;
        let name_algorithm = reader.u16().ok_or_else(truncated)?;
        let name_hash = hash(name_algorithm).ok_or_else(|| {
            refuse("its name is made with another hash than SHA-256, SHA-384 or SHA-512")
        })?;
        let attributes = reader.u32().ok_or_else(truncated)?;
        let _policy = reader.sized().ok_or_else(truncated)?;
        let key = match kind {
            ALG_RSA => reader.rsa().ok_or_else(truncated)?,
            ALG_ECC => reader.ecc().ok_or_else(truncated)?,
            _ => return Err(refuse("it is neither an RSA nor an ECC key")),
        }
        .map_err(AttestationError::Key)?;
        reader.end().ok_or_else(truncated)?;
        Ok(Self {
            key,
            name_algorithm,
            name_hash,
            attributes,
        })
    }

    /// Its name (Part 1 section 16): the hash's number and the digest of `area`, which it was read from.
    pub(super) fn name(&self, area: &[u8]) -> Vec<u8> {
        [
            &self.name_algorithm.to_be_bytes(),
            self.name_hash.digest(area).as_ref(),
        ]
        .concat()
    }

    /// Whether only this TPM can ever use the key (Part 2 section 8.3, TPMA_OBJECT).
    pub(super) fn check_bound(&self) -> Result<(), AttestationError> {
        for (bit, name, reason) in [
            (1, "fixedTPM", "it can be moved to another TPM"),
            (4, "fixedParent", "it can be moved below another key"),
            (
                5,
                "sensitiveDataOrigin",
                "it was made elsewhere and brought into the TPM",
            ),
            (18, "sign", "it can't sign"),
        ] {
            if self.attributes & (1 << bit) == 0 {
                return Err(AttestationError::NotBound(format!(
                    "{reason} (its attribute {name} is not set)"
                )));
            }
        }
        Ok(())
    }
}

/// A TPMT_SIGNATURE (Part 2 section 11.3.4).
#[derive(Debug)]
pub(super) struct Signature<'a> {
    algorithm: Algorithm,
    value: SignatureValue<'a>,
}

#[derive(Debug)]
enum SignatureValue<'a> {
    Rsa(&'a [u8]),
    Ecdsa(&'a [u8], &'a [u8]),
}

impl<'a> Signature<'a> {
    pub(super) fn read(octets: &'a [u8]) -> Result<Self, AttestationError> {
        let refuse = |reason| AttestationError::malformed("sig (TPMT_SIGNATURE)", reason);
        let truncated = || refuse("it ends too early, or a length in it is wrong");
        let mut reader = Reader(octets);
        let scheme = match reader.u16().ok_or_else(truncated)? {
            ALG_RSASSA => Scheme::RsaPkcs1,
            ALG_RSAPSS => Scheme::RsaPss,
            ALG_ECDSA => Scheme::Ecdsa,
            _ => return Err(refuse("it is neither RSASSA, RSAPSS nor ECDSA")),
        };
        let hash = hash(reader.u16().ok_or_else(truncated)?).ok_or_else(|| {
            refuse("it is made with another hash than SHA-256, SHA-384 or SHA-512")
        })?;
        let first = reader.sized().ok_or_else(truncated)?;
        let value = match scheme {
            Scheme::Ecdsa => SignatureValue::Ecdsa(first, reader.sized().ok_or_else(truncated)?),
            Scheme::RsaPkcs1 | Scheme::RsaPss | Scheme::Ed25519 => SignatureValue::Rsa(first),
        };
        reader.end().ok_or_else(truncated)?;
        Ok(Self {
            algorithm: Algorithm { scheme, hash },
            value,
        })
    }

    /// The signature as everybody else writes it, if it is one by the algorithm that the statement names.
    pub(super) fn for_algorithm(&self, algorithm: Algorithm) -> Result<Vec<u8>, AttestationError> {
        if self.algorithm != algorithm {
            return Err(AttestationError::Algorithm(
                "alg names another one than sig is made with".to_owned(),
            ));
        }
        Ok(match self.value {
            SignatureValue::Rsa(signature) => signature.to_vec(),
            // Ecdsa-Sig-Value (RFC 3279 section 2.2.3).
            SignatureValue::Ecdsa(r, s) => {
                der::encode(tag::SEQUENCE, &[&positive_integer(r), &positive_integer(s)])
            }
        })
    }
}

/// A big-endian number as a DER INTEGER.
fn positive_integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    let significant = &number[zeros..];
    let sign: &[u8] = match significant.first() {
        Some(0..0x80) => &[],
        Some(0x80..) | None => &[0],
    };
    der::encode(tag::INTEGER, &[sign, significant])
}

fn hash(algorithm: u16) -> Option<Hash> {
    match algorithm {
        0x000b => Some(Hash::Sha256),
        0x000c => Some(Hash::Sha384),
        0x000d => Some(Hash::Sha512),
        _ => None,
    }
}

/// What is left to be read. Every answer is `None` where the octets end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A TPM2B: a length of two octets, and as many octets.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// TPMT_SYM_DEF_OBJECT (Part 2 section 11.1.7).
    fn symmetric(&mut self) -> Option<()> {
        if self.u16()? != ALG_NULL {
            let _key_bits = self.u16()?;
            let _mode = self.u16()?;
        }
        Some(())
    }

    /// TPMT_RSA_SCHEME and TPMT_ECC_SCHEME (Part 2 sections 11.2.4.2 and 11.2.5.6).
    fn scheme(&mut self) -> Option<()> {
        match self.u16()? {
            ALG_NULL | ALG_RSAES => {}
            ALG_RSASSA | ALG_RSAPSS | ALG_OAEP | ALG_ECDSA | ALG_ECDH | ALG_SM2 | ALG_ECSCHNORR
            | ALG_ECMQV => {
                let _hash = self.u16()?;
            }
            ALG_ECDAA => {
                let _hash = self.u16()?;
                let _count = self.u16()?;
            }
            _ => return None,
        }
        Some(())
    }

    /// TPMS_RSA_PARMS and TPM2B_PUBLIC_KEY_RSA.
    fn rsa(&mut self) -> Option<Result<PublicKey, KeyError>> {
        self.symmetric()?;
        self.scheme()?;
        let key_bits = self.u16()?;
        // 0 is the default exponent, 2^16 + 1 (Part 2 section 12.2.3.5).
        let exponent = match self.u32()? {
            0 => 65_537,
            exponent => exponent,
        };
        let modulus = self.sized()?;
        if modulus.len() * 8 != usize::from(key_bits) {
            return None;
        }
        let exponent = exponent.to_be_bytes();
        let zeros = exponent.iter().take_while(|octet| **octet == 0).count();
        Some(PublicKey::from_rsa(modulus, &exponent[zeros..]))
    }

    /// TPMS_ECC_PARMS and TPMS_ECC_POINT.
    fn ecc(&mut self) -> Option<Result<PublicKey, KeyError>> {
        self.symmetric()?;
        self.scheme()?;
        let curve = match self.u16()? {
            0x0003 => Some(KeyAlgorithm::P256),
            0x0004 => Some(KeyAlgorithm::P384),
            _ => None,
        };
        // TPMT_KDF_SCHEME.
        if self.u16()? != ALG_NULL {
            let _hash = self.u16()?;
        }
        let (x, y) = (self.sized()?, self.sized()?);
        Some(match curve {
            Some(curve) => PublicKey::from_point(curve, x, y),
            None => Err(KeyError::NotAllowed("an EC key on another curve")),
        })
    }
}
