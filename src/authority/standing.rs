//! What the gate reads: who is revoked, which keys and principals there are, which policy is in force. It is no store.
//!
//! It is closed until it has been loaded (Vault CVE-2022-41316: a list that was loaded only after the first request):
//! then every serial counts as revoked and there is no policy. A change is made in place first and published as the new
//! epoch after it, so whoever sees an epoch sees everything up to it. Reading takes a shard's lock for a moment and
//! never waits for the store.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use parking_lot::{Mutex, RwLock};
use portcullis_ca::{
    issuer_key_id::IssuerKeyId,
    revocation::{RevocationIndex, RevocationReason},
    serial::Serial,
};
use tokio::sync::watch;

use crate::domain::{
    api_key::{ApiKey, ApiKeyId},
    event::{KnownIssuers, TrustEvent},
    labels::PrincipalState,
    policy::Policy,
    principal::Principal,
};

/// The standing of everybody, as of one epoch. Shared by reference between the authority and the gate's threads.
#[derive(Debug)]
pub struct Standing {
    /// Zero until it has been loaded; the store's first event has the number 1, so `epoch + 1` is kept.
    epoch: AtomicU64,
    published: watch::Sender<u64>,
    writing: Mutex<()>,
    policy: ArcSwapOption<Policy>,
    revoked: Revoked,
    issuers: ArcSwap<KnownIssuers>,
    api_keys: Sharded<ApiKeyId, Arc<ApiKey>>,
    principals: Sharded<Principal, PrincipalState>,
}

/// All of it, as the store has it at the moment of loading.
#[derive(Debug)]
pub struct StandingSnapshot {
    /// The number of the last trust event that is in it; zero when there was none.
    pub epoch: u64,
    /// The policy in force.
    pub policy: Arc<Policy>,
    /// Every certificate that is revoked and has not expired.
    pub revoked: Vec<(IssuerKeyId, Serial)>,
    /// The issuers of the built-in authority.
    pub issuers: KnownIssuers,
    /// Every key that is neither revoked nor expired.
    pub api_keys: Vec<Arc<ApiKey>>,
    /// Every principal that has labels or is suspended.
    pub principals: Vec<(Principal, PrincipalState)>,
}

impl Standing {
    /// Nothing is known yet, so nobody has any standing.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            epoch: AtomicU64::new(CLOSED),
            published: watch::Sender::new(0),
            writing: Mutex::new(()),
            policy: ArcSwapOption::empty(),
            revoked: Revoked::default(),
            issuers: ArcSwap::default(),
            api_keys: Sharded::default(),
            principals: Sharded::default(),
        }
    }

    /// Takes over what the store has, and opens. Whatever was known before is forgotten.
    pub fn load(&self, snapshot: StandingSnapshot) {
        let _writing = self.writing.lock();
        self.revoked.replace(&snapshot.revoked);
        self.issuers.store(Arc::new(snapshot.issuers));
        self.api_keys
            .replace(snapshot.api_keys.into_iter().map(|key| (key.id, key)));
        self.principals.replace(snapshot.principals.into_iter());
        self.policy.store(Some(snapshot.policy));
        self.publish(snapshot.epoch);
    }

    /// Whether it has been loaded.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.epoch.load(Ordering::Acquire) != CLOSED
    }

    /// Makes the change that trust event number `epoch` tells of, then publishes that epoch. An event that is already
    /// in is passed over.
    ///
    /// # Errors
    /// [`EpochGap`] when events before this one are missing, or nothing has been loaded; nothing is changed then, and
    /// the caller has to catch up first.
    pub fn apply(&self, epoch: u64, event: &TrustEvent) -> Result<(), EpochGap> {
        let _writing = self.writing.lock();
        let applied = self.epoch.load(Ordering::Acquire).checked_sub(1);
        match applied {
            Some(applied) if epoch <= applied => return Ok(()),
            Some(applied) if epoch == applied + 1 => {}
            Some(_) | None => return Err(EpochGap { applied, epoch }),
        }
        match event {
            TrustEvent::CertificatesRevoked { issuer, serials } => {
                self.revoked.add(*issuer, serials);
            }
            TrustEvent::ApiKeyMinted(key) => self.api_keys.insert(key.id, Arc::clone(key)),
            TrustEvent::ApiKeyRevoked(id) => self.api_keys.remove(id),
            TrustEvent::PolicyApplied(policy) => self.policy.store(Some(Arc::clone(policy))),
            TrustEvent::IssuersChanged(issuers) => self.issuers.store(Arc::new(issuers.clone())),
            TrustEvent::PrincipalChanged { principal, state } => {
                self.principals.insert(principal.clone(), state.clone());
            }
        }
        self.publish(epoch);
        Ok(())
    }

    /// The number of the last trust event that was applied.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire).saturating_sub(1)
    }

    /// Follows the epochs. Loading counts as a change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// Returns once it has been loaded.
    pub async fn loaded(&self) {
        let mut epochs = self.subscribe();
        while !self.is_loaded() {
            if epochs.changed().await.is_err() {
                return;
            }
        }
    }

    /// The policy in force; `None` until it has been loaded. Reading it takes no lock; don't keep the guard across an
    /// `await`.
    #[must_use]
    pub fn policy(&self) -> Guard<Option<Arc<Policy>>> {
        self.policy.load()
    }

    /// Whether this certificate is revoked, or its issuer retired. Until it has been loaded, every one is.
    #[must_use]
    pub fn is_revoked(&self, issuer: &IssuerKeyId, serial: &Serial) -> bool {
        !self.is_loaded()
            || self.issuers.load().retired.contains(issuer)
            || self.revoked.contains(issuer, serial)
    }

    /// Whether the leaves of this issuer prove principals: it is one of ours, and its time is not over.
    #[must_use]
    pub fn issues_leaves(&self, issuer: &IssuerKeyId) -> bool {
        self.issuers.load().of_leaves.contains(issuer)
    }

    /// The key with this id, if there is one and it is not revoked. It may have expired.
    #[must_use]
    pub fn api_key(&self, id: &ApiKeyId) -> Option<Arc<ApiKey>> {
        self.api_keys.get(id)
    }

    /// What is known about the principal; one that was never heard of has no labels and is not suspended.
    #[must_use]
    pub fn principal_state(&self, principal: &Principal) -> PrincipalState {
        self.principals.get(principal).unwrap_or_default()
    }

    fn publish(&self, epoch: u64) {
        self.epoch.store(epoch.saturating_add(1), Ordering::Release);
        self.published.send_replace(epoch);
    }
}

/// What `Standing::epoch` holds until it has been loaded.
const CLOSED: u64 = 0;

/// A trust event came before its predecessors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("trust event {epoch} cannot be applied: {}", match applied {
    Some(applied) => format!("the last one was {applied}"),
    None => "nothing has been loaded yet".to_owned(),
})]
pub struct EpochGap {
    /// The last event that was applied, if it has been loaded.
    pub applied: Option<u64>,
    /// The event that came.
    pub epoch: u64,
}

/// The revoked serials, issuer by issuer. Changed by one at a time, under `Standing::writing`.
#[derive(Debug, Default)]
struct Revoked(RwLock<HashMap<IssuerKeyId, RevocationIndex>>);

/// From how many serials on an index is changed as a copy: looking up must not wait while it is sorted in.
const BULK: usize = 512;

impl Revoked {
    fn contains(&self, issuer: &IssuerKeyId, serial: &Serial) -> bool {
        let indices = self.0.read();
        indices
            .get(issuer)
            .is_some_and(|index| index.contains(serial))
    }

    fn add(&self, issuer: IssuerKeyId, serials: &[Serial]) {
        // Why it was revoked is the store's to know; the gate only asks whether.
        let entries = serials
            .iter()
            .map(|serial| (*serial, RevocationReason::Unspecified));
        if serials.len() < BULK {
            let mut indices = self.0.write();
            let index = indices.entry(issuer).or_default();
            for (serial, reason) in entries {
                index.insert(serial, reason);
            }
        } else {
            let mut index = self.0.read().get(&issuer).cloned().unwrap_or_default();
            index.extend(entries);
            self.0.write().insert(issuer, index);
        }
    }

    fn replace(&self, revoked: &[(IssuerKeyId, Serial)]) {
        let mut by_issuer: HashMap<IssuerKeyId, Vec<Serial>> = HashMap::new();
        for (issuer, serial) in revoked {
            by_issuer.entry(*issuer).or_default().push(*serial);
        }
        let indices = by_issuer.into_iter().map(|(issuer, serials)| {
            let entries = serials
                .into_iter()
                .map(|serial| (serial, RevocationReason::Unspecified));
            (issuer, entries.collect())
        });
        let indices: HashMap<_, _> = indices.collect();
        *self.0.write() = indices;
    }
}

/// A map in shards, each behind a lock of its own that is held for one look-up or change.
#[derive(Debug)]
struct Sharded<K, V> {
    hasher: RandomState,
    shards: Box<[RwLock<HashMap<K, V>>]>,
}

/// A power of two.
const SHARDS: usize = 64;

impl<K: Hash + Eq, V> Sharded<K, V> {
    fn shard(&self, key: &K) -> &RwLock<HashMap<K, V>> {
        &self.shards[self.index(key)]
    }

    fn index(&self, key: &K) -> usize {
        usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or(0) % SHARDS
    }

    fn insert(&self, key: K, value: V) {
        self.shard(&key).write().insert(key, value);
    }

    fn remove(&self, key: &K) {
        self.shard(key).write().remove(key);
    }

    fn replace(&self, entries: impl Iterator<Item = (K, V)>) {
        let mut maps: Vec<HashMap<K, V>> = (0..SHARDS).map(|_| HashMap::new()).collect();
        for (key, value) in entries {
            maps[self.index(&key)].insert(key, value);
        }
        // Swapped whole: there is no moment at which an entry of both the old and the new is missing.
        for (shard, map) in self.shards.iter().zip(maps) {
            *shard.write() = map;
        }
    }
}

impl<K: Hash + Eq, V: Clone> Sharded<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.shard(key).read().get(key).cloned()
    }
}

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::PolicyContext;

    fn policy() -> Arc<Policy> {
        Arc::new(Policy::empty(&PolicyContext {
            trust_domain: "home.example".parse().expect("a trust domain"),
            local_admins: Vec::new(),
        }))
    }

    fn snapshot(epoch: u64, revoked: Vec<(IssuerKeyId, Serial)>) -> StandingSnapshot {
        StandingSnapshot {
            epoch,
            policy: policy(),
            revoked,
            issuers: KnownIssuers::default(),
            api_keys: Vec::new(),
            principals: Vec::new(),
        }
    }

    const ISSUER: IssuerKeyId = IssuerKeyId([1; 32]);

    fn serial(text: &str) -> Serial {
        text.parse().expect("a serial")
    }

    fn revocation(text: &str) -> TrustEvent {
        TrustEvent::CertificatesRevoked {
            issuer: ISSUER,
            serials: vec![serial(text)],
        }
    }

    /// Vault CVE-2022-41316: closed until loaded.
    #[test]
    fn until_it_is_loaded_everybody_is_revoked_and_nothing_is_applied() {
        let standing = Standing::closed();
        assert!(standing.is_revoked(&ISSUER, &serial("01")));
        assert!(standing.policy().is_none());
        assert_eq!(
            standing.apply(1, &revocation("02")),
            Err(EpochGap {
                applied: None,
                epoch: 1
            })
        );
        standing.load(snapshot(0, Vec::new()));
        assert!(standing.is_loaded() && standing.policy().is_some());
        assert!(!standing.is_revoked(&ISSUER, &serial("01")));
    }

    #[test]
    fn events_are_applied_in_order_each_once() {
        let standing = Standing::closed();
        standing.load(snapshot(7, vec![(ISSUER, serial("01"))]));
        let epochs = standing.subscribe();
        assert_eq!(standing.apply(8, &revocation("02")), Ok(()));
        assert_eq!((standing.epoch(), *epochs.borrow()), (8, 8));
        // A row that committed late must not be skipped.
        assert_eq!(
            standing.apply(10, &revocation("04")),
            Err(EpochGap {
                applied: Some(8),
                epoch: 10
            })
        );
        assert_eq!(standing.apply(8, &revocation("05")), Ok(()));
        let revoked: Vec<_> = ["01", "02", "03", "04", "05"]
            .into_iter()
            .filter(|it| standing.is_revoked(&ISSUER, &serial(it)))
            .collect();
        assert_eq!(revoked, ["01", "02"]);
        assert!(!standing.is_revoked(&IssuerKeyId([2; 32]), &serial("01")));
    }

    #[test]
    fn a_bulk_revocation_is_one_event_and_keeps_what_was_revoked_before() {
        let many: Vec<_> = (1..=5000_u32)
            .map(|number| Serial::from_der_integer(&number.to_be_bytes()).expect("a serial"))
            .collect();
        let standing = Standing::closed();
        standing.load(snapshot(0, vec![(ISSUER, serial("ffffffff01"))]));
        let event = TrustEvent::CertificatesRevoked {
            issuer: ISSUER,
            serials: many.clone(),
        };
        assert_eq!(standing.apply(1, &event), Ok(()));
        assert_eq!(standing.apply(2, &revocation("ffffffff02")), Ok(()));
        assert!(many.iter().all(|it| standing.is_revoked(&ISSUER, it)));
        assert!(standing.is_revoked(&ISSUER, &serial("ffffffff01")));
        assert!(standing.is_revoked(&ISSUER, &serial("ffffffff02")));
        assert!(!standing.is_revoked(&ISSUER, &serial("ffffffff03")));
    }

    #[test]
    fn a_principal_that_nobody_spoke_of_has_no_labels_and_is_not_suspended() {
        let standing = Standing::closed();
        standing.load(snapshot(0, Vec::new()));
        let principal: Principal = "device:fra/a".parse().expect("a principal");
        let suspended = PrincipalState {
            suspended: true,
            ..PrincipalState::default()
        };
        assert_eq!(
            standing.principal_state(&principal),
            PrincipalState::default()
        );
        let event = TrustEvent::PrincipalChanged {
            principal: principal.clone(),
            state: suspended.clone(),
        };
        assert_eq!(standing.apply(1, &event), Ok(()));
        assert_eq!(standing.principal_state(&principal), suspended);
    }
}
