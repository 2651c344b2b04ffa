//! Making one list: lease, entries, guards, lint, signature, record, in this order. It is served when it is durable.
//!
//! - Nobody else publishes the same list meanwhile, and no number is given twice (step-ca published two lists under one
//!   number): a lease for the way, compare-and-swap at the end.
//! - No list loses an entry whose certificate has not ended (Let's Encrypt, 2022: lists with a tenth of their entries).
//! - An entry stays until it was on a list made after its certificate ended (RFC 5280 section 3.3).

use std::{collections::HashMap, sync::Arc, time::Duration};

use portcullis_ca::{
    crl::{ListDraft, ListScope},
    issuer_key_id::IssuerKeyId,
    list::serials_on,
    serial::Serial,
};
use serde_json::json;

use super::{CurrentList, fault::ListFaults};
use crate::{
    authority::{Authority, AuthorityError, Issuer, random_bits},
    domain::{Timestamp, audit::Actor},
    store::{LeaseList, ListHead, PublishedList},
};

/// What this node needs to publish lists.
pub(in crate::authority) struct Publisher {
    /// Its name in leases.
    node: String,
    /// In one process, lists are made one after the other.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) faults: ListFaults,
}

impl Publisher {
    pub(in crate::authority) fn new() -> Result<Self, AuthorityError> {
        Ok(Self {
            node: hex::encode(random_bits()?),
            turn: tokio::sync::Mutex::default(),
            faults: ListFaults::default(),
        })
    }
}

/// How long making a list may take, a slow token included.
const LEASE: Duration = Duration::from_secs(60);
/// How long another node is waited for.
const PATIENCE: u32 = 50;

/// A list that is to be made.
pub(super) struct Planned {
    pub(super) draft: ListDraft,
    pub(super) covers: u64,
    pub(super) keeps_from: Timestamp,
}

impl Authority {
    /// Publishes the next list of a shard, good for as long as the configuration says or until `next_update`.
    pub(super) async fn publish_list(
        &self,
        actor: &Actor,
        issuer: &Arc<Issuer>,
        shard: u32,
        next_update: Option<Timestamp>,
    ) -> Result<CurrentList, AuthorityError> {
        let signer = Arc::clone(issuer.signer()?);
        let _turn = self.inner.publisher.turn.lock().await;
        self.lease(issuer.id(), shard).await?;
        let last = self.last_list(issuer.id(), shard).await?;
        let head = last.as_ref().map(|(head, _)| *head);
        // A list never goes back in time, even when the clock does.
        let this_update = head
            .map_or(self.now(), |list| self.now().max(list.this_update))
            .whole_seconds();
        let next_update = next_update.unwrap_or(this_update + self.inner.parts.list_schedule.life);
        let mut planned = self
            .plan_list(issuer, shard, head, (this_update, next_update))
            .await?;
        self.check_nothing_vanished(issuer.id(), &planned, last.map(|(_, list)| list))
            .await?;
        let certificate = Arc::clone(issuer);
        // A hundred thousand entries take a moment, which other tasks of this thread need not wait for.
        let (draft, checked) = tokio::task::spawn_blocking(move || {
            let checked = planned.draft.check(&certificate.certificate);
            planned.draft.entries.shrink_to_fit();
            (planned, checked)
        })
        .await
        .map_err(|error| AuthorityError::Internal(error.to_string()))?;
        let der = checked?.sign(&*signer).await?;
        self.record_list(actor, issuer.id(), shard, &draft, der)
            .await
    }

    /// Takes the lease on a list. Another node that holds it is waited for, for a while.
    pub(super) async fn lease(
        &self,
        issuer: IssuerKeyId,
        shard: u32,
    ) -> Result<(), AuthorityError> {
        for _ in 0..PATIENCE {
            let now = self.now();
            let lease = LeaseList {
                issuer,
                shard,
                holder: self.inner.publisher.node.clone(),
                now,
                until: now + LEASE,
            };
            if self.store().lease_list(lease).await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(AuthorityError::Conflict(
            "another node is publishing this list; look at it with portcullis crl list, and try again in a minute".to_owned(),
        ))
    }

    /// The list that was published last, as the store has it.
    pub(super) async fn last_list(
        &self,
        issuer: IssuerKeyId,
        shard: u32,
    ) -> Result<Option<(ListHead, CurrentList)>, AuthorityError> {
        let states = self.store().shard_states(vec![(issuer, shard)]).await?;
        let head = states.first().and_then(|state| state.published);
        let served = self.current_list(issuer, shard);
        if let Some(served) = &served
            && head.is_none_or(|head| head.number < served.number)
        {
            // A database that was rolled back: the next number was given out before.
            return Err(AuthorityError::Internal(format!(
                "the store says that the last list of shard {shard} has the number {}, but number {} was published: the \
                 database has gone back in time; nothing is published until it is reconciled",
                head.map_or(0, |head| head.number),
                served.number,
            )));
        }
        let Some(head) = head else { return Ok(None) };
        if served.as_ref().is_none_or(|it| it.number < head.number) {
            // Another node's.
            self.load_list(issuer, shard).await?;
        }
        let list = self
            .current_list(issuer, shard)
            .filter(|list| list.number == head.number)
            .ok_or_else(|| {
                AuthorityError::Conflict("another list was published meanwhile".to_owned())
            })?;
        Ok(Some((head, list)))
    }

    /// What the next list is to say, made at the first of two moments and good until the other.
    pub(super) async fn plan_list(
        &self,
        issuer: &Issuer,
        shard: u32,
        last: Option<ListHead>,
        (this_update, next_update): (Timestamp, Timestamp),
    ) -> Result<Planned, AuthorityError> {
        // A revoked certificate is on at least one list that was made after it ended (RFC 5280 section 3.3), and on all
        // that are made while the last list that could name it is still good.
        let mut keeps_from = this_update.earlier_by(self.inner.parts.list_schedule.life);
        if let Some(last) = last {
            keeps_from = keeps_from.min(last.this_update);
        }
        let revoked = self.store().revoked(issuer.id(), shard, keeps_from).await?;
        let end = Timestamp::from_unix_seconds(issuer.certificate.not_after());
        Ok(Planned {
            draft: ListDraft {
                number: last.map_or(0, |list| list.number) + 1,
                this_update: this_update.unix_seconds(),
                next_update: next_update.min(end).unix_seconds(),
                scope: if issuer.record.is_root() {
                    ListScope::Authorities
                } else {
                    ListScope::Leaves
                },
                distribution_point: issuer.list_url(shard),
                entries: revoked.entries,
            },
            covers: revoked.covers,
            keeps_from,
        })
    }

    /// Refuses a list on which something is missing that was on the one before and has not ended.
    pub(super) async fn check_nothing_vanished(
        &self,
        issuer: IssuerKeyId,
        planned: &Planned,
        last: Option<CurrentList>,
    ) -> Result<(), AuthorityError> {
        let Some(last) = last else { return Ok(()) };
        let before = serials_on(&last.der).map_err(|error| {
            AuthorityError::Internal(format!("the list that was published last: {error}"))
        })?;
        let mut entries = planned.draft.entries.iter().peekable();
        let missing: Vec<Serial> = before
            .iter()
            .filter(|serial| {
                while entries.next_if(|entry| entry.serial < **serial).is_some() {}
                entries.peek().is_none_or(|entry| entry.serial != **serial)
            })
            .copied()
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let ends: HashMap<Serial, Timestamp> = self
            .store()
            .ends_of_revoked(issuer, missing.clone())
            .await?
            .into_iter()
            .collect();
        let has_ended = |serial: &&Serial| {
            ends.get(*serial)
                .is_some_and(|end| *end < planned.keeps_from)
        };
        let vanished: Vec<&Serial> = missing.iter().filter(|serial| !has_ended(serial)).collect();
        let Some(first) = vanished.first() else {
            return Ok(());
        };
        Err(AuthorityError::Internal(format!(
            "{} of the {} certificates on list number {} are no longer revoked in the store, though they have not ended \
             ({first} first): the store has lost revocations; the list stays as it is until they are back",
            vanished.len(),
            before.len(),
            last.number,
        )))
    }

    /// Writes a signed list down, and serves it.
    pub(super) async fn record_list(
        &self,
        actor: &Actor,
        issuer: IssuerKeyId,
        shard: u32,
        planned: &Planned,
        der: Vec<u8>,
    ) -> Result<CurrentList, AuthorityError> {
        let draft = &planned.draft;
        let current = CurrentList {
            issuer,
            shard,
            number: draft.number,
            this_update: Timestamp::from_unix_seconds(draft.this_update),
            next_update: Timestamp::from_unix_seconds(draft.next_update),
            entries: Some(draft.entries.len()),
            der: der.into(),
        };
        let entries = draft.entries.len();
        let audit = self.audit(
            actor,
            "crl.publish",
            format!("{}/{shard}", issuer.short()),
            json!({ "number": draft.number, "entries": entries, "next_update": current.next_update }),
        );
        self.store()
            .publish_list(
                PublishedList {
                    issuer,
                    shard,
                    holder: self.inner.publisher.node.clone(),
                    number: current.number,
                    this_update: current.this_update,
                    next_update: current.next_update,
                    covers: planned.covers,
                    keeps_from: planned.keeps_from,
                    der: current.der.clone(),
                },
                audit,
            )
            .await?;
        self.set_list(&current);
        self.inner.publisher.faults.clear(issuer, shard);
        tracing::info!(issuer = %issuer.short(), shard, number = current.number, entries, "a revocation list was published");
        Ok(current)
    }
}
