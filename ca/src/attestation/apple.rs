//! `apple`: Apple's servers certify a key in the Secure Enclave of a managed device (Managed Device Attestation).
//!
//! Apple signs when the device asks it to, before the account's key is known, so the freshness code is the digest of the
//! challenge's token alone (draft-ietf-acme-device-attest section 5). The extensions' values stand in their OCTET STRINGs
//! as they are, without a DER header of their own.

use super::{
    AttestationError, AttestationFormat, Attested, Context, DeviceIdentity, certificate::extension,
    path::verified,
};
use crate::{
    chain::Facts,
    key::{PublicKey, sha256},
};

/// 1.2.840.113635.100.8.9.1.
const SERIAL_NUMBER: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x08, 0x09, 0x01];
/// 1.2.840.113635.100.8.9.2.
const UNIQUE_DEVICE_IDENTIFIER: &[u8] =
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x08, 0x09, 0x02];
/// 1.2.840.113635.100.8.11.1.
const FRESHNESS_CODE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x08, 0x0b, 0x01];

pub(super) fn verify(context: &Context<'_>) -> Result<Attested, AttestationError> {
    let certificates = context.object.certificates()?;
    let facts = verified(context, &certificates, None)?;
    // One that is missing is refused too: such a statement is good for any challenge.
    let freshness = extension(&facts, FRESHNESS_CODE).ok_or(AttestationError::OtherChallenge(
        "the certificate has no freshness code (1.2.840.113635.100.8.11.1)",
    ))?;
    if freshness != sha256(context.challenge.token.as_bytes()) {
        return Err(AttestationError::OtherChallenge(
            "the freshness code must be the SHA-256 digest of the challenge's token",
        ));
    }
    let mut identities = Vec::new();
    for oid in [SERIAL_NUMBER, UNIQUE_DEVICE_IDENTIFIER] {
        identities.extend(identity(&facts, oid)?);
    }
    identities.dedup();
    Ok(Attested {
        format: AttestationFormat::Apple,
        public_key: PublicKey::from_subject_public_key_info(facts.subject_public_key_info())
            .map_err(AttestationError::Key)?,
        identities,
        vendor: None,
        model: None,
        aaguid: None,
        security_level: None,
        verified_boot: None,
    })
}

fn identity(facts: &Facts<'_>, oid: &[u8]) -> Result<Option<DeviceIdentity>, AttestationError> {
    extension(facts, oid)
        .map(|value| DeviceIdentity::permanent(value, None))
        .transpose()
}
