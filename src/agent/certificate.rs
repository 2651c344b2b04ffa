//! What the agent reads from a certificate that it was given. It reads only: whether a chain is to be trusted is
//! decided by whoever is shown the certificate.

use rustls_pki_types::{CertificateDer, pem::PemObject};
use time::OffsetDateTime;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use super::digest::sha256;

/// A certificate and what the agent needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    serial: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    public_key: Vec<u8>,
    uris: Vec<String>,
    names: Vec<String>,
    subject: String,
    subject_name: Vec<u8>,
    issuer_name: Vec<u8>,
    authority: bool,
}

impl Certificate {
    /// Reads one certificate.
    ///
    /// # Errors
    /// `der` is no X.509 certificate.
    pub fn from_der(der: CertificateDer<'static>) -> Result<Self, CertificateError> {
        let (rest, parsed) =
            X509Certificate::from_der(&der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let (mut uris, mut names) = (Vec::new(), Vec::new());
        let alternative = parsed
            .subject_alternative_name()
            .map_err(|_| CertificateError::Malformed)?;
        for name in alternative
            .iter()
            .flat_map(|extension| &extension.value.general_names)
        {
            if let GeneralName::URI(uri) = name {
                uris.push((*uri).to_owned());
            } else if let GeneralName::DNSName(dns) = name {
                names.push((*dns).to_owned());
            } else if let GeneralName::IPAddress(octets) = name {
                names.push(address(octets));
            }
        }
        let serial = hex::encode(parsed.raw_serial());
        let validity = parsed.validity();
        let (not_before, not_after) = (
            validity.not_before.to_datetime(),
            validity.not_after.to_datetime(),
        );
        let public_key = parsed.public_key().raw.to_vec();
        let subject = parsed.subject().to_string();
        let subject_name = parsed.subject().as_raw().to_vec();
        let issuer_name = parsed.issuer().as_raw().to_vec();
        let authority = is_authority(&parsed)?;
        Ok(Self {
            serial,
            not_before,
            not_after,
            public_key,
            uris,
            names,
            subject,
            subject_name,
            issuer_name,
            authority,
            der,
        })
    }

    /// Reads all certificates of a PEM text, in their order.
    ///
    /// # Errors
    /// There is none, or one is malformed.
    pub fn chain_from_pem(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(pem)
            .map(|der| {
                der.map_err(|_| CertificateError::Pem)
                    .and_then(Self::from_der)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if chain.is_empty() {
            return Err(CertificateError::Pem);
        }
        Ok(chain)
    }

    /// The certificate as PEM (RFC 7468 section 5).
    #[must_use]
    pub fn to_pem(&self) -> String {
        use base64::prelude::{BASE64_STANDARD, Engine};
        let encoded = BASE64_STANDARD.encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for start in (0..encoded.len()).step_by(64) {
            pem.push_str(&encoded[start..encoded.len().min(start + 64)]);
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// The certificate's DER.
    #[must_use]
    pub const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The SHA-256 of the DER.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// The serial number in hexadecimal.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The first second in which it is valid.
    #[must_use]
    pub const fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The last second in which it is valid.
    #[must_use]
    pub const fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Whether its validity includes `moment`.
    #[must_use]
    pub fn is_valid_at(&self, moment: OffsetDateTime) -> bool {
        (self.not_before..=self.not_after).contains(&moment)
    }

    /// Its subject, for people.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether it says that `authority` issued it. A CA's new key has a new name, so names tell CAs apart; who must know
    /// for certain verifies the signature.
    #[must_use]
    pub fn names_as_issuer(&self, authority: &Self) -> bool {
        self.issuer_name == authority.subject_name
    }

    /// Whether it is a CA's, and may sign certificates (RFC 5280 sections 4.2.1.3 and 4.2.1.9).
    #[must_use]
    pub const fn is_authority(&self) -> bool {
        self.authority
    }

    /// The DER of its SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The SPIFFE ID that names its principal, if it has one.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        self.uris
            .iter()
            .map(String::as_str)
            .find(|uri| uri.starts_with("spiffe://"))
    }

    /// Its DNS names and addresses.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

fn is_authority(parsed: &X509Certificate<'_>) -> Result<bool, CertificateError> {
    let malformed = |_| CertificateError::Malformed;
    let constraints = parsed.basic_constraints().map_err(malformed)?;
    let usage = parsed.key_usage().map_err(malformed)?;
    Ok(constraints.is_some_and(|extension| extension.value.ca)
        && usage.is_none_or(|extension| extension.value.key_cert_sign()))
}

fn address(octets: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        std::net::Ipv4Addr::from(four).to_string()
    } else if let Ok(sixteen) = <[u8; 16]>::try_from(octets) {
        std::net::Ipv6Addr::from(sixteen).to_string()
    } else {
        format!("malformed address {}", hex::encode(octets))
    }
}

/// Why a certificate can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is no PEM block `CERTIFICATE`, or it is damaged.
    #[error("it holds no PEM block \"CERTIFICATE\", or a damaged one")]
    Pem,
    /// What the block holds is no X.509 certificate.
    #[error("it holds something that is no X.509 certificate")]
    Malformed,
}
