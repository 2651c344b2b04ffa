//! `step`.

use rcgen::{CertificateParams, KeyPair, SigningKey as _};

use super::{
    made::{
        Good, Maker, add_extension, bytes, device_certificate, integer, key_authorization, object,
        public_key_of,
    },
    verify_now,
};
use crate::attestation::AttestationError;

const SERIAL_NUMBER: [u64; 9] = [1, 3, 6, 1, 4, 1, 41_482, 3, 7];

fn certificate(serial: &[u8]) -> CertificateParams {
    let mut params = device_certificate();
    add_extension(&mut params, &SERIAL_NUMBER, serial.to_vec());
    params
}

fn statement(
    maker: &Maker,
    key: &KeyPair,
    params: &CertificateParams,
    signature: &[u8],
) -> Vec<u8> {
    let members = [
        ("alg", integer(-7)),
        ("sig", bytes(signature)),
        ("x5c", maker.x5c(params, key)),
    ];
    object("step", &members, None)
}

fn signed(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    bytes(&key.sign(message).expect("signed"))
}

pub(super) fn good() -> Good {
    let (maker, key) = (Maker::new(), KeyPair::generate().expect("a key"));
    let signature = signed(&key, key_authorization().as_bytes());
    // 12345678.
    let params = certificate(&[2, 4, 0x00, 0xbc, 0x61, 0x4e]);
    Good {
        object: statement(&maker, &key, &params, &signature),
        roots: maker.roots(),
        key: public_key_of(&key),
        identities: vec!["permanent-identifier:12345678"],
    }
}

#[test]
fn each_fault_is_refused_for_what_it_is() {
    let (maker, key) = (Maker::new(), KeyPair::generate().expect("a key"));
    let other = KeyPair::generate().expect("a key");
    let good = certificate(&[2, 1, 42]);
    let right = signed(&key, key_authorization().as_bytes());
    for (name, params, signature, reason) in [
        (
            "another key's signature",
            &good,
            signed(&other, key_authorization().as_bytes()),
            "signature does not verify",
        ),
        (
            "a signature over something else",
            &good,
            signed(&key, b"something else"),
            "signature does not verify",
        ),
        (
            "a signature that is not wrapped",
            &good,
            key.sign(key_authorization().as_bytes()).expect("signed"),
            "sig is missing or is no",
        ),
        (
            "no serial number",
            &device_certificate(),
            right.clone(),
            "does not say which device",
        ),
        (
            "a negative serial number",
            &certificate(&[2, 1, 0x80]),
            right.clone(),
            "is no positive INTEGER",
        ),
        (
            "a padded serial number",
            &certificate(&[2, 2, 0, 42]),
            right.clone(),
            "is no positive INTEGER",
        ),
        (
            "a serial number with something behind it",
            &certificate(&[2, 1, 42, 0]),
            right.clone(),
            "is no positive INTEGER",
        ),
        (
            "an empty extension",
            &certificate(&[]),
            right.clone(),
            "is no positive INTEGER",
        ),
    ] {
        let refused = verify_now(&statement(&maker, &key, params, &signature), &maker.roots());
        let refused = refused.expect_err(name).to_string();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
}

/// Nobody could say which of two is meant.
#[test]
fn a_certificate_that_says_it_twice_says_nothing() {
    let (maker, key) = (Maker::new(), KeyPair::generate().expect("a key"));
    let mut params = certificate(&[2, 1, 42]);
    add_extension(&mut params, &SERIAL_NUMBER, vec![2, 1, 43]);
    let signature = signed(&key, key_authorization().as_bytes());
    let refused = verify_now(
        &statement(&maker, &key, &params, &signature),
        &maker.roots(),
    );
    assert!(matches!(
        refused,
        Err(AttestationError::NoIdentity { .. } | AttestationError::Certificate { .. })
    ));
}
