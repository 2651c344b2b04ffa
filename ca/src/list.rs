//! Reading revocation lists, ours or somebody else's, and asking them. Making them is [`crl`](crate::crl)'s.
//!
//! A list is verified once, when it is read: its issuer's signature, and that it is a full list of version 2 with a
//! number whose scope we understand (RFC 5280 sections 5 and 6.3.3). Then only its serials are kept. Delta lists,
//! indirect lists, and lists for some reasons only are refused, as common verifiers do.

mod error;
mod issuer;
mod read;
mod set;
#[cfg(test)]
mod tests;

use std::fmt;

pub use error::ListError;
pub use issuer::ListIssuer;
pub use set::ListSet;

use rustls_pki_types::{CertificateRevocationListDer, UnixTime, pem::PemObject};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::{
    chain::{CertificateRole, PathCertificate, verify_signature},
    crl::ListScope,
    issuer_key_id::IssuerKeyId,
    lint::distribution_point,
    revocation::{RevocationIndex, RevocationReason},
    serial::Serial,
};

/// The serials on a list, ascending, without verifying anything: for lists of one's own, to be compared with the next.
///
/// # Errors
/// [`ListError`] when it can't be read.
pub fn serials_on(der: &[u8]) -> Result<Vec<Serial>, ListError> {
    let mut serials: Vec<Serial> = read::Header::read(der)?
        .listed()?
        .into_iter()
        .map(|(serial, _)| serial)
        .collect();
    serials.sort_unstable();
    Ok(serials)
}

/// Where a certificate, DER, says that the list is which would revoke it: the first URI of its distribution points (RFC
/// 5280 section 4.2.1.13).
#[must_use]
pub fn list_of(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    distribution_point(&parsed.tbs_certificate)
}

/// A revocation list whose signature was verified.
#[derive(Debug, Clone)]
pub struct RevocationList {
    issuer: IssuerKeyId,
    number: ListNumber,
    this_update: UnixTime,
    next_update: UnixTime,
    only: Option<ListScope>,
    distribution_points: Option<Vec<String>>,
    entries: RevocationIndex,
}

impl RevocationList {
    /// Reads a list, in DER or as the first `X509 CRL` block of a PEM text, and verifies that `issuer` made it.
    ///
    /// # Errors
    /// [`ListError`] with the reason and the place; nothing of the list may be used then.
    pub fn parse(octets: &[u8], issuer: &ListIssuer) -> Result<Self, ListError> {
        // A DER SEQUENCE begins with 0x30, a PEM text does not: its first character would be the digit 0.
        if octets.first() == Some(&0x30) {
            return Self::from_der(octets, issuer);
        }
        let der = CertificateRevocationListDer::from_pem_slice(octets)
            .map_err(|error| ListError::NoPem(error.to_string()))?;
        Self::from_der(&der, issuer)
    }

    /// Reads a list in DER, and verifies that `issuer` made it.
    ///
    /// # Errors
    /// [`ListError`] with the reason and the place; nothing of the list may be used then.
    pub fn from_der(der: &[u8], issuer: &ListIssuer) -> Result<Self, ListError> {
        let header = read::Header::read(der)?;
        issuer.check(&header)?;
        verify_signature(
            &issuer.subject_public_key_info,
            header.algorithm,
            header.signed,
            header.signature,
        )
        .map_err(ListError::Signature)?;
        Ok(Self {
            issuer: issuer.key,
            number: header.number,
            this_update: header.this_update,
            next_update: header.next_update,
            only: header.only,
            entries: header.entries()?,
            distribution_points: header.distribution_points,
        })
    }

    /// Reads a list in DER that one of `issuers` made: the one whose name it bears and whose key verifies it. Several
    /// may bear the name (PKITS 4.5.5).
    ///
    /// # Errors
    /// [`ListError`]: why the last issuer of that name is not the one, or [`ListError::OtherIssuer`] when none bears it.
    pub fn from_der_of_any(der: &[u8], issuers: &[ListIssuer]) -> Result<Self, ListError> {
        let mut refused = ListError::OtherIssuer;
        for issuer in issuers {
            match Self::from_der(der, issuer) {
                Ok(list) => return Ok(list),
                Err(ListError::OtherIssuer) => {}
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Whose list it is.
    #[must_use]
    pub fn issuer(&self) -> IssuerKeyId {
        self.issuer
    }

    /// Its number; a later list of the same scope has a greater one.
    #[must_use]
    pub fn number(&self) -> ListNumber {
        self.number
    }

    /// When it was made.
    #[must_use]
    pub fn this_update(&self) -> UnixTime {
        self.this_update
    }

    /// When the next one is due at the latest. From then on this one says nothing about what is *not* on it.
    #[must_use]
    pub fn next_update(&self) -> UnixTime {
        self.next_update
    }

    /// What is revoked.
    #[must_use]
    pub fn entries(&self) -> &RevocationIndex {
        &self.entries
    }

    /// Whether it is neither from the future nor overdue.
    #[must_use]
    pub fn is_current(&self, at: UnixTime) -> bool {
        self.this_update <= at && at < self.next_update
    }

    /// Whether it is the list that says whether `certificate` is revoked: of its issuer, of its kind, and of its
    /// distribution point (RFC 5280 section 6.3.3 (b)). A list without distribution point is for every one; one with a
    /// distribution point is only for certificates that name the same.
    #[must_use]
    pub fn covers(&self, certificate: &PathCertificate) -> bool {
        let kind = match (self.only, certificate.role) {
            (None, CertificateRole::Leaf | CertificateRole::Intermediate(_))
            | (Some(ListScope::Leaves), CertificateRole::Leaf)
            | (Some(ListScope::Authorities), CertificateRole::Intermediate(_)) => true,
            (Some(ListScope::Leaves), CertificateRole::Intermediate(_))
            | (Some(ListScope::Authorities), CertificateRole::Leaf) => false,
        };
        let shard = self.distribution_points.as_ref().is_none_or(|points| {
            points
                .iter()
                .any(|point| certificate.distribution_points.contains(point))
        });
        kind && shard && self.issuer == certificate.issuer
    }

    /// Why the certificate is on this list, if it is. Being on any list of its issuer, however old and whatever its
    /// scope, is being revoked; *not* being on it means something only where the list [covers](Self::covers) the
    /// certificate and [is current](Self::is_current).
    #[must_use]
    pub fn reason(&self, certificate: &PathCertificate) -> Option<RevocationReason> {
        (self.issuer == certificate.issuer)
            .then(|| self.entries.reason(&certificate.serial))
            .flatten()
    }
}

/// The number of a list (RFC 5280 section 5.2.3): at most 20 octets. It prints as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListNumber([u8; 20]);

impl ListNumber {
    /// Reads the content octets of a DER INTEGER.
    fn from_der_integer(octets: &[u8]) -> Option<Self> {
        if octets.first()? & 0x80 != 0 {
            return None;
        }
        let start = octets.iter().take_while(|octet| **octet == 0).count();
        let significant = octets.get(start..)?;
        let mut number = [0; 20];
        number
            .get_mut(20_usize.checked_sub(significant.len())?..)?
            .copy_from_slice(significant);
        Some(Self(number))
    }
}

impl From<u64> for ListNumber {
    fn from(number: u64) -> Self {
        let mut octets = [0; 20];
        octets[12..].copy_from_slice(&number.to_be_bytes());
        Self(octets)
    }
}

impl fmt::Display for ListNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let significant = digits.trim_start_matches('0');
        f.write_str(if significant.is_empty() {
            "0"
        } else {
            significant
        })
    }
}

impl fmt::Debug for ListNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListNumber({self})")
    }
}
