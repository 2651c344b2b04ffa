//! `android-key`.

use rcgen::{CertificateParams, KeyPair, SigningKey as _};

use super::{
    made::{
        Good, Maker, add_extension, array, bytes, device_certificate, digest, integer,
        key_authorization, object, public_key_of, sequence,
    },
    verify_now,
};
use crate::{
    attestation::{AttestationError, SecurityLevel},
    der,
};

const KEY_DESCRIPTION: [u64; 10] = [1, 3, 6, 1, 4, 1, 11_129, 2, 1, 17];

/// The parts of a KeyDescription.
struct Description {
    attestation_level: u8,
    key_level: u8,
    challenge: Vec<u8>,
    software: Vec<Vec<u8>>,
    hardware: Vec<Vec<u8>>,
    behind: &'static [u8],
}

/// `[number] EXPLICIT value`.
fn explicit(number: u32, value: &[u8]) -> Vec<u8> {
    let encoded = der::encode(0, &[value]);
    let tag = match number {
        0..31 => vec![0xa0 | number as u8],
        31..128 => vec![0xbf, number as u8],
        _ => vec![0xbf, 0x80 | (number >> 7) as u8, number as u8 & 0x7f],
    };
    [tag, encoded[1..].to_vec()].concat()
}

fn root_of_trust(locked: u8, state: u8) -> Vec<u8> {
    let parts = [
        der::encode(4, &[&[5; 32]]),
        vec![1, 1, locked],
        vec![0x0a, 1, state],
        der::encode(4, &[&[6; 32]]),
    ];
    explicit(704, &sequence(&[&parts.concat()]))
}

impl Description {
    fn good() -> Self {
        Self {
            attestation_level: 1,
            key_level: 1,
            challenge: digest().to_vec(),
            software: vec![explicit(701, &[2, 1, 9])],
            hardware: vec![
                explicit(1, &der::encode(0x31, &[&[2, 1, 2]])),
                explicit(2, &[2, 1, 3]),
                explicit(702, &[2, 1, 0]),
                root_of_trust(0xff, 0),
                explicit(713, &der::encode(4, &[b"PHONE-9"])),
                explicit(716, &der::encode(4, &[b"Maker"])),
                explicit(717, &der::encode(4, &[b"Phone 9"])),
            ],
            behind: &[],
        }
    }

    fn encode(&self) -> Vec<u8> {
        sequence(&[
            &[2, 1, 100],
            &[0x0a, 1, self.attestation_level],
            &[2, 1, 100],
            &[0x0a, 1, self.key_level],
            &der::encode(4, &[&self.challenge]),
            &[4, 0],
            &sequence(&[&self.software.concat()]),
            &sequence(&[&self.hardware.concat()]),
            self.behind,
        ])
    }

    fn certificate(&self) -> CertificateParams {
        let mut params = device_certificate();
        add_extension(&mut params, &KEY_DESCRIPTION, self.encode());
        params
    }
}

fn statement(x5c: Vec<u8>, signature: &[u8]) -> Vec<u8> {
    let members = [
        ("alg", integer(-7)),
        ("sig", bytes(signature)),
        ("x5c", x5c),
    ];
    object("android-key", &members, None)
}

pub(super) fn good() -> Good {
    let (maker, key) = (Maker::new(), KeyPair::generate().expect("a key"));
    let signature = key.sign(key_authorization().as_bytes()).expect("signed");
    Good {
        object: statement(
            maker.x5c(&Description::good().certificate(), &key),
            &signature,
        ),
        roots: maker.roots(),
        key: public_key_of(&key),
        identities: vec!["permanent-identifier:PHONE-9"],
    }
}

fn judged(
    change: impl FnOnce(&mut Description),
) -> Result<crate::attestation::Attested, AttestationError> {
    let (maker, key) = (Maker::new(), KeyPair::generate().expect("a key"));
    let mut description = Description::good();
    change(&mut description);
    let signature = key.sign(key_authorization().as_bytes()).expect("signed");
    let x5c = maker.x5c(&description.certificate(), &key);
    verify_now(&statement(x5c, &signature), &maker.roots())
}

#[test]
fn a_phone_says_who_made_it_and_where_the_key_is() {
    let attested = judged(|_| {}).expect("good");
    assert_eq!(attested.vendor.as_deref(), Some("Maker"));
    assert_eq!(attested.model.as_deref(), Some("Phone 9"));
    assert_eq!(
        attested.security_level,
        Some(SecurityLevel::TrustedEnvironment)
    );
    assert_eq!(attested.verified_boot, Some(true));
    let strong = judged(|it| (it.attestation_level, it.key_level) = (2, 2)).expect("good");
    assert_eq!(strong.security_level, Some(SecurityLevel::StrongBox));
    let mixed = judged(|it| it.attestation_level = 2).expect("good");
    assert_eq!(
        mixed.security_level,
        Some(SecurityLevel::TrustedEnvironment)
    );
}

#[test]
fn how_a_phone_started_is_told() {
    for (locked, state) in [(0, 0), (0xff, 1), (0xff, 2), (0xff, 3)] {
        let attested = judged(|it| it.hardware[3] = root_of_trust(locked, state)).expect("good");
        assert_eq!(attested.verified_boot, Some(false), "{locked} {state}");
    }
    let silent = judged(|it| drop(it.hardware.remove(3))).expect("good");
    assert_eq!(silent.verified_boot, Some(false));
    // What the system says of itself is not believed.
    let boasting = judged(|it| {
        it.hardware[3] = root_of_trust(0, 2);
        it.software.push(root_of_trust(0xff, 0));
    });
    assert_eq!(boasting.expect("good").verified_boot, Some(false));
}

#[test]
fn each_fault_is_refused_for_what_it_is() {
    type Change = fn(&mut Description);
    let cases: [(&str, Change, &str); 18] = [
        (
            "a statement made in software",
            |it| it.attestation_level = 0,
            "kept in software",
        ),
        (
            "a key kept in software",
            |it| it.key_level = 0,
            "kept in software",
        ),
        (
            "an unknown level",
            |it| it.key_level = 3,
            "kept in software",
        ),
        (
            "another challenge",
            |it| it.challenge = vec![0; 32],
            "not about this challenge",
        ),
        (
            "no challenge",
            |it| it.challenge = Vec::new(),
            "not about this challenge",
        ),
        (
            "a key that was brought in",
            |it| it.hardware[2] = explicit(702, &[2, 1, 2]),
            "did not make it",
        ),
        (
            "an origin that only the system vouches for",
            |it| {
                let origin = it.hardware.remove(2);
                it.software.push(origin);
            },
            "did not make it",
        ),
        (
            "a key for encryption",
            |it| it.hardware[0] = explicit(1, &der::encode(0x31, &[&[2, 1, 0]])),
            "does not sign",
        ),
        (
            "a key of every application",
            |it| it.hardware.insert(2, explicit(600, &[5, 0])),
            "every application",
        ),
        (
            "a key of every application, says the system",
            |it| it.software.insert(0, explicit(600, &[5, 0])),
            "every application",
        ),
        (
            "no device",
            |it| drop(it.hardware.remove(4)),
            "does not say which device",
        ),
        (
            "a device that only the system vouches for",
            |it| {
                let serial = it.hardware.remove(4);
                it.software.push(serial);
            },
            "does not say which device",
        ),
        (
            "two serial numbers",
            |it| {
                let again = explicit(713, &der::encode(4, &[b"PHONE-8"]));
                it.hardware.insert(5, again);
            },
            "is no KeyDescription",
        ),
        (
            "a list that is not in order",
            |it| it.hardware.swap(0, 2),
            "is no KeyDescription",
        ),
        (
            "something behind the description",
            |it| it.behind = &[5, 0],
            "is no KeyDescription",
        ),
        (
            "a negative origin",
            |it| it.hardware[2] = explicit(702, &[2, 1, 0x80]),
            "is no KeyDescription",
        ),
        (
            "a lock that is neither open nor shut",
            |it| it.hardware[3] = root_of_trust(1, 0),
            "is no KeyDescription",
        ),
        (
            "a name that is not plain",
            |it| it.hardware[4] = explicit(713, &der::encode(4, &[b"a b"])),
            "is not plain",
        ),
    ];
    for (name, change, reason) in cases {
        let refused = judged(change).expect_err(name).to_string();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
}

/// An attested key could sign what looks like an attestation of another key.
#[test]
fn an_attested_key_attests_nothing() {
    let maker = Maker::new();
    let stolen = maker.issuer.intermediate("a phone", |params| {
        add_extension(params, &KEY_DESCRIPTION, Description::good().encode());
    });
    let key = KeyPair::generate().expect("a key");
    let leaf = stolen.issue(&Description::good().certificate(), &key);
    let x5c = array(&[bytes(&leaf), bytes(&stolen.der), bytes(&maker.issuer.der)]);
    let signature = key.sign(key_authorization().as_bytes()).expect("signed");
    let refused = verify_now(&statement(x5c, &signature), &maker.roots()).expect_err("refused");
    assert!(
        refused.to_string().contains("is an attestation too"),
        "{refused}"
    );
}

#[test]
fn a_statement_that_the_key_did_not_sign_is_refused() {
    let (maker, key) = (Maker::new(), KeyPair::generate().expect("a key"));
    let other = KeyPair::generate().expect("a key");
    let signature = other.sign(key_authorization().as_bytes()).expect("signed");
    let x5c = maker.x5c(&Description::good().certificate(), &key);
    assert!(matches!(
        verify_now(&statement(x5c, &signature), &maker.roots()),
        Err(AttestationError::Signature(_))
    ));
    let without = device_certificate();
    let signature = key.sign(key_authorization().as_bytes()).expect("signed");
    assert!(matches!(
        verify_now(
            &statement(maker.x5c(&without, &key), &signature),
            &maker.roots()
        ),
        Err(AttestationError::NotOfFormat { .. })
    ));
}
