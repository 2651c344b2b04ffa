//! Certificates: draft, checked draft, signed.
//!
//! ```text
//! Draft --check (the linter reads the very octets to be signed)--> CheckedDraft --sign--> Certificate
//! ```
//! A draft that was not checked cannot be signed: only [`Draft::check`] makes a [`CheckedDraft`], and only that has
//! `sign`. rcgen writes the TBSCertificate; its signature comes from a [`Signer`], which may be slow or far away.

use std::cell::RefCell;

use pkcs8::der::pem::{LineEnding, encode_string};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber,
};
use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer};

use crate::{
    der::{self, tag},
    key::{PublicKey, Signer, SignerError},
    lint::{self, Finding},
    name::GeneralName,
    profile::{ExtendedKeyUsage, Profile},
    serial::Serial,
};

/// What a certificate is to say. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its kind.
    pub profile: Profile,
    /// Its serial number.
    pub serial: Serial,
    /// The subject's common name; decoration for leaves, the whole name of a CA. Without one the subject is empty.
    pub common_name: Option<String>,
    /// The first second of its validity.
    pub not_before: i64,
    /// The last second of its validity.
    pub not_after: i64,
    /// The key that it is about.
    pub public_key: PublicKey,
    /// Its subject alternative names.
    pub names: Vec<GeneralName>,
    /// Where the list that would revoke it is to be had (RFC 5280 section 4.2.1.13); a root names its own, for verifiers
    /// such as `openssl verify -crl_check_all` look the root up too.
    pub revocation_list: Option<String>,
    /// Where its issuer's certificate is to be had (RFC 5280 section 4.2.2.1).
    pub issuer_certificate: Option<String>,
    /// Where its issuer's OCSP responder answers for it (RFC 5280 section 4.2.2.1, RFC 6960 section 3.1).
    pub ocsp: Option<String>,
}

impl Draft {
    /// Writes the octets to be signed and lets the linter read them.
    ///
    /// Without an `issuer` the certificate signs itself.
    ///
    /// # Errors
    /// [`Refused`] with every finding; nothing was signed.
    pub fn check(self, issuer: Option<&IssuerCertificate>) -> Result<CheckedDraft, Refused> {
        let to_be_signed = self.to_be_signed(issuer).map_err(|error| {
            Refused(vec![Finding {
                rule: "the draft can be encoded",
                detail: error,
            }])
        })?;
        let findings = lint::certificate(&to_be_signed, &self, issuer);
        if !findings.is_empty() {
            return Err(Refused(findings));
        }
        let signer = issuer.map_or(&self.public_key, |issuer| &issuer.public_key);
        Ok(CheckedDraft {
            to_be_signed,
            signer: signer.clone(),
            serial: self.serial,
        })
    }

    fn to_be_signed(&self, issuer: Option<&IssuerCertificate>) -> Result<Vec<u8>, String> {
        let mut parameters = CertificateParams::default();
        let time = |seconds| {
            OffsetDateTime::from_unix_timestamp(seconds)
                .map_err(|_| format!("{seconds} s is no time of a certificate"))
        };
        parameters.not_before = time(self.not_before)?;
        parameters.not_after = time(self.not_after)?;
        parameters.serial_number = Some(SerialNumber::from_slice(self.serial.significant_octets()));
        parameters.distinguished_name = DistinguishedName::new();
        if let Some(common_name) = &self.common_name {
            parameters
                .distinguished_name
                .push(DnType::CommonName, common_name.as_str());
        }
        parameters.subject_alt_names = self
            .names
            .iter()
            .map(san_type)
            .collect::<Result<Vec<_>, String>>()?;
        let kind = self.profile.kind;
        if let Some(path_length) = kind.path_length() {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
            parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        } else {
            parameters.is_ca = IsCa::ExplicitNoCa;
            parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        }
        parameters.extended_key_usages = kind
            .extended_key_usages()
            .iter()
            .map(|usage| match usage {
                ExtendedKeyUsage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
                ExtendedKeyUsage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsage::OcspSigning => ExtendedKeyUsagePurpose::OcspSigning,
            })
            .collect();
        parameters.crl_distribution_points = self
            .revocation_list
            .iter()
            .map(|uri| CrlDistributionPoint {
                uris: vec![uri.clone()],
            })
            .collect();
        parameters
            .custom_extensions
            .extend(authority_information_access(
                self.issuer_certificate.as_deref(),
                self.ocsp.as_deref(),
            ));
        if kind.is_never_checked() {
            parameters
                .custom_extensions
                .push(CustomExtension::from_oid_content(
                    OCSP_NO_CHECK,
                    der::encode(tag::NULL, &[]),
                ));
        }
        parameters.use_authority_key_identifier_extension = issuer.is_some();
        parameters.key_identifier_method =
            KeyIdMethod::PreSpecified(self.public_key.key_identifier().to_vec());
        match issuer {
            None => to_be_signed(&self.public_key, |capture| {
                let issuer = Issuer::from_params(&parameters, capture);
                parameters.signed_by(&self.public_key, &issuer).map(drop)
            }),
            Some(issuer) => {
                let octets = to_be_signed(&issuer.public_key, |capture| {
                    let issuer = issuer.for_rcgen(capture);
                    parameters.signed_by(&self.public_key, &issuer).map(drop)
                })?;
                // version, serialNumber, signature, issuer: the issuer's name goes in to the byte as its certificate
                // has it.
                der::replace_element(&octets, 3, &issuer.subject)
                    .ok_or_else(|| "the issuer's name does not fit".to_owned())
            }
        }
    }
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

/// id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1).
const OCSP_NO_CHECK: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 5];

/// id-pe-authorityInfoAccess (RFC 5280 section 4.2.2.1) with what there is of an OCSP responder and caIssuers.
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
        &[1, 3, 6, 1, 5, 5, 7, 1, 1],
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

/// A draft that the linter found nothing in: ready to be signed, once.
#[derive(Debug)]
pub struct CheckedDraft {
    to_be_signed: Vec<u8>,
    signer: PublicKey,
    serial: Serial,
}

impl CheckedDraft {
    /// Signs it and verifies the signature with the issuer's public key, so that a broken signer is noticed here.
    ///
    /// # Errors
    /// [`SignerError`] when the signer fails, is another key, or its signature does not verify.
    pub async fn sign(self, signer: &dyn Signer) -> Result<Certificate, SignerError> {
        let der = seal(&self.to_be_signed, &self.signer, signer).await?;
        Ok(Certificate {
            der,
            serial: self.serial,
        })
    }
}

/// SEQUENCE { what was signed, the algorithm, the signature }.
pub(crate) async fn seal(
    to_be_signed: &[u8],
    expected: &PublicKey,
    signer: &dyn Signer,
) -> Result<Vec<u8>, SignerError> {
    if signer.public_key() != expected {
        return Err(SignerError(
            "it is another key than the issuer's".to_owned(),
        ));
    }
    let signature = signer.sign(to_be_signed).await?;
    let algorithm = expected.algorithm();
    expected
        .verify_own(to_be_signed, &signature)
        .map_err(|error| SignerError(error.to_string()))?;
    let bits = der::encode(tag::BIT_STRING, &[&[0], &signature]);
    Ok(der::encode(
        tag::SEQUENCE,
        &[
            to_be_signed,
            algorithm.signature_algorithm_identifier(),
            &bits,
        ],
    ))
}

/// A signed certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    serial: Serial,
}

impl Certificate {
    /// Its DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its DER, owned.
    #[must_use]
    pub fn into_der(self) -> Vec<u8> {
        self.der
    }

    /// Its serial.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.serial
    }
}

/// A certificate's DER as a PEM block (RFC 7468).
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    // The label is constant and the input bounded, so that encoding has nothing to fail at.
    encode_string("CERTIFICATE", LineEnding::LF, der).unwrap_or_default()
}

/// A CA certificate that issues: what its certificates and lists take from it.
#[derive(Debug, Clone)]
pub struct IssuerCertificate {
    der: Vec<u8>,
    /// The DER Name, to the byte.
    pub(crate) subject: Vec<u8>,
    pub(crate) public_key: PublicKey,
    pub(crate) key_identifier: Vec<u8>,
    serial: Serial,
    not_before: i64,
    not_after: i64,
    revocation_list: Option<String>,
    for_rcgen: CertificateParams,
}

impl IssuerCertificate {
    /// Reads a CA certificate.
    ///
    /// # Errors
    /// [`NotAnIssuer`] says what is missing: it must be a CA with keyCertSign and cRLSign, a subject, a subject key
    /// identifier, and a key that the key policy allows.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "another crate's enum, which may grow"
    )]
    pub fn from_der(der: &[u8]) -> Result<Self, NotAnIssuer> {
        let (rest, parsed) = X509Certificate::from_der(der)
            .map_err(|_| NotAnIssuer("it is no X.509 certificate".to_owned()))?;
        let lacks = |what: &str| NotAnIssuer(what.to_owned());
        if !rest.is_empty() {
            return Err(lacks("data follows the certificate"));
        }
        if !parsed.is_ca() {
            return Err(lacks("it is not a CA (basicConstraints)"));
        }
        let signs = parsed
            .key_usage()
            .ok()
            .flatten()
            .is_some_and(|usage| usage.value.key_cert_sign() && usage.value.crl_sign());
        if !signs {
            return Err(lacks("its key usage lacks keyCertSign or cRLSign"));
        }
        if parsed.subject().iter().next().is_none() {
            return Err(lacks("its subject is empty"));
        }
        let key_identifier = parsed
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
                _ => None,
            })
            .ok_or_else(|| lacks("it has no subject key identifier"))?;
        let public_key =
            PublicKey::from_subject_public_key_info(parsed.tbs_certificate.subject_pki.raw)
                .map_err(|error| NotAnIssuer(error.to_string()))?;
        let mut for_rcgen = CertificateParams::default();
        // Replaced by the very octets of `subject` in what is signed.
        for_rcgen.distinguished_name = DistinguishedName::new();
        for_rcgen.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        for_rcgen.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier.clone());
        Ok(Self {
            der: der.to_vec(),
            subject: parsed.subject().as_raw().to_vec(),
            public_key,
            key_identifier,
            serial: Serial::from_der_integer(parsed.raw_serial())
                .map_err(|error| NotAnIssuer(error.to_string()))?,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            revocation_list: lint::distribution_point(&parsed.tbs_certificate),
            for_rcgen,
        })
    }

    /// Its DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its subject, the DER Name to the byte.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Its own serial.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The first second of its validity, since the epoch.
    #[must_use]
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The last second of its validity, since the epoch.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Where it says that the list which would revoke it is.
    #[must_use]
    pub fn revocation_list(&self) -> Option<&str> {
        self.revocation_list.as_deref()
    }

    pub(crate) fn for_rcgen<'a>(&'a self, capture: &'a Capture<'a>) -> Issuer<'a, &'a Capture<'a>> {
        Issuer::from_params(&self.for_rcgen, capture)
    }
}

/// Why a certificate can't issue others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate can't be an issuer: {0}")]
pub struct NotAnIssuer(String);

/// The linter refused a draft. Nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Vec<Finding>);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the linter refused to have this signed")?;
        for finding in &self.0 {
            write!(f, "; {}: {}", finding.rule, finding.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
