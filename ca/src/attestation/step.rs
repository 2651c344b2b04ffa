//! `step`: the PIV application of a YubiKey certifies a key that it made (Yubico's PIV attestation), and the key signs the
//! key authorization, as step-ca and its clients do it.

use super::{
    AttestationError, AttestationFormat, Attested, Context, DeviceIdentity,
    cbor::{self, Value},
    certificate::extension,
    cose::Algorithm,
    path::verified,
};
use crate::{chain::Facts, der::reader::Reader, key::PublicKey};

/// The YubiKey's serial number, 1.3.6.1.4.1.41482.3.7.
const SERIAL_NUMBER: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xc4, 0x0a, 0x03, 0x07];

pub(super) fn verify(context: &Context<'_>) -> Result<Attested, AttestationError> {
    let object = context.object;
    let certificates = object.certificates()?;
    let facts = verified(context, &certificates, None)?;
    let public_key = PublicKey::from_subject_public_key_info(facts.subject_public_key_info())
        .map_err(AttestationError::Key)?;
    let usual = Algorithm::of_key(public_key.algorithm()).ok_or_else(|| {
        AttestationError::Algorithm(format!(
            "no YubiKey has a key of {}",
            public_key.algorithm()
        ))
    })?;
    let algorithm = match object.optional_integer("alg")? {
        None => usual,
        Some(number) => Algorithm::from_number(number)?,
    };
    // A byte string in CBOR within the byte string.
    let Ok(Value::Bytes(signature)) = cbor::read(object.bytes("sig")?) else {
        return Err(AttestationError::Member {
            name: "sig",
            wanted: "byte string that holds a byte string in CBOR",
        });
    };
    algorithm.verify(
        facts.subject_public_key_info(),
        context.challenge.key_authorization.as_bytes(),
        signature,
        "the key in the first certificate of x5c, over the key authorization",
    )?;
    Ok(Attested {
        format: AttestationFormat::Step,
        public_key,
        identities: serial_number(&facts)?.into_iter().collect(),
        vendor: None,
        model: None,
        aaguid: None,
        security_level: None,
        verified_boot: None,
    })
}

/// The serial number: an INTEGER, in decimal digits.
fn serial_number(facts: &Facts<'_>) -> Result<Option<DeviceIdentity>, AttestationError> {
    let Some(value) = extension(facts, SERIAL_NUMBER) else {
        return Ok(None);
    };
    let read = || {
        let mut reader = Reader::new(value);
        let contents = reader.expect(0x02)?.contents;
        reader.end()?;
        // Positive, in the fewest octets, and no more than the card has.
        match contents {
            [0x80..=0xff, ..] | [0, 0..0x80, ..] | [] => None,
            octets if octets.len() > 5 => None,
            octets => Some(
                octets
                    .iter()
                    .fold(0_u64, |number, octet| number << 8 | u64::from(*octet)),
            ),
        }
    };
    let number = read().ok_or_else(|| {
        AttestationError::not_of_format(
            AttestationFormat::Step,
            "its YubiKey serial number (1.3.6.1.4.1.41482.3.7) is no positive INTEGER",
        )
    })?;
    DeviceIdentity::permanent(number.to_string().as_bytes(), None).map(Some)
}
