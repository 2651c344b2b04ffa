//! The published vectors of Wycheproof (C2SP) for JWS and JWK: what they mark invalid is never accepted here.
//!
//! They come with the crate `wycheproof-ng-kdf-jose`, which has the files of C2SP to the byte. The vectors are compact and
//! come with a key and mostly without `url`, so the parts are put into the flattened form and go through the same reading
//! and verifying as requests, `url`, `jwk` and `kid` aside.

use serde_json::{Value, json};
use wycheproof_ng_kdf_jose::json_web::TestName;

use super::{Flattened, Jws, KeyReference, Payload};
use crate::acme::{jwk::Jwk, problem::Problem, signature_algorithm::SignatureAlgorithm};

/// What became of a vector.
struct Outcome {
    id: u64,
    is_valid: bool,
    algorithm: String,
    result: Result<Vec<u8>, String>,
}

#[test]
fn no_signature_that_is_marked_invalid_is_accepted() {
    let outcomes = outcomes(TestName::JsonWebSignature);
    assert_eq!(outcomes.len(), 401);
    assert_eq!(accepted(&outcomes, false), Vec::<u64>::new());
    // ES256, RS256 (with the figure of RFC 7520 twice), ES256.
    assert_eq!(
        accepted(&outcomes, true),
        [18, 33, 259, 260, 261, 262, 263, 345, 349, 378]
    );
    assert_eq!(
        refused_kinds(&outcomes),
        // The key of 347 and 351 says that it is for "ES521", which is no algorithm.
        // 372 and 373 are MACs over text with a question mark in it.
        [
            "ES512",
            "HS256",
            "PS256",
            "PS384",
            "PS512",
            "RS384",
            "RS512",
            "not base64url"
        ]
    );
}

#[test]
fn no_key_that_is_marked_invalid_is_accepted() {
    let outcomes = outcomes(TestName::JsonWebKey);
    assert_eq!(outcomes.len(), 26);
    assert_eq!(accepted(&outcomes, false), Vec::<u64>::new());
    assert_eq!(accepted(&outcomes, true), [5]);
    assert_eq!(refused_kinds(&outcomes), ["HS256", "HS384", "HS512"]);
}

#[test]
fn nothing_of_the_mixed_vectors_that_is_marked_invalid_is_accepted() {
    let outcomes = outcomes(TestName::JsonWebCrypto);
    // The others are encryption, which ACME has none of.
    assert_eq!(outcomes.len(), 49);
    assert_eq!(accepted(&outcomes, false), Vec::<u64>::new());
    assert_eq!(accepted(&outcomes, true), [18, 33]);
    assert_eq!(refused_kinds(&outcomes), ["HS256"]);
}

fn accepted(outcomes: &[Outcome], is_valid: bool) -> Vec<u64> {
    let of_kind = outcomes.iter().filter(|it| it.is_valid == is_valid);
    of_kind
        .filter(|it| it.result.is_ok())
        .map(|it| it.id)
        .collect()
}

/// The algorithms of those that are valid and refused.
fn refused_kinds(outcomes: &[Outcome]) -> Vec<&str> {
    let refused = outcomes
        .iter()
        .filter(|it| it.is_valid && it.result.is_err());
    let mut kinds: Vec<&str> = refused.map(|it| it.algorithm.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn outcomes(file: TestName) -> Vec<Outcome> {
    let file: Value = serde_json::from_str(file.json_data()).unwrap();
    let mut outcomes = Vec::new();
    for group in file["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().unwrap() {
            let Some(jws) = test.get("jws") else {
                continue;
            };
            let keys = keys_of(key);
            // Of a set the one that does, if there is one: the vector is refused only if every key refuses it.
            let results = keys.iter().map(|key| verify(jws, key));
            let result = results
                .reduce(|one, other| one.or(other))
                .expect("a key at least");
            let result = result.map_err(|problem| problem.detail);
            outcomes.push(Outcome {
                id: test["tcId"].as_u64().unwrap(),
                is_valid: test["result"] == "valid",
                algorithm: algorithm_of(jws),
                result: result.map(|payload| payload.0),
            });
        }
    }
    outcomes
}

fn keys_of(key: &Value) -> Vec<Value> {
    match key.get("keys") {
        Some(keys) => keys.as_array().unwrap().clone(),
        None => vec![key.clone()],
    }
}

/// What `Jws::parse` does, but for `url`, `jwk` and `kid`, and then what every request goes through.
fn verify(jws: &Value, key: &Value) -> Result<Payload, Problem> {
    let (flattened, header) = Flattened::parse(&flattened(jws), "vector")?;
    let algorithm = SignatureAlgorithm::from_name(&header.alg)?;
    let reference = KeyReference::KeyId(String::new());
    let jws = Jws::of(&flattened, algorithm, reference, None, String::new())?;
    jws.verify(&Jwk::from_json(key.to_string().as_bytes())?)
}

/// Compact parts as members; what is missing is missing, what is too much goes to the last one.
fn flattened(jws: &Value) -> Vec<u8> {
    let Some(compact) = jws.as_str() else {
        return jws.to_string().into_bytes();
    };
    let names = ["protected", "payload", "signature"];
    let members = names.into_iter().zip(compact.splitn(3, '.'));
    let members = members.map(|(name, text)| (name.to_owned(), json!(text)));
    Value::Object(members.collect()).to_string().into_bytes()
}

fn algorithm_of(jws: &Value) -> String {
    Flattened::parse(&flattened(jws), "vector")
        .map_or_else(|_| "not base64url".to_owned(), |(_, header)| header.alg)
}
