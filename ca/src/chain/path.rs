//! A path that was verified: what a gate decides by, and may keep to look at again.

use std::sync::Arc;

use rustls_pki_types::UnixTime;

use super::{
    anchor::check_validity,
    error::{ChainError, Place},
    leaf::Leaf,
    status::{self, CertificateRole, PathCertificate, RevocationStatus, UnknownStatus},
};
use crate::issuer_key_id::IssuerKeyId;

/// A path from a client's certificate to a trust anchor, whose every signature was verified. Only
/// [`verify`](super::verify) makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPath {
    pub(super) leaf: Leaf,
    pub(super) certificates: Vec<PathCertificate>,
    pub(super) anchor: PathAnchor,
    pub(super) valid_from: UnixTime,
    pub(super) valid_until: UnixTime,
}

/// The end of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathAnchor {
    pub(super) id: Arc<str>,
    pub(super) key: IssuerKeyId,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
}

impl VerifiedPath {
    /// The client's certificate.
    #[must_use]
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The id of the anchor that the path ends at.
    #[must_use]
    pub fn anchor_id(&self) -> &Arc<str> {
        &self.anchor.id
    }

    /// The hash of that anchor's key.
    #[must_use]
    pub fn anchor_key(&self) -> IssuerKeyId {
        self.anchor.key
    }

    /// The certificates of the path, the leaf first, without the anchor.
    #[must_use]
    pub fn certificates(&self) -> &[PathCertificate] {
        &self.certificates
    }

    /// Who issued the leaf.
    #[must_use]
    pub fn issuer(&self) -> IssuerKeyId {
        self.certificates
            .first()
            .map_or(self.anchor.key, |leaf| leaf.issuer)
    }

    /// The latest notBefore on the whole path, the anchor included.
    #[must_use]
    pub fn valid_from(&self) -> UnixTime {
        self.valid_from
    }

    /// The earliest notAfter on the whole path, the anchor included: the last second in which the path is valid. A
    /// connection must not outlive it.
    #[must_use]
    pub fn valid_until(&self) -> UnixTime {
        self.valid_until
    }

    /// Looks again at what changes with time: the validity of the whole path, and the revocation of each certificate
    /// but the anchor. No signature is verified again. Whether the anchor is still trusted is for the caller to know:
    /// a cache belongs to one set of [`Anchors`](super::Anchors).
    ///
    /// # Errors
    /// [`ChainError`] when the path is not valid at the time `at`.
    pub fn recheck(
        &self,
        revocation: &dyn RevocationStatus,
        unknown: UnknownStatus,
        at: UnixTime,
    ) -> Result<(), ChainError> {
        if at < self.valid_from || at > self.valid_until {
            return Err(self.out_of_time(at));
        }
        check_revocation(&self.certificates, revocation, unknown, at)
    }

    /// Which certificate is to blame, when one must be.
    fn out_of_time(&self, at: UnixTime) -> ChainError {
        for certificate in &self.certificates {
            if let Err(fault) = check_validity(certificate.not_before, certificate.not_after, at) {
                return ChainError::new(certificate.role.place(), fault);
            }
        }
        let place = Place::Anchor(self.anchor.id.to_string());
        let fault = check_validity(self.valid_from, self.valid_until, at).err();
        let own = check_validity(self.anchor.not_before, self.anchor.not_after, at).err();
        ChainError::new(
            place,
            own.or(fault).unwrap_or(super::Fault::Expired {
                not_after: self.valid_until,
            }),
        )
    }
}

impl CertificateRole {
    pub(super) fn place(self) -> Place {
        match self {
            Self::Leaf => Place::Leaf,
            Self::Intermediate(index) => Place::Presented(index),
        }
    }
}

pub(super) fn check_revocation(
    certificates: &[PathCertificate],
    revocation: &dyn RevocationStatus,
    unknown: UnknownStatus,
    at: UnixTime,
) -> Result<(), ChainError> {
    for certificate in certificates {
        status::check(revocation.status(certificate, at), unknown)
            .map_err(|fault| ChainError::new(certificate.role.place(), fault))?;
    }
    Ok(())
}
