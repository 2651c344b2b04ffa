//! What a tls-alpn-01 certificate must be (RFC 8737 section 3, RFC 8738 section 6): one name, and the digest of the key
//! authorization in the critical extension `acmeIdentifier`. Its signer, validity and other extensions are not judged.

use std::net::IpAddr;

use x509_parser::{
    extensions::{GeneralName, ParsedExtension, X509Extension},
    oid_registry::{OID_X509_EXT_SUBJECT_ALT_NAME, Oid, asn1_rs::oid},
    prelude::{FromDer as _, X509Certificate},
};

use crate::domain::identifier::Identifier;

/// id-pe-acmeIdentifier (RFC 8737 section 6.1).
const ACME_IDENTIFIER: Oid<'static> = oid!(1.3.6.1.5.5.7.1.31);

/// Where drafts of RFC 8737 had it. Let's Encrypt took it long after (2022); it counts for nothing here.
const OLD_ACME_IDENTIFIER: Oid<'static> = oid!(1.3.6.1.5.5.7.1.30.1);

/// How many of the names that were found are shown to whoever has to find the fault.
const SHOWN_NAMES: usize = 3;

/// Checks the certificate; `digest` is SHA-256 of the key authorization.
///
/// # Errors
/// What is wrong with it and what would be right, to be read after "the certificate".
pub fn check(der: &[u8], identifier: &Identifier, digest: &[u8]) -> Result<(), String> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|error| format!("can't be read ({error})"))?;
    if !rest.is_empty() {
        return Err("has octets after its end".to_owned());
    }
    let extensions = certificate.extensions();
    if let Some(twice) = extensions.iter().enumerate().find_map(|(place, it)| {
        let mut before = extensions[..place].iter();
        before.any(|other| other.oid == it.oid).then_some(&it.oid)
    }) {
        return Err(format!("has the extension {twice} twice"));
    }
    check_name(find(extensions, &OID_X509_EXT_SUBJECT_ALT_NAME), identifier)?;
    check_digest(extensions, digest)
}

fn find<'a, 'b>(
    extensions: &'b [X509Extension<'a>],
    oid: &Oid<'_>,
) -> Option<&'b X509Extension<'a>> {
    extensions.iter().find(|extension| extension.oid == *oid)
}

/// Exactly one subject alternative name: the identifier (RFC 8737 section 3), compared without regard to case.
fn check_name(
    extension: Option<&X509Extension<'_>>,
    identifier: &Identifier,
) -> Result<(), String> {
    let wanted = format!("its only subject alternative name must be {identifier}");
    let Some(extension) = extension else {
        return Err(format!("has no subject alternative name; {wanted}"));
    };
    let ParsedExtension::SubjectAlternativeName(found) = extension.parsed_extension() else {
        return Err(format!(
            "has subject alternative names that can't be read; {wanted}"
        ));
    };
    let names = &found.general_names;
    let octets = match (identifier, names.as_slice()) {
        (Identifier::Dns(name), [GeneralName::DNSName(only)])
            if only.eq_ignore_ascii_case(name.as_str()) =>
        {
            general_names(2, only.as_bytes())
        }
        (Identifier::Ip(IpAddr::V4(address)), [GeneralName::IPAddress(only)])
            if address.octets() == *only =>
        {
            general_names(7, only)
        }
        (Identifier::Ip(IpAddr::V6(address)), [GeneralName::IPAddress(only)])
            if address.octets() == *only =>
        {
            general_names(7, only)
        }
        (_, names) => {
            let shown: Vec<String> = names
                .iter()
                .take(SHOWN_NAMES)
                .map(|name| name.to_string().chars().take(100).collect())
                .collect();
            return Err(format!(
                "has {} subject alternative names ({}{}); {wanted}",
                names.len(),
                shown.join(", "),
                if names.len() > SHOWN_NAMES {
                    ", …"
                } else {
                    ""
                }
            ));
        }
    };
    if octets.as_deref() == Some(extension.value) {
        Ok(())
    } else {
        Err(format!(
            "has subject alternative names that aren't DER; {wanted}"
        ))
    }
}

/// The DER of a `GeneralNames` with one name of up to 255 octets.
fn general_names(tag: u8, name: &[u8]) -> Option<Vec<u8>> {
    let inner = value(0x80 | tag, name)?;
    value(0x30, &inner)
}

fn value(tag: u8, contents: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(contents.len()).ok()?.to_be_bytes();
    let header: &[u8] = match length {
        [0, short] if short < 0x80 => &[tag, short],
        [0, long] => &[tag, 0x81, long],
        [high, low] => &[tag, 0x82, high, low],
    };
    Some([header, contents].concat())
}

/// The digest in a critical extension, as an octet string in DER.
fn check_digest(extensions: &[X509Extension<'_>], digest: &[u8]) -> Result<(), String> {
    const WANTED: &str = "the critical extension 1.3.6.1.5.5.7.1.31 (acmeIdentifier) must hold SHA-256 of the key authorization as an octet string";
    let Some(extension) = find(extensions, &ACME_IDENTIFIER) else {
        return Err(match find(extensions, &OLD_ACME_IDENTIFIER) {
            Some(_) => {
                format!("has acmeIdentifier as a draft numbered it, 1.3.6.1.5.5.7.1.30.1; {WANTED}")
            }
            None => format!("has no acmeIdentifier; {WANTED}"),
        });
    };
    if !extension.critical {
        return Err(format!("has acmeIdentifier, but not critical; {WANTED}"));
    }
    match extension.value.strip_prefix(&[0x04, 0x20]) {
        Some(found) if found == digest => Ok(()),
        Some(found) if found.len() == digest.len() => Err(format!(
            "has acmeIdentifier with {}, and {} is expected; is it that of another challenge?",
            hex::encode(found),
            hex::encode(digest)
        )),
        Some(_) | None => Err(format!(
            "has acmeIdentifier with something else in it; {WANTED}"
        )),
    }
}
