//! Deleting what has ended, in small steps, so that nobody waits for it (step-ca #473: 40 GB of what nobody needed).

use std::time::Duration;

use serde_json::json;

use super::{Authority, AuthorityError};
use crate::{
    domain::{Timestamp, audit::Actor},
    store::Pruned,
};

/// How many rows are deleted at once,
const AT_ONCE: usize = 500;
/// and how long the store is left to others in between.
const PAUSE: Duration = Duration::from_millis(100);

impl Authority {
    /// Deletes what ended before `before`, a little at a time.
    ///
    /// # Errors
    /// What the store says.
    pub async fn prune(&self, before: Timestamp) -> Result<usize, AuthorityError> {
        self.expire_approvals().await?;
        let mut gone = 0;
        loop {
            let now_gone = self.store().prune(before, AT_ONCE).await?;
            gone += now_gone;
            if now_gone < AT_ONCE {
                return Ok(gone);
            }
        }
    }

    /// Deletes certificates that expired longer ago than `keep`, with their names, and as old trust events. One that was
    /// revoked stays as long as a list has it. The audit trail is never pruned.
    ///
    /// # Errors
    /// What the store says; what was deleted by then stays so.
    pub async fn prune_expired(&self, keep: Duration) -> Result<Pruned, AuthorityError> {
        let before = self.now().earlier_by(keep);
        let mut all = Pruned::default();
        loop {
            let audit = self.audit(
                &Actor::Authority,
                "certificate.prune",
                "certificates",
                json!({ "expired_before": before }),
            );
            let pruned = self.store().prune_expired(before, AT_ONCE, audit).await?;
            all.certificates += pruned.certificates;
            all.events += pruned.events;
            if pruned.certificates < AT_ONCE && pruned.events < AT_ONCE {
                return Ok(all);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
