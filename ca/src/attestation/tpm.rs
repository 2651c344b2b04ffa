//! `tpm`: a TPM 2.0 certifies a key of its own (WebAuthn section 8.3, as draft-ietf-acme-device-attest section 5 has it).
//!
//! The attestation key, whose certificate leads to a root of the maker's or the operator's, signs a TPMS_ATTEST over the
//! name of the key and the digest of the key authorization.

mod structures;

use structures::{Attest, Public, Signature};

use super::{
    AttestationError, AttestationFormat, Attested, Context,
    certificate::{DeviceNames, purposes},
    cose::Algorithm,
    path::verified,
};
use crate::chain::{Facts, Fault, Place};

/// tcg-kp-AIKCertificate, 2.23.133.8.3.
const AIK_CERTIFICATE: &[u8] = &[0x67, 0x81, 0x05, 0x08, 0x03];
/// tcg-at-tpmManufacturer, 2.23.133.2.1.
const MANUFACTURER: &[u8] = &[0x67, 0x81, 0x05, 0x02, 0x01];
/// tcg-at-tpmModel, 2.23.133.2.2.
const MODEL: &[u8] = &[0x67, 0x81, 0x05, 0x02, 0x02];
/// tcg-at-tpmVersion, 2.23.133.2.3.
const VERSION: &[u8] = &[0x67, 0x81, 0x05, 0x02, 0x03];

pub(super) fn verify(context: &Context<'_>) -> Result<Attested, AttestationError> {
    let object = context.object;
    if object.text("ver")? != "2.0" {
        return Err(AttestationError::Member {
            name: "ver",
            wanted: "text \"2.0\"",
        });
    }
    let algorithm = Algorithm::from_number(object.integer("alg")?)?;
    let certificates = object.certificates()?;
    let facts = verified(context, &certificates, Some(AIK_CERTIFICATE))?;
    let names = DeviceNames::of(&facts, AttestationFormat::Tpm)?;
    let maker = check_certificate(&facts, &names)?;

    let signed = object.bytes("certInfo")?;
    let signature = Signature::read(object.bytes("sig")?)?;
    algorithm.verify(
        facts.subject_public_key_info(),
        signed,
        &signature.for_algorithm(algorithm)?,
        "the attestation key in the first certificate of x5c",
    )?;
    let attest = Attest::read(signed)?;
    // WebAuthn section 8.3 hashes with the signature's hash; the draft puts the key authorization in attToBeSigned's place.
    let digest = algorithm
        .hash
        .digest(context.challenge.key_authorization.as_bytes());
    if attest.extra_data != digest.as_ref() {
        return Err(AttestationError::OtherChallenge(
            "extraData of certInfo must be the digest of the key authorization, by the hash of alg",
        ));
    }
    let area = object.bytes("pubArea")?;
    let public = Public::read(area)?;
    if attest.name != public.name(area) {
        return Err(AttestationError::NotBound(
            "certInfo certifies another key than the one in pubArea".to_owned(),
        ));
    }
    public.check_bound()?;
    Ok(Attested {
        format: AttestationFormat::Tpm,
        public_key: public.key,
        identities: names.identities,
        vendor: Some(maker.manufacturer),
        model: Some(maker.model),
        aaguid: None,
        security_level: None,
        verified_boot: None,
    })
}

/// Who made the TPM, as its certificate says.
struct Maker {
    manufacturer: String,
    model: String,
}

/// What WebAuthn section 8.3.1 asks of an attestation key's certificate.
fn check_certificate(
    facts: &Facts<'_>,
    names: &DeviceNames<'_>,
) -> Result<Maker, AttestationError> {
    let refuse = |reason: &str| AttestationError::not_of_format(AttestationFormat::Tpm, reason);
    if facts.certificate.version().0 != 2 {
        return Err(refuse("it must be an X.509 certificate of version 3"));
    }
    if facts.certificate.subject().iter().next().is_some() {
        return Err(refuse("its subject must be empty"));
    }
    let purposes = purposes(facts).map_err(|fault: Fault| AttestationError::Certificate {
        place: Place::Leaf,
        fault,
    })?;
    if !purposes.is_some_and(|purposes| purposes.contains(&AIK_CERTIFICATE)) {
        return Err(refuse(
            "its extended key usages must have tcg-kp-AIKCertificate (2.23.133.8.3)",
        ));
    }
    let attribute = |oid, name: &str| {
        names.attribute(oid).ok_or_else(|| {
            refuse(&format!(
                "a directoryName of its subjectAltName must say once who made the TPM, and which: {name} is missing"
            ))
        })
    };
    let manufacturer = attribute(MANUFACTURER, "tpmManufacturer (2.23.133.2.1)")?;
    let model = attribute(MODEL, "tpmModel (2.23.133.2.2)")?;
    attribute(VERSION, "tpmVersion (2.23.133.2.3)")?;
    // TCG EK Credential Profile section 3.1.2: "id:" and the four octets of the vendor's id.
    let hexadecimal = manufacturer
        .strip_prefix("id:")
        .filter(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .ok_or_else(|| refuse("its tpmManufacturer must be id: and eight hexadecimal digits"))?;
    Ok(Maker {
        manufacturer: format!("id:{}", hexadecimal.to_ascii_uppercase()),
        model: model.to_owned(),
    })
}
