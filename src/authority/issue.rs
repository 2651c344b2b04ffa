//! Issuing: from what may be certified to a signed certificate and its record. Recording it is the caller's, and comes
//! before it leaves the process.

use std::{sync::Arc, time::Duration};

use portcullis_ca::{
    certificate::{Draft, to_pem},
    key::PublicKey,
    name::{DnsName, GeneralName},
    profile::{Profile, ProfileKind, Subject},
    serial::Serial,
};
use serde_json::json;

use super::{Authority, AuthorityError, ocsp_url};
use crate::domain::{
    Timestamp,
    audit::Actor,
    certificate::CertificateRecord,
    id::{AccountId, EnrolmentId, OrderId},
    principal::Principal,
};

/// The only shard that there is yet. Every record and every certificate names it all the same.
const LIST_SHARD: u32 = 0;

/// The profiles of leaves.
#[derive(Debug, Clone)]
pub struct Profiles {
    /// TLS servers.
    pub server: Arc<Profile>,
    /// Devices.
    pub device: Arc<Profile>,
    /// Services.
    pub service: Arc<Profile>,
}

impl Default for Profiles {
    fn default() -> Self {
        Self {
            server: Profile::default_for(ProfileKind::Server).into(),
            device: Profile::default_for(ProfileKind::Device).into(),
            service: Profile::default_for(ProfileKind::Service).into(),
        }
    }
}

impl Profiles {
    /// The profile of a leaf's kind; CAs have none here.
    #[must_use]
    pub fn leaf(&self, kind: ProfileKind) -> Option<&Arc<Profile>> {
        match kind {
            ProfileKind::Server => Some(&self.server),
            ProfileKind::Device => Some(&self.device),
            ProfileKind::Service => Some(&self.service),
            ProfileKind::Root
            | ProfileKind::CrossRoot
            | ProfileKind::Intermediate
            | ProfileKind::OcspResponder => None,
        }
    }
}

/// What a leaf is to say, all of it decided.
pub(super) struct Leaf {
    pub(super) kind: ProfileKind,
    pub(super) public_key: PublicKey,
    pub(super) principal: Option<Principal>,
    /// DNS names and addresses; the principal's URI is added here.
    pub(super) names: Vec<GeneralName>,
    pub(super) enrolment: Option<EnrolmentId>,
    pub(super) account: Option<AccountId>,
    pub(super) order: Option<OrderId>,
}

/// A server certificate that the authority made for itself.
pub struct OwnCertificate {
    /// The leaf, and all that leads to the roots, with them; DER.
    pub chain: Vec<Vec<u8>>,
    /// From when on it should be replaced.
    pub renew_at: Timestamp,
}

impl Authority {
    /// Drafts, lints and signs a leaf. The answer is its record, which must be durable before the DER in it goes out.
    pub(super) async fn issue(&self, leaf: Leaf) -> Result<CertificateRecord, AuthorityError> {
        let now = self.now();
        let issuers = self.issuers();
        let issuer = issuers.issuing(leaf.kind.name())?;
        let profile = self.inner.parts.profiles.leaf(leaf.kind).ok_or_else(|| {
            AuthorityError::Invalid(format!("{} is no profile of leaves", leaf.kind))
        })?;
        let (not_before, not_after) =
            profile.validity(now.unix_seconds(), issuer.certificate.not_after());
        let mut names = leaf.names;
        if let Some(principal) = &leaf.principal {
            names.push(GeneralName::Uri(principal.spiffe_id(self.trust_domain())));
        }
        let serial =
            Serial::random().map_err(|error| AuthorityError::Internal(error.to_string()))?;
        let draft = Draft {
            subject: common_name(leaf.principal.as_ref(), &names)
                .map_or(Subject::Empty, Subject::CommonName),
            names,
            revocation_list: Some(issuer.list_url(LIST_SHARD)),
            issuer_certificate: Some(issuer.certificate_url()),
            ocsp: Some(ocsp_url(&self.inner.parts.public_url)),
            ..Draft::new(
                profile.clone(),
                serial,
                leaf.public_key,
                (not_before, not_after),
            )
        };
        let key_fingerprint = draft.public_key.fingerprint();
        let written_names = draft.names.iter().map(ToString::to_string).collect();
        let certificate = draft
            .check(Some(&issuer.certificate))?
            .sign(&**issuer.signer()?)
            .await?;
        Ok(CertificateRecord {
            serial,
            issuer: issuer.id(),
            list_shard: LIST_SHARD,
            profile: leaf.kind,
            principal: leaf.principal,
            names: written_names,
            not_before: Timestamp::from_unix_seconds(not_before),
            not_after: Timestamp::from_unix_seconds(not_after),
            key_fingerprint,
            der: certificate.into_der(),
            enrolment: leaf.enrolment,
            account: leaf.account,
            order: leaf.order,
            issued_at: now,
            revocation: None,
        })
    }

    /// Issues a server certificate to the authority's own front.
    ///
    /// # Errors
    /// What issuing and the store say.
    pub async fn issue_own(
        &self,
        public_key: PublicKey,
        names: Vec<GeneralName>,
    ) -> Result<OwnCertificate, AuthorityError> {
        let record = self
            .issue(Leaf {
                kind: ProfileKind::Server,
                public_key,
                principal: None,
                names,
                enrolment: None,
                account: None,
                order: None,
            })
            .await?;
        let audit = self.audit(
            &Actor::Authority,
            "certificate.issue",
            record.serial,
            json!({ "profile": "server", "names": record.names, "for": "this server" }),
        );
        let mut chain = vec![record.der.clone()];
        let issuers = self.issuers();
        if let Some(issuer) = issuers.by_id(&record.issuer) {
            chain.extend(issuers.chain_with_roots(issuer));
        }
        let renew_at = record.not_before
            + Duration::from_millis(
                u64::try_from(record.not_after.since(record.not_before).as_millis()).unwrap_or(0)
                    / 3
                    * 2,
            );
        self.store().record_certificate(record, audit).await?;
        Ok(OwnCertificate { chain, renew_at })
    }

    /// A certificate's chain as PEM, the leaf first, up to the roots and without them (RFC 8555 section 9.1).
    ///
    /// # Errors
    /// What the store says.
    pub async fn certificate_pem(
        &self,
        serial: &Serial,
    ) -> Result<Option<Arc<str>>, AuthorityError> {
        let record = self.store().certificate(*serial).await?;
        let issuers = self.issuers();
        Ok(record.map(|record| {
            let above = issuers
                .by_id(&record.issuer)
                .map(|issuer| issuers.chain(issuer))
                .unwrap_or_default();
            let mut pem = to_pem(&record.der);
            pem.extend(above.iter().map(|der| to_pem(der)));
            pem.into()
        }))
    }
}

/// Decoration for people who read certificates: the first DNS name, else the principal's path, where it fits (RFC 5280
/// A.1 ub-common-name). Nothing of ours takes it for an identity, but certbot and lego take it for a domain when they
/// renew, so it is never anything else beside DNS names.
fn common_name(principal: Option<&Principal>, names: &[GeneralName]) -> Option<String> {
    let dns = names.iter().find_map(|name| match name {
        GeneralName::Dns(name) => Some(DnsName::as_str(name).to_owned()),
        GeneralName::Ip(_) | GeneralName::Uri(_) => None,
    });
    let text = dns.or_else(|| principal.map(|principal| principal.path().to_owned()))?;
    (text.chars().count() <= 64).then_some(text)
}
