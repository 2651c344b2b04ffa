//! From a draft to the octets to be signed. rcgen writes the TBSCertificate; Names that are there already go in to the
//! byte.

use std::cell::RefCell;

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName,
    DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber,
};
use time::OffsetDateTime;

use super::{Draft, IssuerCertificate};
use crate::{
    der::{self, tag},
    key::PublicKey,
    name::GeneralName,
    profile::{ExtendedKeyUsage, KeyUsage, Profile, Subject, SubjectAttributes},
};

/// id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1).
const OCSP_NO_CHECK: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
/// id-ce-noRevAvail (RFC 9608 section 2).
const NO_REV_AVAIL: &[u64] = &[2, 5, 29, 56];
/// id-ce-nameConstraints (RFC 5280 section 4.2.1.10).
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
/// id-pe-authorityInfoAccess (RFC 5280 section 4.2.2.1).
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];

// Elements of a TBSCertificate with a version (RFC 5280 section 4.1).
const ISSUER: usize = 3;
const SUBJECT: usize = 5;

impl Draft {
    pub(crate) fn to_be_signed(
        &self,
        issuer: Option<&IssuerCertificate>,
    ) -> Result<Vec<u8>, String> {
        let mut parameters = CertificateParams::default();
        let time = |seconds| {
            OffsetDateTime::from_unix_timestamp(seconds)
                .map_err(|_| format!("{seconds} s is no time of a certificate"))
        };
        parameters.not_before = time(self.not_before)?;
        parameters.not_after = time(self.not_after)?;
        parameters.serial_number = Some(SerialNumber::from_slice(self.serial.significant_octets()));
        parameters.distinguished_name = distinguished_name(&self.subject)?;
        parameters.subject_alt_names = self
            .names
            .iter()
            .map(san_type)
            .collect::<Result<Vec<_>, String>>()?;
        ca_and_usages(&mut parameters, &self.profile, &self.public_key);
        parameters.crl_distribution_points = self
            .revocation_list
            .iter()
            .map(|uri| CrlDistributionPoint {
                uris: vec![uri.clone()],
            })
            .collect();
        parameters.custom_extensions = self.custom_extensions();
        parameters.use_authority_key_identifier_extension = issuer.is_some();
        parameters.key_identifier_method = KeyIdMethod::PreSpecified(self.key_identifier());
        let octets = match issuer {
            None => to_be_signed(&self.public_key, |capture| {
                let issuer = Issuer::from_params(&parameters, capture);
                parameters.signed_by(&self.public_key, &issuer).map(drop)
            })?,
            Some(issuer) => to_be_signed(&issuer.public_key, |capture| {
                let issuer = issuer.for_rcgen(capture);
                parameters.signed_by(&self.public_key, &issuer).map(drop)
            })?,
        };
        let mut names = Vec::new();
        if let Some(issuer) = issuer {
            names.push((ISSUER, &issuer.subject));
        }
        if let Subject::Raw(subject) = &self.subject {
            names.push((SUBJECT, subject));
            if issuer.is_none() {
                names.push((ISSUER, subject));
            }
        }
        names.into_iter().try_fold(octets, |octets, (index, name)| {
            der::replace_element(&octets, index, name)
                .ok_or_else(|| "a name does not fit".to_owned())
        })
    }

    fn custom_extensions(&self) -> Vec<CustomExtension> {
        let null = || der::encode(tag::NULL, &[]);
        let mut extensions = Vec::new();
        extensions.extend(authority_information_access(
            self.issuer_certificate.as_deref(),
            self.ocsp.as_deref(),
        ));
        let profile = &self.profile;
        if !profile.name_constraints.is_empty() {
            extensions.push(name_constraints(profile));
        }
        if self.is_without_revocation() {
            extensions.push(CustomExtension::from_oid_content(NO_REV_AVAIL, null()));
        }
        if profile.kind.is_never_checked() {
            extensions.push(CustomExtension::from_oid_content(OCSP_NO_CHECK, null()));
        }
        for extra in &profile.extensions {
            let mut extension =
                CustomExtension::from_oid_content(extra.oid().arcs(), extra.value().to_vec());
            extension.set_criticality(extra.is_critical());
            extensions.push(extension);
        }
        extensions
    }
}

/// basicConstraints, key usage, extended key usage.
pub(crate) fn ca_and_usages(
    parameters: &mut CertificateParams,
    profile: &Profile,
    public_key: &PublicKey,
) {
    parameters.is_ca = match (profile.kind.is_ca(), profile.path_length) {
        (true, None) => IsCa::Ca(BasicConstraints::Unconstrained),
        (true, Some(length)) => IsCa::Ca(BasicConstraints::Constrained(length)),
        (false, _) => IsCa::ExplicitNoCa,
    };
    parameters.key_usages = profile
        .key_usages_for(public_key.algorithm())
        .map(|usage| match usage {
            KeyUsage::DigitalSignature => KeyUsagePurpose::DigitalSignature,
            KeyUsage::ContentCommitment => KeyUsagePurpose::ContentCommitment,
            KeyUsage::KeyEncipherment => KeyUsagePurpose::KeyEncipherment,
            KeyUsage::DataEncipherment => KeyUsagePurpose::DataEncipherment,
            KeyUsage::KeyAgreement => KeyUsagePurpose::KeyAgreement,
            KeyUsage::KeyCertSign => KeyUsagePurpose::KeyCertSign,
            KeyUsage::CrlSign => KeyUsagePurpose::CrlSign,
        })
        .collect();
    parameters.extended_key_usages = profile
        .extended_key_usages
        .iter()
        .map(|usage| match usage {
            ExtendedKeyUsage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsage::OcspSigning => ExtendedKeyUsagePurpose::OcspSigning,
            ExtendedKeyUsage::Other(oid) => ExtendedKeyUsagePurpose::Other(oid.arcs().to_vec()),
        })
        .collect();
}

/// What rcgen is to write for a subject. In the place of one that goes in to the byte stands another that is not empty,
/// for rcgen makes the alternative names critical beside an empty one.
pub(crate) fn distinguished_name(subject: &Subject) -> Result<DistinguishedName, String> {
    let attributes = match subject {
        Subject::Empty => SubjectAttributes::default(),
        Subject::CommonName(name) => SubjectAttributes {
            common_name: Some(name.clone()),
            ..SubjectAttributes::default()
        },
        Subject::Raw(_) => SubjectAttributes {
            common_name: Some("replaced".to_owned()),
            ..SubjectAttributes::default()
        },
        Subject::Attributes(attributes) => attributes.clone(),
    };
    let mut name = DistinguishedName::new();
    if let Some(country) = attributes.country {
        // X520countryName is a PrintableString (RFC 5280 appendix A.1).
        let country = country
            .as_str()
            .try_into()
            .map_err(|_| format!("{country:?} is no country"))?;
        name.push(DnType::CountryName, DnValue::PrintableString(country));
    }
    for (kind, text) in [
        (DnType::OrganizationName, attributes.organization),
        (
            DnType::OrganizationalUnitName,
            attributes.organizational_unit,
        ),
        (DnType::CommonName, attributes.common_name),
    ] {
        if let Some(text) = text {
            name.push(kind, text);
        }
    }
    Ok(name)
}

fn san_type(name: &GeneralName) -> Result<SanType, String> {
    let text = |text: &str| {
        text.try_into()
            .map_err(|error| format!("{text:?}: {error}"))
    };
    Ok(match name {
        GeneralName::Dns(name) => SanType::DnsName(text(name.as_str())?),
        GeneralName::Ip(address) => SanType::IpAddress(*address),
        GeneralName::Uri(uri) => SanType::URI(text(uri)?),
    })
}

pub(crate) fn name_constraints(profile: &Profile) -> CustomExtension {
    let mut extension =
        CustomExtension::from_oid_content(NAME_CONSTRAINTS, profile.name_constraints.to_der());
    extension.set_criticality(true);
    extension
}

/// What there is of an OCSP responder and caIssuers.
fn authority_information_access(
    issuer_certificate: Option<&str>,
    ocsp: Option<&str>,
) -> Option<CustomExtension> {
    const OCSP: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
    const CA_ISSUERS: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
    let mut descriptions = Vec::new();
    for (method, uri) in [(OCSP, ocsp), (CA_ISSUERS, issuer_certificate)] {
        let Some(uri) = uri else { continue };
        let access_method = der::encode(tag::OBJECT_IDENTIFIER, &[&method]);
        let access_location = der::encode(tag::URI_NAME, &[uri.as_bytes()]);
        descriptions.extend(der::encode(
            tag::SEQUENCE,
            &[&access_method, &access_location],
        ));
    }
    if descriptions.is_empty() {
        return None;
    }
    Some(CustomExtension::from_oid_content(
        AUTHORITY_INFO_ACCESS,
        der::encode(tag::SEQUENCE, &[&descriptions]),
    ))
}

/// Has rcgen write what it would sign, and catches the octets before anything is signed.
pub(crate) fn to_be_signed(
    issuer_key: &PublicKey,
    write: impl FnOnce(&Capture<'_>) -> Result<(), rcgen::Error>,
) -> Result<Vec<u8>, String> {
    let capture = Capture {
        issuer_key,
        octets: RefCell::new(Vec::new()),
    };
    write(&capture).map_err(|error| error.to_string())?;
    Ok(capture.octets.into_inner())
}

/// Stands where rcgen wants a signing key: it knows the key's algorithm, and keeps what it is asked to sign.
pub(crate) struct Capture<'a> {
    issuer_key: &'a PublicKey,
    octets: RefCell<Vec<u8>>,
}

impl PublicKeyData for Capture<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.issuer_key.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        PublicKeyData::algorithm(self.issuer_key)
    }
}

impl rcgen::SigningKey for Capture<'_> {
    fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        octets.clone_into(&mut self.octets.borrow_mut());
        Ok(Vec::new())
    }
}
