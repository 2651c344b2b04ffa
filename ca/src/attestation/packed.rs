//! `packed`: a FIDO authenticator's statement with its certificate (WebAuthn section 8.2). Without a certificate (self
//! attestation) it proves nothing about a device, and is refused.
//!
//! Here alone `authData` is needed: the certified key stands in it. The digest of the key authorization takes the place of
//! the client data's; the hash of the relying party's name means nothing to an ACME server and is not looked at.

use super::{
    AttestationError, AttestationFormat, Attested, Context, DeviceIdentity,
    cbor::{self, Map, Value},
    certificate::{DeviceNames, extension, one_attribute, subject_attributes},
    cose::{self, Algorithm},
    path::verified,
};
use crate::{chain::Facts, der::reader::Reader, key::sha256};

/// id-fido-gen-ce-aaguid, 1.3.6.1.4.1.45724.1.1.4.
const AAGUID: &[u8] = &[
    0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xe5, 0x1c, 0x01, 0x01, 0x04,
];
/// Attributes of a Name: serialNumber, countryName, organizationName, organizationalUnitName.
const SERIAL_NUMBER: &[u8] = &[0x55, 0x04, 0x05];
const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 0x04, 0x0b];

pub(super) fn verify(context: &Context<'_>) -> Result<Attested, AttestationError> {
    let object = context.object;
    let algorithm = Algorithm::from_number(object.integer("alg")?)?;
    let signature = object.bytes("sig")?;
    let certificates = object.certificates()?;
    let facts = verified(context, &certificates, None)?;
    let octets = object
        .authenticator_data()
        .ok_or(AttestationError::Member {
            name: "authData",
            wanted: "byte string; the attested key stands in it",
        })?;
    let data = AuthenticatorData::read(octets)?;
    let digest = sha256(context.challenge.key_authorization.as_bytes());
    algorithm.verify(
        facts.subject_public_key_info(),
        &[octets, &digest].concat(),
        signature,
        "the key in the first certificate of x5c, over authData and the SHA-256 digest of the key authorization",
    )?;
    let (vendor, identities) = check_certificate(&facts, &data)?;
    Ok(Attested {
        format: AttestationFormat::Packed,
        public_key: cose::public_key(&data.key)?,
        identities,
        vendor: Some(vendor),
        model: None,
        aaguid: Some(data.aaguid),
        security_level: None,
        verified_boot: None,
    })
}

/// The authenticator data (WebAuthn section 6.1), as far as it is needed.
struct AuthenticatorData<'a> {
    aaguid: [u8; 16],
    key: Map<'a>,
}

impl<'a> AuthenticatorData<'a> {
    fn read(octets: &'a [u8]) -> Result<Self, AttestationError> {
        /// Attested credential data follow.
        const ATTESTED: u8 = 0x40;
        /// Extension data follow.
        const EXTENSIONS: u8 = 0x80;
        let refuse = |reason| AttestationError::malformed("authData", reason);
        let header = || {
            // rpIdHash, flags, signCount; then aaguid, and the credential id with its length.
            let (_relying_party, rest) = octets.split_at_checked(32)?;
            let (flags, rest) = rest.split_first()?;
            let (_count, rest) = rest.split_at_checked(4)?;
            let (aaguid, rest) = rest.split_first_chunk::<16>()?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (_id, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
            Some((*flags, *aaguid, rest))
        };
        let (flags, aaguid, rest) =
            header().ok_or_else(|| refuse("it has no attested credential data"))?;
        if flags & ATTESTED == 0 {
            return Err(refuse("its flags say that no attested credential follows"));
        }
        let (key, rest) = cbor::read_first(rest).map_err(refuse)?;
        let Value::Map(key) = key else {
            return Err(refuse("its key is no COSE_Key"));
        };
        let extensions = flags & EXTENSIONS != 0;
        match (extensions, rest) {
            (false, []) => {}
            (true, rest) if matches!(cbor::read(rest), Ok(Value::Map(_))) => {}
            (false | true, _) => return Err(refuse("something else follows the key")),
        }
        Ok(Self { aaguid, key })
    }
}

/// What WebAuthn section 8.2.1 asks of the certificate; the answer is who made the authenticator, and which one it is.
fn check_certificate(
    facts: &Facts<'_>,
    data: &AuthenticatorData<'_>,
) -> Result<(String, Vec<DeviceIdentity>), AttestationError> {
    const FORMAT: AttestationFormat = AttestationFormat::Packed;
    let refuse = |reason: &str| AttestationError::not_of_format(FORMAT, reason);
    if facts.certificate.version().0 != 2 {
        return Err(refuse("it must be an X.509 certificate of version 3"));
    }
    let subject = subject_attributes(facts).ok_or_else(|| refuse("its subject can't be read"))?;
    if one_attribute(&subject, ORGANIZATIONAL_UNIT) != Some("Authenticator Attestation") {
        return Err(refuse(
            "the organizationalUnitName of its subject must be \"Authenticator Attestation\"",
        ));
    }
    one_attribute(&subject, COUNTRY).ok_or_else(|| refuse("its subject names no country"))?;
    let vendor = one_attribute(&subject, ORGANIZATION)
        .ok_or_else(|| refuse("its subject must name one organization, the maker"))?;
    if facts.basic_constraints.is_none() {
        return Err(refuse("its basicConstraints must say that it is no CA"));
    }
    // The model that the maker certified must be the one that the statement claims.
    if let Some(value) = extension(facts, AAGUID) {
        let mut reader = Reader::new(value);
        let certified = reader.expect(0x04).filter(|_| reader.is_empty());
        if certified.is_none_or(|certified| certified.contents != data.aaguid) {
            return Err(refuse(
                "the AAGUID in it (1.3.6.1.4.1.45724.1.1.4) is another one than authData has",
            ));
        }
    }
    let mut identities = DeviceNames::of(facts, FORMAT)?.identities;
    if subject.iter().any(|(kind, _)| *kind == SERIAL_NUMBER) {
        let serial = one_attribute(&subject, SERIAL_NUMBER).ok_or_else(|| {
            refuse("its subject has several serialNumbers, or one that is no text")
        })?;
        identities.push(DeviceIdentity::permanent(serial.as_bytes(), None)?);
    }
    identities.sort();
    identities.dedup();
    Ok((vendor.to_owned(), identities))
}
