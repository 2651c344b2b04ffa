//! Trust anchors, read once: a handshake parses no root.
//!
//! `webpki` takes of a root its name, key and name constraints, and nothing else. What it leaves out (validity, whether
//! it is a CA at all, path length, key usage, critical extensions) is kept beside it and checked on every path.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};

use super::{
    email::{self, EmailConstraints},
    error::Fault,
    facts::Facts,
};
use crate::issuer_key_id::IssuerKeyId;

/// A trusted root, or an intermediate that is trusted like one.
#[derive(Debug, Clone)]
pub struct Anchor {
    /// What the configuration and the permissions call it; several certificates of one CA may share it.
    pub id: String,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
}

/// The trust anchors of a listener.
#[derive(Debug)]
pub struct Anchors {
    /// What `webpki` walks to; the index is that of `known`.
    pub(super) trusted: Vec<TrustAnchor<'static>>,
    /// The same with e-mail constraints hidden from `webpki`, where a root has some (see [`email`]).
    pub(super) without_email: Option<Vec<TrustAnchor<'static>>>,
    pub(super) known: Vec<KnownAnchor>,
}

/// What is checked of an anchor besides its name and key.
#[derive(Debug)]
pub(super) struct KnownAnchor {
    pub(super) id: Arc<str>,
    pub(super) key: IssuerKeyId,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) path_length: Option<u32>,
    pub(super) email: EmailConstraints,
    /// Why no path may end here, whatever the time.
    pub(super) fault: Option<Fault>,
}

impl Anchors {
    /// Reads the certificates.
    ///
    /// An anchor that can be read but that no path may end at (it is no CA, say, or has a critical extension that is
    /// not understood) does no harm to the others; [`Self::faults`] names it.
    ///
    /// # Errors
    /// [`InvalidAnchor`] when there is none at all, or one can't be read: a listener must not open then.
    pub fn new(anchors: Vec<Anchor>) -> Result<Self, InvalidAnchor> {
        if anchors.is_empty() {
            return Err(InvalidAnchor::None);
        }
        let mut trusted = Vec::with_capacity(anchors.len());
        let mut known = Vec::with_capacity(anchors.len());
        for Anchor { id, certificate } in anchors {
            let unreadable = |id: &str, reason: String| InvalidAnchor::Unreadable {
                id: id.to_owned(),
                reason,
            };
            let facts =
                Facts::read(&certificate).map_err(|fault| unreadable(&id, fault.to_string()))?;
            let anchor = webpki::anchor_from_trusted_cert(&certificate)
                .map_err(|error| unreadable(&id, error.to_string()))?;
            trusted.push(anchor.to_owned());
            known.push(KnownAnchor::new(&id, &facts));
        }
        let without_email = known
            .iter()
            .any(|anchor| !anchor.email.is_empty())
            .then(|| trusted.iter().map(email::without_email).collect());
        Ok(Self {
            trusted,
            without_email,
            known,
        })
    }

    /// The anchors that no path may end at, whatever the time, and why. Tell the operator.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &Fault)> {
        self.known
            .iter()
            .filter_map(|anchor| Some((&*anchor.id, anchor.fault.as_ref()?)))
    }

    /// Each anchor's id, the hash of its key, and the last second in which it is valid.
    pub fn iter(&self) -> impl Iterator<Item = (&str, IssuerKeyId, UnixTime)> {
        self.known
            .iter()
            .map(|anchor| (&*anchor.id, anchor.key, anchor.not_after))
    }
}

impl KnownAnchor {
    fn new(id: &str, facts: &Facts<'_>) -> Self {
        let (email, constraints_fault) = match EmailConstraints::read(facts.name_constraints) {
            Ok(constraints) => (constraints, None),
            Err(fault) => (EmailConstraints::default(), Some(fault)),
        };
        Self {
            id: id.into(),
            key: IssuerKeyId::of(facts.subject_public_key_info()),
            not_before: facts.not_before,
            not_after: facts.not_after,
            path_length: facts
                .basic_constraints
                .as_ref()
                .and_then(|constraints| constraints.path_len_constraint),
            email,
            fault: fault(facts).or(constraints_fault),
        }
    }

    /// What forbids a path of `intermediates` CAs below this anchor, at the time `at`.
    pub(super) fn check(&self, intermediates: usize, at: UnixTime) -> Result<(), Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        check_validity(self.not_before, self.not_after, at)?;
        // As webpki counts for intermediates, a self-issued CA counts too; RFC 5280 would let it go.
        match self.path_length {
            Some(limit) if u32::try_from(intermediates).is_ok_and(|count| count > limit) => {
                Err(Fault::PathTooLong)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// RFC 5280 section 6.1 takes an anchor for a name and a key. Its certificate says what its owner meant it for, and
/// ignoring that has let expired and restricted roots through.
fn fault(facts: &Facts<'_>) -> Option<Fault> {
    if let Some(oid) = &facts.unknown_critical_extension {
        return Some(Fault::UnknownCriticalExtension(Some(oid.clone())));
    }
    if facts.basic_constraints.as_ref().is_some_and(|it| !it.ca) {
        return Some(Fault::NotACa);
    }
    if facts.key_usage.is_some_and(|usage| !usage.key_cert_sign()) {
        return Some(Fault::KeyUsageWithoutCertSign);
    }
    if facts
        .purposes
        .is_some_and(|purposes| !purposes.client_auth && !purposes.any)
    {
        return Some(Fault::NotForClientAuthentication);
    }
    None
}

/// Both ends are within (RFC 5280 section 4.1.2.5).
pub(super) fn check_validity(
    not_before: UnixTime,
    not_after: UnixTime,
    at: UnixTime,
) -> Result<(), Fault> {
    if at < not_before {
        return Err(Fault::NotYetValid { not_before });
    }
    if at > not_after {
        return Err(Fault::Expired { not_after });
    }
    Ok(())
}

/// Why there are no trust anchors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnchor {
    /// There is none.
    #[error("there is no trust anchor: nobody could be let in, so nobody is asked")]
    None,
    /// One can't be read.
    #[error("the trust anchor {id:?} is no certificate that can be read: {reason}")]
    Unreadable {
        /// Which one.
        id: String,
        /// Why.
        reason: String,
    },
}
