//! E-mail name constraints (RFC 5280 section 4.2.1.10), which `webpki` does not process: it refuses whatever they
//! would apply to.
//!
//! So a path that needs them is looked for a second time, with every e-mail constraint relabelled as one on
//! registeredID, a kind of name that webpki refuses just so and that nobody has. Only what webpki reads as a constraint
//! is relabelled; signatures are verified over the octets that were signed, and the constraints are then applied here.
//! Certificates without e-mail constraints never come by.

use std::borrow::Cow;

use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    TrustAnchor,
};
use x509_parser::extensions::{GeneralName, NameConstraints, SubjectAlternativeName};

use super::{
    algorithm::ACCEPTED,
    error::Fault,
    facts::{Facts, whole},
};
use crate::der;

/// `[1] IMPLICIT IA5String`: the rfc822Name of a GeneralName.
const RFC822_NAME: u8 = 0x81;
/// `[8] IMPLICIT OBJECT IDENTIFIER`: the registeredID of a GeneralName.
const REGISTERED_ID: u8 = 0x88;

/// The e-mail constraints of a CA.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct EmailConstraints {
    permitted: Vec<Constraint>,
    excluded: Vec<Constraint>,
}

/// What an e-mail constraint names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Constraint {
    /// One mailbox: the local part to the letter, the host whatever its case.
    Mailbox(String, String),
    /// Every mailbox of this host.
    Host(String),
    /// Every mailbox of every host below this domain (written with a dot before it).
    Below(String),
}

impl EmailConstraints {
    /// Reads them from the value of a nameConstraints extension, if there is one.
    pub(super) fn read(value: Option<&[u8]>) -> Result<Self, Fault> {
        let Some(value) = value else {
            return Ok(Self::default());
        };
        let parsed = whole::<NameConstraints<'_>>("nameConstraints", value)?;
        let read = |subtrees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
            subtrees
                .iter()
                .flatten()
                .filter_map(|subtree| match &subtree.base {
                    GeneralName::RFC822Name(text) => {
                        Some(Constraint::read(text).ok_or(Fault::NameConstraints))
                    }
                    GeneralName::Invalid(..) => Some(Err(Fault::NameConstraints)),
                    GeneralName::OtherName(..)
                    | GeneralName::DNSName(_)
                    | GeneralName::X400Address(_)
                    | GeneralName::DirectoryName(_)
                    | GeneralName::EDIPartyName(_)
                    | GeneralName::URI(_)
                    | GeneralName::IPAddress(_)
                    | GeneralName::RegisteredID(_) => None,
                })
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            permitted: read(&parsed.permitted_subtrees)?,
            excluded: read(&parsed.excluded_subtrees)?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// Applies them to the e-mail addresses of a certificate somewhere below: its subject alternative names, and the
    /// emailAddress attributes of its subject.
    pub(super) fn check(&self, facts: &Facts<'_>) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        if let Some(value) = facts.subject_alternative_name {
            let names = whole::<SubjectAlternativeName<'_>>("subjectAltName", value)?;
            for name in &names.general_names {
                if let GeneralName::RFC822Name(address) = name {
                    self.check_address(address)?;
                }
            }
        }
        for attribute in facts.certificate.subject().iter_email() {
            self.check_address(attribute.as_str().map_err(|_| Fault::NameConstraints)?)?;
        }
        Ok(())
    }

    fn check_address(&self, address: &str) -> Result<(), Fault> {
        let (local, host) = mailbox(address).ok_or(Fault::NameConstraints)?;
        let permitted =
            self.permitted.is_empty() || self.permitted.iter().any(|it| it.covers(local, host));
        if permitted && !self.excluded.iter().any(|it| it.covers(local, host)) {
            Ok(())
        } else {
            Err(Fault::NameConstraints)
        }
    }
}

impl Constraint {
    fn read(text: &str) -> Option<Self> {
        if text.contains('@') {
            return mailbox(text).map(|(local, host)| Self::Mailbox(local.into(), host.into()));
        }
        match text.strip_prefix('.') {
            Some(domain) if is_host(domain) => Some(Self::Below(domain.to_owned())),
            None if is_host(text) => Some(Self::Host(text.to_owned())),
            Some(_) | None => None,
        }
    }

    fn covers(&self, local: &str, host: &str) -> bool {
        match self {
            Self::Mailbox(wanted_local, wanted_host) => {
                wanted_local == local && wanted_host.eq_ignore_ascii_case(host)
            }
            Self::Host(wanted) => wanted.eq_ignore_ascii_case(host),
            Self::Below(domain) => {
                let parent = host
                    .len()
                    .checked_sub(domain.len())
                    .and_then(|start| Some((host.get(..start)?, host.get(start..)?)));
                parent.is_some_and(|(labels, parent)| {
                    labels.len() > 1 && labels.ends_with('.') && parent.eq_ignore_ascii_case(domain)
                })
            }
        }
    }
}

/// Local part and host of a mailbox: a dot-atom (RFC 5322 section 3.2.3), `@`, a host. Quoted local parts and address
/// literals are refused.
fn mailbox(text: &str) -> Option<(&str, &str)> {
    let (local, host) = text.split_once('@')?;
    let local_is_valid = local.split('.').all(|atom| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    });
    (local_is_valid && is_host(host)).then_some((local, host))
}

fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// Presented certificates with their e-mail constraints relabelled.
#[derive(Debug)]
pub(super) struct Relabelled<'a> {
    /// What webpki is shown.
    pub(super) shown: Vec<CertificateDer<'a>>,
    /// What was presented, in the same order.
    pub(super) originals: Vec<CertificateDer<'a>>,
    altered: Vec<Altered>,
}

/// The signed part of a certificate, as webpki is shown it and as it was signed.
#[derive(Debug)]
struct Altered {
    shown: Vec<u8>,
    signed: Vec<u8>,
}

impl<'a> Relabelled<'a> {
    /// Relabels where there is something to relabel. Certificates that can't be read, and those that really constrain
    /// registeredID (they could pass for a relabelled one), are left out.
    pub(super) fn new(presented: &'a [CertificateDer<'a>]) -> Self {
        let mut relabelled = Self {
            shown: Vec::new(),
            originals: Vec::new(),
            altered: Vec::new(),
        };
        for original in presented {
            let Some(shown) = relabelled.show(original) else {
                continue;
            };
            relabelled.shown.push(shown);
            relabelled.originals.push(borrowed(original));
        }
        relabelled
    }

    /// Whether any certificate was altered.
    pub(super) fn has_any(&self) -> bool {
        !self.altered.is_empty()
    }

    /// The accepted algorithms, verifying over what was signed.
    pub(super) fn algorithms(&self) -> Vec<OverSigned<'_>> {
        ACCEPTED
            .iter()
            .map(|inner| OverSigned {
                inner: *inner,
                altered: &self.altered,
            })
            .collect()
    }

    fn show(&mut self, original: &'a CertificateDer<'a>) -> Option<CertificateDer<'a>> {
        let facts = Facts::read(original).ok()?;
        let Some(value) = facts.name_constraints else {
            return Some(borrowed(original));
        };
        let (_, constraints, _) = der::split(value)?;
        if !bases(constraints, REGISTERED_ID)?.is_empty() {
            return None;
        }
        let email = bases(constraints, RFC822_NAME)?;
        if email.is_empty() {
            return Some(borrowed(original));
        }
        let mut octets = original.to_vec();
        let start = offset(original, constraints)?;
        for base in email {
            *octets.get_mut(start + base)? = REGISTERED_ID;
        }
        let signed: &[u8] = facts.certificate.tbs_certificate.as_ref();
        let signed_at = offset(original, signed)?;
        self.altered.push(Altered {
            shown: octets.get(signed_at..signed_at + signed.len())?.to_vec(),
            signed: signed.to_vec(),
        });
        Some(CertificateDer::from(octets))
    }
}

/// The anchor without its e-mail constraints; [`EmailConstraints`] keeps them.
pub(super) fn without_email(anchor: &TrustAnchor<'static>) -> TrustAnchor<'static> {
    let mut anchor = anchor.clone();
    anchor.name_constraints = anchor.name_constraints.map(|constraints| {
        let mut octets = constraints.as_ref().to_vec();
        for base in bases(&octets, RFC822_NAME).unwrap_or_default() {
            if let Some(octet) = octets.get_mut(base) {
                *octet = REGISTERED_ID;
            }
        }
        octets.into()
    });
    anchor
}

/// Where in the contents of a NameConstraints the bases with this tag begin.
fn bases(constraints: &[u8], tag: u8) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    let (mut at, mut rest) = (0, constraints);
    while !rest.is_empty() {
        let (whole, subtrees, after) = der::split(rest)?;
        let (mut subtree_at, mut subtrees) = (at + whole.len() - subtrees.len(), subtrees);
        while !subtrees.is_empty() {
            let (whole, subtree, after) = der::split(subtrees)?;
            if subtree.first() == Some(&tag) {
                found.push(subtree_at + whole.len() - subtree.len());
            }
            subtree_at += whole.len();
            subtrees = after;
        }
        at += whole.len();
        rest = after;
    }
    Some(found)
}

/// Where in `whole` its slice `part` begins.
fn offset(whole: &[u8], part: &[u8]) -> Option<usize> {
    part.as_ptr().addr().checked_sub(whole.as_ptr().addr())
}

fn borrowed<'a>(certificate: &'a CertificateDer<'a>) -> CertificateDer<'a> {
    CertificateDer::from(certificate.as_ref())
}

/// An accepted algorithm that verifies a relabelled certificate's signature over the octets that were signed.
#[derive(Debug)]
pub(super) struct OverSigned<'a> {
    inner: &'static dyn SignatureVerificationAlgorithm,
    altered: &'a [Altered],
}

impl SignatureVerificationAlgorithm for OverSigned<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let signed = self
            .altered
            .iter()
            .find(|altered| altered.shown == message)
            .map_or(Cow::Borrowed(message), |altered| {
                Cow::Borrowed(&altered.signed[..])
            });
        self.inner.verify_signature(public_key, &signed, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_covered_as_rfc_5280_says() {
        for (constraint, address, covered) in [
            ("root@example.com", "root@EXAMPLE.com", true),
            ("root@example.com", "Root@example.com", false),
            ("example.com", "anybody@example.com", true),
            ("example.com", "anybody@sub.example.com", false),
            (".example.com", "anybody@sub.example.com", true),
            (".example.com", "anybody@a.sub.example.com", true),
            (".example.com", "anybody@example.com", false),
            (".example.com", "anybody@notexample.com", false),
            ("*@example.com", "*@example.com", true),
            ("*@example.com", "a@example.com", false),
        ] {
            let constraint = Constraint::read(constraint).expect("a constraint");
            let (local, host) = mailbox(address).expect("an address");
            assert_eq!(
                constraint.covers(local, host),
                covered,
                "{constraint:?} {address}"
            );
        }
        for text in [
            "a@b@c",
            "@example.com",
            "a@",
            "",
            ".",
            "..a",
            "a b",
            "-a",
            "é.fr",
        ] {
            assert_eq!(Constraint::read(text), None, "{text:?}");
        }
        for text in [
            "a@b@c",
            "a b@example.com",
            "\"a\"@example.com",
            "a@[::1]",
            "a",
        ] {
            assert_eq!(mailbox(text), None, "{text:?}");
        }
    }
}
