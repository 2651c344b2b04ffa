//! Public keys as JSON (RFC 7517). What is accepted is read again from its canonical form as the same key.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis::acme::jwk::Jwk;
use serde_json::{Value, json};

use super::{Target, Verdict};
use crate::fuzz::{
    corpus::{self, Entry},
    mutate::json,
    random::Random,
};

pub struct JwkTarget {
    corpus: Vec<Entry>,
}

impl JwkTarget {
    pub fn open() -> Self {
        Self {
            corpus: corpus::read("jwk"),
        }
    }
}

impl Target for JwkTarget {
    fn name(&self) -> &'static str {
        "jwk"
    }

    fn corpus(&self) -> &[Entry] {
        &self.corpus
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let (seed, other) = (random.pick(&self.corpus), random.pick(&self.corpus));
        json::mutate(&seed.octets, &other.octets, random)
    }

    fn check(&self, input: &[u8]) -> Verdict {
        let Ok(key) = Jwk::from_json(input) else {
            return Verdict::Refused;
        };
        let canonical = key.canonical_json();
        let again = Jwk::from_json(canonical.as_bytes()).expect("the canonical form is a key");
        assert_eq!((&again, again.thumbprint()), (&key, key.thumbprint()));
        assert_eq!(key.to_value().to_string(), canonical);
        // Half a surrogate, in a member that is ignored, is nothing that a string here can hold.
        let Ok(read) = serde_json::from_slice::<Value>(input) else {
            return Verdict::Accepted;
        };
        for member in ["crv", "kty", "x", "y", "n", "e"] {
            // Nothing of a key is read that isn't there, or read otherwise than it is written.
            let ours = key.to_value();
            assert!(
                ours.get(member)
                    .is_none_or(|ours| read.get(member) == Some(ours)),
                "{member}"
            );
        }
        for member in ["d", "k"] {
            assert!(read.get(member).is_none_or(Value::is_null), "{member}");
        }
        let _ = key.fingerprint();
        assert!(key.verify(key.algorithm(), b"message", &[1; 64]).is_err());
        Verdict::Accepted
    }
}

/// Signs octets.
pub type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key that signs.
pub struct PrivateKey {
    pub algorithm: &'static str,
    pub jwk: Value,
    pub sign: Sign,
}

impl PrivateKey {
    /// One of each kind, new.
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = [
            ("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
            ("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
            ("ES512", "P-521", &ECDSA_P521_SHA512_FIXED_SIGNING),
        ]
        .into_iter()
        .map(|(algorithm, curve, signing)| {
            let pair = EcdsaKeyPair::generate(signing).unwrap();
            let point = pair.public_key().as_ref()[1..].to_vec();
            let (x, y) = point.split_at(point.len() / 2);
            let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
            Self {
                algorithm,
                jwk: json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)}),
                sign: Box::new(move |message| {
                    let random = SystemRandom::new();
                    pair.sign(&random, message).unwrap().as_ref().to_vec()
                }),
            }
        })
        .collect();
        let ed25519 = Ed25519KeyPair::generate().unwrap();
        all.push(Self {
            algorithm: "EdDSA",
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(ed25519.public_key())}),
            sign: Box::new(move |message| ed25519.sign(message).as_ref().to_vec()),
        });
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        all.push(Self {
            algorithm: "RS256",
            jwk: json!({
                "kty": "RSA",
                "n": text(rsa.public_key().modulus().big_endian_without_leading_zero()),
                "e": text(rsa.public_key().exponent().big_endian_without_leading_zero()),
            }),
            sign: Box::new(move |message| {
                let mut signature = vec![0; rsa.public_modulus_len()];
                rsa.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }),
        });
        all
    }
}

/// A key of each kind, bare and with all that a key may say of itself.
pub fn valid() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for mut key in PrivateKey::all() {
        all.push((
            format!("valid-{}", key.algorithm),
            key.jwk.to_string().into_bytes(),
        ));
        key.jwk["alg"] = json!(key.algorithm);
        key.jwk["use"] = json!("sig");
        key.jwk["key_ops"] = json!(["verify"]);
        key.jwk["kid"] = json!("one");
        key.jwk["x5c"] = json!(["MIIB", {"deep": [[1]]}]);
        all.push((
            format!("valid-{}-full", key.algorithm),
            key.jwk.to_string().into_bytes(),
        ));
    }
    all
}
