//! Signed requests (RFC 7515, RFC 8555 section 6.2). What verifies was signed, to the letter, by the key that it names.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis::acme::{
    jwk::Jwk,
    jws::{Jws, KeyReference},
};
use serde_json::{Value, json};

use super::{Target, Verdict, signer::Signer};
use crate::fuzz::{
    corpus::{self, Entry},
    mutate::{bytes, json},
    random::Random,
};

pub struct JwsTarget {
    corpus: Vec<Entry>,
    /// `protected` and `payload` of everything that was signed by another key than `own`.
    signed: HashSet<(String, String)>,
    /// Accounts, by their URL.
    accounts: HashMap<String, Jwk>,
    own: Signer,
    own_key: Jwk,
}

impl JwsTarget {
    pub fn open() -> Self {
        let corpus = corpus::read("jws");
        let own = Signer::new(2);
        let mut signed = HashSet::new();
        let mut accounts = HashMap::new();
        for entry in corpus
            .iter()
            .filter(|entry| entry.name.starts_with("valid"))
        {
            let (text, header) = parts(&entry.octets).unwrap();
            signed.insert(text);
            if let Some(jwk) = header.get("jwk") {
                let key = Jwk::from_json(jwk.to_string().as_bytes()).unwrap();
                accounts.insert(account_url(key.algorithm().name()), key);
            }
        }
        Self {
            corpus,
            signed,
            accounts,
            own_key: Jwk::from_json(own.jwk().to_string().as_bytes()).unwrap(),
            own,
        }
    }

    /// Some header and payload, signed as they then are.
    fn signed_again(&self, seed: &Entry, other: &Entry, random: &mut Random) -> Vec<u8> {
        let Some((text, mut header)) = parts(&seed.octets) else {
            return seed.octets.clone();
        };
        header["alg"] = json!("EdDSA");
        header["jwk"] = self.own.jwk();
        if let Some(members) = header.as_object_mut() {
            members.remove("kid");
        }
        let mut header = header.to_string().into_bytes();
        let mut payload = URL_SAFE_NO_PAD.decode(&text.1).unwrap_or_default();
        if random.once_in(2) {
            header = json::mutate(&header, &other.octets, random);
        }
        if random.once_in(2) {
            payload = json::mutate(&payload, &other.octets, random);
        }
        self.own.jws(&header, &payload).to_string().into_bytes()
    }
}

fn account_url(algorithm: &str) -> String {
    format!("https://ca.test/acme/account/{algorithm}")
}

/// `protected`, `payload`, and the former read.
fn parts(body: &[u8]) -> Option<((String, String), Value)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| Some(body.get(name)?.as_str()?.to_owned());
    let (protected, payload) = (text("protected")?, text("payload")?);
    let header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&protected).ok()?).ok()?;
    Some(((protected, payload), header))
}

impl Target for JwsTarget {
    fn name(&self) -> &'static str {
        "jws"
    }

    fn corpus(&self) -> &[Entry] {
        &self.corpus
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let (seed, other) = (random.pick(&self.corpus), random.pick(&self.corpus));
        match random.below(8) {
            0 => {
                let mut octets = seed.octets.clone();
                bytes::mutate(&mut octets, &other.octets, random);
                octets
            }
            1 | 2 => self.signed_again(seed, other, random),
            3 => {
                // A part of another.
                let mut body: Value = serde_json::from_slice(&seed.octets).unwrap_or_default();
                let donor: Value = serde_json::from_slice(&other.octets).unwrap_or_default();
                let name = *random.pick(&["protected", "payload", "signature"]);
                if body.is_object() {
                    body[name] = donor[name].clone();
                }
                body.to_string().into_bytes()
            }
            _ => json::mutate(&seed.octets, &other.octets, random),
        }
    }

    fn check(&self, input: &[u8]) -> Verdict {
        let Ok(jws) = Jws::parse(input) else {
            return Verdict::Refused;
        };
        let key = match &jws.key {
            KeyReference::Jwk(key) => Some(key),
            KeyReference::KeyId(url) => self.accounts.get(url),
        };
        let Some(key) = key.cloned() else {
            return Verdict::Refused;
        };
        let (url, nonce) = (jws.url.clone(), jws.nonce.clone());
        let Ok(payload) = jws.verify(&key) else {
            return Verdict::Refused;
        };
        let Some((text, header)) = parts(input) else {
            // Half a surrogate, in a member that is ignored: what was signed can't be compared then.
            assert!(String::from_utf8_lossy(input).contains("\\u") || key == self.own_key);
            return Verdict::Accepted;
        };
        assert!(
            key == self.own_key || self.signed.contains(&text),
            "it was never signed"
        );
        assert_eq!(header["url"], url);
        assert_eq!(
            header.get("nonce").and_then(Value::as_str),
            nonce.as_deref()
        );
        assert!(header["jwk"].is_null() != header["kid"].is_null());
        for name in ["crit", "b64"] {
            assert!(header.get(name).is_none(), "{name}");
        }
        let body: Value = serde_json::from_slice(input).unwrap();
        assert!(body.get("header").is_none() && body.get("signatures").is_none());
        let decoded = URL_SAFE_NO_PAD.decode(&text.1).unwrap();
        assert_eq!(payload.is_empty(), decoded.is_empty());
        if let Ok(read) = payload.object::<Value>() {
            assert_eq!(Some(read), serde_json::from_slice(&decoded).ok());
        }
        Verdict::Accepted
    }
}

/// A request by each kind of key, with the key and with the account's URL.
pub fn valid() -> Vec<(String, Vec<u8>)> {
    use super::jwk::PrivateKey;
    let mut all = Vec::new();
    let payloads = [
        (
            "account",
            r#"{"termsOfServiceAgreed":true,"contact":["mailto:a@b.example"]}"#,
        ),
        (
            "order",
            r#"{"identifiers":[{"type":"dns","value":"a.example"},{"type":"ip","value":"10.0.0.1"}]}"#,
        ),
        ("empty", ""),
    ];
    for key in PrivateKey::all() {
        for (what, payload) in payloads {
            let mut header = json!({"alg": key.algorithm, "nonce": "0123456789abcdefghij-_", "url": "https://ca.test/acme/x"});
            if what == "account" {
                header["jwk"] = key.jwk.clone();
            } else {
                header["kid"] = json!(account_url(key.algorithm));
            }
            let (protected, payload) = (
                URL_SAFE_NO_PAD.encode(header.to_string()),
                URL_SAFE_NO_PAD.encode(payload),
            );
            let signature =
                URL_SAFE_NO_PAD.encode((key.sign)(format!("{protected}.{payload}").as_bytes()));
            let body = json!({"protected": protected, "payload": payload, "signature": signature});
            all.push((
                format!("valid-{}-{what}", key.algorithm),
                body.to_string().into_bytes(),
            ));
        }
    }
    all
}
