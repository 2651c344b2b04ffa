//! Reading the audit trail, signing its checkpoints, and how far the authority has come.

use std::time::Duration;

use super::{Authority, AuthorityError};
use crate::{
    domain::{
        audit::{AuditEntry, AuditPublicKey, Checkpoint},
        high_water::HighWaterMark,
    },
    store::AuditQuery,
};

/// A checkpoint is due after so many entries,
const CHECKPOINT_EVERY: u64 = 1000;
/// and after so long when there is anything new.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(600);

impl Authority {
    /// Entries of the audit trail.
    ///
    /// # Errors
    /// What the store says.
    pub async fn audit_entries(
        &self,
        query: AuditQuery,
    ) -> Result<Vec<AuditEntry>, AuthorityError> {
        Ok(self.store().audit(query).await?)
    }

    /// The key that checkpoints are verified with.
    #[must_use]
    pub fn audit_public_key(&self) -> AuditPublicKey {
        self.secrets().audit_key.public_key()
    }

    /// The last checkpoint, for whoever watches its age.
    ///
    /// # Errors
    /// What the store says.
    pub async fn last_checkpoint(&self) -> Result<Option<Checkpoint>, AuthorityError> {
        Ok(self.store().last_checkpoint().await?)
    }

    /// Signs a checkpoint if one is due: after a thousand entries, or ten minutes when there is anything new.
    ///
    /// # Errors
    /// What the store says.
    pub async fn checkpoint_audit_if_due(&self) -> Result<Option<Checkpoint>, AuthorityError> {
        let level = self.store().water_level().await?;
        let last = self.store().last_checkpoint().await?;
        let (number, at) = last.map_or((0, None), |last| (last.number, Some(last.at)));
        let new = level.audit_number.saturating_sub(number);
        // Before the first checkpoint, and when the clock was put back, nobody knows how long it has been.
        let long = at.is_none_or(|at| self.now() < at || self.now().since(at) >= CHECKPOINT_AFTER);
        if new >= CHECKPOINT_EVERY || (new > 0 && long) {
            return self.checkpoint_audit().await;
        }
        Ok(None)
    }

    /// Signs a checkpoint of the last entry, if there is none yet.
    ///
    /// # Errors
    /// What the store says.
    pub async fn checkpoint_audit(&self) -> Result<Option<Checkpoint>, AuthorityError> {
        let level = self.store().water_level().await?;
        let last = self.store().last_checkpoint().await?;
        if last.is_some_and(|last| last.number >= level.audit_number) || level.audit_number == 0 {
            return Ok(None);
        }
        let checkpoint = self.secrets().audit_key.sign(
            level.checkpoint + 1,
            level.audit_number,
            level.audit_hash,
            self.now(),
        );
        self.store().checkpoint_audit(checkpoint.clone()).await?;
        Ok(Some(checkpoint))
    }

    /// How far the authority has come, as of now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn high_water_mark(&self) -> Result<HighWaterMark, AuthorityError> {
        Ok(HighWaterMark {
            level: self.store().water_level().await?,
            at: self.now(),
        })
    }
}
