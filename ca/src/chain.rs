//! A path from a client's certificate to a trust anchor: whether there is one, and what the client's certificate says.
//! It decides who a certificate was issued to and by whom, not what they may do.
//!
//! Path building, signatures, basicConstraints, path lengths and name constraints are `webpki`'s (RFC 5280 section
//! 6.1). It leaves out, and this module adds: the validity, CA bit, key usage, path length and critical extensions of
//! the anchor; keyCertSign of intermediates; that the leaf says itself that it is a client's (absent or "any" extended
//! key usage does not do) and may sign; its key's strength; serial numbers; e-mail constraints; revocation of every
//! certificate but the anchor, without verifying a list's signature on every handshake.
//!
//! Constraints on URIs and directory names refuse whatever they would apply to. Certificate policies are not processed:
//! where they are critical, the certificate is refused.

mod algorithm;
mod anchor;
mod email;
mod error;
mod facts;
mod issued;
mod leaf;
mod path;
mod search;
mod status;
#[cfg(test)]
pub(crate) mod tests;

pub use anchor::{Anchor, Anchors, InvalidAnchor};
pub use error::{Category, ChainError, Fault, Place};
pub use issued::is_issued_by;
pub use leaf::{Leaf, SubjectAltNames};
pub use path::VerifiedPath;
pub use status::{
    CertificateRole, NoRevocationSource, PathCertificate, RevocationStatus, Status, UnknownStatus,
};

pub(crate) use algorithm::verify as verify_signature;
pub(crate) use facts::{Facts, unix_time};

use std::borrow::Cow;

use rustls_pki_types::{CertificateDer, UnixTime};
use search::Search;

/// Verifies that a path leads from `leaf`, over certificates of `presented` in any order, to an anchor, and that every
/// certificate of it is valid and not revoked at the time `at`. Certificates that the path does not need do no harm.
///
/// # Errors
/// [`ChainError`] with the certificate at fault and the reason. Where several paths were tried, it is the reason why the
/// first one that led to an anchor was refused, or else the most specific one.
pub fn verify(
    leaf: &CertificateDer<'_>,
    presented: &[CertificateDer<'_>],
    anchors: &Anchors,
    revocation: &dyn RevocationStatus,
    requirements: &Requirements,
    at: UnixTime,
) -> Result<VerifiedPath, ChainError> {
    requirements.limits.check(leaf, presented)?;
    let at_leaf = |fault| ChainError::new(Place::Leaf, fault);
    let facts = Facts::read(leaf).map_err(at_leaf)?;
    let read = Leaf::read(leaf, &facts).map_err(at_leaf)?;
    let distinct = distinct(presented);
    let search = Search {
        leaf,
        facts: &facts,
        public_key_sha256: read.public_key_sha256,
        serial: read.serial,
        presented,
        anchors,
        revocation,
        unknown: requirements.unknown_status,
        at,
    };
    search.run(&distinct).map(|found| VerifiedPath {
        leaf: read,
        certificates: found.certificates,
        anchor: found.anchor,
        valid_from: found.valid_from,
        valid_until: found.valid_until,
    })
}

/// What a chain must meet besides being one. The default is what the gate asks of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requirements {
    /// How much is looked at.
    pub limits: Limits,
    /// What becomes of a certificate whose revocation status nobody knows.
    pub unknown_status: UnknownStatus,
}

/// How much of what somebody presents is looked at. `webpki` bounds the paths that are tried, and the signatures (100)
/// and names (250,000) that are checked for one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most certificates, with the leaf.
    pub certificates: usize,
    /// The most octets of one certificate.
    pub certificate_octets: usize,
    /// The most octets in all.
    pub total_octets: usize,
}

impl Limits {
    /// For a stranger's handshake: 10 certificates, 16 KiB each, 64 KiB in all.
    pub const HANDSHAKE: Self = Self {
        certificates: 10,
        certificate_octets: 16 * 1024,
        total_octets: 64 * 1024,
    };
    /// For files that somebody named on the command line: 256 certificates, 16 KiB each.
    pub const FILES: Self = Self {
        certificates: 256,
        certificate_octets: 16 * 1024,
        total_octets: 256 * 16 * 1024,
    };

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        presented: &[CertificateDer<'_>],
    ) -> Result<(), ChainError> {
        let refuse = |place, fault| Err(ChainError::new(place, fault));
        let count = presented.len() + 1;
        if count > self.certificates {
            let fault = Fault::TooManyCertificates {
                presented: count,
                limit: self.certificates,
            };
            return refuse(Place::Chain, fault);
        }
        let mut total = 0;
        for (index, certificate) in std::iter::once(leaf).chain(presented).enumerate() {
            let octets = certificate.len();
            total += octets;
            if octets > self.certificate_octets {
                let place = index.checked_sub(1).map_or(Place::Leaf, Place::Presented);
                let limit = self.certificate_octets;
                return refuse(place, Fault::TooLarge { octets, limit });
            }
        }
        if total > self.total_octets {
            let fault = Fault::TooLarge {
                octets: total,
                limit: self.total_octets,
            };
            return refuse(Place::Chain, fault);
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::HANDSHAKE
    }
}

/// A certificate that was sent twice counts once, so that repeating one multiplies no paths. RFC 8446 section 4.4.2
/// asks servers to put up with needless certificates.
fn distinct<'a, 'b>(presented: &'b [CertificateDer<'a>]) -> Cow<'b, [CertificateDer<'a>]> {
    let is_new = |(index, certificate): (usize, &CertificateDer<'_>)| {
        !presented[..index].contains(certificate)
    };
    if presented.iter().enumerate().all(is_new) {
        return Cow::Borrowed(presented);
    }
    presented
        .iter()
        .enumerate()
        .filter(|(index, certificate)| is_new((*index, *certificate)))
        .map(|(_, certificate)| certificate.clone())
        .collect()
}
