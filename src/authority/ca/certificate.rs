//! The certificates of CAs: what they say beside their profile, and who signs them.

use std::sync::Arc;

use portcullis_ca::{
    certificate::{Certificate, Draft, IssuerCertificate},
    issuer_key_id::IssuerKeyId,
    key::{KeyAlgorithm, PublicKey, Signer},
    profile::{Profile, ProfileKind, Subject},
    serial::Serial,
};

use crate::{
    authority::{Authority, AuthorityError, Issuer, issuer_certificate_url, list_url},
    domain::{Timestamp, TrustDomain},
};

/// A CA certificate that is to be made.
pub struct CaDraft<'a> {
    /// Root or intermediate, and for how long.
    pub profile: Arc<Profile>,
    /// Whose; it is part of the name.
    pub trust_domain: &'a TrustDomain,
    /// Where lists and issuer certificates are to be had.
    pub public_url: &'a str,
    /// The moment of issuing.
    pub now: Timestamp,
}

impl CaDraft<'_> {
    /// A root: it names its own list, for verifiers such as `openssl verify -crl_check_all` look the root up too.
    ///
    /// # Errors
    /// What the linter and the signer say.
    pub async fn self_signed(&self, signer: &dyn Signer) -> Result<Certificate, AuthorityError> {
        let id = IssuerKeyId::of(signer.public_key().subject_public_key_info());
        let mut draft = self.draft(signer.public_key(), i64::MAX)?;
        draft.revocation_list = Some(list_url(self.public_url, &id, 0));
        Ok(draft.check(None)?.sign(signer).await?)
    }

    /// An intermediate below a root.
    ///
    /// # Errors
    /// What the linter and the signer say.
    pub async fn signed_by(
        &self,
        public_key: &PublicKey,
        issuer: &IssuerCertificate,
        signer: &dyn Signer,
    ) -> Result<Certificate, AuthorityError> {
        let id = IssuerKeyId::of(issuer.public_key().subject_public_key_info());
        let mut draft = self.draft(public_key, issuer.not_after())?;
        draft.revocation_list = Some(list_url(self.public_url, &id, 0));
        draft.issuer_certificate = Some(issuer_certificate_url(self.public_url, &id));
        Ok(draft.check(Some(issuer))?.sign(signer).await?)
    }

    /// A new CA key always gets a new name (PKITS 4.5.5): the end of it is taken from the key.
    #[must_use]
    pub fn subject(&self, public_key: &PublicKey) -> Subject {
        let what = if self.profile.kind == ProfileKind::Root {
            "Root"
        } else {
            "Issuing CA"
        };
        let domain: String = self.trust_domain.as_str().chars().take(40).collect();
        let key_name = hex::encode(&public_key.fingerprint()[..4]);
        let common_name = format!("{domain} {what} {key_name}");
        self.profile.subject.subject(Some(common_name))
    }

    fn draft(&self, public_key: &PublicKey, latest: i64) -> Result<Draft, AuthorityError> {
        let validity = self.profile.validity(self.now.unix_seconds(), latest);
        let mut draft = Draft::new(
            Arc::clone(&self.profile),
            Serial::random().map_err(|error| AuthorityError::Internal(error.to_string()))?,
            public_key.clone(),
            validity,
        );
        draft.subject = self.subject(public_key);
        Ok(draft)
    }
}

impl Authority {
    /// A certificate for a root's subject and key that another root of ours signs.
    pub(super) async fn cross_certificate(
        &self,
        root: &Issuer,
        signer: &Issuer,
    ) -> Result<Certificate, AuthorityError> {
        let profile = Arc::clone(self.profiles().of_kind(ProfileKind::CrossRoot));
        let latest = root
            .certificate
            .not_after()
            .min(signer.certificate.not_after());
        let validity = profile.validity(self.now().unix_seconds(), latest);
        let serial =
            Serial::random().map_err(|error| AuthorityError::Internal(error.to_string()))?;
        let mut draft = Draft::cross_certificate(profile, serial, &root.certificate, validity);
        draft.revocation_list = Some(signer.list_url(0));
        draft.issuer_certificate = Some(signer.certificate_url());
        let checked = draft.check(Some(&signer.certificate))?;
        Ok(checked.sign(&**signer.signer()?).await?)
    }

    /// What a CA of a kind contains, and for how long. A key that is in no default is certified where the operator named
    /// it: the profile's own list must hold the others.
    ///
    /// # Errors
    /// `Invalid` with the kinds of keys that are certified.
    pub(super) fn ca_profile(
        &self,
        kind: ProfileKind,
        algorithm: KeyAlgorithm,
    ) -> Result<Arc<Profile>, AuthorityError> {
        let profile = self.profiles().of_kind(kind);
        if profile.keys.contains(&algorithm) {
            return Ok(Arc::clone(profile));
        }
        if algorithm.is_opt_in() {
            return Ok(Profile::clone(profile).with_key(algorithm).into());
        }
        let keys: Vec<&str> = profile.keys.iter().map(|key| key.name()).collect();
        Err(AuthorityError::Invalid(format!(
            "the key is to be {algorithm}, and profiles.{kind}.keys certifies {}",
            keys.join(", ")
        )))
    }
}
