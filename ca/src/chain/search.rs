//! One search for a path: `webpki` proposes those whose signatures verify, and each is judged here by what webpki
//! leaves out. One that is refused does not end the search.

use std::cell::RefCell;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter};

use super::{
    algorithm::ACCEPTED,
    anchor::{Anchors, KnownAnchor, check_validity},
    email::{EmailConstraints, Relabelled},
    error::{ChainError, Fault, Place},
    facts::Facts,
    leaf::serial,
    path::{PathAnchor, check_revocation},
    status::{CertificateRole, PathCertificate, RevocationStatus, UnknownStatus},
};
use crate::{issuer_key_id::IssuerKeyId, serial::Serial};

/// What is looked for, and by what it is judged.
pub(super) struct Search<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) facts: &'a Facts<'a>,
    pub(super) public_key_sha256: [u8; 32],
    pub(super) serial: Serial,
    /// As they came, for saying which one is at fault.
    pub(super) presented: &'a [CertificateDer<'a>],
    pub(super) anchors: &'a Anchors,
    pub(super) revocation: &'a dyn RevocationStatus,
    pub(super) unknown: UnknownStatus,
    pub(super) at: UnixTime,
}

/// A path that was found.
pub(super) struct Found {
    pub(super) certificates: Vec<PathCertificate>,
    pub(super) anchor: PathAnchor,
    pub(super) valid_from: UnixTime,
    pub(super) valid_until: UnixTime,
}

/// What webpki is shown, and which certificates it stands for.
struct View<'v> {
    trusted: &'v [TrustAnchor<'static>],
    shown: &'v [CertificateDer<'v>],
    originals: &'v [CertificateDer<'v>],
    algorithms: &'v [&'v dyn SignatureVerificationAlgorithm],
}

impl Search<'_> {
    pub(super) fn run(&self, distinct: &[CertificateDer<'_>]) -> Result<Found, ChainError> {
        let refused = match self.look(&View {
            trusted: &self.anchors.trusted,
            shown: distinct,
            originals: distinct,
            algorithms: ACCEPTED,
        }) {
            Ok(found) => return Ok(found),
            Err(refused) => refused,
        };
        // Only a path with e-mail constraints could be found now, see the module `email`.
        let relabelled = Relabelled::new(distinct);
        let without_email = self.anchors.without_email.as_deref();
        let hopeless = without_email.is_none() && !relabelled.has_any();
        if hopeless || self.facts.name_constraints.is_some() {
            return Err(refused);
        }
        let algorithms = relabelled.algorithms();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> = algorithms
            .iter()
            .map(|it| it as &dyn SignatureVerificationAlgorithm)
            .collect();
        self.look(&View {
            trusted: without_email.unwrap_or(&self.anchors.trusted),
            shown: &relabelled.shown,
            originals: &relabelled.originals,
            algorithms: &algorithms,
        })
        .map_err(|_| refused)
    }

    fn look(&self, view: &View<'_>) -> Result<Found, ChainError> {
        let end_entity =
            EndEntityCert::try_from(self.leaf).map_err(|error| self.explain(error, Place::Leaf))?;
        let found = RefCell::new(None);
        let refused = RefCell::new(None);
        let judge = |path: &webpki::VerifiedPath<'_>| match self.judge(view, path) {
            Ok(path) => {
                found.replace(Some(path));
                Ok(())
            }
            Err(error) => {
                refused.borrow_mut().get_or_insert(error);
                Err(Error::UnknownIssuer)
            }
        };
        let outcome = end_entity
            .verify_for_usage(
                view.algorithms,
                view.trusted,
                view.shown,
                self.at,
                MayIssueClients,
                None,
                Some(&judge),
            )
            .map(drop);
        match (outcome, found.into_inner(), refused.into_inner()) {
            (Ok(()), Some(path), _) => Ok(path),
            (_, _, Some(refused)) => Err(refused),
            (Err(error), _, None) => Err(self.explain(error, Place::Chain)),
            // webpki can't accept a path that it did not ask about.
            (Ok(()), None, None) => Err(ChainError::new(Place::Leaf, Fault::UnknownIssuer)),
        }
    }

    fn judge(&self, view: &View<'_>, path: &webpki::VerifiedPath<'_>) -> Result<Found, ChainError> {
        let anchor = view
            .trusted
            .iter()
            .position(|trusted| std::ptr::eq(trusted, path.anchor()))
            .and_then(|index| self.anchors.known.get(index))
            .ok_or_else(|| ChainError::new(Place::Leaf, Fault::UnknownIssuer))?;
        let at_anchor = |fault| ChainError::new(Place::Anchor(anchor.id.to_string()), fault);
        let issuers = path
            .intermediate_certificates()
            .map(|certificate| self.read_issuer(view, certificate))
            .collect::<Result<Vec<_>, _>>()?;
        anchor.check(issuers.len(), self.at).map_err(at_anchor)?;
        check_email(anchor, &issuers, self.facts)?;
        let certificates = self.certificates(anchor, &issuers)?;
        check_revocation(&certificates, self.revocation, self.unknown, self.at)?;
        let valid_from = certificates.iter().map(|it| it.not_before).max();
        let valid_until = certificates.iter().map(|it| it.not_after).min();
        Ok(Found {
            valid_from: valid_from.map_or(anchor.not_before, |it| it.max(anchor.not_before)),
            valid_until: valid_until.map_or(anchor.not_after, |it| it.min(anchor.not_after)),
            certificates,
            anchor: PathAnchor {
                id: anchor.id.clone(),
                key: anchor.key,
                not_before: anchor.not_before,
                not_after: anchor.not_after,
            },
        })
    }

    /// The certificate that webpki's stands for, and what webpki does not ask of an issuer.
    fn read_issuer<'v>(
        &self,
        view: &View<'v>,
        certificate: &webpki::Cert<'_>,
    ) -> Result<Issuer<'v>, ChainError> {
        let shown = certificate.der();
        let original = view
            .shown
            .iter()
            .position(|it| *it == shown)
            .and_then(|index| view.originals.get(index))
            .ok_or_else(|| ChainError::new(Place::Chain, Fault::UnknownIssuer))?;
        let index = self.presented.iter().position(|it| it == original);
        let role = CertificateRole::Intermediate(index.unwrap_or_default());
        let refuse = |fault| ChainError::new(role.place(), fault);
        let facts = Facts::read(original).map_err(refuse)?;
        if facts.key_usage.is_some_and(|usage| !usage.key_cert_sign()) {
            return Err(refuse(Fault::KeyUsageWithoutCertSign));
        }
        Ok(Issuer {
            role,
            key: IssuerKeyId::of(facts.subject_public_key_info()),
            serial: serial(&facts).map_err(refuse)?,
            email: EmailConstraints::read(facts.name_constraints).map_err(refuse)?,
            facts,
        })
    }

    /// What revocation is asked about, the leaf first.
    fn certificates(
        &self,
        anchor: &KnownAnchor,
        issuers: &[Issuer<'_>],
    ) -> Result<Vec<PathCertificate>, ChainError> {
        let mut keys = issuers
            .iter()
            .map(|issuer| issuer.key)
            .chain(std::iter::once(anchor.key));
        if keys.clone().any(|key| key.0 == self.public_key_sha256) {
            return Err(ChainError::new(Place::Leaf, Fault::SelfSigned));
        }
        let mut certificates = Vec::with_capacity(issuers.len() + 1);
        let leaf = (CertificateRole::Leaf, self.serial, self.facts);
        let rest = issuers.iter().map(|it| (it.role, it.serial, &it.facts));
        for (role, serial, facts) in std::iter::once(leaf).chain(rest) {
            certificates.push(PathCertificate {
                issuer: keys.next().unwrap_or(anchor.key),
                serial,
                role,
                not_before: facts.not_before,
                not_after: facts.not_after,
                distribution_points: facts
                    .distribution_point_uris()
                    .map_err(|fault| ChainError::new(role.place(), fault))?,
            });
        }
        Ok(certificates)
    }

    /// webpki's reason in our words, with the certificate that it means where that can be told.
    fn explain(&self, error: Error, place: Place) -> ChainError {
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "webpki's errors are many and may grow; what is not named is malformed"
        )]
        let fault = match error {
            Error::CertExpired { .. } | Error::CertNotValidYet { .. } => return self.out_of_time(),
            Error::UnknownIssuer => {
                return ChainError::new(Place::Leaf, Fault::UnknownIssuer);
            }
            Error::CaUsedAsEndEntity => return ChainError::new(Place::Leaf, Fault::CaAsClient),
            Error::EndEntityUsedAsCa => Fault::NotACa,
            Error::InvalidSignatureForPublicKey => Fault::BadSignature,
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                Fault::UnsupportedAlgorithm
            }
            Error::NameConstraintViolation => Fault::NameConstraints,
            Error::PathLenConstraintViolated => Fault::PathTooLong,
            Error::RequiredEkuNotFoundContext(_) => Fault::NotForClientAuthentication,
            Error::UnsupportedCriticalExtension => Fault::UnknownCriticalExtension(None),
            Error::MaximumNameConstraintComparisonsExceeded
            | Error::MaximumPathBuildCallsExceeded
            | Error::MaximumPathDepthExceeded
            | Error::MaximumSignatureChecksExceeded => Fault::TooComplex,
            other => Fault::Malformed(other.to_string()),
        };
        ChainError::new(place, fault)
    }

    /// webpki does not say which certificate is out of time.
    fn out_of_time(&self) -> ChainError {
        let leaf = check_validity(self.facts.not_before, self.facts.not_after, self.at);
        let mut faults = leaf
            .err()
            .map(|fault| ChainError::new(Place::Leaf, fault))
            .into_iter()
            .chain(
                self.presented
                    .iter()
                    .enumerate()
                    .filter_map(|(index, der)| {
                        let facts = Facts::read(der).ok()?;
                        let fault =
                            check_validity(facts.not_before, facts.not_after, self.at).err()?;
                        Some(ChainError::new(Place::Presented(index), fault))
                    }),
            );
        faults
            .next()
            .unwrap_or_else(|| ChainError::new(Place::Chain, Fault::UnknownIssuer))
    }
}

/// An intermediate of a path.
struct Issuer<'a> {
    role: CertificateRole,
    key: IssuerKeyId,
    serial: Serial,
    email: EmailConstraints,
    facts: Facts<'a>,
}

/// Each CA's e-mail constraints hold for every certificate below it.
fn check_email(
    anchor: &KnownAnchor,
    issuers: &[Issuer<'_>],
    leaf: &Facts<'_>,
) -> Result<(), ChainError> {
    let levels = issuers
        .iter()
        .map(|issuer| &issuer.email)
        .chain(std::iter::once(&anchor.email));
    for (level, constraints) in levels.enumerate() {
        constraints
            .check(leaf)
            .map_err(|fault| ChainError::new(Place::Leaf, fault))?;
        for below in issuers.iter().take(level) {
            constraints
                .check(&below.facts)
                .map_err(|fault| ChainError::new(below.role.place(), fault))?;
        }
    }
    Ok(())
}

/// Asked of every certificate of a path by webpki: what restricts its purposes must allow clientAuth, by name or by
/// anyExtendedKeyUsage, and so must what restricts an intermediate's. What the leaf itself must say is stricter, and
/// was asked before.
struct MayIssueClients;

impl ExtendedKeyUsageValidator for MayIssueClients {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        // id-kp-clientAuth and anyExtendedKeyUsage (RFC 5280 section 4.2.1.12).
        const CLIENT_AUTH: KeyPurposeId<'static> =
            KeyPurposeId::new(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02]);
        const ANY: KeyPurposeId<'static> = KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0x00]);
        let mut restricted = false;
        let mut allowed = false;
        for purpose in purposes {
            let purpose = purpose?;
            restricted = true;
            allowed |= purpose == CLIENT_AUTH || purpose == ANY;
        }
        if restricted && !allowed {
            return Err(Error::RequiredEkuNotFoundContext(
                webpki::RequiredEkuNotFoundContext {
                    required: webpki::KeyUsage::client_auth(),
                    present: Vec::new(),
                },
            ));
        }
        Ok(())
    }
}
