//! Who may have made a list: what is needed of an issuer's certificate to verify its lists.

use rustls_pki_types::CertificateDer;

use super::{ListError, read::Header};
use crate::{chain::Facts, der, issuer_key_id::IssuerKeyId};

/// The issuer of a list. Whoever makes one of these trusts the certificate, or uses the list only for certificates
/// that this very key issued.
#[derive(Debug, Clone)]
pub struct ListIssuer {
    pub(super) key: IssuerKeyId,
    pub(super) subject_public_key_info: Vec<u8>,
    subject: Vec<u8>,
    key_identifier: Option<Vec<u8>>,
    may_sign_lists: bool,
}

impl ListIssuer {
    /// What is needed of the issuer's certificate.
    ///
    /// # Errors
    /// [`ListError::Issuer`] when it can't be read.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, ListError> {
        let facts = Facts::read(certificate).map_err(ListError::Issuer)?;
        Ok(Self {
            key: IssuerKeyId::of(facts.subject_public_key_info()),
            subject_public_key_info: facts.subject_public_key_info().to_vec(),
            subject: facts.subject().to_vec(),
            key_identifier: facts
                .subject_key_identifier
                .and_then(der::split)
                .map(|(_, identifier, _)| identifier.to_vec()),
            // RFC 5280 section 6.3.3 (f): if there is a key usage at all.
            may_sign_lists: facts.key_usage.is_none_or(|usage| usage.crl_sign()),
        })
    }

    pub(super) fn check(&self, header: &Header<'_>) -> Result<(), ListError> {
        if self.subject != header.issuer {
            return Err(ListError::OtherIssuer);
        }
        let other_key = |(own, named): (&Vec<u8>, &[u8])| own != named;
        if self
            .key_identifier
            .as_ref()
            .zip(header.authority_key_identifier)
            .is_some_and(other_key)
        {
            return Err(ListError::OtherKey);
        }
        if !self.may_sign_lists {
            return Err(ListError::IssuerMayNotSignLists);
        }
        Ok(())
    }
}
