//! Taking in a CA that exists already: its certificate stays as it is, to the byte, its subject with it.

use portcullis_ca::{
    certificate::IssuerCertificate,
    chain::is_issued_by,
    issuer_key_id::IssuerKeyId,
    key::{Signer as _, SigningKey},
    pki_types::CertificateDer,
    profile::ProfileKind,
};
use serde_json::json;

use crate::{
    authority::{Authority, AuthorityError, IssuerSet, founding::ca_record},
    domain::{
        audit::Actor,
        issuer::{Der, IssuerName, IssuerRecord, IssuerRole, IssuerState, KeyId, KeyPlace},
    },
};

/// A CA that is to be taken in.
pub struct ImportIssuer {
    /// What operators will call it.
    pub name: IssuerName,
    /// Its certificate, then those above it up to its root, DER. What a root of ours signed needs none above it.
    pub chain: Vec<Vec<u8>>,
    /// Its key; without one it is a root whose key stays elsewhere.
    pub key: Option<SigningKey>,
    /// The profiles that it is to issue; empty: all that no other active issuer names.
    pub profiles: Vec<String>,
    /// Over how many lists its certificates are spread; the configuration's where nothing is said.
    pub list_shards: Option<u32>,
}

impl Authority {
    /// Takes a CA in. It is prepared: known, trusted if it is a root, and it issues nothing until it is activated.
    ///
    /// # Errors
    /// `Invalid` with the reason: no CA, expired, another key, a chain that does not hold; `Conflict` when name, key or
    /// subject are taken.
    pub async fn import_issuer(
        &self,
        actor: &Actor,
        import: ImportIssuer,
    ) -> Result<IssuerRecord, AuthorityError> {
        self.check_free(&import.name)?;
        let now = self.now();
        let issuers = self.issuers();
        let chain = Chain::check(&import.chain, &issuers, now.unix_seconds())?;
        let id = IssuerKeyId::of(chain.own.public_key().subject_public_key_info());
        if let Some(known) = issuers.records().find(|known| known.id == id) {
            return Err(AuthorityError::Conflict(format!(
                "the issuer {} has this key already",
                known.name
            )));
        }
        self.check_subject(&id, chain.own.subject())?;
        let key = match import.key {
            Some(key) if key.public_key() != chain.own.public_key() => {
                return Err(AuthorityError::Invalid(
                    "the key is not the certificate's; give the private key whose public half is in the certificate"
                        .to_owned(),
                ));
            }
            Some(key) => self.inner.parts.ca_keys.keep(key).await?.1,
            None if chain.role == IssuerRole::Root => KeyPlace::Offline,
            None => {
                return Err(AuthorityError::Invalid(
                    "an intermediate without its key could not issue; give its key too".to_owned(),
                ));
            }
        };
        let record = IssuerRecord {
            id,
            name: import.name,
            role: chain.role,
            state: IssuerState::Prepared,
            state_since: now,
            certificate: chain.own.der().to_vec(),
            above: chain.above.into_iter().map(Der).collect(),
            parent: chain.parent.map(KeyId),
            cross: Vec::new(),
            key: key.clone(),
            profiles: import.profiles,
            list_shards: self.shards_of(chain.role, import.list_shards),
            created_at: now,
        };
        let audit = self.audit(
            actor,
            "issuer.import",
            &record.name,
            json!({ "id": record.id.to_string(), "role": record.role, "profiles": record.profiles }),
        );
        let certificates = chain
            .parent
            .map(|parent| ca_record(&chain.own, parent, ProfileKind::Intermediate, now));
        let recorded = self
            .change_issuers(
                &issuers,
                vec![record.clone()],
                certificates.into_iter().collect(),
                audit,
            )
            .await;
        if let Err(error) = recorded {
            self.forget_key(&key).await;
            return Err(error);
        }
        Ok(record)
    }
}

/// A CA's certificate with what is above it, checked.
pub(super) struct Chain {
    pub(super) own: IssuerCertificate,
    pub(super) role: IssuerRole,
    /// The root of ours that signed it.
    pub(super) parent: Option<IssuerKeyId>,
    /// Up to and with the anchor, where the parent is none of ours.
    pub(super) above: Vec<Vec<u8>>,
}

impl Chain {
    /// Reads a chain, the CA's own certificate first, and verifies every signature of it.
    ///
    /// # Errors
    /// `Invalid` with the certificate at fault, counted from 1, and the reason.
    pub(super) fn check(
        chain: &[Vec<u8>],
        issuers: &IssuerSet,
        now: i64,
    ) -> Result<Self, AuthorityError> {
        let invalid = |number: usize, why: &dyn std::fmt::Display| {
            AuthorityError::Invalid(format!("certificate {number} of the chain: {why}"))
        };
        let read = chain
            .iter()
            .enumerate()
            .map(|(index, der)| {
                let read =
                    IssuerCertificate::from_der(der).map_err(|error| invalid(index + 1, &error))?;
                if read.not_after() < now {
                    return Err(invalid(index + 1, &"it has expired"));
                }
                if read.not_before() > now {
                    return Err(invalid(
                        index + 1,
                        &"it is not valid yet; is the clock right?",
                    ));
                }
                Ok(read)
            })
            .collect::<Result<Vec<_>, AuthorityError>>()?;
        let Some(own) = read.first().cloned() else {
            return Err(AuthorityError::Invalid(
                "there is no certificate in it".to_owned(),
            ));
        };
        let der =
            |certificate: &IssuerCertificate| CertificateDer::from(certificate.der().to_vec());
        let is_root = is_issued_by(&der(&own), &der(&own)).is_ok();
        if is_root {
            return Ok(Self {
                own,
                role: IssuerRole::Root,
                parent: None,
                above: Vec::new(),
            });
        }
        let ours = issuers.standing().find(|root| {
            root.record.is_root() && is_issued_by(&der(&own), &der(&root.certificate)).is_ok()
        });
        if let Some(root) = ours {
            return Ok(Self {
                own,
                role: IssuerRole::Intermediate,
                parent: Some(root.id()),
                above: Vec::new(),
            });
        }
        for (index, pair) in read.windows(2).enumerate() {
            is_issued_by(&der(&pair[0]), &der(&pair[1])).map_err(|fault| {
                invalid(
                    index + 1,
                    &format_args!("certificate {} did not issue it: {fault}", index + 2),
                )
            })?;
        }
        let last = read.last().unwrap_or(&own);
        if is_issued_by(&der(last), &der(last)).is_err() {
            return Err(invalid(
                read.len(),
                &"no root of this authority issued it, and it is no root itself; append what is above it, up to the root",
            ));
        }
        Ok(Self {
            own,
            role: IssuerRole::Intermediate,
            parent: None,
            above: chain[1..].to_vec(),
        })
    }
}
