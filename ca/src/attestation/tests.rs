//! Statements, good and bad. They are made here, by CAs and devices of the tests' own; real TPMs speak in the server's tests.

mod android;
mod apple;
mod made;
mod packed;
mod paths;
mod step;
mod tpm;

use made::{TOKEN, good, key_authorization};

use super::*;
use crate::chain::tests::authority::{NOW, at};

fn verify_now(object: &[u8], roots: &Roots) -> Result<Attested, AttestationError> {
    let key_authorization = key_authorization();
    super::verify(
        &AttestationObject::from_cbor(object)?,
        &AttestationChallenge {
            token: TOKEN,
            key_authorization: &key_authorization,
        },
        roots,
        at(NOW),
    )
}

#[test]
fn a_good_statement_of_every_format_is_read() {
    for format in AttestationFormat::ALL {
        let good = good(format);
        let attested = verify_now(&good.object, &good.roots).expect("a good statement");
        assert_eq!(attested.format, format);
        assert_eq!(
            attested.public_key.subject_public_key_info(),
            good.key,
            "{format}"
        );
        let identities: Vec<String> = attested
            .identities
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(identities, good.identities, "{format}");
    }
}

/// Trap 13: an attestation's extension index panicked (step-ca CVE-2026-40097).
#[test]
fn a_statement_that_ends_anywhere_is_refused_without_a_panic() {
    for format in AttestationFormat::ALL {
        let good = good(format);
        for length in 0..good.object.len() {
            assert!(
                verify_now(&good.object[..length], &good.roots).is_err(),
                "{format}, cut at {length}"
            );
        }
    }
}

/// Whatever is altered, it is refused, or it still says exactly the same: what a signature does not cover (a key's order,
/// another member) may change, and what is believed may not.
#[test]
fn a_statement_that_was_altered_anywhere_never_says_anything_else() {
    for format in AttestationFormat::ALL {
        let good = good(format);
        let said = verify_now(&good.object, &good.roots).expect("a good statement");
        for place in 0..good.object.len() {
            for bit in [0x01, 0x10, 0x80] {
                let mut altered = good.object.clone();
                altered[place] ^= bit;
                if let Ok(says) = verify_now(&altered, &good.roots) {
                    assert_eq!(says, said, "{format}, octet {place}");
                }
            }
        }
    }
}

#[test]
fn a_statement_of_one_format_is_none_of_another() {
    let names: Vec<&str> = AttestationFormat::ALL.iter().map(|it| it.name()).collect();
    for format in AttestationFormat::ALL {
        let good = good(format);
        for other in names.iter().filter(|name| **name != format.name()) {
            let altered = made::with_format(&good, other);
            assert!(
                verify_now(&altered, &good.roots).is_err(),
                "{format} as {other}"
            );
        }
        for unknown in [
            "none",
            "fido-u2f",
            "android-safetynet",
            "compound",
            "TPM",
            "",
        ] {
            assert!(matches!(
                verify_now(&made::with_format(&good, unknown), &good.roots),
                Err(AttestationError::UnknownFormat(_))
            ));
        }
    }
}

/// A statement is good for the challenge that it was made for: neither for another token nor for another account.
#[test]
fn a_statement_that_is_sent_again_answers_no_other_challenge() {
    for format in AttestationFormat::ALL {
        let good = good(format);
        let other = key_authorization().replace(TOKEN, "another-token");
        let challenge = AttestationChallenge {
            token: "another-token",
            key_authorization: &other,
        };
        let object = AttestationObject::from_cbor(&good.object).expect("read");
        let refused = super::verify(&object, &challenge, &good.roots, at(NOW)).expect_err("stale");
        assert!(
            matches!(
                refused,
                AttestationError::OtherChallenge(_) | AttestationError::Signature(_)
            ),
            "{format}: {refused}"
        );
    }
}

#[test]
fn what_is_no_attestation_object_is_told_apart() {
    let no_member = |name, wanted| AttestationError::Member { name, wanted };
    for (text, error) in [
        ("", AttestationError::Cbor("it ends too early")),
        ("80", AttestationError::Cbor("it is no map")),
        ("a0", no_member("fmt", "text")),
        // {"fmt": "tpm"}, {"fmt": 1, "attStmt": {}}, {"fmt": "tpm", "attStmt": []}
        ("a163666d746374706d", no_member("attStmt", "map")),
        ("a263666d74016761747453746d74a0", no_member("fmt", "text")),
        (
            "a263666d746374706d6761747453746d7480",
            no_member("attStmt", "map"),
        ),
    ] {
        let octets = hex::decode(text).expect("hexadecimal");
        assert_eq!(AttestationObject::from_cbor(&octets), Err(error), "{text}");
    }
    let long = vec![0; MAX_OBJECT_OCTETS + 1];
    assert_eq!(
        AttestationObject::from_cbor(&long),
        Err(AttestationError::TooLarge(MAX_OBJECT_OCTETS + 1))
    );
}

#[test]
fn a_devices_name_is_plain_text() {
    for (text, good) in [
        ("ABC123", true),
        ("ABC123/1.2.3.4", true),
        ("00:1a:2b", true),
        ("", false),
        ("/1.2.3", false),
        ("ABC/", false),
        ("ABC/1", false),
        ("ABC/1.2.03", false),
        ("ABC/1.2.3/4", false),
        ("a b", false),
        ("a*", false),
        ("{id}", false),
        ("é", false),
        ("a\n", false),
    ] {
        let read = DeviceIdentity::parse_permanent(text);
        assert_eq!(read.is_ok(), good, "{text:?}");
        if let Ok(identity) = read {
            assert_eq!(identity.value(), text);
        }
    }
    assert!(DeviceIdentity::parse_hardware_module("ABC").is_err());
    let module = DeviceIdentity::parse_hardware_module("ABC/1.2.3.4").expect("a module");
    assert_eq!(module.to_string(), "hardware-module:ABC/1.2.3.4");
    assert!(DeviceIdentity::parse_permanent(&"a".repeat(256)).is_err());
}
