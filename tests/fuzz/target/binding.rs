//! External account bindings (RFC 8555 section 7.3.4). What verifies was MACed, to the letter.

use std::collections::HashSet;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis::acme::{external_account_binding::ExternalAccountBinding, jwk::Jwk};
use serde_json::{Value, json, value::RawValue};

use super::{Target, Verdict, signer::Signer};
use crate::fuzz::{
    corpus::{self, Entry},
    mutate::json,
    random::Random,
};

const URL: &str = "https://ca.test/acme/new-account";
/// What the corpus was made with.
const MAC_KEY: [u8; 32] = [3; 32];

pub struct BindingTarget {
    corpus: Vec<Entry>,
    signed: HashSet<(String, String)>,
    account_key: Jwk,
}

impl BindingTarget {
    pub fn open() -> Self {
        let corpus = corpus::read("binding");
        let valid = corpus
            .iter()
            .filter(|entry| entry.name.starts_with("valid"));
        Self {
            signed: valid.map(|entry| parts(&entry.octets)).collect(),
            account_key: Jwk::from_json(Signer::new(1).jwk().to_string().as_bytes()).unwrap(),
            corpus,
        }
    }
}

fn parts(body: &[u8]) -> (String, String) {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    let text = |name: &str| body[name].as_str().expect("a string").to_owned();
    (text("protected"), text("payload"))
}

impl Target for BindingTarget {
    fn name(&self) -> &'static str {
        "binding"
    }

    fn corpus(&self) -> &[Entry] {
        &self.corpus
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let (seed, other) = (random.pick(&self.corpus), random.pick(&self.corpus));
        json::mutate(&seed.octets, &other.octets, random)
    }

    fn check(&self, input: &[u8]) -> Verdict {
        // It comes as a member of a JSON object, so it is JSON when it comes here.
        let Ok(json) = serde_json::from_slice::<&RawValue>(input) else {
            return Verdict::Refused;
        };
        let Ok(binding) = ExternalAccountBinding::parse(json, &self.account_key, URL) else {
            return Verdict::Refused;
        };
        if binding.verify(&MAC_KEY).is_err() {
            return Verdict::Refused;
        }
        assert!(self.signed.contains(&parts(input)), "it was never signed");
        assert_eq!(binding.key_id, "key-1");
        Verdict::Accepted
    }
}

/// One with each MAC.
pub fn valid() -> Vec<(String, Vec<u8>)> {
    let macs = [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ];
    macs.into_iter()
        .map(|(name, algorithm)| {
            let header = json!({"alg": name, "kid": "key-1", "url": URL});
            let protected = URL_SAFE_NO_PAD.encode(header.to_string());
            let payload = URL_SAFE_NO_PAD.encode(Signer::new(1).jwk().to_string());
            let key = hmac::Key::new(algorithm, &MAC_KEY);
            let mac = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
            let body = json!({"protected": protected, "payload": payload, "signature": URL_SAFE_NO_PAD.encode(mac)});
            (format!("valid-{name}"), body.to_string().into_bytes())
        })
        .collect()
}
