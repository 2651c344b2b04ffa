//! What an operator does with CAs: make, take in, have signed, rotate, activate, retire, take the root's key away.
//!
//! Each change is one command of the store with its trust event; the set of issuers follows before the call returns. A
//! CA's key, certificate and first lists are there before it is recorded, so nothing waits for them.

mod certificate;
mod create;
mod import;
mod request;
mod root_key;
mod rotate;
mod state;

use std::sync::Arc;

use portcullis_ca::{certificate::IssuerCertificate, issuer_key_id::IssuerKeyId, key::Signer};

pub use certificate::CaDraft;
pub use create::CreateIssuer;
pub use import::ImportIssuer;
pub use request::RequestIssuer;
pub use root_key::ExportedRoot;
pub use rotate::{RotateIssuer, Rotated};
pub use state::Activate;

use super::{Authority, AuthorityError, Issuer, IssuerSet};
use crate::{
    domain::{
        audit::AuditDraft,
        certificate::CertificateRecord,
        event::TrustEvent,
        issuer::{IssuerName, IssuerRecord, IssuerState},
    },
    store::ChangeIssuers,
};

impl Authority {
    /// Makes a change of issuers that was decided on when they were as in `before`, and has the set and the standing
    /// follow.
    ///
    /// # Errors
    /// `Conflict` when one that is to change is no longer what it was.
    async fn change_issuers(
        &self,
        before: &IssuerSet,
        put: Vec<IssuerRecord>,
        certificates: Vec<CertificateRecord>,
        audit: AuditDraft,
    ) -> Result<u64, AuthorityError> {
        let at = self.now();
        let expected: Vec<IssuerRecord> = before
            .records()
            .filter(|known| put.iter().any(|changed| changed.id == known.id))
            .cloned()
            .collect();
        let epoch = self
            .change_standing(move |authority| async move {
                let change = ChangeIssuers {
                    put,
                    expected,
                    certificates,
                    at,
                };
                let epoch = authority.store().change_issuers(change, audit).await?;
                authority.load_issuers().await?;
                let known = authority.issuers().known();
                Ok((epoch, Some((epoch, TrustEvent::IssuersChanged(known)))))
            })
            .await?;
        // What is new has its lists before anybody asks for them.
        if let Err(error) = self.publish_due_lists().await {
            // The change is made; the job that keeps the lists current tries again.
            tracing::error!(alarm = "list", %error, "a revocation list could not be published");
        }
        Ok(epoch)
    }

    /// Takes up the issuers that the store has, and opens the keys of those that are new.
    pub(super) async fn load_issuers(&self) -> Result<(), AuthorityError> {
        let known = self.issuers();
        let mut issuers = Vec::new();
        let mut requested = Vec::new();
        for record in self.store().issuers().await? {
            if record.certificate.is_empty() {
                requested.push(record);
                continue;
            }
            let signer = self.signer_of(&known, &record).await?;
            issuers.push(Arc::new(Issuer::new(
                record,
                signer,
                &self.inner.parts.public_url,
            )?));
        }
        self.inner
            .issuers
            .store(Arc::new(IssuerSet::new(issuers, requested)));
        Ok(())
    }

    async fn signer_of(
        &self,
        known: &IssuerSet,
        record: &IssuerRecord,
    ) -> Result<Option<Arc<dyn Signer>>, AuthorityError> {
        if record.state == IssuerState::Retired {
            return Ok(None);
        }
        let before = known.by_id(&record.id);
        if let Some(before) = before
            && before.record.key == record.key
            && let Ok(signer) = before.signer()
        {
            return Ok(Some(Arc::clone(signer)));
        }
        let certificate = IssuerCertificate::from_der(&record.certificate)
            .map_err(|error| AuthorityError::Internal(format!("{}: {error}", record.name)))?;
        let public_key = certificate.public_key();
        Ok(self
            .inner
            .parts
            .ca_keys
            .open(&record.key, Some(public_key))
            .await?)
    }

    /// Refuses a name that is taken.
    fn check_free(&self, name: &IssuerName) -> Result<(), AuthorityError> {
        if self.issuers().records().any(|known| known.name == *name) {
            return Err(AuthorityError::Conflict(format!(
                "an issuer named {name} exists; portcullis ca list shows them all"
            )));
        }
        Ok(())
    }

    /// Refuses the subject of another issuer: lists and chains would pick the wrong key (PKITS 4.5.5).
    fn check_subject(&self, id: &IssuerKeyId, subject: &[u8]) -> Result<(), AuthorityError> {
        let issuers = self.issuers();
        let taken = issuers
            .iter()
            .find(|issuer| issuer.id() != *id && issuer.certificate.subject() == subject);
        match taken {
            Some(issuer) => Err(AuthorityError::Conflict(format!(
                "the issuer {} has this subject with another key; a new CA key needs a new subject (PKITS 4.5.5)",
                issuer.name()
            ))),
            None => Ok(()),
        }
    }
}
