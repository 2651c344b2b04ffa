//! What the gate must refuse, and what it must not. The certificates are made here, but for those with algorithms that
//! nothing at hand would make any more (`weak/`, made with openssl).

pub(crate) mod authority;
mod email;
mod guards;
mod paths;
mod revoked;

use authority::{Authority, NOW, at};

use super::*;
use crate::issuer_key_id::IssuerKeyId;

/// Good, or what a table says about an issuer's serials.
struct Known(Vec<(IssuerKeyId, crate::serial::Serial, Status)>, Status);

impl RevocationStatus for Known {
    fn status(&self, certificate: &PathCertificate, _at: UnixTime) -> Status {
        self.0
            .iter()
            .find(|(issuer, serial, _)| {
                (*issuer, *serial) == (certificate.issuer, certificate.serial)
            })
            .map_or(self.1, |(_, _, status)| *status)
    }
}

const NONE_REVOKED: Known = Known(Vec::new(), Status::Good);

fn anchors(roots: &[&Authority]) -> Anchors {
    Anchors::new(
        roots
            .iter()
            .enumerate()
            .map(|(index, root)| Anchor {
                id: format!("root-{index}"),
                certificate: root.der.clone(),
            })
            .collect(),
    )
    .expect("anchors that can be read")
}

fn verify_now(
    leaf: &CertificateDer<'_>,
    presented: &[CertificateDer<'_>],
    anchors: &Anchors,
) -> Result<VerifiedPath, ChainError> {
    verify(
        leaf,
        presented,
        anchors,
        &NONE_REVOKED,
        &Requirements::default(),
        at(NOW),
    )
}
