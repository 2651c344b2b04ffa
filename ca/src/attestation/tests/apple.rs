//! `apple`.

use rcgen::{CertificateParams, KeyPair};

use super::{
    made::{Good, Maker, TOKEN, add_extension, device_certificate, digest, object, public_key_of},
    verify_now,
};
use crate::key::sha256;

const SERIAL_NUMBER: [u64; 8] = [1, 2, 840, 113_635, 100, 8, 9, 1];
const NONCE: [u64; 8] = [1, 2, 840, 113_635, 100, 8, 11, 1];

fn certificate() -> CertificateParams {
    let mut params = device_certificate();
    add_extension(&mut params, &SERIAL_NUMBER, b"C02XK1ABCDEF".to_vec());
    add_extension(
        &mut params,
        &[1, 2, 840, 113_635, 100, 8, 9, 2],
        b"00008030-001A2B3C4D5E6F70".to_vec(),
    );
    add_extension(&mut params, &NONCE, sha256(TOKEN.as_bytes()).to_vec());
    params
}

pub(super) fn good() -> Good {
    let (maker, key) = (Maker::new(), KeyPair::generate().expect("a key"));
    Good {
        object: object("apple", &[("x5c", maker.x5c(&certificate(), &key))], None),
        roots: maker.roots(),
        key: public_key_of(&key),
        identities: vec![
            "permanent-identifier:C02XK1ABCDEF",
            "permanent-identifier:00008030-001A2B3C4D5E6F70",
        ],
    }
}

#[test]
fn each_fault_is_refused_for_what_it_is() {
    type Change = fn(&mut CertificateParams);
    let cases: [(&str, Change, &str); 6] = [
        // step-ca took a statement without one for any challenge.
        (
            "no freshness code",
            |it| it.custom_extensions.truncate(2),
            "no freshness code",
        ),
        (
            "another challenge's",
            |it| {
                it.custom_extensions.truncate(2);
                add_extension(it, &NONCE, sha256(b"another token").to_vec());
            },
            "must be the SHA-256 digest of the challenge's token",
        ),
        (
            "the key authorization's",
            |it| {
                it.custom_extensions.truncate(2);
                add_extension(it, &NONCE, digest().to_vec());
            },
            "must be the SHA-256 digest of the challenge's token",
        ),
        (
            "no device",
            |it| drop(it.custom_extensions.drain(..2)),
            "does not say which device",
        ),
        (
            "a name that is not plain",
            |it| {
                it.custom_extensions.remove(0);
                add_extension(it, &SERIAL_NUMBER, b"C02 or another".to_vec());
            },
            "is not plain",
        ),
        (
            "an empty name",
            |it| {
                it.custom_extensions.remove(0);
                add_extension(it, &SERIAL_NUMBER, Vec::new());
            },
            "is not plain",
        ),
    ];
    let (maker, key) = (Maker::new(), KeyPair::generate().expect("a key"));
    for (name, change, reason) in cases {
        let mut params = certificate();
        change(&mut params);
        let object = object("apple", &[("x5c", maker.x5c(&params, &key))], None);
        let refused = verify_now(&object, &maker.roots());
        let refused = refused.expect_err(name).to_string();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
}
