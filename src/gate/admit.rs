//! Admission: from the certificates of a finished handshake, resumed or not, to who is at the other end.
//!
//! A resumed session never asked the verifier (nginx CVE-2025-23419, Go CVE-2025-68121, HAProxy, Apache
//! CVE-2025-23048), so nothing that the handshake may have checked is relied on: path, validity, revocation and anchor
//! are looked at here for every connection.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use portcullis_ca::chain::{PathCertificate, RevocationStatus, Status, VerifiedPath};
use portcullis_ca::revocation::RevocationReason;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::connection::Loss;
use crate::{
    authority::standing::Standing,
    domain::{
        Timestamp,
        credential::CertificateCredential,
        mapping::{AnchorId, MappingError, map_internal},
        principal::{Principal, TrustDomain},
    },
    listen::{VerifiedPaths, client_certificate::unix_time},
};

/// What connections are judged by.
#[derive(Debug)]
pub(super) struct Trust {
    paths: Arc<VerifiedPaths>,
    standing: Arc<Standing>,
    trust_domain: TrustDomain,
    internal: AnchorId,
}

/// What a connection's certificate proves.
#[derive(Debug)]
pub(super) enum PeerCertificate {
    /// The client presented none.
    None,
    /// It proves a principal for as long as its path holds.
    Proven(Box<Proven>),
    /// Its path holds, and it proves nobody.
    Unproven(Box<Unproven>),
    /// Its path didn't hold when the connection was admitted: a resumed session of a certificate that has since been
    /// revoked or has expired.
    Refused(Loss),
}

/// A certificate that proves a principal.
#[derive(Debug)]
pub(super) struct Proven {
    /// The credential, as the decision takes it.
    pub(super) credential: CertificateCredential,
    /// `Portcullis-Principal`
    pub(super) principal: HeaderValue,
    /// `Client-Cert` (RFC 9440 section 2.2)
    pub(super) client_cert: HeaderValue,
    path: Arc<VerifiedPath>,
}

/// A certificate that proves nobody, and why.
#[derive(Debug)]
pub(super) struct Unproven {
    /// Why no principal, or no single one, is proved.
    pub(super) reason: MappingError,
    path: Arc<VerifiedPath>,
}

impl Trust {
    pub(super) fn new(
        paths: Arc<VerifiedPaths>,
        standing: Arc<Standing>,
        trust_domain: TrustDomain,
    ) -> Self {
        Self {
            paths,
            standing,
            trust_domain,
            internal: AnchorId::internal(),
        }
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Who the certificates of a finished handshake prove.
    pub(super) fn admit(
        &self,
        certificates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> PeerCertificate {
        let Some((leaf, intermediates)) = certificates.split_first() else {
            return PeerCertificate::None;
        };
        let path = match self.paths.verify(leaf, intermediates, unix_time(now)) {
            Ok(path) => path,
            Err(error) => return PeerCertificate::Refused(Loss::Chain(error)),
        };
        let uris = path.leaf().names.uri.iter().map(String::as_str);
        // An anchor without a mapping of its own proves nobody; only the built-in authority needs none. What another CA
        // below one of its roots issued is not the authority's, whatever name is in it.
        let mapped = if self.is_ours(&path) {
            map_internal(uris, &self.trust_domain)
        } else {
            Err(MappingError::Unmapped(None))
        };
        match mapped {
            Ok(principal) => {
                let credential = CertificateCredential {
                    principal,
                    anchor: self.internal.clone(),
                    serial: path.leaf().serial,
                    thumbprint: path.leaf().thumbprint,
                    not_after: timestamp(path.valid_until()),
                    only: None,
                };
                PeerCertificate::Proven(Box::new(Proven {
                    principal: printable(credential.principal.to_string()),
                    client_cert: printable(format!(":{}:", STANDARD.encode(leaf))),
                    credential,
                    path,
                }))
            }
            Err(reason) => PeerCertificate::Unproven(Box::new(Unproven { reason, path })),
        }
    }

    fn is_ours(&self, path: &VerifiedPath) -> bool {
        **path.anchor_id() == *self.internal.as_str() && self.standing.issues_leaves(&path.issuer())
    }

    /// Whether what a certificate proves still holds.
    ///
    /// # Errors
    /// [`Loss`] when it doesn't.
    pub(super) fn check(&self, certificate: &PeerCertificate, now: Timestamp) -> Result<(), Loss> {
        let path = match certificate {
            PeerCertificate::None => return Ok(()),
            PeerCertificate::Refused(loss) => return Err(loss.clone()),
            PeerCertificate::Unproven(unproven) => &unproven.path,
            PeerCertificate::Proven(proven) => &proven.path,
        };
        self.paths
            .recheck(path, unix_time(now))
            .map_err(Loss::Chain)?;
        match certificate {
            PeerCertificate::Proven(_) if !self.is_ours(path) => Err(Loss::Issuer),
            PeerCertificate::Proven(proven)
                if self
                    .standing
                    .principal_state(&proven.credential.principal)
                    .suspended =>
            {
                Err(Loss::Suspended)
            }
            PeerCertificate::Proven(_)
            | PeerCertificate::None
            | PeerCertificate::Unproven(_)
            | PeerCertificate::Refused(_) => Ok(()),
        }
    }
}

impl PeerCertificate {
    /// The first moment at which its path is no longer good, if it has one: the whole last second belongs to it.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        let path = match self {
            Self::None | Self::Refused(_) => return None,
            Self::Proven(proven) => &proven.path,
            Self::Unproven(unproven) => &unproven.path,
        };
        Some(timestamp(path.valid_until()) + Duration::from_secs(1))
    }

    /// Whom it proves.
    pub(super) fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Proven(proven) => Some(&proven.credential.principal),
            Self::None | Self::Unproven(_) | Self::Refused(_) => None,
        }
    }
}

fn timestamp(time: UnixTime) -> Timestamp {
    Timestamp::from_unix_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

fn printable(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("principals and base64 are printable ASCII")
}

/// The standing as the verification of chains asks it. It knows every revocation of the built-in authority, and nobody
/// else issues what this gate trusts, so whatever it doesn't know as revoked is good.
#[derive(Debug)]
pub(super) struct StandingStatus(pub(super) Arc<Standing>);

impl RevocationStatus for StandingStatus {
    fn status(&self, certificate: &PathCertificate, _at: UnixTime) -> Status {
        if self.0.is_revoked(&certificate.issuer, &certificate.serial) {
            Status::Revoked(RevocationReason::Unspecified)
        } else {
            Status::Good
        }
    }
}
