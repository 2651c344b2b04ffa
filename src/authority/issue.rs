//! Issuing: from what may be certified to a signed certificate and its record. Recording it is the caller's, and comes
//! before it leaves the process.

use std::{sync::Arc, time::Duration};

use portcullis_ca::{
    certificate::{Draft, to_pem},
    key::PublicKey,
    name::{DnsName, GeneralName},
    profile::{CommonNameRule, Profile, ProfileKind, SubjectRule},
    serial::Serial,
};
use serde_json::json;

use super::{
    Authority, AuthorityError,
    crash_point::{CrashPoint, reach},
    ocsp_url,
    profile::{check_key, check_name},
};
use crate::domain::{
    Timestamp,
    audit::Actor,
    certificate::CertificateRecord,
    id::{AccountId, EnrolmentId, OrderId},
    order::WantedValidity,
    principal::Principal,
    profile::ProfileName,
};

/// What a leaf is to say, all of it decided.
pub(super) struct Leaf {
    pub(super) profile: ProfileName,
    /// The name of the issuer that must sign it; nothing: whoever issues the profile.
    pub(super) issuer: Option<String>,
    pub(super) public_key: PublicKey,
    pub(super) principal: Option<Principal>,
    /// DNS names and addresses; the principal's URI is added here.
    pub(super) names: Vec<GeneralName>,
    /// Which of the DNS names whoever asked would have as common name.
    pub(super) first_name: Option<String>,
    pub(super) enrolment: Option<EnrolmentId>,
    pub(super) account: Option<AccountId>,
    pub(super) order: Option<OrderId>,
    /// What of the profile's validity is wanted.
    pub(super) validity: WantedValidity,
}

/// A server certificate that the authority made for itself.
pub struct OwnCertificate {
    /// The leaf, and all that leads to the roots, with them; DER.
    pub chain: Vec<Vec<u8>>,
    /// From when on it should be replaced.
    pub renew_at: Timestamp,
}

impl Authority {
    /// Drafts, lints and signs a leaf by its profile. The answer is its record, which must be durable before the DER in
    /// it goes out.
    ///
    /// # Errors
    /// `BadRequest` for a key, `RejectedIdentifier` for a name that the profile or the issuer does not allow; nothing was
    /// signed then, and an order stays ready.
    pub(super) async fn issue(&self, leaf: Leaf) -> Result<CertificateRecord, AuthorityError> {
        let profile = Arc::clone(self.profiles().enrolled(&leaf.profile)?);
        self.issue_by(profile, leaf).await
    }

    async fn issue_by(
        &self,
        profile: Arc<Profile>,
        leaf: Leaf,
    ) -> Result<CertificateRecord, AuthorityError> {
        let now = self.now();
        let issuers = self.issuers();
        let issuer = issuers.chosen(leaf.issuer.as_deref(), leaf.profile.as_str())?;
        check_key(&profile, &leaf.public_key)?;
        for name in &leaf.names {
            check_name(&profile, Some(issuer), name)?;
        }
        let (earliest, latest) =
            profile.validity(now.unix_seconds(), issuer.certificate.not_after());
        let (not_before, not_after) = leaf
            .validity
            .within(
                Timestamp::from_unix_seconds(earliest),
                Timestamp::from_unix_seconds(latest),
                now,
            )
            .map_err(|refused| AuthorityError::Invalid(refused.to_string()))?;
        let validity = (not_before.unix_seconds(), not_after.unix_seconds());
        let mut names = leaf.names;
        if let Some(principal) = &leaf.principal {
            names.push(GeneralName::Uri(principal.spiffe_id(self.trust_domain())));
        }
        let serial =
            Serial::random().map_err(|error| AuthorityError::Internal(error.to_string()))?;
        let list_shard = serial.shard(issuer.shards());
        let common_name = common_name(
            profile.subject.common_name,
            leaf.principal.as_ref(),
            leaf.first_name.as_deref(),
            &names,
        );
        let mut draft = Draft {
            subject: profile.subject.subject(common_name),
            names,
            issuer_certificate: Some(issuer.certificate_url()),
            ..Draft::new(profile, serial, leaf.public_key, validity)
        };
        if !draft.is_without_revocation() {
            draft.revocation_list = Some(issuer.list_url(list_shard));
            draft.ocsp = Some(ocsp_url(&self.inner.parts.public_url));
        }
        let key_fingerprint = draft.public_key.fingerprint();
        let written_names = draft.names.iter().map(ToString::to_string).collect();
        let certificate = draft
            .check(Some(&issuer.certificate))?
            .sign(&**issuer.signer()?)
            .await?;
        Ok(CertificateRecord {
            serial,
            issuer: issuer.id(),
            list_shard,
            profile: leaf.profile,
            principal: leaf.principal,
            names: written_names,
            not_before: not_before.whole_seconds(),
            not_after: not_after.whole_seconds(),
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
        let leaf = Leaf {
            profile: ProfileKind::Server.into(),
            issuer: None,
            public_key,
            principal: None,
            names,
            first_name: None,
            enrolment: None,
            account: None,
            order: None,
            validity: WantedValidity::default(),
        };
        let own = Arc::clone(self.profiles().own_server());
        let record = self.issue_by(own, leaf).await?;
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
        let validity = (record.not_before, record.not_after);
        self.store().record_certificate(record, audit).await?;
        *self.inner.own_certificate.lock() = Some(validity);
        self.inner.tally.issued.add("server", 1);
        Ok(OwnCertificate { chain, renew_at })
    }

    /// The last moment of this process's own certificate; nothing before it has one.
    #[must_use]
    pub fn own_certificate_ends(&self) -> Option<Timestamp> {
        self.inner.own_certificate.lock().map(|(_, ends)| ends)
    }

    /// The chains that a certificate can be had with, the usual one first: PEM, the leaf first, up to the roots and without
    /// them (RFC 8555 section 9.1).
    #[must_use]
    pub fn chains(&self, record: &CertificateRecord) -> Vec<String> {
        reach(CrashPoint::CertificateRead);
        let issuers = self.issuers();
        let pem = |above: Vec<Vec<u8>>| {
            let mut pem = to_pem(&record.der);
            pem.extend(above.iter().map(|der| to_pem(der)));
            pem
        };
        match issuers.by_id(&record.issuer) {
            Some(issuer) => std::iter::once(issuers.chain(issuer))
                .chain(issuers.alternate_chains(issuer))
                .map(pem)
                .collect(),
            None => vec![pem(Vec::new())],
        }
    }
}

/// Decoration for people who read certificates, by the profile's rule; where it fits (RFC 5280 A.1 ub-common-name). Nothing
/// of ours takes it for an identity, but certbot and lego take it for a domain when they renew, and lego names its files by
/// it: so by default it is never anything else beside DNS names, and of these the one that was asked for.
fn common_name(
    rule: CommonNameRule,
    principal: Option<&Principal>,
    first_name: Option<&str>,
    names: &[GeneralName],
) -> Option<String> {
    let dns = || {
        let dns_names = || {
            names.iter().filter_map(|name| match name {
                GeneralName::Dns(name) => Some(DnsName::as_str(name)),
                GeneralName::Ip(_) | GeneralName::Uri(_) => None,
            })
        };
        dns_names()
            .find(|name| first_name.is_some_and(|first| name.eq_ignore_ascii_case(first)))
            .or_else(|| dns_names().next())
            .map(str::to_owned)
    };
    let path = || principal.map(|principal| principal.path().to_owned());
    let text = match rule {
        CommonNameRule::Names => dns().or_else(path),
        CommonNameRule::Principal => path(),
        CommonNameRule::None => None,
    }?;
    (text.chars().count() <= SubjectRule::MAX_CHARACTERS).then_some(text)
}
