//! Keys whose private halves the targets have: what is changed and then signed again gets further than what is only changed.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::fuzz::mutate::der;

/// An Ed25519 key, the same in every run.
pub struct Signer {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl Signer {
    /// The key of this number. Corpora have their signatures by 1, what is signed again has them by 2.
    pub fn new(number: u64) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        Self {
            seed,
            pair: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap(),
        }
    }

    /// Its public half (RFC 8037).
    pub fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.pair.public_key())})
    }

    /// A signature.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// A flattened JWS over these parts as they are.
    pub fn jws(&self, protected: &[u8], payload: &[u8]) -> Value {
        let (protected, payload) = (
            URL_SAFE_NO_PAD.encode(protected),
            URL_SAFE_NO_PAD.encode(payload),
        );
        let signature = self.sign(format!("{protected}.{payload}").as_bytes());
        json!({"protected": protected, "payload": payload, "signature": URL_SAFE_NO_PAD.encode(signature)})
    }

    /// The same key for rcgen.
    pub fn rcgen(&self) -> rcgen::KeyPair {
        // PKCS#8 version 1 (RFC 8410 section 7).
        const PREFIX: [u8; 16] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        let pkcs8 = [&PREFIX[..], &self.seed].concat();
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
            &rustls_pki_types::PrivatePkcs8KeyDer::from(pkcs8),
            &rcgen::PKCS_ED25519,
        )
        .unwrap()
    }

    /// A SEQUENCE of what is to be signed, the algorithm, and the signature: certificate, list or request.
    pub fn sealed(&self, to_be_signed: &[u8]) -> Vec<u8> {
        const ALGORITHM: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
        let signature = [&[0][..], &self.sign(to_be_signed)].concat();
        let signature = der::encode(0x03, &signature);
        der::encode(0x30, &[to_be_signed, &ALGORITHM, &signature].concat())
    }
}

/// The first element within a SEQUENCE: what was signed. Nothing if it isn't there.
pub fn signed_part(der: &[u8]) -> Option<Vec<u8>> {
    use x509_parser::asn1_rs::{Any, FromDer};
    let (_, outer) = Any::from_der(der).ok()?;
    let (rest, _) = Any::from_der(outer.data).ok()?;
    Some(outer.data[..outer.data.len() - rest.len()].to_vec())
}
