//! A CA of ours that somebody else's root signs: the request goes out, the certificate comes back, the key never moves.

use portcullis_ca::{csr, issuer_key_id::IssuerKeyId, key::KeyAlgorithm, profile::ProfileKind};
use serde_json::json;

use super::{certificate::CaDraft, import::Chain};
use crate::{
    authority::{Authority, AuthorityError, KeyHome, founding::ca_record},
    domain::{
        audit::Actor,
        issuer::{IssuerName, IssuerRecord, IssuerRole, IssuerState, KeyId, KeyPlace},
    },
};

/// An intermediate that somebody else is to sign.
#[derive(Debug, Clone)]
pub struct RequestIssuer {
    /// What operators will call it.
    pub name: IssuerName,
    /// Its key's algorithm.
    pub algorithm: KeyAlgorithm,
    /// Where its key goes.
    pub home: KeyHome,
    /// The profiles that it is to issue; empty: all that no other active issuer names.
    pub profiles: Vec<String>,
    /// Over how many lists its certificates are spread; the configuration's where nothing is said.
    pub list_shards: Option<u32>,
}

impl Authority {
    /// Makes a key and a request for its certificate (RFC 2986). The answer is the request, DER.
    ///
    /// # Errors
    /// `Conflict` when the name is taken; what the keeper of keys says.
    pub async fn request_issuer(
        &self,
        actor: &Actor,
        request: RequestIssuer,
    ) -> Result<(IssuerRecord, Vec<u8>), AuthorityError> {
        self.check_free(&request.name)?;
        let (signer, key) = self
            .inner
            .parts
            .ca_keys
            .generate(request.algorithm, request.home)
            .await?;
        let outcome = async {
            let now = self.now();
            let draft = CaDraft {
                profile: self
                    .ca_profile(ProfileKind::Intermediate, signer.public_key().algorithm())?,
                trust_domain: self.trust_domain(),
                public_url: &self.inner.parts.public_url,
                now,
            };
            let der = csr::request(
                &draft.subject(signer.public_key()),
                &draft.profile,
                &*signer,
            )
            .await?;
            let record = IssuerRecord {
                id: IssuerKeyId::of(signer.public_key().subject_public_key_info()),
                name: request.name.clone(),
                role: IssuerRole::Intermediate,
                state: IssuerState::Requested,
                state_since: now,
                certificate: Vec::new(),
                above: Vec::new(),
                parent: None,
                cross: Vec::new(),
                key: key.clone(),
                profiles: request.profiles.clone(),
                list_shards: self.shards_of(IssuerRole::Intermediate, request.list_shards),
                created_at: now,
            };
            let audit = self.audit(
                actor,
                "issuer.request",
                &record.name,
                json!({ "id": record.id.to_string(), "key": request.algorithm.name() }),
            );
            let issuers = self.issuers();
            self.change_issuers(&issuers, vec![record.clone()], Vec::new(), audit)
                .await?;
            Ok((record, der))
        }
        .await;
        if outcome.is_err() {
            self.forget_key(&key).await;
        }
        outcome
    }

    /// Gives an issuer the certificate that it waits for; those above it follow in `chain`, up to the root. It is prepared
    /// then.
    ///
    /// # Errors
    /// `Invalid` with the reason, `Conflict` when it waits for none.
    pub async fn install_issuer(
        &self,
        actor: &Actor,
        name: &str,
        chain: &[Vec<u8>],
    ) -> Result<IssuerRecord, AuthorityError> {
        let issuers = self.issuers();
        let record = issuers
            .records()
            .find(|record| record.name.as_str() == name)
            .cloned()
            .ok_or(AuthorityError::NotFound(
                "issuer; portcullis ca list shows them",
            ))?;
        let now = self.now();
        let chain = Chain::check(chain, &issuers, now.unix_seconds())?;
        if IssuerKeyId::of(chain.own.public_key().subject_public_key_info()) != record.id {
            return Err(AuthorityError::Invalid(format!(
                "the certificate is for another key than the one that {name} asked with; have that request signed: \
                 portcullis ca show {name}"
            )));
        }
        if chain.role != record.role {
            return Err(AuthorityError::Invalid(format!(
                "the certificate signs itself, and {name} is an intermediate; have its request signed: portcullis ca show \
                 {name}"
            )));
        }
        self.check_subject(&record.id, chain.own.subject())?;
        let record = IssuerRecord {
            parent: chain.parent.map(KeyId),
            ..record.install(chain.own.der().to_vec(), chain.above, now)?
        };
        let certificates = chain
            .parent
            .map(|parent| ca_record(&chain.own, parent, ProfileKind::Intermediate, now));
        let audit = self.audit(
            actor,
            "issuer.install",
            &record.name,
            json!({ "id": record.id.to_string(), "serial": chain.own.serial().to_string() }),
        );
        self.change_issuers(
            &issuers,
            vec![record.clone()],
            certificates.into_iter().collect(),
            audit,
        )
        .await?;
        Ok(record)
    }

    /// The request of an issuer that waits for its certificate, made anew with the same key, DER.
    ///
    /// # Errors
    /// `NotFound` when no issuer of this name waits for one.
    pub async fn request_again(&self, name: &str) -> Result<Vec<u8>, AuthorityError> {
        let issuers = self.issuers();
        let record = issuers
            .records()
            .find(|record| record.name.as_str() == name && record.state == IssuerState::Requested)
            .ok_or(AuthorityError::NotFound(
                "issuer that waits for its certificate",
            ))?;
        let signer = match &record.key {
            place @ (KeyPlace::File(_) | KeyPlace::Token(_)) => {
                self.inner.parts.ca_keys.open(place, None).await?
            }
            KeyPlace::Offline => None,
        };
        let signer = signer.ok_or_else(|| AuthorityError::KeyOffline(name.to_owned()))?;
        let draft = CaDraft {
            profile: self.ca_profile(ProfileKind::Intermediate, signer.public_key().algorithm())?,
            trust_domain: self.trust_domain(),
            public_url: &self.inner.parts.public_url,
            now: self.now(),
        };
        Ok(csr::request(
            &draft.subject(signer.public_key()),
            &draft.profile,
            &*signer,
        )
        .await?)
    }
}
