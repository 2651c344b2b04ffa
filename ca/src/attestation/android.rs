//! `android-key`: the keystore of an Android device certifies a key of its own (WebAuthn section 8.4, and Android's
//! "Verify hardware-backed key pairs").
//!
//! The certificate is about the very key; an extension of it says where the key is kept, what it was asked about, and, if a
//! device owner's app asked, which device it is. What counts is what the secure hardware enforces; what the system says
//! beside it (`softwareEnforced`) is believed in nothing.

use super::{
    AttestationError, AttestationFormat, Attested, Context, DeviceIdentity, SecurityLevel,
    certificate::extension, cose::Algorithm, path::verified,
};
use crate::{
    chain::Facts,
    der::reader::Reader,
    key::{PublicKey, sha256},
};

/// The key attestation extension, 1.3.6.1.4.1.11129.2.1.17.
const KEY_DESCRIPTION: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x01, 0x11];

pub(super) fn verify(context: &Context<'_>) -> Result<Attested, AttestationError> {
    let object = context.object;
    let algorithm = Algorithm::from_number(object.integer("alg")?)?;
    let signature = object.bytes("sig")?;
    let certificates = object.certificates()?;
    let facts = verified(context, &certificates, None)?;
    // An attested key must not attest another one: only the first certificate may have the extension.
    for der in certificates.iter().skip(1) {
        if Facts::read(der).is_ok_and(|facts| extension(&facts, KEY_DESCRIPTION).is_some()) {
            return Err(AttestationError::not_of_format(
                AttestationFormat::AndroidKey,
                "another certificate of x5c is an attestation too",
            ));
        }
    }
    let octets = extension(&facts, KEY_DESCRIPTION).ok_or_else(|| {
        AttestationError::not_of_format(
            AttestationFormat::AndroidKey,
            "it lacks the key attestation extension (1.3.6.1.4.1.11129.2.1.17)",
        )
    })?;
    let description = KeyDescription::read(octets).ok_or_else(|| {
        AttestationError::malformed(
            "the key attestation extension",
            "it is no KeyDescription in DER",
        )
    })?;
    algorithm.verify(
        facts.subject_public_key_info(),
        context.challenge.key_authorization.as_bytes(),
        signature,
        "the key in the first certificate of x5c, over the key authorization",
    )?;
    if description.challenge != sha256(context.challenge.key_authorization.as_bytes()) {
        return Err(AttestationError::OtherChallenge(
            "the attestationChallenge must be the SHA-256 digest of the key authorization",
        ));
    }
    let hardware = &description.hardware;
    let security_level = description.check_bound()?;
    let text = |value: Option<&[u8]>| {
        value
            .and_then(|value| std::str::from_utf8(value).ok())
            .filter(|text| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()))
            .map(str::to_owned)
    };
    Ok(Attested {
        format: AttestationFormat::AndroidKey,
        public_key: PublicKey::from_subject_public_key_info(facts.subject_public_key_info())
            .map_err(AttestationError::Key)?,
        identities: hardware
            .serial
            .map(|serial| DeviceIdentity::permanent(serial, None))
            .transpose()?
            .into_iter()
            .collect(),
        vendor: text(hardware.manufacturer),
        model: text(hardware.model),
        aaguid: None,
        security_level: Some(security_level),
        verified_boot: Some(hardware.root_of_trust == Some(RootOfTrust::LockedAndVerified)),
    })
}

/// The contents of the extension, as far as they are needed.
struct KeyDescription<'a> {
    attestation_level: u32,
    key_level: u32,
    challenge: &'a [u8],
    software: AuthorizationList<'a>,
    hardware: AuthorizationList<'a>,
}

/// What holds for a key, by who enforces it.
#[derive(Default)]
struct AuthorizationList<'a> {
    purposes: Vec<u32>,
    all_applications: bool,
    origin: Option<u32>,
    root_of_trust: Option<RootOfTrust>,
    serial: Option<&'a [u8]>,
    manufacturer: Option<&'a [u8]>,
    model: Option<&'a [u8]>,
}

/// How the device started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RootOfTrust {
    LockedAndVerified,
    Other,
}

impl<'a> KeyDescription<'a> {
    fn read(octets: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(octets);
        let mut reader = outer.within(0x30)?;
        outer.end()?;
        let _attestation_version = number(reader.expect(0x02)?.contents)?;
        let attestation_level = number(reader.expect(0x0a)?.contents)?;
        let _keystore_version = number(reader.expect(0x02)?.contents)?;
        let key_level = number(reader.expect(0x0a)?.contents)?;
        let challenge = reader.expect(0x04)?.contents;
        let _unique_id = reader.expect(0x04)?;
        let software = AuthorizationList::read(reader.within(0x30)?)?;
        let hardware = AuthorizationList::read(reader.within(0x30)?)?;
        reader.end()?;
        Some(Self {
            attestation_level,
            key_level,
            challenge,
            software,
            hardware,
        })
    }

    /// Whether the hardware made the key and keeps it, for signing.
    fn check_bound(&self) -> Result<SecurityLevel, AttestationError> {
        /// KM_ORIGIN_GENERATED and KM_PURPOSE_SIGN.
        const GENERATED: u32 = 0;
        const SIGN: u32 = 2;
        let refuse = |reason: &str| Err(AttestationError::NotBound(reason.to_owned()));
        let level = |number| match number {
            1 => Some(SecurityLevel::TrustedEnvironment),
            2 => Some(SecurityLevel::StrongBox),
            _ => None,
        };
        let (Some(attestation), Some(key)) = (level(self.attestation_level), level(self.key_level))
        else {
            return refuse("it is kept in software, not in the device's secure hardware");
        };
        if self.software.all_applications || self.hardware.all_applications {
            return refuse("every application of the device may use it");
        }
        if self.hardware.origin != Some(GENERATED) {
            return refuse("the secure hardware did not make it (its origin is not \"generated\")");
        }
        if !self.hardware.purposes.contains(&SIGN) {
            return refuse("the secure hardware does not sign with it");
        }
        Ok(attestation.min(key))
    }
}

impl<'a> AuthorizationList<'a> {
    fn read(mut reader: Reader<'a>) -> Option<Self> {
        let mut list = Self::default();
        let mut last = None;
        while !reader.is_empty() {
            let (number_of_tag, mut value) = reader.explicit()?;
            // The members stand in the order of their tags, each once; twice would leave open which one holds.
            if last.is_some_and(|last| number_of_tag <= last) {
                return None;
            }
            last = Some(number_of_tag);
            match number_of_tag {
                1 => {
                    let mut set = value.within(0x31)?;
                    while !set.is_empty() {
                        list.purposes.push(number(set.expect(0x02)?.contents)?);
                    }
                }
                600 => list.all_applications = true,
                702 => list.origin = Some(number(value.expect(0x02)?.contents)?),
                704 => list.root_of_trust = Some(RootOfTrust::read(value.within(0x30)?)?),
                713 => list.serial = Some(value.expect(0x04)?.contents),
                716 => list.manufacturer = Some(value.expect(0x04)?.contents),
                717 => list.model = Some(value.expect(0x04)?.contents),
                _ => continue,
            }
            // allApplications is NULL; whatever it is, it is there.
            if number_of_tag != 600 {
                value.end()?;
            }
        }
        Some(list)
    }
}

impl RootOfTrust {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        let _key = reader.expect(0x04)?;
        let locked = match reader.expect(0x01)?.contents {
            [0xff] => true,
            [0] => false,
            _ => return None,
        };
        let state = number(reader.expect(0x0a)?.contents)?;
        let _hash = reader.optional(0x04)?;
        reader.end()?;
        Some(if locked && state == 0 {
            Self::LockedAndVerified
        } else {
            Self::Other
        })
    }
}

/// A number that is not negative, in the fewest octets.
fn number(contents: &[u8]) -> Option<u32> {
    match contents {
        [] | [0x80..=0xff, ..] | [0, 0..0x80, ..] => None,
        octets if octets.len() > 4 => None,
        octets => Some(
            octets
                .iter()
                .fold(0_u32, |number, octet| number << 8 | u32::from(*octet)),
        ),
    }
}
