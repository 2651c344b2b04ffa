//! The fields of a TBSCertificate: version, serial, algorithm, issuer, key (RFC 5280 section 4.1).

use x509_parser::x509::X509Version;

use super::{Examined, Findings};
use crate::{der, serial::Serial};

pub(super) fn check(findings: &mut Findings, it: &Examined<'_>) {
    let (parsed, draft) = (it.parsed, it.draft);
    findings.require(
        parsed.version == X509Version::V3,
        "RFC 5280 4.1.2.1: version 3",
        || format!("{:?}", parsed.version),
    );
    let serial = parsed.raw_serial();
    findings.require(
        serial.len() <= Serial::WIDTH && serial.first().is_some_and(|first| first & 0x80 == 0),
        "RFC 5280 4.1.2.2: the serial is positive, of at most 20 octets",
        || hex::encode(serial),
    );
    findings.require(
        Serial::from_der_integer(serial) == Ok(draft.serial),
        "the serial is the one that was drawn",
        || hex::encode(serial),
    );
    findings.require(
        draft.serial.significant_octets().len() >= 12,
        "the serial has 128 random bits",
        || draft.serial.to_string(),
    );
    let signer = it
        .issuer
        .map_or(&draft.public_key, |issuer| issuer.public_key());
    let identifier = signature_identifier(it.to_be_signed);
    findings.require(
        identifier == Some(signer.algorithm().signature_algorithm_identifier()),
        "RFC 5280 4.1.2.3: the signature algorithm is the issuer's key's, with its parameters",
        || identifier.map_or_else(String::new, hex::encode),
    );
    let issuer_name = it
        .issuer
        .map_or(parsed.subject.as_raw(), |issuer| issuer.subject());
    findings.require(
        parsed.issuer.as_raw() == issuer_name && parsed.issuer.iter().next().is_some(),
        "RFC 5280 4.1.2.4: the issuer is the issuer's subject, to the byte, and not empty",
        || parsed.issuer.to_string(),
    );
    findings.require(
        parsed.subject_pki.raw == draft.public_key.subject_public_key_info(),
        "RFC 5280 4.1.2.7: the key is the one whose possession was proved, to the byte",
        || "another SubjectPublicKeyInfo".to_owned(),
    );
    findings.require(
        draft.profile.keys.contains(&draft.public_key.algorithm()),
        "the key is of a kind that the profile certifies",
        || draft.public_key.algorithm().to_string(),
    );
    findings.require(
        it.issuer
            .is_none_or(|issuer| issuer.public_key() != &draft.public_key),
        "a certificate is not about its issuer's key",
        || "the same key".to_owned(),
    );
    // Unique identifiers stand between the key and the extensions, and nobody writes them (RFC 5280 section 4.1.2.8).
    findings.require(
        parsed.issuer_uid.is_none() && parsed.subject_uid.is_none(),
        "RFC 5280 4.1.2.8: there are no unique identifiers",
        || "there is one".to_owned(),
    );
}

/// The AlgorithmIdentifier that stands third, after the version and the serial.
fn signature_identifier(to_be_signed: &[u8]) -> Option<&[u8]> {
    let (_, contents, _) = der::split(to_be_signed)?;
    let (_, _, after_version) = der::split(contents)?;
    let (_, _, after_serial) = der::split(after_version)?;
    Some(der::split(after_serial)?.0)
}
