//! Whether a certificate of a path was revoked: who is asked, what is asked, what is answered.

use rustls_pki_types::UnixTime;

use super::error::Fault;
use crate::{issuer_key_id::IssuerKeyId, revocation::RevocationReason, serial::Serial};

/// Whoever knows which certificates were revoked: lists ([`ListSet`](crate::list::ListSet)), or the gate's index.
pub trait RevocationStatus {
    /// The status of `certificate` at the time `at`. It is asked in the middle of a handshake: no waiting.
    fn status(&self, certificate: &PathCertificate, at: UnixTime) -> Status;
}

/// What is known about a certificate's revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A source that answers for it says that it is not revoked.
    Good,
    /// It is revoked.
    Revoked(RevocationReason),
    /// Nobody answers for it.
    Unknown,
}

/// What becomes of a certificate whose status is [`Status::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownStatus {
    /// It is refused: what can't be known fails closed.
    #[default]
    Deny,
    /// It is accepted. Only where nobody publishes lists, and the operator said so.
    Allow,
}

/// A certificate on a path, but for the anchor: what its status is asked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathCertificate {
    /// Whose certificate it is.
    pub issuer: IssuerKeyId,
    /// Its number at its issuer.
    pub serial: Serial,
    /// Where on the path it stands.
    pub role: CertificateRole,
    /// The first second in which it is valid.
    pub not_before: UnixTime,
    /// The last second in which it is valid.
    pub not_after: UnixTime,
    /// The URIs of its CRL distribution points (RFC 5280 section 4.2.1.13), but for points that are for some reasons
    /// only or for another issuer's list.
    pub distribution_points: Vec<String>,
}

/// Where on a path a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateRole {
    /// The client's own.
    Leaf,
    /// A CA below the anchor: the certificate at this index, from 0, of those that were presented.
    Intermediate(usize),
}

/// Nobody knows anything: every status is [`Status::Unknown`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRevocationSource;

impl RevocationStatus for NoRevocationSource {
    fn status(&self, _certificate: &PathCertificate, _at: UnixTime) -> Status {
        Status::Unknown
    }
}

pub(super) fn check(status: Status, unknown: UnknownStatus) -> Result<(), Fault> {
    match (status, unknown) {
        (Status::Good, UnknownStatus::Allow | UnknownStatus::Deny)
        | (Status::Unknown, UnknownStatus::Allow) => Ok(()),
        (Status::Unknown, UnknownStatus::Deny) => Err(Fault::RevocationStatusUnknown),
        (Status::Revoked(reason), UnknownStatus::Allow | UnknownStatus::Deny) => {
            Err(Fault::Revoked(reason))
        }
    }
}
