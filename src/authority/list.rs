//! Publishing revocation lists: on each revocation, many at once in one list, and on schedule before the last one ends.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use portcullis_ca::{
    crl::{ListDraft, ListScope, RevokedEntry},
    issuer_key_id::IssuerKeyId,
    revocation::RevocationReason,
    serial::Serial,
};
use serde_json::json;

use super::{Authority, AuthorityError, Issuer};
use crate::{
    domain::{Timestamp, audit::Actor},
    store::PublishedList,
};

/// The only shard that there is yet.
const SHARD: u32 = 0;

/// How often lists are made.
#[derive(Debug, Clone, Copy)]
pub struct ListSchedule {
    /// From thisUpdate to nextUpdate. A new list is made when half of it is over.
    pub life: Duration,
    /// Over how many lists an issuer that is made from now on spreads its certificates.
    pub shards: u32,
}

impl Default for ListSchedule {
    fn default() -> Self {
        Self {
            life: Duration::from_secs(24 * 3600),
            shards: 16,
        }
    }
}

/// A list as it is served.
#[derive(Debug, Clone)]
pub struct CurrentList {
    /// Whose.
    pub issuer: IssuerKeyId,
    /// Which of its shards.
    pub shard: u32,
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one will be there at the latest.
    pub next_update: Timestamp,
    /// The list, ready to be sent.
    pub der: Bytes,
    /// What is on it; not known of a list from before this process, which is then made anew.
    contents: Option<Arc<HashMap<Serial, RevocationReason>>>,
}

impl Authority {
    /// The lists as they stand.
    #[must_use]
    pub fn lists(&self) -> Arc<Vec<CurrentList>> {
        self.inner.lists.load_full()
    }

    /// Publishes a new list of every issuer, revocation or not. The answer is their numbers, the root's first.
    ///
    /// # Errors
    /// What the store, the linter and the signer say.
    pub async fn publish_lists(&self, actor: &Actor) -> Result<Vec<CurrentList>, AuthorityError> {
        let mut published = Vec::new();
        for issuer in self.issuers().standing() {
            published.push(self.publish_list(actor, issuer).await?);
        }
        Ok(published)
    }

    /// Publishes the lists that are due: those that have something new to say, or half of whose life is over.
    ///
    /// # Errors
    /// What the store, the linter and the signer say.
    pub async fn publish_due_lists(&self) -> Result<usize, AuthorityError> {
        let mut count = 0;
        for issuer in self.issuers().standing() {
            if self.is_due(issuer).await? {
                self.publish_list(&Actor::Authority, issuer).await?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Publishes lists as they fall due, until it is dropped. `app` runs it as a job.
    pub async fn keep_lists_current(&self) {
        loop {
            let outcome = self.publish_due_lists().await;
            if let Err(error) = &outcome {
                tracing::error!(alarm = "list", %error, "a revocation list could not be published");
            }
            let pause = if outcome.is_ok() { 60 } else { 5 };
            tokio::select! {
                () = self.inner.list_due.notified() => {}
                () = tokio::time::sleep(Duration::from_secs(pause)) => {}
            }
        }
    }

    async fn is_due(&self, issuer: &Issuer) -> Result<bool, AuthorityError> {
        let now = self.now();
        let lists = self.lists();
        let Some(list) = lists.iter().find(|list| list.issuer == issuer.id()) else {
            return Ok(true);
        };
        let half = list.next_update.since(list.this_update) / 2;
        if now >= list.this_update + half || now < list.this_update {
            return Ok(true);
        }
        // By what is on it, not by times: a revocation may be committed after a list that is younger was made.
        let Some(contents) = &list.contents else {
            return Ok(true);
        };
        let revoked = self.store().revoked(issuer.id(), SHARD, now).await?;
        Ok(revoked.iter().any(|record| {
            let reason = record.revocation.map(|revocation| revocation.reason);
            contents.get(&record.serial) != reason.as_ref()
        }))
    }

    async fn publish_list(
        &self,
        actor: &Actor,
        issuer: &Issuer,
    ) -> Result<CurrentList, AuthorityError> {
        let last = self.store().list(issuer.id(), SHARD).await?;
        // A list never goes back in time, even when the clock does.
        let this_update = last
            .as_ref()
            .map_or(self.now(), |list| self.now().max(list.this_update))
            .whole_seconds();
        // A revoked certificate stays on at least one list past its expiry (RFC 5280 section 3.3), and on all that are
        // made while the last list that could name it is still good.
        let keep_since = this_update.earlier_by(self.inner.parts.list_schedule.life);
        let entries = self
            .store()
            .revoked(issuer.id(), SHARD, keep_since)
            .await?
            .iter()
            .map(|record| RevokedEntry {
                serial: record.serial,
                revoked_at: record
                    .revocation
                    .map_or(record.issued_at, |revocation| revocation.at)
                    .unix_seconds(),
                reason: record
                    .revocation
                    .map_or(RevocationReason::Unspecified, |revocation| {
                        revocation.reason
                    }),
            })
            .collect::<Vec<_>>();
        let count = entries.len();
        let contents = entries
            .iter()
            .map(|entry| (entry.serial, entry.reason))
            .collect();
        let next_update = (this_update + self.inner.parts.list_schedule.life)
            .min(Timestamp::from_unix_seconds(issuer.certificate.not_after()));
        let draft = ListDraft {
            number: last.map_or(0, |list| list.number) + 1,
            this_update: this_update.unix_seconds(),
            next_update: next_update.unix_seconds(),
            scope: if issuer.record.is_root() {
                ListScope::Authorities
            } else {
                ListScope::Leaves
            },
            distribution_point: issuer.list_url(SHARD),
            entries,
        };
        let der = draft
            .check(&issuer.certificate)?
            .sign(&**issuer.signer()?)
            .await?;
        let audit = self.audit(
            actor,
            "crl.publish",
            issuer.id().short(),
            json!({ "number": draft.number, "entries": count, "next_update": next_update }),
        );
        self.store()
            .publish_list(
                PublishedList {
                    issuer: issuer.id(),
                    shard: SHARD,
                    number: draft.number,
                    this_update,
                    next_update,
                    der: der.clone(),
                },
                audit,
            )
            .await?;
        let current = CurrentList {
            issuer: issuer.id(),
            shard: SHARD,
            number: draft.number,
            this_update,
            next_update,
            der: der.into(),
            contents: Some(Arc::new(contents)),
        };
        self.set_list(&current);
        tracing::info!(issuer = %issuer.id().short(), number = current.number, entries = count, "a revocation list was published");
        Ok(current)
    }

    fn set_list(&self, current: &CurrentList) {
        self.inner.lists.rcu(|lists| {
            // Two that were made at once may come here in the other order.
            let newer = |list: &&CurrentList| {
                (list.issuer, list.shard) == (current.issuer, current.shard)
                    && list.number > current.number
            };
            if lists.iter().any(|list| newer(&list)) {
                return Vec::clone(lists);
            }
            let mut lists: Vec<CurrentList> = lists
                .iter()
                .filter(|list| (list.issuer, list.shard) != (current.issuer, current.shard))
                .cloned()
                .collect();
            lists.push(current.clone());
            lists
        });
    }

    /// Takes up the lists that were published before.
    pub(super) async fn load_lists(&self) -> Result<(), AuthorityError> {
        for issuer in self.issuers().iter() {
            if let Some(list) = self.store().list(issuer.id(), SHARD).await? {
                self.set_list(&CurrentList {
                    issuer: issuer.id(),
                    shard: SHARD,
                    number: list.number,
                    this_update: list.this_update,
                    next_update: list.next_update,
                    der: list.der.into(),
                    contents: None,
                });
            }
        }
        Ok(())
    }
}
