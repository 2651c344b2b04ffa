//! Certificates: draft, checked draft, signed.
//!
//! ```text
//! Draft --check (the linter reads the very octets to be signed)--> CheckedDraft --sign--> Certificate
//! ```
//! A draft that was not checked cannot be signed: only [`Draft::check`] makes a [`CheckedDraft`], and only that has
//! `sign`. rcgen writes the TBSCertificate; its signature comes from a [`Signer`], which may be slow or far away.

use std::sync::Arc;

use pkcs8::der::pem::{LineEnding, encode_string};
use rcgen::{CertificateParams, DistinguishedName, Issuer, KeyIdMethod, KeyUsagePurpose};
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer};

use crate::{
    der::{self, tag},
    key::{PublicKey, Signer, SignerError},
    lint::{self, Finding},
    name::GeneralName,
    profile::{ExtendedKeyUsage, NameConstraints, Profile, Subject},
    serial::Serial,
};

mod constraints;
mod write;

pub(crate) use constraints::ReadConstraints;
pub(crate) use write::{
    Capture, ca_and_usages, distinguished_name, name_constraints, to_be_signed,
};

/// What a certificate is to say. Times are seconds since the epoch. Start from [`Draft::new`], or from
/// [`Draft::cross_certificate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its profile.
    pub profile: Arc<Profile>,
    /// Its serial number.
    pub serial: Serial,
    /// Its subject; decoration for leaves, the name of a CA.
    pub subject: Subject,
    /// The first second of its validity.
    pub not_before: i64,
    /// The last second of its validity.
    pub not_after: i64,
    /// The key that it is about.
    pub public_key: PublicKey,
    /// The subject key identifier, where it isn't [`PublicKey::key_identifier`]: that of a CA which other certificates
    /// name by the identifier that it has already.
    pub key_identifier: Option<Vec<u8>>,
    /// Its subject alternative names.
    pub names: Vec<GeneralName>,
    /// Where the list that would revoke it is to be had (RFC 5280 section 4.2.1.13); a root names its own, for verifiers
    /// such as `openssl verify -crl_check_all` look the root up too. Nothing where
    /// [`Draft::is_without_revocation`].
    pub revocation_list: Option<String>,
    /// Where its issuer's certificate is to be had (RFC 5280 section 4.2.2.1).
    pub issuer_certificate: Option<String>,
    /// Where its issuer's OCSP responder answers for it (RFC 5280 section 4.2.2.1, RFC 6960 section 3.1).
    pub ocsp: Option<String>,
}

impl Draft {
    /// A draft without a subject, names and URLs, for the caller to fill in. `validity` is notBefore and notAfter.
    #[must_use]
    pub fn new(
        profile: Arc<Profile>,
        serial: Serial,
        public_key: PublicKey,
        validity: (i64, i64),
    ) -> Self {
        Self {
            profile,
            serial,
            subject: Subject::Empty,
            not_before: validity.0,
            not_after: validity.1,
            public_key,
            key_identifier: None,
            names: Vec::new(),
            revocation_list: None,
            issuer_certificate: None,
            ocsp: None,
        }
    }

    /// A draft of a cross-certificate for `root`, which another root is to sign: the subject to the byte, the key and
    /// its identifier are `root`'s. The caller adds the URLs. `profile` is one of
    /// [`ProfileKind::CrossRoot`](crate::profile::ProfileKind::CrossRoot).
    #[must_use]
    pub fn cross_certificate(
        profile: Arc<Profile>,
        serial: Serial,
        root: &IssuerCertificate,
        validity: (i64, i64),
    ) -> Self {
        Self {
            subject: Subject::Raw(root.subject.clone()),
            key_identifier: Some(root.key_identifier.clone()),
            ..Self::new(profile, serial, root.public_key.clone(), validity)
        }
    }

    /// Whether it says noRevAvail (RFC 9608), and so names neither a list nor an OCSP responder.
    #[must_use]
    pub fn is_without_revocation(&self) -> bool {
        self.profile
            .is_without_revocation(self.not_before, self.not_after)
    }

    pub(crate) fn key_identifier(&self) -> Vec<u8> {
        self.key_identifier
            .clone()
            .unwrap_or_else(|| self.public_key.key_identifier().to_vec())
    }

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
    path_length: Option<u32>,
    /// Nothing where it is good for every purpose.
    pub(crate) purposes: Option<Vec<ExtendedKeyUsage>>,
    pub(crate) constraints: ReadConstraints,
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
        let constraints = match parsed.name_constraints() {
            Ok(None) => ReadConstraints::default(),
            Ok(Some(extension)) => ReadConstraints::read(extension.value)
                .ok_or_else(|| lacks("its name constraints can't be read"))?,
            Err(_) => return Err(lacks("its name constraints can't be read")),
        };
        let path_length = parsed
            .basic_constraints()
            .ok()
            .flatten()
            .and_then(|extension| extension.value.path_len_constraint);
        let purposes = match parsed.extended_key_usage() {
            Ok(None) => None,
            Ok(Some(usage)) => purposes(usage.value),
            Err(_) => return Err(lacks("its extended key usage can't be read")),
        };
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
            path_length,
            purposes,
            constraints,
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

    /// Its subject key identifier, which what it issues names.
    #[must_use]
    pub fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    /// How many CAs may stand below it (RFC 5280 section 4.2.1.9); nothing means that there is no limit.
    #[must_use]
    pub fn path_length(&self) -> Option<u32> {
        self.path_length
    }

    /// What of a profile's purposes verifiers would not accept below it: where a CA names extended key usages, they are
    /// taken for the only ones of what it issues (RFC 5280 section 4.2.1.12, as TLS libraries read it).
    #[must_use]
    pub fn forbids(&self, profile: &Profile) -> Option<ExtendedKeyUsage> {
        let purposes = self.purposes.as_ref()?;
        profile
            .extended_key_usages
            .iter()
            .find(|usage| match usage {
                ExtendedKeyUsage::ClientAuth | ExtendedKeyUsage::ServerAuth => {
                    !purposes.contains(usage)
                }
                ExtendedKeyUsage::OcspSigning | ExtendedKeyUsage::Other(_) => false,
            })
            .cloned()
    }

    /// For which DNS names and addresses it may issue (RFC 5280 section 4.2.1.10).
    #[must_use]
    pub fn name_constraints(&self) -> &NameConstraints {
        &self.constraints.known
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

/// The purposes that TLS asks for, of those that are named; nothing where any is good.
fn purposes(
    usage: &x509_parser::extensions::ExtendedKeyUsage<'_>,
) -> Option<Vec<ExtendedKeyUsage>> {
    let mut purposes = Vec::new();
    if usage.client_auth {
        purposes.push(ExtendedKeyUsage::ClientAuth);
    }
    if usage.server_auth {
        purposes.push(ExtendedKeyUsage::ServerAuth);
    }
    (!usage.any).then_some(purposes)
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
