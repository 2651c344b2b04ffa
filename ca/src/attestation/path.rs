//! From a statement's certificate to a root: each certificate of `x5c` is issued by the next, and the last one by a root.
//!
//! Signatures, names, validity, basicConstraints, path lengths, keyCertSign and critical extensions are checked on every hop
//! and on the root. A CA with name constraints is refused: they are not processed here.

use rustls_pki_types::{CertificateDer, UnixTime};

use super::{AttestationError, Context, certificate::purposes};
use crate::{
    chain::{Facts, Fault, Place, is_issued_by},
    key::sha256,
};

/// The most certificates of a statement, and of each the most octets.
const MAX_CERTIFICATES: usize = 8;
const MAX_CERTIFICATE_OCTETS: usize = 16 * 1024;

/// The roots that statements are verified to: CA certificates that an operator named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots(Vec<CertificateDer<'static>>);

impl Roots {
    /// Reads them.
    ///
    /// # Errors
    /// [`InvalidRoot`] when there is none, or one that no path could ever end at.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, InvalidRoot> {
        if certificates.is_empty() {
            return Err(InvalidRoot::None);
        }
        for (index, der) in certificates.iter().enumerate() {
            let invalid = |fault| InvalidRoot::Unusable {
                number: index + 1,
                fault,
            };
            check_ca(&Facts::read(der).map_err(invalid)?, 0, None).map_err(invalid)?;
        }
        Ok(Self(certificates))
    }

    /// SHA-256 of each certificate, for people.
    pub fn fingerprints(&self) -> impl Iterator<Item = [u8; 32]> {
        self.0.iter().map(|der| sha256(der))
    }
}

/// Why roots are no roots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoot {
    /// There is none.
    #[error("there is no certificate in it; put the maker's root certificates there, in PEM")]
    None,
    /// One that no path could end at.
    #[error("certificate {number} of it can't be a root: {fault}")]
    Unusable {
        /// Which one, from 1.
        number: usize,
        /// Why not.
        fault: Fault,
    },
}

/// Reads the first certificate of `x5c` and verifies its path. With a `purpose` (the contents of an object identifier), a
/// CA whose extended key usages are restricted must allow it.
pub(super) fn verified<'a>(
    context: &Context<'_>,
    certificates: &[&'a [u8]],
    purpose: Option<&[u8]>,
) -> Result<Facts<'a>, AttestationError> {
    check_size(certificates)?;
    let mut path = certificates
        .iter()
        .enumerate()
        .map(|(index, der)| Facts::read(der).map_err(|fault| at(index, fault)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut certificates = certificates;
    // The root itself may come along; it is not needed.
    if let [rest @ .., last] = certificates
        && !rest.is_empty()
        && context.roots.0.iter().any(|root| root.as_ref() == *last)
    {
        certificates = rest;
        path.truncate(rest.len());
    }
    for (index, facts) in path.iter().enumerate() {
        check_now(facts, context.at).map_err(|fault| at(index, fault))?;
        if index == 0 {
            check_end_entity(facts).map_err(|fault| at(index, fault))?;
        } else {
            check_ca(facts, index - 1, purpose).map_err(|fault| at(index, fault))?;
            if facts.subject_public_key_info() == path[0].subject_public_key_info() {
                return Err(at(0, Fault::SelfSigned));
            }
        }
    }
    for (index, pair) in certificates.windows(2).enumerate() {
        if let [below, above] = pair {
            is_issued_by(&(*below).into(), &(*above).into()).map_err(|fault| at(index, fault))?;
        }
    }
    end_at_root(context, certificates, &path, purpose)?;
    // There is at least one certificate, and the first is never taken for a root.
    Ok(path.swap_remove(0))
}

fn check_size(certificates: &[&[u8]]) -> Result<(), AttestationError> {
    if certificates.len() > MAX_CERTIFICATES {
        return Err(AttestationError::Certificate {
            place: Place::Chain,
            fault: Fault::TooManyCertificates {
                presented: certificates.len(),
                limit: MAX_CERTIFICATES,
            },
        });
    }
    match certificates
        .iter()
        .position(|der| der.len() > MAX_CERTIFICATE_OCTETS)
    {
        None => Ok(()),
        Some(index) => Err(at(
            index,
            Fault::TooLarge {
                octets: certificates[index].len(),
                limit: MAX_CERTIFICATE_OCTETS,
            },
        )),
    }
}

/// That a root issued the last certificate of the path.
fn end_at_root(
    context: &Context<'_>,
    certificates: &[&[u8]],
    path: &[Facts<'_>],
    purpose: Option<&[u8]>,
) -> Result<(), AttestationError> {
    let (Some(der), Some(last)) = (certificates.last(), path.last()) else {
        return Err(AttestationError::Member {
            name: "x5c",
            wanted: "array with a certificate in it",
        });
    };
    let mut refused = None;
    for root in &context.roots.0 {
        let judged = Facts::read(root).and_then(|facts| {
            // Names first: most roots are of somebody else.
            if facts.subject() != last.certificate.issuer().as_raw() {
                return Err(Fault::UnknownIssuer);
            }
            check_now(&facts, context.at)?;
            check_ca(&facts, path.len() - 1, purpose)?;
            if facts.subject_public_key_info() == path[0].subject_public_key_info() {
                return Err(Fault::SelfSigned);
            }
            is_issued_by(&(*der).into(), root)
        });
        match judged {
            Ok(()) => return Ok(()),
            Err(Fault::UnknownIssuer) => {}
            Err(fault) => refused = Some(fault),
        }
    }
    Err(match refused {
        Some(fault) => AttestationError::Certificate {
            place: Place::Anchor("roots".to_owned()),
            fault,
        },
        None => AttestationError::UnknownRoot {
            issuer: last.certificate.issuer().to_string(),
        },
    })
}

/// What is asked of every certificate, a root among them.
fn check_now(facts: &Facts<'_>, now: UnixTime) -> Result<(), Fault> {
    if let Some(oid) = &facts.unknown_critical_extension {
        return Err(Fault::UnknownCriticalExtension(Some(oid.clone())));
    }
    if now < facts.not_before {
        return Err(Fault::NotYetValid {
            not_before: facts.not_before,
        });
    }
    if now > facts.not_after {
        return Err(Fault::Expired {
            not_after: facts.not_after,
        });
    }
    Ok(())
}

/// What speaks for a device signs no certificates: else a device could make devices.
fn check_end_entity(facts: &Facts<'_>) -> Result<(), Fault> {
    let signs = facts.key_usage.is_some_and(|usage| usage.key_cert_sign());
    if signs || facts.basic_constraints.as_ref().is_some_and(|it| it.ca) {
        return Err(Fault::CaAsClient);
    }
    Ok(())
}

/// What a CA with so many CAs below it must say of itself (RFC 5280 section 6.1.4).
fn check_ca(facts: &Facts<'_>, below: usize, purpose: Option<&[u8]>) -> Result<(), Fault> {
    let Some(constraints) = facts.basic_constraints.as_ref().filter(|it| it.ca) else {
        return Err(Fault::NotACa);
    };
    if facts.key_usage.is_some_and(|usage| !usage.key_cert_sign()) {
        return Err(Fault::KeyUsageWithoutCertSign);
    }
    let limit = constraints.path_len_constraint;
    if limit.is_some_and(|limit| usize::try_from(limit).is_ok_and(|limit| below > limit)) {
        return Err(Fault::PathTooLong);
    }
    if facts.name_constraints.is_some() {
        return Err(Fault::NameConstraints);
    }
    // RFC 5280 section 4.2.1.12, anyExtendedKeyUsage.
    const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
    match (purpose, purposes(facts)?) {
        (Some(purpose), Some(allowed))
            if !allowed.iter().any(|it| *it == purpose || *it == ANY) =>
        {
            Err(Fault::Malformed(
                "its extended key usages do not allow what it issued".to_owned(),
            ))
        }
        (Some(_) | None, _) => Ok(()),
    }
}

fn at(index: usize, fault: Fault) -> AttestationError {
    AttestationError::Certificate {
        place: match index {
            0 => Place::Leaf,
            after => Place::Presented(after - 1),
        },
        fault,
    }
}
