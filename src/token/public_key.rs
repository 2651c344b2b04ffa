//! The public key of a key pair in a token, as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
//!
//! A token has no SubjectPublicKeyInfo, but numbers, or a curve's parameters and a point, which is wrapped in an OCTET
//! STRING by the specification (PKCS #11 2.40 mechanisms, section 2.3.3) and bare with some makers.

use cryptoki::{
    error::Error,
    object::{Attribute, AttributeType, KeyType, ObjectHandle},
    session::Session,
};
use portcullis_ca::key::{KeyError, PublicKey};

use super::mechanism::{ED25519, P256, P384};

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
    let kind = session.get_attributes(object, &[AttributeType::KeyType])?;
    let is = |wanted| kind.contains(&Attribute::KeyType(wanted));
    let read = |wanted: [AttributeType; 2]| session.get_attributes(object, &wanted);
    if is(KeyType::RSA) {
        return Ok(
            match read([AttributeType::Modulus, AttributeType::PublicExponent])?.as_slice() {
                [
                    Attribute::Modulus(modulus),
                    Attribute::PublicExponent(exponent),
                ] => PublicKey::from_rsa(without_zeros(modulus), without_zeros(exponent)),
                _ => Err(KeyError::Malformed("it lacks its modulus or exponent")),
            },
        );
    }
    if is(KeyType::EC) || is(KeyType::EC_EDWARDS) {
        return Ok(
            match read([AttributeType::EcParams, AttributeType::EcPoint])?.as_slice() {
                [Attribute::EcParams(parameters), Attribute::EcPoint(point)] => {
                    from_point(parameters, point)
                }
                _ => Err(KeyError::Malformed("it lacks its curve or point")),
            },
        );
    }
    Ok(Err(KeyError::NotAllowed("a key of another kind")))
}

fn from_point(parameters: &[u8], point: &[u8]) -> Result<PublicKey, KeyError> {
    const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    let on = |curve: &[u8]| [EC_PUBLIC_KEY, curve].concat();
    let (identifier, size) = match parameters {
        P256 => (on(P256), 65),
        P384 => (on(P384), 97),
        ED25519 | EDWARDS25519 => (ED25519.to_vec(), 32),
        _ => return Err(KeyError::NotAllowed("an EC key on another curve")),
    };
    let bits = match point {
        bare if bare.len() == size => bare,
        [0x04, length, inner @ ..] if usize::from(*length) == size && inner.len() == size => inner,
        _ => {
            return Err(KeyError::Malformed("its EC_POINT is no point of its curve"));
        }
    };
    let info = [
        tagged(0x30, &identifier),
        tagged(0x03, &[&[0], bits].concat()),
    ];
    PublicKey::from_subject_public_key_info(&tagged(0x30, &info.concat()))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    &number[zeros..]
}

/// A DER value (X.690 section 8.1).
pub(super) fn tagged(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = contents.len().to_be_bytes();
    let significant = without_zeros(&length);
    match significant {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        long => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a length has at most eight octets"
            )]
            der.push(0x80 | long.len() as u8);
            der.extend(long);
        }
    }
    der.extend(contents);
    der
}

#[cfg(test)]
mod tests {
    use portcullis_ca::key::{KeyAlgorithm, Signer, SigningKey};

    use super::*;

    #[test]
    fn a_point_is_read_in_its_octet_string_or_bare() {
        for (algorithm, parameters) in [
            (KeyAlgorithm::P256, P256),
            (KeyAlgorithm::P384, P384),
            (KeyAlgorithm::Ed25519, ED25519),
            (KeyAlgorithm::Ed25519, EDWARDS25519),
        ] {
            let key = SigningKey::generate(algorithm).expect("a key");
            let info = key.public_key().subject_public_key_info();
            let bits = key.public_key().bits();
            let wrapped = tagged(0x04, bits);
            for point in [bits, &wrapped] {
                let read = from_point(parameters, point).expect("a key");
                assert_eq!(read.subject_public_key_info(), info, "{algorithm}");
            }
            for point in [
                &bits[1..],
                &wrapped[2..wrapped.len() - 1],
                &wrapped[..wrapped.len() - 1],
                &[],
            ] {
                assert!(from_point(parameters, point).is_err(), "{algorithm}");
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
