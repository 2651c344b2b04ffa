//! What keeps lists from being published: remembered for whoever asks, and told in the log at once and every hour.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use portcullis_ca::issuer_key_id::IssuerKeyId;

use crate::domain::Timestamp;

/// Why a list is not published anew though it should be. The one before it is still served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFault {
    /// Whose list.
    pub issuer: IssuerKeyId,
    /// Of which shard.
    pub shard: u32,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong, and what would help.
    pub what: String,
}

/// How often the same fault is logged.
const AGAIN: Duration = Duration::from_secs(3600);

/// The faults that there are now.
#[derive(Default)]
pub(super) struct ListFaults(Mutex<BTreeMap<(IssuerKeyId, u32), (ListFault, Timestamp)>>);

impl ListFaults {
    pub(super) fn all(&self) -> Vec<ListFault> {
        self.0.lock().values().map(|(it, _)| it.clone()).collect()
    }

    /// Remembers a fault, and logs it unless that was done lately.
    pub(super) fn tell(&self, issuer: IssuerKeyId, shard: u32, what: String, now: Timestamp) {
        let mut faults = self.0.lock();
        let known = faults.get(&(issuer, shard));
        let since = known.map_or(now, |(fault, _)| fault.since);
        let told = known
            .filter(|(fault, told)| fault.what == what && now < *told + AGAIN && now >= *told)
            .map(|(_, told)| *told);
        if told.is_none() {
            tracing::error!(alarm = "list", issuer = %issuer.short(), shard, error = %what, "a revocation list is not as it should be");
        }
        let fault = ListFault {
            issuer,
            shard,
            since,
            what,
        };
        faults.insert((issuer, shard), (fault, told.unwrap_or(now)));
    }

    pub(super) fn clear(&self, issuer: IssuerKeyId, shard: u32) {
        if self.0.lock().remove(&(issuer, shard)).is_some() {
            tracing::info!(issuer = %issuer.short(), shard, "a revocation list is as it should be again");
        }
    }
}
