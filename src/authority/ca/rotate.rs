//! Rotation: a successor with a new key and a new name takes an issuer's place, and there is no moment in which nobody
//! issues.
//!
//! An intermediate's successor is active when the call returns. A root's has to reach everybody who trusts the old one
//! first: it is prepared, with an intermediate below it for each one that issues now, and it and the old root sign each
//! other's keys, so that who trusts only one of them gets to the leaves of both. [`Authority::activate_issuer`] is the
//! second step, [`Authority::retire_issuer`] the third.

use portcullis_ca::{certificate::IssuerCertificate, key::KeyAlgorithm, profile::ProfileKind};
use serde_json::json;

use super::create::{CreateIssuer, Made};
use crate::{
    authority::{Authority, AuthorityError, Issuer, IssuerSet, KeyHome, founding::ca_record},
    domain::{
        audit::Actor,
        certificate::CertificateRecord,
        issuer::{CrossCertificate, IssuerName, IssuerRecord, IssuerRole, IssuerState, KeyPlace},
    },
};

/// What is to be rotated.
#[derive(Debug, Clone)]
pub struct RotateIssuer {
    /// Which issuer; it must be active.
    pub name: String,
    /// The algorithm of the new key; the old one's where nothing is said.
    pub algorithm: Option<KeyAlgorithm>,
    /// Where the new key goes; where the old one is, where nothing is said.
    pub home: Option<KeyHome>,
}

/// What a rotation made.
#[derive(Debug, Clone)]
pub struct Rotated {
    /// The new issuers: the successor first, then intermediates below it.
    pub made: Vec<IssuerRecord>,
}

impl Authority {
    /// Rotates an issuer.
    ///
    /// # Errors
    /// `Conflict` when it is not active, `KeyOffline` when a key that must sign is not here.
    pub async fn rotate_issuer(
        &self,
        actor: &Actor,
        rotate: RotateIssuer,
    ) -> Result<Rotated, AuthorityError> {
        let issuers = self.issuers();
        let old = issuers.named(&rotate.name)?;
        if old.state() != IssuerState::Active {
            return Err(AuthorityError::Conflict(format!(
                "{} is {}; only an active issuer is rotated",
                old.name(),
                old.state()
            )));
        }
        if old.record.is_root() {
            self.rotate_root(actor, &issuers, old, &rotate).await
        } else {
            self.rotate_intermediate(actor, &issuers, old, &rotate)
                .await
        }
    }

    async fn rotate_intermediate(
        &self,
        actor: &Actor,
        issuers: &IssuerSet,
        old: &Issuer,
        rotate: &RotateIssuer,
    ) -> Result<Rotated, AuthorityError> {
        let parent = old
            .record
            .parent
            .and_then(|parent| issuers.by_id(&parent.0))
            .ok_or_else(|| {
                AuthorityError::Invalid(format!(
                    "somebody else's root signed {0}: have a new one signed (portcullis ca request, portcullis ca install), \
                     then portcullis ca activate NEW --instead-of {0}",
                    old.name()
                ))
            })?;
        let create = self.successor(
            &old.record,
            old.certificate.public_key().algorithm(),
            rotate,
            &[],
        );
        let made = self.make_issuer(&create, Some(parent)).await?;
        let record = made.record.clone();
        let audit = self.audit(
            actor,
            "issuer.create",
            &record.name,
            json!({ "id": record.id.to_string(), "successor_of": old.name() }),
        );
        let recorded = self
            .change_issuers(issuers, vec![record.clone()], made.certificates, audit)
            .await;
        if let Err(error) = recorded {
            self.forget_key(&made.key).await;
            return Err(error);
        }
        // Its lists are out; from here on it issues, and the old one's leaves stay good. If the old one is no longer what
        // it was (somebody else rotated it meanwhile), the successor stays prepared.
        let now = self.now();
        let issuers = self.issuers();
        let prepared = issuers.named(record.name.as_str())?;
        let still = issuers.named(old.name().as_str())?;
        let record = prepared.record.clone().activate(now)?;
        let retiring = still.record.clone().begin_retiring(now)?;
        let audit = self.audit(
            actor,
            "issuer.rotate",
            old.name(),
            json!({ "successor": record.name, "id": record.id.to_string() }),
        );
        self.change_issuers(&issuers, vec![record.clone(), retiring], Vec::new(), audit)
            .await?;
        Ok(Rotated { made: vec![record] })
    }

    async fn rotate_root(
        &self,
        actor: &Actor,
        issuers: &IssuerSet,
        old: &Issuer,
        rotate: &RotateIssuer,
    ) -> Result<Rotated, AuthorityError> {
        old.signer()?;
        let mut taken: Vec<IssuerName> = Vec::new();
        let create = self.successor(
            &old.record,
            old.certificate.public_key().algorithm(),
            rotate,
            &taken,
        );
        taken.push(create.name.clone());
        let root = self.make_issuer(&create, None).await?;
        let mut keys = vec![root.key.clone()];
        let outcome = async {
            // The keys of prepared issuers are opened when they are recorded; here the root's is needed before.
            let signer = self
                .inner
                .parts
                .ca_keys
                .open(&root.key, None)
                .await?
                .ok_or_else(|| AuthorityError::KeyOffline(root.record.name.to_string()))?;
            let new_root = Issuer::new(
                root.record.clone(),
                Some(signer),
                &self.inner.parts.public_url,
            )?;
            let mut made = vec![];
            for below in issuers.iter() {
                let is_below = below
                    .record
                    .parent
                    .is_some_and(|parent| parent.0 == old.id());
                if !is_below || below.state() != IssuerState::Active {
                    continue;
                }
                let same = RotateIssuer {
                    name: below.name().to_string(),
                    algorithm: None,
                    home: None,
                };
                let algorithm = below.certificate.public_key().algorithm();
                let create = self.successor(&below.record, algorithm, &same, &taken);
                taken.push(create.name.clone());
                let intermediate = self.make_issuer(&create, Some(&new_root)).await?;
                keys.push(intermediate.key.clone());
                made.push(intermediate);
            }
            let crossed = self.cross(old, &new_root).await?;
            self.record_new_root(actor, issuers, old, root, (made, crossed))
                .await
        }
        .await;
        if outcome.is_err() {
            for key in &keys {
                self.forget_key(key).await;
            }
        }
        outcome
    }

    async fn record_new_root(
        &self,
        actor: &Actor,
        issuers: &IssuerSet,
        old: &Issuer,
        root: Made,
        (intermediates, crossed): (Vec<Made>, Crossed),
    ) -> Result<Rotated, AuthorityError> {
        let mut old_record = old.record.clone();
        old_record.cross.push(crossed.old_by_new);
        let mut new_record = root.record;
        new_record.cross.push(crossed.new_by_old);
        let mut made = vec![new_record];
        let mut certificates = crossed.records;
        for intermediate in intermediates {
            made.push(intermediate.record);
            certificates.extend(intermediate.certificates);
        }
        let names: Vec<&str> = made.iter().map(|it| it.name.as_str()).collect();
        let audit = self.audit(
            actor,
            "issuer.rotate",
            old.name(),
            json!({ "prepared": names, "id": made[0].id.to_string() }),
        );
        let mut put = made.clone();
        put.push(old_record);
        self.change_issuers(issuers, put, certificates, audit)
            .await?;
        Ok(Rotated { made })
    }

    /// Each root signs the other's subject and key.
    async fn cross(&self, old: &Issuer, new: &Issuer) -> Result<Crossed, AuthorityError> {
        let now = self.now();
        let mut records: Vec<CertificateRecord> = Vec::new();
        let mut certificates = Vec::new();
        for (subject, issuer) in [(new, old), (old, new)] {
            let certificate = self.cross_certificate(subject, issuer).await?;
            let read = IssuerCertificate::from_der(certificate.der())
                .map_err(|error| AuthorityError::Internal(error.to_string()))?;
            records.push(ca_record(&read, issuer.id(), ProfileKind::CrossRoot, now));
            certificates.push(CrossCertificate {
                issuer: issuer.id(),
                der: certificate.into_der(),
            });
        }
        let old_by_new = certificates.pop();
        let new_by_old = certificates.pop();
        match (new_by_old, old_by_new) {
            (Some(new_by_old), Some(old_by_new)) => Ok(Crossed {
                new_by_old,
                old_by_new,
                records,
            }),
            _ => Err(AuthorityError::Internal(
                "two cross certificates were made".to_owned(),
            )),
        }
    }

    /// What a successor is made like.
    fn successor(
        &self,
        old: &IssuerRecord,
        algorithm: KeyAlgorithm,
        rotate: &RotateIssuer,
        taken: &[IssuerName],
    ) -> CreateIssuer {
        let issuers = self.issuers();
        CreateIssuer {
            name: old.name.successor(|name| {
                taken.contains(name) || issuers.records().any(|known| known.name == *name)
            }),
            role: old.role,
            parent: None,
            algorithm: rotate.algorithm.unwrap_or(algorithm),
            home: rotate.home.unwrap_or(match old.key {
                KeyPlace::Token(_) => KeyHome::Token,
                KeyPlace::File(_) | KeyPlace::Offline => KeyHome::File,
            }),
            profiles: old.profiles.clone(),
            list_shards: (old.role == IssuerRole::Intermediate).then_some(old.list_shards),
        }
    }
}

/// What two roots signed for each other.
struct Crossed {
    new_by_old: CrossCertificate,
    old_by_new: CrossCertificate,
    records: Vec<CertificateRecord>,
}
