//! When lists are made: as soon as one lacks a revocation, and before half of its life is over. The shards of an issuer
//! come one after the other, so that not all are signed in the same second.

use std::{sync::Arc, time::Duration};

use portcullis_ca::issuer_key_id::IssuerKeyId;

use crate::{
    authority::{Authority, AuthorityError, Issuer},
    domain::{Timestamp, audit::Actor},
    store::ShardState,
};

/// What a round of publishing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListRound {
    /// How many lists were published.
    pub published: usize,
    /// How many octets they have.
    pub octets: usize,
    /// How many could not be; [`Authority::list_faults`] says why.
    pub failed: usize,
}

/// Between two rounds, at least: what is revoked meanwhile goes into one list.
const REST: Duration = Duration::from_millis(50);
/// At most so many octets of lists are made a second while revocations go on and on.
const OCTETS_A_SECOND: u32 = 4 << 20;
/// And at most so long they wait for it.
const MOST_REST: Duration = Duration::from_secs(10);
/// How long nothing may be looked at: clocks jump, and other nodes revoke.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Authority {
    /// Publishes the lists that are due. One that can't be is told of, and keeps no other from being published.
    ///
    /// # Errors
    /// What the store says when it can't be asked which are due.
    pub async fn publish_due_lists(&self) -> Result<ListRound, AuthorityError> {
        let mut round = ListRound::default();
        let now = self.now();
        for (issuer, state) in self.shard_states().await? {
            let (id, shard) = (state.issuer, state.shard);
            let outcome = match issuer.signer() {
                Err(offline) => self.check_offline(&state, &offline),
                Ok(_) if !is_due(&state, issuer.shards(), now) => {
                    self.inner.publisher.faults.clear(id, shard);
                    continue;
                }
                Ok(_) => self
                    .publish_list(&Actor::Authority, &issuer, shard, None)
                    .await
                    .map(Some),
            };
            match outcome {
                Ok(Some(list)) => {
                    round.published += 1;
                    round.octets += list.der.len();
                }
                Ok(None) => self.inner.publisher.faults.clear(id, shard),
                Err(error) => {
                    round.failed += 1;
                    self.inner
                        .publisher
                        .faults
                        .tell(id, shard, error.to_string(), now);
                }
            }
        }
        Ok(round)
    }

    /// Publishes lists as they fall due, until it is dropped. `app` runs it as a job.
    pub async fn keep_lists_current(&self) {
        loop {
            let pause = match self.publish_due_lists().await {
                Ok(round) => {
                    let octets = u32::try_from(round.octets).unwrap_or(u32::MAX);
                    let rest = Duration::from_secs(1) * octets / OCTETS_A_SECOND;
                    tokio::time::sleep((REST + rest).min(MOST_REST)).await;
                    if round.failed > 0 {
                        Duration::from_secs(5)
                    } else {
                        self.until_the_next()
                    }
                }
                Err(error) => {
                    tracing::error!(alarm = "list", %error, "which revocation lists are due can't be found out");
                    Duration::from_secs(5)
                }
            };
            tokio::select! {
                () = self.inner.list_due.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How long no list falls due by time alone.
    fn until_the_next(&self) -> Duration {
        let (now, issuers) = (self.now(), self.issuers());
        self.lists()
            .iter()
            .filter_map(|list| {
                let issuer = issuers.by_id(&list.issuer)?;
                issuer.signer().ok()?;
                let life = (list.this_update, list.next_update);
                Some(due_at(life, list.issuer, (list.shard, issuer.shards())).since(now))
            })
            .min()
            .unwrap_or(LOOK_AGAIN)
            .clamp(Duration::from_secs(1), LOOK_AGAIN)
    }

    /// How every shard stands whose lists go on. Lists of other nodes are taken up on the way.
    async fn shard_states(&self) -> Result<Vec<(Arc<Issuer>, ShardState)>, AuthorityError> {
        let issuers = self.issuers();
        let shards: Vec<(Arc<Issuer>, u32)> = issuers
            .standing()
            .filter(|issuer| !self.is_over(issuer))
            .flat_map(|issuer| (0..issuer.shards()).map(|shard| (Arc::clone(issuer), shard)))
            .collect();
        let asked = shards
            .iter()
            .map(|(issuer, shard)| (issuer.id(), *shard))
            .collect();
        let states = self.store().shard_states(asked).await?;
        let lists = self.lists();
        for state in &states {
            let served = lists
                .iter()
                .find(|list| (list.issuer, list.shard) == (state.issuer, state.shard));
            if let Some(head) = state.published
                && served.is_none_or(|list| list.number < head.number)
            {
                self.load_list(state.issuer, state.shard).await?;
            }
        }
        let issuers = shards.into_iter().map(|(issuer, _)| issuer);
        Ok(issuers.zip(states).collect())
    }
}

/// Whether a shard's list lacks a revocation, or most of the first half of its life is over.
fn is_due(state: &ShardState, shards: u32, now: Timestamp) -> bool {
    let Some(list) = state.published else {
        return true;
    };
    // By number, not by time: a revocation may be committed after a list that is younger was made.
    if list
        .covers
        .is_none_or(|covers| covers < state.revoked_up_to)
    {
        return true;
    }
    let life = (list.this_update, list.next_update);
    now >= due_at(life, state.issuer, (state.shard, shards))
}

/// When a list is to be made anew though it lacks nothing: after a quarter of its life, and before half of it is over.
///
/// Lists that were made in the same second come due one after the other, at moments that the issuer and the shard
/// choose, the same each time.
fn due_at(
    (this_update, next_update): (Timestamp, Timestamp),
    issuer: IssuerKeyId,
    (shard, shards): (u32, u32),
) -> Timestamp {
    let life = i64::try_from(next_update.since(this_update).as_millis()).unwrap_or(i64::MAX);
    let quarter = (life / 4).max(1);
    let slot = quarter / i64::from(shards.max(1));
    let offset = slot * i64::from(shard) + slot * i64::from(issuer.0[0]) / 256;
    let half_over = this_update.unix_millis().saturating_add(life / 2);
    Timestamp::from_unix_millis(half_over - (half_over - offset).rem_euclid(quarter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ListHead;

    const DAY: i64 = 86_400_000;
    const ISSUER: IssuerKeyId = IssuerKeyId([77; 32]);

    #[test]
    fn lists_made_together_come_due_one_after_the_other_and_in_time() {
        for (life, apart) in [(DAY, 600_000), (60_000, 500)] {
            for made in [1_800_000_000_123, 1_800_000_000_123 + life / 3] {
                let at = Timestamp::from_unix_millis;
                let mut due: Vec<i64> = (0..16)
                    .map(|shard| {
                        due_at((at(made), at(made + life)), ISSUER, (shard, 16)).unix_millis()
                    })
                    .collect();
                assert!(
                    due.iter()
                        .all(|due| (life / 4..=life / 2).contains(&(due - made))),
                    "{due:?}"
                );
                due.sort_unstable();
                assert!(
                    due.windows(2).all(|pair| pair[1] - pair[0] >= apart),
                    "{due:?}"
                );
                // One that is made when it is due is due again half its life later.
                let again = due_at((at(due[3]), at(due[3] + life)), ISSUER, (0, 16));
                assert!(again.unix_millis() - due[3] <= life / 2);
            }
        }
    }

    #[test]
    fn a_list_is_due_when_it_lacks_a_revocation_or_in_time() {
        let at = Timestamp::from_unix_millis;
        let head = |covers| {
            Some(ListHead {
                number: 1,
                this_update: at(0),
                next_update: at(DAY),
                covers,
                keeps_from: at(0),
            })
        };
        for (published, revoked_up_to, now, due) in [
            (None, 0, 0, true),
            (head(None), 0, 0, true),
            (head(Some(7)), 7, 0, false),
            (head(Some(7)), 6, 0, false),
            (head(Some(7)), 8, 0, true),
            (head(Some(7)), 7, DAY / 5, false),
            (head(Some(7)), 7, DAY / 2, true),
            // The clock went back; what is on the list doesn't.
            (head(Some(7)), 7, -DAY, false),
        ] {
            let state = ShardState {
                issuer: ISSUER,
                shard: 3,
                revoked_up_to,
                published,
            };
            assert_eq!(
                is_due(&state, 16, at(now)),
                due,
                "{published:?} {revoked_up_to} {now}"
            );
        }
    }
}
