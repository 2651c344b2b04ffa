//! Which validations are under way in this process, whose turn it is, and what failed so far.
//!
//! A challenge that is responded to takes a place; their number is bounded, in all and for each account, so that who
//! responds faster than it can be looked at is told to come back. An attempt then waits for its turn on the network: one
//! of the account's turns first, then one of all. An account has a quarter of the turns at most, so a thousand names
//! that don't answer hold up nobody else's. Between two attempts a place is kept, and no turn.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{Validator, config::ValidationSettings};
use crate::domain::{
    Timestamp,
    challenge::{ChallengeKind, ValidationFailure},
    id::{AccountId, AuthorizationId},
};

/// How many validations may be under way, most of them waiting.
pub const MAX_UNDER_WAY: usize = 20_000;

/// And how many of one account.
pub const MAX_UNDER_WAY_PER_ACCOUNT: usize = 1_000;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How often a client may ask for an attempt of its own, by responding again.
const ATTEMPTS_ON_REQUEST: u32 = 5;

/// The validations that are under way in this process, of all directories.
pub struct Validations {
    validator: Validator,
    attempts: u32,
    retry: Duration,
    turns: Arc<Semaphore>,
    turns_per_account: usize,
    under_way: Mutex<UnderWay>,
}

type Key = (AuthorizationId, ChallengeKind);

#[derive(Default)]
struct UnderWay {
    challenges: HashMap<Key, Progress>,
    accounts: HashMap<AccountId, Share>,
}

/// What an account has of it.
struct Share {
    places: usize,
    turns: Arc<Semaphore>,
}

struct Progress {
    failures: Vec<ValidationFailure>,
    /// When the next attempt begins; nothing while one is on the network or waits for its turn.
    next_at: Option<Timestamp>,
    on_request: u32,
    asked: Arc<Notify>,
}

/// Why a validation can't begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// It is under way already.
    UnderWay,
    /// The account has too many under way.
    AccountIsFull,
    /// There are too many in all.
    Full,
}

/// How far a validation is, for whoever waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What failed so far (RFC 8555 section 8.2).
    pub failures: Vec<ValidationFailure>,
    /// When to look again: after the next attempt began, and a whole second at least.
    pub retry_after: Duration,
}

impl Validations {
    /// With the number of attempts, pauses and turns of the configuration.
    #[must_use]
    pub fn new(validator: Validator, settings: &ValidationSettings) -> Self {
        Self {
            validator,
            attempts: settings.attempts,
            retry: settings.retry,
            turns: Arc::new(Semaphore::new(settings.max_concurrent)),
            turns_per_account: (settings.max_concurrent / 4).max(1),
            under_way: Mutex::default(),
        }
    }

    /// What makes the attempts.
    #[must_use]
    pub fn validator(&self) -> &Validator {
        &self.validator
    }

    /// The pause after so many scheduled attempts failed; nothing, when there are no more.
    #[must_use]
    pub fn pause_after(&self, attempts: u32) -> Option<Duration> {
        (attempts < self.attempts).then(|| {
            let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
            self.retry.saturating_mul(doubled).min(LONGEST_PAUSE)
        })
    }

    /// Takes a place for a challenge.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub fn enter(
        self: &Arc<Self>,
        account: &AccountId,
        authorization: &AuthorizationId,
        kind: ChallengeKind,
    ) -> Result<Place, NoPlace> {
        let mut guard = self.under_way.lock();
        let UnderWay {
            challenges,
            accounts,
        } = &mut *guard;
        let count = challenges.len();
        let key = (authorization.clone(), kind);
        let Entry::Vacant(vacant) = challenges.entry(key.clone()) else {
            return Err(NoPlace::UnderWay);
        };
        if count >= MAX_UNDER_WAY {
            return Err(NoPlace::Full);
        }
        let share = accounts.entry(account.clone()).or_insert_with(|| Share {
            places: 0,
            turns: Arc::new(Semaphore::new(self.turns_per_account)),
        });
        if share.places >= MAX_UNDER_WAY_PER_ACCOUNT {
            return Err(NoPlace::AccountIsFull);
        }
        share.places += 1;
        let asked = Arc::new(Notify::new());
        vacant.insert(Progress {
            failures: Vec::new(),
            next_at: None,
            on_request: ATTEMPTS_ON_REQUEST,
            asked: Arc::clone(&asked),
        });
        Ok(Place {
            validations: Arc::clone(self),
            account: account.clone(),
            key,
            turns: Arc::clone(&share.turns),
            asked,
        })
    }

    /// The client responds again: if the validation pauses, the next attempt begins now (RFC 8555 section 8.2).
    pub fn ask(&self, authorization: &AuthorizationId, kind: ChallengeKind) {
        let mut under_way = self.under_way.lock();
        let key = (authorization.clone(), kind);
        if let Some(progress) = under_way.challenges.get_mut(&key)
            && progress.next_at.is_some()
            && progress.on_request > 0
        {
            progress.on_request -= 1;
            progress.next_at = None;
            progress.asked.notify_one();
        }
    }

    /// How far a validation is, if it is under way here.
    #[must_use]
    pub fn shown(
        &self,
        authorization: &AuthorizationId,
        kind: ChallengeKind,
        now: Timestamp,
    ) -> Option<Shown> {
        let under_way = self.under_way.lock();
        let progress = under_way.challenges.get(&(authorization.clone(), kind))?;
        Some(Shown {
            failures: progress.failures.clone(),
            retry_after: progress.retry_after(now),
        })
    }

    /// When to look at these authorizations again: when the first of those that are being validated may have come
    /// further. Nothing, when none is.
    #[must_use]
    pub fn retry_after(
        &self,
        authorizations: &[AuthorizationId],
        now: Timestamp,
    ) -> Option<Duration> {
        let under_way = self.under_way.lock();
        if under_way.challenges.is_empty() {
            return None;
        }
        authorizations
            .iter()
            .flat_map(|id| ChallengeKind::ALL.map(|kind| (id.clone(), kind)))
            .filter_map(|key| under_way.challenges.get(&key))
            .map(|progress| progress.retry_after(now))
            .min()
    }
}

impl Progress {
    fn retry_after(&self, now: Timestamp) -> Duration {
        let pause = self.next_at.map_or(Duration::ZERO, |at| at.since(now));
        let whole = Duration::from_secs(pause.as_millis().div_ceil(1000) as u64);
        whole.max(Duration::from_secs(1))
    }
}

/// A validation's place. It is given up with the value, however its task ends.
pub struct Place {
    validations: Arc<Validations>,
    account: AccountId,
    key: Key,
    turns: Arc<Semaphore>,
    asked: Arc<Notify>,
}

/// The right to be on the network.
pub struct Turn {
    _of_account: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// How a pause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseEnd {
    /// It was over.
    Over,
    /// The client asked for an attempt.
    Asked,
}

impl Place {
    /// The validations that it is one of.
    #[must_use]
    pub fn validations(&self) -> &Validations {
        &self.validations
    }

    /// Waits for a turn: first come, first served, within the account and then among all.
    pub async fn turn(&self) -> Turn {
        let never_closed = "nobody closes the semaphore";
        Turn {
            _of_account: Arc::clone(&self.turns)
                .acquire_owned()
                .await
                .expect(never_closed),
            _of_all: Arc::clone(&self.validations.turns)
                .acquire_owned()
                .await
                .expect(never_closed),
        }
    }

    /// Keeps what failed, and waits until the next attempt is due or asked for.
    pub async fn pause(
        &self,
        failure: ValidationFailure,
        pause: Duration,
        now: Timestamp,
    ) -> PauseEnd {
        self.change(|progress| {
            progress.failures.push(failure);
            progress.next_at = Some(now + pause);
        });
        let end = match timeout(pause, self.asked.notified()).await {
            Ok(()) => PauseEnd::Asked,
            Err(_) => PauseEnd::Over,
        };
        self.change(|progress| progress.next_at = None);
        end
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut under_way = self.validations.under_way.lock();
        under_way.challenges.get_mut(&self.key).map(change);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.validations.under_way.lock();
        under_way.challenges.remove(&self.key);
        if let Entry::Occupied(mut share) = under_way.accounts.entry(self.account.clone()) {
            share.get_mut().places -= 1;
            if share.get().places == 0 {
                share.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        acme::validation::config::ValidationConfig, domain::challenge::ValidationFailureKind,
    };

    fn validations(config: ValidationConfig) -> Arc<Validations> {
        let settings = ValidationConfig {
            resolvers: vec!["127.0.0.1".to_owned()],
            ..config
        }
        .check()
        .unwrap();
        let validator = Validator::new(&settings).unwrap();
        Arc::new(Validations::new(validator, &settings))
    }

    fn enter(validations: &Arc<Validations>, account: &str, name: usize) -> Result<Place, NoPlace> {
        validations.enter(
            &AccountId::from_text(account),
            &AuthorizationId::from_text(format!("{account}-{name}")),
            ChallengeKind::Http01,
        )
    }

    #[tokio::test]
    async fn places_are_bounded_for_each_account_and_in_all_and_given_back() {
        let validations = validations(ValidationConfig::default());
        let mut places: Vec<Place> = (0..MAX_UNDER_WAY_PER_ACCOUNT)
            .map(|name| enter(&validations, "a", name).ok().unwrap())
            .collect();
        assert_eq!(enter(&validations, "a", 0).err(), Some(NoPlace::UnderWay));
        let one_more = MAX_UNDER_WAY_PER_ACCOUNT;
        assert_eq!(
            enter(&validations, "a", one_more).err(),
            Some(NoPlace::AccountIsFull)
        );
        for account in 1..MAX_UNDER_WAY / MAX_UNDER_WAY_PER_ACCOUNT {
            for name in 0..MAX_UNDER_WAY_PER_ACCOUNT {
                places.push(
                    enter(&validations, &format!("b{account}"), name)
                        .ok()
                        .unwrap(),
                );
            }
        }
        assert_eq!(enter(&validations, "c", 0).err(), Some(NoPlace::Full));
        places.truncate(1);
        assert!(enter(&validations, "c", 0).is_ok());
        assert!(enter(&validations, "a", one_more).is_ok());
        drop(places);
        let under_way = validations.under_way.lock();
        assert_eq!(
            (under_way.challenges.len(), under_way.accounts.len()),
            (0, 0)
        );
    }

    #[tokio::test]
    async fn an_account_has_a_quarter_of_the_turns() {
        let validations = validations(ValidationConfig {
            max_concurrent: 8,
            ..ValidationConfig::default()
        });
        let places: Vec<Place> = (0..3)
            .map(|name| enter(&validations, "a", name).ok().unwrap())
            .collect();
        let first = places[0].turn().await;
        let _second = places[1].turn().await;
        let third = places[2].turn();
        tokio::pin!(third);
        let soon = Duration::from_millis(20);
        assert!(timeout(soon, &mut third).await.is_err());
        let other = enter(&validations, "b", 0).ok().unwrap();
        let _turn = other.turn().await;
        drop(first);
        let _third = third.await;
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let validations = validations(ValidationConfig {
            attempts: 10,
            ..ValidationConfig::default()
        });
        let pauses: Vec<Option<u64>> = (1..=10)
            .map(|attempts| validations.pause_after(attempts).map(|it| it.as_secs()))
            .collect();
        let seconds = [2, 4, 8, 16, 32, 64, 128, 256, 300].map(Some);
        assert_eq!(pauses[..9], seconds);
        assert_eq!(pauses[9], None);
    }

    #[tokio::test]
    async fn what_failed_is_shown_with_the_time_of_the_next_attempt() {
        let validations = validations(ValidationConfig::default());
        let place = enter(&validations, "a", 0).ok().unwrap();
        let id = AuthorizationId::from_text("a-0");
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let shown = |now| validations.shown(&id, ChallengeKind::Http01, now);
        let second = Duration::from_secs(1);
        let failure = ValidationFailure {
            kind: ValidationFailureKind::Dns,
            detail: "no such name".to_owned(),
        };
        assert_eq!(
            shown(now),
            Some(Shown {
                failures: Vec::new(),
                retry_after: second
            })
        );
        let mut pause = Box::pin(place.pause(failure.clone(), 3600 * second, now));
        let soon = Duration::from_millis(1);
        assert!(timeout(soon, &mut pause).await.is_err());
        assert_eq!(
            shown(now + 600 * second + Duration::from_millis(1)),
            Some(Shown {
                failures: vec![failure],
                retry_after: 3000 * second
            })
        );
        assert_eq!(
            validations.retry_after(std::slice::from_ref(&id), now),
            Some(3600 * second)
        );
        validations.ask(&id, ChallengeKind::Http01);
        assert_eq!(pause.as_mut().await, PauseEnd::Asked);
        drop(pause);
        assert_eq!(shown(now).unwrap().retry_after, second);
        drop(place);
        assert_eq!(shown(now), None);
        assert_eq!(validations.retry_after(&[id], now), None);
    }
}
