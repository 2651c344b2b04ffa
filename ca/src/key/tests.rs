//! Keys of every kind: made, kept, sealed, opened, and held to the key policy.

use std::sync::OnceLock;

use super::*;
use crate::der::{self, tag};

/// A key of each algorithm, made once: RSA takes its time. `number` tells several of one algorithm apart.
pub(crate) fn key(algorithm: KeyAlgorithm, number: usize) -> &'static SigningKey {
    static KEYS: OnceLock<Vec<OnceLock<SigningKey>>> = OnceLock::new();
    const EACH: usize = 3;
    let all = KEYS.get_or_init(|| {
        (0..KeyAlgorithm::ALL.len() * EACH)
            .map(|_| OnceLock::new())
            .collect()
    });
    assert!(number < EACH);
    all[algorithm as usize * EACH + number]
        .get_or_init(|| SigningKey::generate(algorithm).expect("a key"))
}

/// Keys in memory sign at once.
pub(crate) fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };
    match pin!(key.sign(message)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(signature) => signature.expect("a signature"),
        Poll::Pending => panic!("the key is in memory"),
    }
}

#[test]
fn every_kind_of_key_signs_and_round_trips_plain_and_sealed() {
    for algorithm in KeyAlgorithm::ALL {
        let key = key(algorithm, 0);
        assert_eq!(key.public_key().algorithm(), algorithm);
        let signature = sign(key, b"message");
        key.public_key()
            .verify_own(b"message", &signature)
            .expect("its own signature");
        assert_eq!(
            key.public_key().verify_own(b"massage", &signature),
            Err(KeyError::BadSignature)
        );
        let plain = key.to_pkcs8_pem(None).expect("PEM");
        assert!(plain.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_eq!(SigningKey::is_sealed(&plain), Ok(false));
        let read = SigningKey::from_pkcs8_pem(&plain, None).expect("read");
        assert_eq!(read.public_key(), key.public_key());
        assert_eq!(read.to_pkcs8_der(), key.to_pkcs8_der());

        let sealed = key.to_pkcs8_pem(Some(b"correct horse")).expect("sealed");
        assert!(sealed.contains("\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        assert_eq!(SigningKey::is_sealed(&sealed), Ok(true));
        let open = |passphrase: Option<&[u8]>| SigningKey::from_pkcs8_pem(&sealed, passphrase);
        let opened = open(Some(b"correct horse")).expect("opened");
        assert_eq!(opened.public_key(), key.public_key());
        assert_eq!(
            open(Some(b"battery")).err(),
            Some(KeyError::WrongPassphrase)
        );
        assert_eq!(open(None).err(), Some(KeyError::PassphraseNeeded));
    }
}

#[test]
fn a_wrong_passphrase_is_told_from_a_damaged_file() {
    let key = key(KeyAlgorithm::P256, 0);
    let sealed = key.to_pkcs8_pem(Some(b"correct horse")).expect("sealed");
    let open = |text: &str| SigningKey::from_pkcs8_pem(text, Some(b"battery")).err();
    assert_eq!(open(&sealed), Some(KeyError::WrongPassphrase));
    // Every character of the file put wrong, one after the other: the last block of the ciphertext, whose padding alone
    // would say no more than "wrong", is among them. It shows before a passphrase is asked for.
    let body = sealed.find("-----BEGIN").expect("a PEM block") + 38;
    let end = sealed.find("-----END").expect("its end");
    for at in (body..end).filter(|at| sealed.as_bytes()[*at] != b'\n') {
        let mut octets = sealed.as_bytes().to_vec();
        octets[at] = if octets[at] == b'A' { b'B' } else { b'A' };
        let text = std::str::from_utf8(&octets).expect("text");
        let error = SigningKey::from_pkcs8_pem(text, None).err();
        assert!(
            matches!(error, Some(KeyError::Damaged | KeyError::Malformed(_))),
            "character {at}: {error:?}"
        );
        assert_eq!(SigningKey::is_sealed(text).err(), error);
    }
    // Cut off anywhere.
    for length in body..sealed.trim_end().len() {
        let error = open(&sealed[..length]);
        assert!(
            matches!(error, Some(KeyError::Damaged | KeyError::Malformed(_))),
            "cut at {length}: {error:?}"
        );
    }
    let (line, other_programs) = sealed.split_once('\n').expect("a line before it");
    assert!(line.contains("SHA-256"));
    assert_eq!(open(other_programs), Some(KeyError::NotOpened));
    assert!(SigningKey::from_pkcs8_pem(other_programs, Some(b"correct horse")).is_ok());
    assert!(matches!(open("no key"), Some(KeyError::Malformed(_))));
}

#[test]
fn keys_outside_the_policy_are_refused_with_the_reason() {
    let read = |info: &[u8]| PublicKey::from_subject_public_key_info(info).err();
    let p521 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("a key");
    let p521 = rcgen::PublicKeyData::subject_public_key_info(&p521);
    assert_eq!(
        read(&p521),
        Some(KeyError::NotAllowed("an EC key on another curve"))
    );
    let rsa = |bits: usize, exponent: &[u8]| {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        if !bits.is_multiple_of(8) {
            modulus[0] = (1 << (bits % 8)) - 1;
        }
        PublicKey::from_rsa(&modulus, exponent).map(|key| key.algorithm())
    };
    const F4: &[u8] = &[1, 0, 1];
    let exponent = KeyError::NotAllowed(
        "an RSA key whose exponent is not an odd number from 65537 to 32 bits",
    );
    for (bits, e, outcome) in [
        (
            1024,
            F4,
            Err(KeyError::NotAllowed("an RSA key of less than 2048 bits")),
        ),
        (
            2047,
            F4,
            Err(KeyError::NotAllowed("an RSA key of less than 2048 bits")),
        ),
        (2048, F4, Ok(KeyAlgorithm::Rsa2048)),
        (3071, F4, Ok(KeyAlgorithm::Rsa2048)),
        (3072, F4, Ok(KeyAlgorithm::Rsa3072)),
        (4096, F4, Ok(KeyAlgorithm::Rsa4096)),
        (
            4097,
            F4,
            Err(KeyError::NotAllowed("an RSA key of more than 4096 bits")),
        ),
        (2048, &[3], Err(exponent.clone())),
        (2048, &[1, 0, 0], Err(exponent.clone())),
        (2048, &[0xff, 0xff, 0xff, 0xff], Ok(KeyAlgorithm::Rsa2048)),
        (2048, &[1, 0, 0, 0, 1], Err(exponent)),
    ] {
        assert_eq!(rsa(bits, e), outcome, "{bits} bits, exponent {e:?}");
    }
    let good = key(KeyAlgorithm::Rsa2048, 0)
        .public_key()
        .subject_public_key_info();
    // Without the NULL that RFC 3279 section 2.3.1 wants.
    let without_null = der::replace_element(
        good,
        0,
        &der::encode(
            tag::SEQUENCE,
            &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1]],
        ),
    );
    assert_eq!(
        read(&without_null.expect("replaced")),
        Some(KeyError::NotAllowed("an RSA key without NULL parameters"))
    );
    let ml_dsa = key(KeyAlgorithm::MlDsa44, 0)
        .public_key()
        .subject_public_key_info();
    assert_eq!(
        read(&ml_dsa[..ml_dsa.len() - 1]),
        Some(KeyError::Malformed("it is no SubjectPublicKeyInfo"))
    );
    assert_eq!(
        read(&[good, &[0]].concat()),
        Some(KeyError::Malformed("data follows the SubjectPublicKeyInfo"))
    );
}

/// A key is known by the hash of its encoding: with a second one, a key that is blocked could come back.
#[test]
fn a_key_has_one_encoding() {
    // As BER would have it: the length in more octets than it needs.
    let loose = |tag: u8, contents: &[u8]| {
        let length = u32::try_from(contents.len()).expect("short");
        [&[tag, 0x84][..], &length.to_be_bytes(), contents].concat()
    };
    for algorithm in KeyAlgorithm::ALL {
        let key = key(algorithm, 0).public_key();
        let good = key.subject_public_key_info();
        let (_, contents, _) = der::split(good).expect("DER");
        let (identifier, inside, bit_string) = der::split(contents).expect("DER");
        let (_, bits, _) = der::split(bit_string).expect("DER");
        let sequence = |parts: &[&[u8]]| der::encode(tag::SEQUENCE, parts);
        assert_eq!(sequence(&[identifier, bit_string]), good);
        let mut another_tag = inside.to_vec();
        another_tag[0] = 0x80;
        let mut others = vec![
            sequence(&[&sequence(&[&another_tag]), bit_string]),
            sequence(&[&loose(tag::SEQUENCE, inside), bit_string]),
            sequence(&[identifier, &loose(tag::BIT_STRING, bits)]),
            loose(tag::SEQUENCE, contents),
        ];
        if algorithm.is_rsa() {
            let (_, numbers, _) = der::split(&bits[1..]).expect("DER");
            let inner = [&[0][..], &loose(tag::SEQUENCE, numbers)].concat();
            let bits = der::encode(tag::BIT_STRING, &[&inner]);
            others.push(sequence(&[identifier, &bits]));
        }
        for (number, other) in others.iter().enumerate() {
            let refused = PublicKey::from_subject_public_key_info(other);
            assert!(
                matches!(
                    refused,
                    Err(KeyError::Malformed(_) | KeyError::NotAllowed(_))
                ),
                "{algorithm} {number}: {refused:?}"
            );
        }
    }
}

#[test]
fn ml_dsa_is_nobodys_default() {
    let opt_in: Vec<&str> = KeyAlgorithm::ALL
        .into_iter()
        .filter(|algorithm| algorithm.is_opt_in())
        .map(KeyAlgorithm::name)
        .collect();
    assert_eq!(opt_in, ["mldsa44", "mldsa65", "mldsa87"]);
}

/// RFC 8410 section 10.3's key, and keys as OpenSSL writes them, are read.
#[test]
fn keys_of_other_programs_are_read() {
    let ed25519 = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    let key = SigningKey::from_pkcs8_pem(ed25519, None).expect("a key");
    assert_eq!(
        hex::encode(key.public_key().bits()),
        "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    );
}
