//! Public keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037), their thumbprints (RFC 7638), and the algorithms that
//! they verify with. Nothing here holds a private key.
//!
//! To add one more kind of key: a variant of `Jwk`, one of `SignatureAlgorithm`, and their rows in the four matches.

use std::fmt;

use aws_lc_rs::{
    digest,
    signature::{
        self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaPublicKeyComponents,
        UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis_ca::key::PublicKey;
use serde::Deserialize;

use super::{
    problem::{Problem, ProblemType},
    signature_algorithm::SignatureAlgorithm,
};
use crate::domain::account::Thumbprint;

/// The smallest and the largest RSA modulus in bits. Above it, verifying costs too much for a request that anyone can send.
pub const RSA_MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A public key that requests are signed with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Jwk {
    /// A point of a NIST curve, uncompressed (`04 || x || y`).
    Ec {
        /// Which curve.
        curve: Curve,
        /// `04 || x || y`.
        point: Vec<u8>,
    },
    /// Ed25519 (RFC 8037).
    Ed25519 {
        /// 32 bytes.
        x: Vec<u8>,
    },
    /// RSA.
    Rsa {
        /// The modulus, big-endian without leading zeros.
        n: Vec<u8>,
        /// The exponent, big-endian without leading zeros.
        e: Vec<u8>,
    },
}

/// The curves of ES256, ES384 and ES512.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    const fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }

    /// The length of a coordinate in bytes (RFC 7518 section 6.2.1.2).
    const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// A JWK as read. Members that are not named here are ignored (RFC 7517 section 4).
#[derive(Deserialize)]
struct ReadJwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<serde::de::IgnoredAny>,
    k: Option<serde::de::IgnoredAny>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
}

impl Jwk {
    /// Reads and checks a key.
    ///
    /// # Errors
    /// `badPublicKey` when the key is of a kind or size that is not accepted, or is no public key; `malformed` when
    /// it is no JWK.
    pub fn from_json(json: &[u8]) -> Result<Self, Problem> {
        let read: ReadJwk = super::json::object(json, "\"jwk\"")?;
        if read.d.is_some() || read.k.is_some() {
            return Err(bad_key(
                "\"jwk\" holds a private or symmetric key, which is thereby lost: make a new key, and send its public members only",
            ));
        }
        let key = Self::of_its_kind(&read)?;
        key.check_purpose(&read)?;
        Ok(key)
    }

    fn of_its_kind(read: &ReadJwk) -> Result<Self, Problem> {
        match read.kty.as_str() {
            "EC" => {
                let name = member(read.crv.as_deref(), "crv")?;
                let curve = Curve::ALL
                    .into_iter()
                    .find(|curve| curve.name() == name)
                    .ok_or_else(|| {
                        bad_key(format!(
                            "the curve {name:?} is not accepted; use P-256, P-384 or P-521"
                        ))
                    })?;
                let mut point = vec![0x04];
                point.extend(bytes(read.x.as_deref(), "x", Some(curve.coordinate_len()))?);
                point.extend(bytes(read.y.as_deref(), "y", Some(curve.coordinate_len()))?);
                if ParsedPublicKey::new(curve.verification(), &point).is_err() {
                    return Err(bad_key(format!(
                        "\"x\" and \"y\" of \"jwk\" are no point of {name}; send the public key's own coordinates, big-endian"
                    )));
                }
                Ok(Self::Ec { curve, point })
            }
            "OKP" => match member(read.crv.as_deref(), "crv")? {
                "Ed25519" => {
                    let x = bytes(read.x.as_deref(), "x", Some(32))?;
                    if is_weak_point(&x) {
                        return Err(bad_key(
                            "\"x\" of \"jwk\" is a point of small order, or not written as RFC 8032 section 5.1.2 wants it: anybody could sign for such a key; make a new one",
                        ));
                    }
                    Ok(Self::Ed25519 { x })
                }
                other => Err(bad_key(format!(
                    "the curve {other:?} is not accepted; use Ed25519"
                ))),
            },
            "RSA" => Self::rsa(
                bytes(read.n.as_deref(), "n", None)?,
                bytes(read.e.as_deref(), "e", None)?,
            ),
            other => Err(bad_key(format!(
                "the key type {other:?} is not accepted; use EC, OKP or RSA"
            ))),
        }
    }

    /// What the key says of itself, where it says something (RFC 7517 sections 4.2 to 4.4): it must be a key that verifies
    /// signatures of this algorithm.
    fn check_purpose(&self, read: &ReadJwk) -> Result<(), Problem> {
        let right = self.algorithm().name();
        if let Some(alg) = read.alg.as_deref().filter(|alg| *alg != right) {
            return Err(bad_key(format!(
                "\"alg\" of \"jwk\" is {alg:?}, but such a key signs with {right}; leave it out or set it right"
            )));
        }
        if let Some(usage) = read.usage.as_deref().filter(|usage| *usage != "sig") {
            return Err(bad_key(format!(
                "\"use\" of \"jwk\" is {usage:?}; an account's key is for \"sig\""
            )));
        }
        if let Some(operations) = &read.key_ops
            && !operations.iter().any(|operation| operation == "verify")
        {
            return Err(bad_key(format!(
                "\"key_ops\" of \"jwk\" is {operations:?}; the public half of an account's key is for \"verify\""
            )));
        }
        Ok(())
    }

    fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, Problem> {
        let Some(first) = n.first().filter(|first| **first != 0) else {
            return Err(bad_key(
                "\"n\" starts with a zero byte; write it without (RFC 7518 section 6.3.1.1)",
            ));
        };
        let bits = n.len() * 8 - first.leading_zeros() as usize;
        if !RSA_MODULUS_BITS.contains(&bits) {
            return Err(bad_key(format!(
                "the RSA modulus has {bits} bits; use {} to {}",
                RSA_MODULUS_BITS.start(),
                RSA_MODULUS_BITS.end()
            )));
        }
        if n.last().is_none_or(|last| last % 2 == 0) {
            return Err(bad_key("the RSA modulus is even"));
        }
        let exponent = e
            .iter()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        if e.first() == Some(&0) || e.len() > 4 || exponent < 65537 || exponent % 2 == 0 {
            return Err(bad_key(
                "the RSA exponent must be odd, at least 65537 and of at most 32 bits; use 65537",
            ));
        }
        // And what a certificate's key must be: no modulus that can be factored.
        PublicKey::from_rsa(&n, &e).map_err(|error| bad_key(error.to_string()))?;
        Ok(Self::Rsa { n, e })
    }

    /// The algorithm that this key signs with. Each kind of key has exactly one here.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::Ec {
                curve: Curve::P256, ..
            } => SignatureAlgorithm::Es256,
            Self::Ec {
                curve: Curve::P384, ..
            } => SignatureAlgorithm::Es384,
            Self::Ec {
                curve: Curve::P521, ..
            } => SignatureAlgorithm::Es512,
            Self::Ed25519 { .. } => SignatureAlgorithm::EdDsa,
            Self::Rsa { .. } => SignatureAlgorithm::Rs256,
        }
    }

    /// Checks a signature, in the form of RFC 7518 section 3.4 (`r || s`) for ECDSA.
    ///
    /// # Errors
    /// `badSignatureAlgorithm` when the key does not sign with this algorithm, `unauthorized` when the signature is
    /// not the key's.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Problem> {
        if algorithm != self.algorithm() {
            let right = self.algorithm().name();
            return Err(Problem::new(
                ProblemType::BadSignatureAlgorithm,
                format!(
                    "\"alg\" is {}, but this key signs with {right}",
                    algorithm.name()
                ),
            )
            .with_algorithms(vec![right]));
        }
        let verified = match self {
            Self::Ec { curve, point } => {
                UnparsedPublicKey::new(curve.verification(), point).verify(message, signature)
            }
            Self::Ed25519 { x } => {
                UnparsedPublicKey::new(&signature::ED25519, x).verify(message, signature)
            }
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &signature::RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        };
        verified.map_err(|_| {
            Problem::unauthorized(
                "the signature does not verify under the key; sign the ASCII of protected, a dot and payload exactly as sent",
            )
        })
    }

    /// The key in the form of RFC 7638 section 3: required members only, in order, without blanks.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.coordinate_len());
                format!(
                    r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                    curve.name(),
                    text(x),
                    text(y)
                )
            }
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
        }
    }

    /// The key as it is kept with an account.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.canonical_json()).expect("canonical JSON is JSON")
    }

    /// The SHA-256 thumbprint (RFC 7638). It names the key, and stands in every key authorization.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        let digest = digest::digest(&digest::SHA256, self.canonical_json().as_bytes());
        Thumbprint(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// Whether 32 bytes, as a point of Ed25519, have an order of at most 8, or a coordinate that isn't reduced (RFC 8032 section
/// 5.1.3). For the former, one signature fits many messages. Every such point has one of these y, its sign aside.
fn is_weak_point(x: &[u8]) -> bool {
    const Y: [&str; 5] = [
        // 0: order 4; 1: order 1; p - 1: order 2
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        // order 8
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    let mut y = x.to_vec();
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    // Not reduced: from p = 2^255 - 19 on.
    let unreduced = matches!(y.split_first(), Some((0xed.., [middle @ .., 0x7f])) if middle.iter().all(|byte| *byte == 0xff));
    unreduced || Y.contains(&hex::encode(&y).as_str())
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical_json())
    }
}

fn bad_key(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemType::BadPublicKey, detail)
}

fn member<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str, Problem> {
    value.ok_or_else(|| Problem::malformed(format!("\"jwk\" has no member {name:?}")))
}

fn bytes(value: Option<&str>, name: &str, length: Option<usize>) -> Result<Vec<u8>, Problem> {
    let bytes = URL_SAFE_NO_PAD
        .decode(member(value, name)?)
        .map_err(|error| {
            Problem::malformed(format!(
                "{name:?} of \"jwk\" is not base64url without padding: {error}"
            ))
        })?;
    match length {
        Some(length) if bytes.len() != length => Err(bad_key(format!(
            "{name:?} of \"jwk\" has {} bytes; this key type has {length} (with leading zeros)",
            bytes.len()
        ))),
        Some(_) | None => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
