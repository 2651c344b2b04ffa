//! Revocation lists: what is published, and publishing on demand. When lists fall due is `schedule`'s, making one is
//! `publish`'s, and lists of issuers whose key is elsewhere are `offline`'s.
//!
//! Each issuer's certificates are spread over its shards, one list each; which one, the certificate says. A list covers
//! every revocation up to a trust event's number, so that whether something is missing on it is known without reading
//! either.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use portcullis_ca::issuer_key_id::IssuerKeyId;

use super::{Authority, AuthorityError, Issuer};
use crate::{
    domain::{Timestamp, audit::Actor},
    store::{ListHead, StoredList},
};

mod fault;
mod offline;
mod publish;
mod schedule;

pub use fault::ListFault;
pub(super) use publish::Publisher;
pub use schedule::ListRound;

/// How often lists are made.
#[derive(Debug, Clone, Copy)]
pub struct ListSchedule {
    /// From thisUpdate to nextUpdate. A new list is made before half of it is over.
    pub life: Duration,
    /// Over how many lists an issuer that is made from now on spreads its certificates.
    pub shards: u32,
}

impl ListSchedule {
    /// The most lists that an issuer may have.
    pub const MOST_SHARDS: u32 = 1024;
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
    /// How many entries it has; not known of a list that another process made.
    pub entries: Option<usize>,
    /// The list, ready to be sent.
    pub der: Bytes,
}

impl CurrentList {
    /// From when on it is an alarm that no newer list is there: a quarter of its life before it ends, and no more than 30
    /// days. Ours are made anew before half of it is over.
    #[must_use]
    pub fn alarm_at(&self) -> Timestamp {
        const MOST: Duration = Duration::from_secs(30 * 86_400);
        let life = self.next_update.since(self.this_update);
        self.next_update.earlier_by((life / 4).min(MOST))
    }

    fn of_store(issuer: IssuerKeyId, shard: u32, stored: StoredList) -> Self {
        let ListHead {
            number,
            this_update,
            next_update,
            ..
        } = stored.head;
        Self {
            issuer,
            shard,
            number,
            this_update,
            next_update,
            entries: None,
            der: stored.der.into(),
        }
    }
}

impl Authority {
    /// The lists as they stand, of one issuer after the other, each one's by shard.
    #[must_use]
    pub fn lists(&self) -> Arc<Vec<CurrentList>> {
        self.inner.lists.load_full()
    }

    /// Whether a list that goes on has ended, so that verifiers can't know what is revoked.
    #[must_use]
    pub fn has_stale_list(&self) -> bool {
        let (now, issuers) = (self.now(), self.issuers());
        self.lists().iter().any(|list| {
            let goes_on = |issuer: &Arc<Issuer>| issuer.state().stands() && !self.is_over(issuer);
            now > list.next_update && issuers.by_id(&list.issuer).is_some_and(goes_on)
        })
    }

    /// What keeps lists from being published; nothing when all is well.
    #[must_use]
    pub fn list_faults(&self) -> Vec<ListFault> {
        self.inner.publisher.faults.all()
    }

    /// Publishes a new list of every shard of every issuer whose key is here, due or not.
    ///
    /// # Errors
    /// What the store, the linter and the signer say; the other lists were published all the same.
    pub async fn publish_lists(&self, actor: &Actor) -> Result<Vec<CurrentList>, AuthorityError> {
        let (mut published, mut failed) = (Vec::new(), None);
        for issuer in self.issuers().standing() {
            if issuer.signer().is_err() || self.is_over(issuer) {
                continue;
            }
            for shard in 0..issuer.shards() {
                match self.publish_list(actor, issuer, shard, None).await {
                    Ok(list) => published.push(list),
                    Err(error) => failed = Some(error),
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(published),
        }
    }

    /// Publishes a list of every shard of one issuer that is good until a moment of the caller's choice: for an issuer
    /// whose key is about to go offline.
    ///
    /// # Errors
    /// What the store, the linter and the signer say.
    pub async fn publish_lists_until(
        &self,
        actor: &Actor,
        issuer: &Arc<Issuer>,
        next_update: Timestamp,
    ) -> Result<Vec<CurrentList>, AuthorityError> {
        let mut published = Vec::new();
        for shard in 0..issuer.shards() {
            published.push(
                self.publish_list(actor, issuer, shard, Some(next_update))
                    .await?,
            );
        }
        Ok(published)
    }

    /// Whether an issuer's own time is over, and with it that of everything that it issued.
    fn is_over(&self, issuer: &Issuer) -> bool {
        self.now().unix_seconds() >= issuer.certificate.not_after()
    }

    fn current_list(&self, issuer: IssuerKeyId, shard: u32) -> Option<CurrentList> {
        self.lists()
            .iter()
            .find(|list| (list.issuer, list.shard) == (issuer, shard))
            .cloned()
    }

    fn set_list(&self, current: &CurrentList) {
        let place = |list: &CurrentList| (list.issuer, list.shard);
        self.inner.lists.rcu(|lists| {
            let mut lists = Vec::clone(lists);
            match lists.binary_search_by_key(&place(current), place) {
                // Two that were made at once may come here in the other order.
                Ok(at) if lists[at].number > current.number => {}
                Ok(at) => lists[at] = current.clone(),
                Err(at) => lists.insert(at, current.clone()),
            }
            lists
        });
    }

    /// Takes up the lists that were published before.
    pub(super) async fn load_lists(&self) -> Result<(), AuthorityError> {
        for issuer in self.issuers().iter() {
            for shard in 0..issuer.shards() {
                self.load_list(issuer.id(), shard).await?;
            }
        }
        Ok(())
    }

    async fn load_list(&self, issuer: IssuerKeyId, shard: u32) -> Result<(), AuthorityError> {
        if let Some(stored) = self.store().list(issuer, shard).await? {
            self.set_list(&CurrentList::of_store(issuer, shard, stored));
        }
        Ok(())
    }
}
