//! External account binding (RFC 8555 section 7.3.4): the new account's key, MACed with a key that the operator gave.
//!
//! It binds that very key, that very URL and that very MAC key, and has no nonce. This file reads and checks it;
//! whether the key may still be used is `authority`'s to say.

use aws_lc_rs::hmac;
use serde_json::value::RawValue;

use super::{
    jwk::Jwk,
    jws::{self, Flattened},
    problem::{Problem, ProblemType},
};

/// A binding as it came, in form but not yet verified.
#[derive(Debug)]
pub struct ExternalAccountBinding {
    /// Which MAC key: the id of the enrolment key that the operator gave.
    pub key_id: String,
    algorithm: MacAlgorithm,
    signing_input: Vec<u8>,
    mac: Vec<u8>,
}

/// The MACs of RFC 7518 section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MacAlgorithm {
    Hs256,
    Hs384,
    Hs512,
}

impl MacAlgorithm {
    fn from_name(name: &str) -> Result<Self, Problem> {
        match name {
            "HS256" => Ok(Self::Hs256),
            "HS384" => Ok(Self::Hs384),
            "HS512" => Ok(Self::Hs512),
            other => Err(Problem::new(
                ProblemType::BadSignatureAlgorithm,
                format!("\"alg\" of the external account binding is {other:?}; it must be a MAC: HS256, HS384 or HS512"),
            )
            .with_algorithms(vec!["HS256", "HS384", "HS512"])),
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        }
    }
}

impl ExternalAccountBinding {
    /// Reads the `externalAccountBinding` of a newAccount request that is signed with `account_key` and sent to `url`.
    ///
    /// # Errors
    /// `malformed` when it is not a flattened JWS with `kid` and without `nonce` and `jwk`, when its `url` is another
    /// than the request's, or when its payload is not the account's key; `badSignatureAlgorithm` when it is no MAC.
    pub fn parse(json: &RawValue, account_key: &Jwk, url: &str) -> Result<Self, Problem> {
        let (flattened, header) =
            Flattened::parse(json.get().as_bytes(), "external account binding")?;
        let algorithm = MacAlgorithm::from_name(&header.alg)?;
        if header.nonce.is_some() {
            return Err(Problem::malformed(
                "the external account binding has a \"nonce\"; it must not (RFC 8555 section 7.3.4)",
            ));
        }
        if header.jwk.is_some() {
            return Err(Problem::malformed(
                "the external account binding has a \"jwk\" in its protected header; the account's key goes into its payload",
            ));
        }
        let key_id = header.kid.ok_or_else(|| {
            Problem::malformed(
                "the external account binding has no \"kid\"; give the key id that you were handed",
            )
        })?;
        match header.url.as_deref() {
            Some(inner) if inner == url => {}
            Some(inner) => {
                return Err(Problem::malformed(format!(
                    "\"url\" of the external account binding is {inner:?}; it must be the request's, {url:?}"
                )));
            }
            None => {
                return Err(Problem::malformed(format!(
                    "the external account binding has no \"url\"; it must be the request's, {url:?}"
                )));
            }
        }
        let bound = Jwk::from_json(&jws::decode(&flattened.payload, "payload")?)?;
        if bound != *account_key {
            return Err(Problem::malformed(
                "the payload of the external account binding is another key than the one that the request is signed with",
            ));
        }
        Ok(Self {
            key_id,
            algorithm,
            signing_input: flattened.signing_input(),
            mac: jws::decode(&flattened.signature, "signature")?,
        })
    }

    /// Checks the MAC, in constant time.
    ///
    /// # Errors
    /// `unauthorized`, the same as for a key id that is not known.
    pub fn verify(&self, mac_key: &[u8]) -> Result<(), Problem> {
        let key = hmac::Key::new(self.algorithm.hmac(), mac_key);
        hmac::verify(&key, &self.signing_input, &self.mac).map_err(|_| Self::refused())
    }

    /// What a wrong MAC, an unknown key id and a key that may not be used any more are answered with: one answer, so
    /// that key ids can't be probed.
    #[must_use]
    pub fn refused() -> Problem {
        Problem::unauthorized(
            "the external account binding is not accepted: its key id is unknown, used up, expired or revoked, or its MAC was made with another key; ask the operator for a new invitation",
        )
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    const KEY: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const OTHER: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"AAAAAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const URL: &str = "https://ca.example/acme/new-account";
    const MAC_KEY: &[u8] = b"thirty-two bytes of a shared key";

    fn binding(protected: &str, payload: &str, algorithm: hmac::Algorithm) -> Box<RawValue> {
        let protected = URL_SAFE_NO_PAD.encode(protected);
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let tag = hmac::sign(
            &hmac::Key::new(algorithm, MAC_KEY),
            format!("{protected}.{payload}").as_bytes(),
        );
        let signature = URL_SAFE_NO_PAD.encode(tag);
        RawValue::from_string(format!(
            r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#
        ))
        .unwrap()
    }

    fn key() -> Jwk {
        Jwk::from_json(KEY.as_bytes()).unwrap()
    }

    #[test]
    fn a_binding_verifies_with_each_mac_and_with_its_own_key_only() {
        for (name, algorithm) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
        ] {
            let protected = format!(r#"{{"alg":"{name}","kid":"ek1","url":"{URL}"}}"#);
            let binding =
                ExternalAccountBinding::parse(&binding(&protected, KEY, algorithm), &key(), URL)
                    .unwrap();
            assert_eq!(binding.key_id, "ek1");
            assert_eq!(binding.verify(MAC_KEY), Ok(()));
            assert_eq!(
                binding.verify(b"another key"),
                Err(ExternalAccountBinding::refused())
            );
        }
    }

    #[test]
    fn a_binding_of_another_key_or_url_or_with_a_nonce_is_refused() {
        let table = [
            (
                format!(r#"{{"alg":"HS256","kid":"e","url":"{URL}"}}"#),
                OTHER,
                "another key",
            ),
            (
                r#"{"alg":"HS256","kid":"e","url":"https://ca.example/other"}"#.into(),
                KEY,
                "must be the request's",
            ),
            (r#"{"alg":"HS256","kid":"e"}"#.into(), KEY, "has no \"url\""),
            (
                format!(r#"{{"alg":"HS256","kid":"e","url":"{URL}","nonce":"n"}}"#),
                KEY,
                "\"nonce\"",
            ),
            (
                format!(r#"{{"alg":"HS256","kid":"e","url":"{URL}","jwk":{KEY}}}"#),
                KEY,
                "\"jwk\"",
            ),
            (
                format!(r#"{{"alg":"HS256","url":"{URL}"}}"#),
                KEY,
                "no \"kid\"",
            ),
        ];
        for (protected, payload, part) in table {
            let problem = ExternalAccountBinding::parse(
                &binding(&protected, payload, hmac::HMAC_SHA256),
                &key(),
                URL,
            )
            .unwrap_err();
            assert_eq!(problem.kind, ProblemType::Malformed, "{protected}");
            assert!(problem.detail.contains(part), "{protected}: {problem}");
        }
    }

    #[test]
    fn a_binding_that_is_signed_instead_of_maced_is_refused() {
        for alg in ["ES256", "none", "hs256"] {
            let protected = format!(r#"{{"alg":"{alg}","kid":"e","url":"{URL}"}}"#);
            let problem = ExternalAccountBinding::parse(
                &binding(&protected, KEY, hmac::HMAC_SHA256),
                &key(),
                URL,
            )
            .unwrap_err();
            assert_eq!(
                (problem.kind, problem.algorithms),
                (
                    ProblemType::BadSignatureAlgorithm,
                    vec!["HS256", "HS384", "HS512"]
                )
            );
        }
    }
}
