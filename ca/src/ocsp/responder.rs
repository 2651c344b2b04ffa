//! A delegated responder: the certificate that an issuer gave to the key that signs its answers (RFC 6960 section
//! 4.2.2.2).

use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{CertId, HashAlgorithm, IssuerHashes};
use crate::{certificate::IssuerCertificate, key::PublicKey};

/// A responder's certificate, and whose answers it may sign.
#[derive(Debug, Clone)]
pub struct Responder {
    der: Vec<u8>,
    public_key: PublicKey,
    /// SHA-1 of the key's bits (RFC 6960 section 4.2.1, KeyHash).
    key_hash: Vec<u8>,
    issuer: IssuerHashes,
    not_before: i64,
    not_after: i64,
}

impl Responder {
    /// Reads the certificate that an issuer gave to a responder.
    ///
    /// # Errors
    /// [`NotAResponder`] says what is missing.
    pub fn from_der(der: &[u8], issuer: &IssuerCertificate) -> Result<Self, NotAResponder> {
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|_| NotAResponder("it is no certificate"))?;
        if !rest.is_empty() {
            return Err(NotAResponder("data follows the certificate"));
        }
        if parsed.issuer().as_raw() != issuer.subject {
            return Err(NotAResponder("another issuer signed it"));
        }
        // By its key, for two CAs may share a name (PKITS 4.5.5).
        issuer
            .public_key()
            .verify(
                &parsed.signature_algorithm.algorithm.to_id_string(),
                parsed.tbs_certificate.as_ref(),
                &parsed.signature_value.data,
            )
            .map_err(|_| NotAResponder("another issuer of that name signed it"))?;
        let signs = parsed
            .extended_key_usage()
            .ok()
            .flatten()
            .is_some_and(|usage| usage.value.ocsp_signing);
        if !signs {
            return Err(NotAResponder("its extended key usage lacks OCSPSigning"));
        }
        let public_key =
            PublicKey::from_subject_public_key_info(parsed.tbs_certificate.subject_pki.raw)
                .map_err(|_| NotAResponder("its key is not allowed"))?;
        Ok(Self {
            key_hash: HashAlgorithm::Sha1.hash(rcgen::PublicKeyData::der_bytes(&public_key)),
            der: der.to_vec(),
            public_key,
            issuer: IssuerHashes::of(issuer),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }

    /// Whether a request means a certificate of this responder's issuer.
    #[must_use]
    pub fn answers_for(&self, id: &CertId) -> bool {
        self.issuer.names(id)
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key that signs.
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

    pub(super) fn key_hash(&self) -> &[u8] {
        &self.key_hash
    }
}

/// Why a certificate is none of a responder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate can't be an OCSP responder's: {0}")]
pub struct NotAResponder(&'static str);
