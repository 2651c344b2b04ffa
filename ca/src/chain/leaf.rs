//! The client's own certificate: what it says, and what it must say to be a client's.

use std::net::IpAddr;

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};

use super::{
    algorithm,
    error::Fault,
    facts::{Facts, whole},
};
use crate::{key::sha256, serial::Serial};

/// What a client's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its number at its issuer.
    pub serial: Serial,
    /// Its subject alternative names. The subject's common name is no name of anybody (RFC 9525 section 2).
    pub names: SubjectAltNames,
    /// The first second in which it is valid.
    pub not_before: UnixTime,
    /// The last second in which it is valid.
    pub not_after: UnixTime,
    /// SHA-256 of its DER: RFC 8705's `x5t#S256`.
    pub thumbprint: [u8; 32],
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub public_key_sha256: [u8; 32],
}

/// The subject alternative names of a certificate, kind by kind: a DNS name that looks like a URI is a DNS name.
///
/// They are as the certificate has them, and hold no space, control character, quote or letter outside ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubjectAltNames {
    /// DNS names; letters in the case that the certificate has them in, the first label may be `*`.
    pub dns: Vec<String>,
    /// Addresses.
    pub ip: Vec<IpAddr>,
    /// URIs, absolute.
    pub uri: Vec<String>,
    /// How many names of other kinds (e-mail, otherName, directoryName …) there are besides.
    pub others: usize,
}

impl Leaf {
    pub(super) fn read(der: &CertificateDer<'_>, facts: &Facts<'_>) -> Result<Self, Fault> {
        if let Some(oid) = &facts.unknown_critical_extension {
            return Err(Fault::UnknownCriticalExtension(Some(oid.clone())));
        }
        check_is_a_clients(facts)?;
        algorithm::check_leaf_key(&facts.certificate.tbs_certificate.subject_pki)?;
        Ok(Self {
            serial: serial(facts)?,
            names: match facts.subject_alternative_name {
                Some(value) => SubjectAltNames::read(value)?,
                None => SubjectAltNames::default(),
            },
            not_before: facts.not_before,
            not_after: facts.not_after,
            thumbprint: sha256(der),
            public_key_sha256: sha256(facts.subject_public_key_info()),
        })
    }
}

fn check_is_a_clients(facts: &Facts<'_>) -> Result<(), Fault> {
    let signs_certificates = facts.key_usage.is_some_and(|usage| usage.key_cert_sign());
    if facts.basic_constraints.as_ref().is_some_and(|it| it.ca) || signs_certificates {
        return Err(Fault::CaAsClient);
    }
    if facts
        .key_usage
        .is_some_and(|usage| !usage.digital_signature())
    {
        return Err(Fault::KeyUsageWithoutDigitalSignature);
    }
    match facts.purposes {
        Some(purposes) if purposes.client_auth => Ok(()),
        Some(_) => Err(Fault::NotForClientAuthentication),
        None => Err(Fault::NoExtendedKeyUsage),
    }
}

/// The serial number: positive, at most 20 octets (RFC 5280 section 4.1.2.2). A negative one would be another number
/// to whoever reads it as octets.
pub(super) fn serial(facts: &Facts<'_>) -> Result<Serial, Fault> {
    let octets = facts.certificate.raw_serial();
    if octets.first().is_some_and(|first| first & 0x80 != 0) {
        return Err(Fault::Malformed("its serial number is negative".to_owned()));
    }
    Serial::from_der_integer(octets).map_err(Fault::InvalidSerial)
}

impl SubjectAltNames {
    fn read(value: &[u8]) -> Result<Self, Fault> {
        let parsed = whole::<SubjectAlternativeName<'_>>("subjectAltName", value)?;
        let mut names = Self::default();
        for name in &parsed.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.push(dns_name(name)?),
                GeneralName::IPAddress(octets) => names.ip.push(ip_address(octets)?),
                GeneralName::URI(uri) => names.uri.push(absolute_uri(uri)?),
                GeneralName::Invalid(tag, _) => {
                    return Err(Fault::InvalidName(format!(
                        "the GeneralName with tag [{}] can't be read",
                        tag.0
                    )));
                }
                GeneralName::OtherName(..)
                | GeneralName::RFC822Name(_)
                | GeneralName::X400Address(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EDIPartyName(_)
                | GeneralName::RegisteredID(_) => names.others += 1,
            }
        }
        Ok(names)
    }
}

fn dns_name(name: &str) -> Result<String, Fault> {
    let labels = name.strip_prefix("*.").unwrap_or(name);
    let valid = name.len() <= 253
        && labels.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    if valid {
        Ok(name.to_owned())
    } else {
        Err(Fault::InvalidName(format!("{name:?} is no DNS name")))
    }
}

fn ip_address(octets: &[u8]) -> Result<IpAddr, Fault> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Ok(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(octets).map(IpAddr::from).map_err(|_| {
        Fault::InvalidName(format!(
            "an address has 4 or 16 octets, this one has {}",
            octets.len()
        ))
    })
}

/// RFC 3986's characters only, after a scheme: no space, quote, angle bracket, backslash, control or letter outside
/// ASCII, so that it can't end a header field or a log line early.
fn absolute_uri(uri: &str) -> Result<String, Fault> {
    let invalid = || Fault::InvalidName(format!("{uri:?} is no absolute URI"));
    let (scheme, rest) = uri.split_once(':').ok_or_else(invalid)?;
    let scheme_is_valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let rest_is_valid = !rest.is_empty()
        && rest.bytes().all(|b| {
            b.is_ascii_graphic()
                && !matches!(
                    b,
                    b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
                )
        });
    if scheme_is_valid && rest_is_valid {
        Ok(uri.to_owned())
    } else {
        Err(invalid())
    }
}
