//! Making a CA of our own: a root, or an intermediate below a root whose key is here.

use portcullis_ca::{
    certificate::IssuerCertificate, issuer_key_id::IssuerKeyId, key::KeyAlgorithm,
    profile::ProfileKind,
};
use serde_json::json;

use super::certificate::CaDraft;
use crate::{
    authority::{Authority, AuthorityError, Issuer, KeyHome, founding::ca_record},
    domain::{
        audit::Actor,
        certificate::CertificateRecord,
        issuer::{IssuerName, IssuerRecord, IssuerRole, IssuerState, KeyId, KeyPlace},
    },
};

/// A CA that is to be made.
#[derive(Debug, Clone)]
pub struct CreateIssuer {
    /// What operators will call it.
    pub name: IssuerName,
    /// What it signs.
    pub role: IssuerRole,
    /// The root that signs it; the active one where none is named. Nothing for a root.
    pub parent: Option<String>,
    /// Its key's algorithm.
    pub algorithm: KeyAlgorithm,
    /// Where its key goes.
    pub home: KeyHome,
    /// The profiles that it is to issue; empty: all that no other active issuer names.
    pub profiles: Vec<String>,
    /// Over how many lists its certificates are spread; the configuration's where nothing is said.
    pub list_shards: Option<u32>,
}

/// A CA that was made and is not recorded yet.
pub(super) struct Made {
    pub(super) record: IssuerRecord,
    /// What the store keeps of its certificate; a root's is nobody's to revoke.
    pub(super) certificates: Vec<CertificateRecord>,
    pub(super) key: KeyPlace,
}

impl Authority {
    /// Makes a CA. It is prepared: known, with its lists out, and it issues nothing until it is activated.
    ///
    /// # Errors
    /// `Conflict` when the name is taken, `KeyOffline` when the root's key is not here, and what the linter says.
    pub async fn create_issuer(
        &self,
        actor: &Actor,
        create: CreateIssuer,
    ) -> Result<IssuerRecord, AuthorityError> {
        self.check_free(&create.name)?;
        let issuers = self.issuers();
        let parent = match create.role {
            IssuerRole::Root => None,
            IssuerRole::Intermediate => Some(match &create.parent {
                Some(name) => issuers.named(name)?,
                None => *issuers
                    .roots()
                    .first()
                    .ok_or(AuthorityError::NotFound("root of this authority"))?,
            }),
        };
        let made = self
            .make_issuer(&create, parent.map(|parent| &**parent))
            .await?;
        let audit = self.audit(
            actor,
            "issuer.create",
            &made.record.name,
            json!({
                "id": made.record.id.to_string(),
                "role": made.record.role,
                "key": create.algorithm.name(),
                "profiles": made.record.profiles,
            }),
        );
        let recorded = self
            .change_issuers(
                &issuers,
                vec![made.record.clone()],
                made.certificates,
                audit,
            )
            .await;
        if let Err(error) = recorded {
            self.forget_key(&made.key).await;
            return Err(error);
        }
        Ok(made.record)
    }

    /// Makes key and certificate of a CA, prepared, without recording it.
    pub(super) async fn make_issuer(
        &self,
        create: &CreateIssuer,
        parent: Option<&Issuer>,
    ) -> Result<Made, AuthorityError> {
        if let Some(parent) = parent {
            if !parent.record.is_root() || !parent.state().stands() {
                return Err(AuthorityError::Invalid(format!(
                    "{} is {} {} and signs no other CA; name a root that stands",
                    parent.name(),
                    if parent.record.is_root() {
                        "a root that is"
                    } else {
                        "no root but"
                    },
                    if parent.record.is_root() {
                        parent.state().to_string()
                    } else {
                        "an intermediate".to_owned()
                    },
                )));
            }
            parent.signer()?;
        }
        let (signer, key) = self
            .inner
            .parts
            .ca_keys
            .generate(create.algorithm, create.home)
            .await?;
        let made = self.certify_issuer(create, parent, &*signer, &key).await;
        if made.is_err() {
            self.forget_key(&key).await;
        }
        made
    }

    async fn certify_issuer(
        &self,
        create: &CreateIssuer,
        parent: Option<&Issuer>,
        signer: &dyn portcullis_ca::key::Signer,
        key: &KeyPlace,
    ) -> Result<Made, AuthorityError> {
        let now = self.now();
        let kind = match create.role {
            IssuerRole::Root => ProfileKind::Root,
            IssuerRole::Intermediate => ProfileKind::Intermediate,
        };
        let draft = CaDraft {
            profile: self.ca_profile(kind, signer.public_key().algorithm())?,
            trust_domain: self.trust_domain(),
            public_url: &self.inner.parts.public_url,
            now,
        };
        let certificate = match parent {
            None => draft.self_signed(signer).await?,
            Some(parent) => {
                draft
                    .signed_by(
                        signer.public_key(),
                        &parent.certificate,
                        &**parent.signer()?,
                    )
                    .await?
            }
        };
        let certificate = IssuerCertificate::from_der(certificate.der())
            .map_err(|error| AuthorityError::Internal(error.to_string()))?;
        let id = IssuerKeyId::of(signer.public_key().subject_public_key_info());
        self.check_subject(&id, certificate.subject())?;
        let record = IssuerRecord {
            id,
            name: create.name.clone(),
            role: create.role,
            state: IssuerState::Prepared,
            state_since: now,
            certificate: certificate.der().to_vec(),
            above: Vec::new(),
            parent: parent.map(|parent| KeyId(parent.id())),
            cross: Vec::new(),
            key: key.clone(),
            profiles: create.profiles.clone(),
            list_shards: self.shards_of(create.role, create.list_shards),
            created_at: now,
        };
        let certificates = parent
            .map(|parent| ca_record(&certificate, parent.id(), kind, now))
            .into_iter()
            .collect();
        Ok(Made {
            record,
            certificates,
            key: key.clone(),
        })
    }

    /// A root has one list: it signs few.
    pub(super) fn shards_of(&self, role: IssuerRole, wanted: Option<u32>) -> u32 {
        match role {
            IssuerRole::Root => 1,
            IssuerRole::Intermediate => wanted.unwrap_or(self.inner.parts.list_schedule.shards),
        }
    }

    /// Removes a key that came to nothing. That it stays behind is worth a warning, not a failure; but a change can fail
    /// after it was recorded, and a key that is recorded, or may be, is never taken away.
    pub(super) async fn forget_key(&self, key: &KeyPlace) {
        match self.store().issuers().await {
            Ok(recorded) if recorded.iter().any(|issuer| issuer.key == *key) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, key = %key, "a key stays behind, for whether an issuer has it can't be known");
                return;
            }
        }
        if let Err(error) = self.inner.parts.ca_keys.remove(key).await {
            tracing::warn!(%error, key = %key, "a key that nobody uses stays behind");
        }
    }
}
