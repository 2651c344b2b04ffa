//! The public key of a key pair in a token, as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
//!
//! A token has no SubjectPublicKeyInfo, but the curve's parameters and a point, which is wrapped in an OCTET STRING by the
//! specification (PKCS #11 2.40 mechanisms, section 2.3.3) and bare with some makers.

use cryptoki::{
    error::Error,
    object::{Attribute, AttributeType, KeyType, ObjectHandle},
    session::Session,
};
use portcullis_ca::key::{KeyAlgorithm, KeyError, PublicKey};

/// The parameters of an algorithm's curve: its OID as DER.
pub(super) fn curve(algorithm: KeyAlgorithm) -> &'static [u8] {
    match algorithm {
        KeyAlgorithm::P256 => &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        KeyAlgorithm::P384 => &[0x06, 5, 0x2b, 0x81, 0x04, 0x00, 0x22],
        KeyAlgorithm::Ed25519 => &[0x06, 3, 0x2b, 0x65, 0x70],
    }
}

/// PKCS #11 3.0 (section 2.3.10) also knows Ed25519 by this name, a PrintableString.
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";

/// Reads a public key object.
///
/// # Errors
/// The outer ones are the module's; the inner ones say that the key isn't one that we use.
pub(super) fn read_public_key(
    session: &Session,
    object: ObjectHandle,
) -> Result<Result<PublicKey, KeyError>, Error> {
    let attributes = session.get_attributes(object, &[AttributeType::KeyType])?;
    let kind = attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::KeyType(kind) => Some(kind),
        _ => None,
    });
    if kind != Some(KeyType::EC) && kind != Some(KeyType::EC_EDWARDS) {
        return Ok(Err(KeyError::NotAllowed("a key of another kind")));
    }
    let attributes =
        session.get_attributes(object, &[AttributeType::EcParams, AttributeType::EcPoint])?;
    let (mut parameters, mut point) = (Vec::new(), Vec::new());
    for attribute in attributes {
        match attribute {
            Attribute::EcParams(value) => parameters = value,
            Attribute::EcPoint(value) => point = value,
            _ => {}
        }
    }
    Ok(from_point(&parameters, &point))
}

fn from_point(parameters: &[u8], point: &[u8]) -> Result<PublicKey, KeyError> {
    let algorithm = KeyAlgorithm::ALL
        .into_iter()
        .find(|algorithm| parameters == curve(*algorithm))
        .or((parameters == EDWARDS25519).then_some(KeyAlgorithm::Ed25519))
        .ok_or(KeyError::NotAllowed("an EC key on another curve"))?;
    let size = match algorithm {
        KeyAlgorithm::P256 => 65,
        KeyAlgorithm::P384 => 97,
        KeyAlgorithm::Ed25519 => 32,
    };
    let bits = match point {
        bare if bare.len() == size => bare,
        [0x04, length, inner @ ..] if usize::from(*length) == size && inner.len() == size => inner,
        _ => return Err(KeyError::Malformed("its EC_POINT is no point of its curve")),
    };
    PublicKey::from_subject_public_key_info(&subject_public_key_info(algorithm, bits))
}

fn subject_public_key_info(algorithm: KeyAlgorithm, bits: &[u8]) -> Vec<u8> {
    const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    let identifier = match algorithm {
        KeyAlgorithm::P256 | KeyAlgorithm::P384 => {
            sequence(&[EC_PUBLIC_KEY, curve(algorithm)].concat())
        }
        KeyAlgorithm::Ed25519 => sequence(curve(algorithm)),
    };
    let bit_string = tagged(0x03, &[&[0], bits].concat());
    sequence(&[identifier, bit_string].concat())
}

pub(super) fn sequence(contents: &[u8]) -> Vec<u8> {
    tagged(0x30, contents)
}

/// A DER value (X.690 section 8.1).
pub(super) fn tagged(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = contents.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|octet| **octet == 0).count()..];
    match significant {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        long => {
            // At most eight octets.
            #[expect(clippy::cast_possible_truncation, reason = "a usize has eight octets")]
            der.push(0x80 | long.len() as u8);
            der.extend(long);
        }
    }
    der.extend(contents);
    der
}

#[cfg(test)]
mod tests {
    use portcullis_ca::key::{Signer, SigningKey};

    use super::*;

    #[test]
    fn a_point_is_read_in_its_octet_string_or_bare() {
        for algorithm in KeyAlgorithm::ALL {
            let key = SigningKey::generate(algorithm).expect("a key");
            let info = key.public_key().subject_public_key_info();
            let size = if algorithm == KeyAlgorithm::Ed25519 { 32 } else { info.len() - 26 };
            let bits = &info[info.len() - size.min(info.len())..];
            let bits = match algorithm {
                KeyAlgorithm::P256 => &info[info.len() - 65..],
                KeyAlgorithm::P384 => &info[info.len() - 97..],
                KeyAlgorithm::Ed25519 => bits,
            };
            let wrapped = tagged(0x04, bits);
            for point in [bits, &wrapped] {
                let read = from_point(curve(algorithm), point).expect("a key");
                assert_eq!(read.subject_public_key_info(), info, "{algorithm}");
            }
            for point in [&bits[1..], &wrapped[1..], &wrapped[..wrapped.len() - 1], &[]] {
                assert!(from_point(curve(algorithm), point).is_err(), "{algorithm}");
            }
        }
    }

    #[test]
    fn other_curves_are_refused() {
        let secp256k1 = [0x06, 5, 0x2b, 0x81, 0x04, 0x00, 0x0a];
        assert_eq!(
            from_point(&secp256k1, &[4; 65]),
            Err(KeyError::NotAllowed("an EC key on another curve"))
        );
    }

    #[test]
    fn lengths_are_der() {
        for (length, head) in [
            (0, &[0x04, 0][..]),
            (127, &[0x04, 127]),
            (128, &[0x04, 0x81, 128]),
            (255, &[0x04, 0x81, 255]),
            (256, &[0x04, 0x82, 1, 0]),
        ] {
            let der = tagged(0x04, &vec![7; length]);
            assert_eq!(&der[..head.len()], head);
            assert_eq!(der.len(), head.len() + length);
        }
    }
}
