//! What a certificate says, read once and borrowed from its DER. It judges nothing but whether it can be read.

use std::time::Duration;

use rustls_pki_types::UnixTime;
use x509_parser::{
    asn1_rs::nom::Parser,
    certificate::X509CertificateParser,
    extensions::{
        BasicConstraints, CRLDistributionPoints, DistributionPointName, ExtendedKeyUsage,
        GeneralName, KeyUsage,
    },
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use super::error::Fault;

/// What a certificate says.
pub(crate) struct Facts<'a> {
    pub(crate) certificate: X509Certificate<'a>,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) purposes: Option<Purposes>,
    /// The contents of the extension's OCTET STRING, as of the four below.
    pub(crate) subject_alternative_name: Option<&'a [u8]>,
    pub(crate) name_constraints: Option<&'a [u8]>,
    pub(crate) distribution_points: Option<&'a [u8]>,
    pub(crate) subject_key_identifier: Option<&'a [u8]>,
    pub(crate) unknown_critical_extension: Option<String>,
}

/// The extended key usages that matter here (RFC 5280 section 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purposes {
    pub(crate) client_auth: bool,
    pub(crate) any: bool,
}

impl<'a> Facts<'a> {
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, Fault> {
        let (rest, certificate) = X509CertificateParser::new()
            .with_deep_parse_extensions(false)
            .parse(der)
            .map_err(|error| Fault::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(Fault::Malformed(format!(
                "{} octets follow the certificate",
                rest.len()
            )));
        }
        let validity = certificate.validity();
        let mut facts = Self {
            not_before: unix_time(&validity.not_before),
            not_after: unix_time(&validity.not_after),
            basic_constraints: None,
            key_usage: None,
            purposes: None,
            subject_alternative_name: None,
            name_constraints: None,
            distribution_points: None,
            subject_key_identifier: None,
            unknown_critical_extension: None,
            certificate,
        };
        facts.read_extensions()?;
        Ok(facts)
    }

    fn read_extensions(&mut self) -> Result<(), Fault> {
        let (basic_constraints, key_usage, purposes) = (
            &mut self.basic_constraints,
            &mut self.key_usage,
            &mut self.purposes,
        );
        for extension in self.certificate.tbs_certificate.extensions() {
            let value = extension.value;
            // id-ce is 2.5.29 (RFC 5280 section 4.2.1).
            match extension.oid.as_bytes() {
                [0x55, 0x1d, 14] => once(&mut self.subject_key_identifier, value)?,
                [0x55, 0x1d, 15] => once(key_usage, whole::<KeyUsage>("keyUsage", value)?)?,
                [0x55, 0x1d, 17] => once(&mut self.subject_alternative_name, value)?,
                [0x55, 0x1d, 19] => once(
                    basic_constraints,
                    whole::<BasicConstraints>("basicConstraints", value)?,
                )?,
                [0x55, 0x1d, 30] => once(&mut self.name_constraints, value)?,
                [0x55, 0x1d, 31] => once(&mut self.distribution_points, value)?,
                [0x55, 0x1d, 37] => {
                    let usage = whole::<ExtendedKeyUsage<'_>>("extKeyUsage", value)?;
                    once(
                        purposes,
                        Purposes {
                            client_auth: usage.client_auth,
                            any: usage.any,
                        },
                    )?;
                }
                _ if extension.critical => {
                    self.unknown_critical_extension
                        .get_or_insert_with(|| extension.oid.to_id_string());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The SubjectPublicKeyInfo in DER.
    pub(crate) fn subject_public_key_info(&self) -> &'a [u8] {
        self.certificate.tbs_certificate.subject_pki.raw
    }

    /// The subject's Name in DER.
    pub(crate) fn subject(&self) -> &'a [u8] {
        self.certificate.tbs_certificate.subject.as_raw()
    }

    /// The URIs of the CRL distribution points. Points for some reasons only, and points whose list somebody else
    /// issues, are left out: such lists are not processed.
    pub(crate) fn distribution_point_uris(&self) -> Result<Vec<String>, Fault> {
        let Some(value) = self.distribution_points else {
            return Ok(Vec::new());
        };
        let points = whole::<CRLDistributionPoints<'_>>("cRLDistributionPoints", value)?;
        let mut uris = Vec::new();
        for point in &points.points {
            if point.reasons.is_some() || point.crl_issuer.is_some() {
                continue;
            }
            if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
                for name in names {
                    if let GeneralName::URI(uri) = name {
                        uris.push((*uri).to_owned());
                    }
                }
            }
        }
        Ok(uris)
    }
}

/// Reads a DER value that must fill `octets`.
pub(crate) fn whole<'a, T>(what: &str, octets: &'a [u8]) -> Result<T, Fault>
where
    T: FromDer<'a, x509_parser::error::X509Error>,
{
    match T::from_der(octets) {
        Ok(([], value)) => Ok(value),
        Ok(_) | Err(_) => Err(Fault::Malformed(format!("the extension {what}"))),
    }
}

/// RFC 5280 section 4.2: an extension must not stand there twice.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Fault> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::Malformed(
            "an extension stands there twice".to_owned(),
        )),
    }
}

/// Times before 1970 become 1970: a certificate that ended then has ended, one that began then has begun.
pub(crate) fn unix_time(time: &ASN1Time) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(
        u64::try_from(time.timestamp()).unwrap_or(0),
    ))
}
