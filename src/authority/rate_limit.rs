//! What clients have used up of their directory's limits, in memory: a restart forgets it.
//!
//! Each limit has a table of its own, so that nobody is forgotten for what others do elsewhere, with one number for each
//! key and at most [`MOST_KEYS`] keys. What has no effect any more goes first. If that is not enough, those go who have
//! used up the least: to make the server forget somebody who is at a limit one would have to bring more keys than the
//! table holds as far as that one.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    time::Duration,
};

use parking_lot::Mutex;

use super::{Authority, AuthorityError};
use crate::domain::{
    Timestamp,
    account::Account,
    authorization::{Authorization, AuthorizationState},
    certificate_id::CertificateId,
    directory::{Directory, DirectoryName},
    enrolment::Enrolment,
    id::{AccountId, OrderId},
    identifier::Identifier,
    invitation::InvitationId,
    order::Order,
    rate::{Rate, Used},
    rate_limit::{Limit, LimitReached},
};

/// The most keys that are remembered for a limit; they take about 4 MiB.
pub const MOST_KEYS: usize = 1 << 17;

/// One table for each limit.
#[derive(Default)]
pub(super) struct RateTables {
    /// Keyed at random, so that nobody finds two keys that share a number.
    hasher: RandomState,
    tables: [Mutex<Table>; Limit::ALL.len()],
}

/// What the keys of one limit have used up.
#[derive(Default)]
struct Table(HashMap<u64, Used>);

impl RateTables {
    fn table(&self, limit: Limit) -> &Mutex<Table> {
        &self.tables[limit as usize]
    }

    fn key(&self, directory: &DirectoryName, subject: impl Hash) -> u64 {
        self.hasher.hash_one((directory.as_str(), subject))
    }
}

impl Table {
    fn take(&mut self, key: u64, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        let used = rate.take(self.0.get(&key).copied(), now)?;
        self.set(key, used, now, MOST_KEYS);
        Ok(())
    }

    fn check(&self, key: u64, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        rate.take(self.0.get(&key).copied(), now).map(drop)
    }

    fn charge(&mut self, key: u64, rate: Rate, now: Timestamp) {
        let used = rate.charge(self.0.get(&key).copied(), now);
        self.set(key, used, now, MOST_KEYS);
    }

    fn give_back(&mut self, key: u64, rate: Rate) {
        if let Some(used) = self.0.get_mut(&key) {
            *used = rate.give_back(*used);
        }
    }

    fn set(&mut self, key: u64, used: Used, now: Timestamp, most: usize) {
        if self.0.len() >= most && !self.0.contains_key(&key) {
            self.0.retain(|_, used| !used.is_spent(now));
            if self.0.len() >= most {
                self.forget_least(most / 8);
            }
        }
        self.0.insert(key, used);
    }

    /// Forgets those who have used up the least.
    fn forget_least(&mut self, count: usize) {
        let mut all: Vec<Used> = self.0.values().copied().collect();
        let (_, &mut last, _) = all.select_nth_unstable(count);
        let mut left = count;
        self.0.retain(|_, used| {
            let goes = *used <= last && left > 0;
            left -= usize::from(goes);
            !goes
        });
    }
}

/// Whom a limit is for, and how that is told.
struct Subject<K> {
    limit: Limit,
    key: K,
    words: String,
}

/// Certificates that were counted before they were made. Dropped, they were not made.
pub(super) struct Counted {
    authority: Authority,
    taken: Vec<(Limit, u64, Rate)>,
}

impl Counted {
    /// They were made.
    pub(super) fn keep(mut self) {
        self.taken.clear();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        for (limit, key, rate) in &self.taken {
            let tables = &self.authority.inner.rates;
            tables.table(*limit).lock().give_back(*key, *rate);
        }
    }
}

impl Authority {
    /// Whether another request may come from an address.
    ///
    /// # Errors
    /// `RateLimited`, and `NotFound` for a directory that isn't there.
    pub fn admit_request(
        &self,
        directory: &DirectoryName,
        from: IpAddr,
    ) -> Result<(), AuthorityError> {
        self.take_for_network(Limit::RequestsPerNetwork, self.directory(directory)?, from)
    }

    /// Whether another account may be made: by its enrolment key, or else from an address.
    pub(super) fn admit_account(
        &self,
        directory: &Directory,
        binding: Option<InvitationId>,
        from: Option<IpAddr>,
    ) -> Result<(), AuthorityError> {
        match (binding, from) {
            (Some(key), _) => self.take(
                directory,
                &Subject {
                    limit: Limit::AccountsPerEnrolmentKey,
                    key,
                    words: format!("the enrolment key {key}"),
                },
            ),
            (None, Some(from)) => self.take_for_network(Limit::AccountsPerNetwork, directory, from),
            (None, None) => Ok(()),
        }
    }

    /// Whether an account may place another order. One that replaces a certificate which is due counts for nothing.
    pub(super) fn admit_order(
        &self,
        directory: &Directory,
        account: &Account,
        enrolment: Option<&Enrolment>,
        identifiers: &[Identifier],
        is_due_renewal: bool,
    ) -> Result<(), AuthorityError> {
        self.admit_validation(directory, &account.id, identifiers)?;
        if is_due_renewal {
            return Ok(());
        }
        // Better told now than when everything has been proved.
        self.check(directory, &of_identifiers(identifiers))
            .map_err(|error| about(error, identifiers))?;
        if let Some(subject) = enrolment.map(of_enrolment_key) {
            self.check(directory, &subject)?;
        }
        self.take(
            directory,
            &Subject {
                limit: Limit::OrdersPerAccount,
                key: account.id.as_str(),
                words: "this account".to_owned(),
            },
        )
    }

    /// Whether so many more authorizations of an account may be pending.
    pub(super) async fn admit_pending(
        &self,
        directory: &Directory,
        account: &AccountId,
        authorizations: &[Authorization],
    ) -> Result<(), AuthorityError> {
        let Some(most) = directory.limits.pending_authorizations else {
            return Ok(());
        };
        let new = authorizations
            .iter()
            .filter(|it| it.state == AuthorizationState::Pending)
            .count() as u64;
        if new == 0 {
            return Ok(());
        }
        let now = self.now();
        let pending = self.store().pending_authorizations(account, now).await?;
        if pending + new <= u64::from(most) {
            return Ok(());
        }
        let limit = Limit::PendingAuthorizations;
        Err(self.refuse(LimitReached::of_count(limit, most, "this account", now)))
    }

    /// Whether an account may have identifiers validated, after what has failed.
    pub(super) fn admit_validation(
        &self,
        directory: &Directory,
        account: &AccountId,
        identifiers: &[Identifier],
    ) -> Result<(), AuthorityError> {
        let mut reached = Vec::new();
        let mut worst: Option<AuthorityError> = None;
        for identifier in identifiers {
            if let Err(error) = self.check(directory, &of_failures(account, identifier)) {
                reached.push(identifier.clone());
                if wait(&error) > worst.as_ref().map_or(Duration::ZERO, wait) {
                    worst = Some(error);
                }
            }
        }
        worst.map_or(Ok(()), |error| Err(about(error, &reached)))
    }

    /// Whether the challenges of an authorization may be looked at, after what has failed.
    pub(super) async fn admit_challenge(
        &self,
        authorization: &Authorization,
    ) -> Result<(), AuthorityError> {
        let Some(account) = self.store().account(&authorization.account).await? else {
            return Ok(());
        };
        let directory = self.directory(&account.directory)?;
        let identifiers = std::slice::from_ref(&authorization.identifier);
        self.admit_validation(directory, &account.id, identifiers)
    }

    /// Counts a validation that failed.
    pub(super) async fn count_failed_validation(
        &self,
        authorization: &Authorization,
    ) -> Result<(), AuthorityError> {
        let Some(account) = self.store().account(&authorization.account).await? else {
            return Ok(());
        };
        let directory = self.directory(&account.directory)?;
        let subject = of_failures(&account.id, &authorization.identifier);
        if let Some(rate) = directory.limits.rate(subject.limit) {
            let tables = &self.inner.rates;
            let key = tables.key(&directory.name, &subject.key);
            let table = tables.table(subject.limit);
            table.lock().charge(key, rate, self.now());
        }
        Ok(())
    }

    /// Whether an order replaces a certificate that is due: in its renewal window or after it (so also when an incident
    /// reaches it), or past half of its life. Its order and its certificate count for nothing (RFC 9773 section 5), and a
    /// certificate that was just issued is not due, so nobody gets one after the other: revoking it does not make it so,
    /// nor does giving up one order after the other. `order` is the order's id once it is placed.
    pub(super) async fn is_due_renewal(
        &self,
        replaces: Option<&CertificateId>,
        order: Option<&OrderId>,
    ) -> Result<bool, AuthorityError> {
        let Some(id) = replaces else {
            return Ok(false);
        };
        let Some(mut replaced) = self.certificate(&id.serial()).await? else {
            return Ok(false);
        };
        let first = self.store().replacing_order(id.serial()).await?;
        if first.as_ref() != order {
            return Ok(false);
        }
        replaced.revocation = None;
        let life = replaced.not_after.since(replaced.not_before);
        let now = self.now();
        Ok(now >= replaced.not_before + life / 2 || now >= self.renewal_of(&replaced).window.start)
    }

    /// Counts the certificate of an order before it is made; it is taken back unless it is made.
    pub(super) fn count_certificate(
        &self,
        directory: &Directory,
        order: &Order,
        enrolment: Option<&Enrolment>,
        is_due_renewal: bool,
    ) -> Result<Counted, AuthorityError> {
        let mut counted = Counted {
            authority: self.clone(),
            taken: Vec::new(),
        };
        if is_due_renewal {
            return Ok(counted);
        }
        let by_names = self
            .take_counted(directory, &of_identifiers(&order.identifiers))
            .map_err(|error| about(error, &order.identifiers))?;
        counted.taken.extend(by_names);
        if let Some(subject) = enrolment.map(of_enrolment_key) {
            let by_key = self.take_counted(directory, &subject)?;
            counted.taken.extend(by_key);
        }
        Ok(counted)
    }

    fn take_for_network(
        &self,
        limit: Limit,
        directory: &Directory,
        from: IpAddr,
    ) -> Result<(), AuthorityError> {
        let Some(network) = directory.limits.networks.of(from) else {
            return Ok(());
        };
        let words = format!("the network {network}");
        self.take(
            directory,
            &Subject {
                limit,
                key: network,
                words,
            },
        )
    }

    fn take(
        &self,
        directory: &Directory,
        subject: &Subject<impl Hash>,
    ) -> Result<(), AuthorityError> {
        self.take_counted(directory, subject).map(drop)
    }

    fn take_counted(
        &self,
        directory: &Directory,
        subject: &Subject<impl Hash>,
    ) -> Result<Option<(Limit, u64, Rate)>, AuthorityError> {
        let Some(rate) = directory.limits.rate(subject.limit) else {
            return Ok(None);
        };
        let (now, tables) = (self.now(), &self.inner.rates);
        let key = tables.key(&directory.name, &subject.key);
        let taken = tables.table(subject.limit).lock().take(key, rate, now);
        match taken {
            Ok(()) => Ok(Some((subject.limit, key, rate))),
            Err(wait) => Err(self.reached(subject, rate, wait, now)),
        }
    }

    fn check(
        &self,
        directory: &Directory,
        subject: &Subject<impl Hash>,
    ) -> Result<(), AuthorityError> {
        let Some(rate) = directory.limits.rate(subject.limit) else {
            return Ok(());
        };
        let (now, tables) = (self.now(), &self.inner.rates);
        let key = tables.key(&directory.name, &subject.key);
        let checked = tables.table(subject.limit).lock().check(key, rate, now);
        checked.map_err(|wait| self.reached(subject, rate, wait, now))
    }

    fn reached<K>(
        &self,
        subject: &Subject<K>,
        rate: Rate,
        wait: Duration,
        now: Timestamp,
    ) -> AuthorityError {
        self.refuse(LimitReached::of_rate(
            subject.limit,
            rate,
            &subject.words,
            wait,
            now,
        ))
    }

    /// A refusal is counted and not written down: whoever floods us would fill the audit trail.
    fn refuse(&self, reached: LimitReached) -> AuthorityError {
        self.inner.tally.rate_limited.add(reached.limit.name(), 1);
        tracing::debug!(limit = reached.limit.name(), subject = %reached.subject, "a limit was reached");
        AuthorityError::RateLimited(Box::new(reached))
    }
}

/// A set of identifiers, in whatever order it was given.
fn of_identifiers(identifiers: &[Identifier]) -> Subject<Vec<String>> {
    let mut key: Vec<String> = identifiers.iter().map(ToString::to_string).collect();
    key.sort();
    Subject {
        limit: Limit::CertificatesPerIdentifiers,
        words: match key.as_slice() {
            [one] => one.clone(),
            several => format!("exactly this set of {} identifiers", several.len()),
        },
        key,
    }
}

fn of_enrolment_key(enrolment: &Enrolment) -> Subject<InvitationId> {
    Subject {
        limit: Limit::CertificatesPerEnrolmentKey,
        key: enrolment.invitation,
        words: format!("the enrolment key {}", enrolment.invitation),
    }
}

fn of_failures(account: &AccountId, identifier: &Identifier) -> Subject<(String, String)> {
    Subject {
        limit: Limit::FailedValidations,
        key: (account.to_string(), identifier.to_string()),
        words: format!("{identifier} in this account"),
    }
}

fn about(error: AuthorityError, identifiers: &[Identifier]) -> AuthorityError {
    if let AuthorityError::RateLimited(reached) = error {
        AuthorityError::RateLimited(Box::new(reached.about(identifiers)))
    } else {
        error
    }
}

fn wait(error: &AuthorityError) -> Duration {
    if let AuthorityError::RateLimited(reached) = error {
        reached.retry_after
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn a_full_table_forgets_what_is_over_and_then_who_has_used_up_the_least() {
        let rate: Rate = "3/3h".parse().expect("a rate");
        let mut table = Table::default();
        let take = |table: &mut Table, key, now| {
            let used = rate.take(table.0.get(&key).copied(), now)?;
            table.set(key, used, now, 64);
            Ok::<_, Duration>(())
        };
        // Somebody is at the limit, and sixty-three others have come once, long ago.
        for _ in 0..3 {
            take(&mut table, 0, at(3000)).expect("within the limit");
        }
        for key in 1..64 {
            take(&mut table, key, at(0)).expect("the first");
        }
        assert_eq!(table.0.len(), 64);
        take(&mut table, 64, at(3601)).expect("there is room once what is over has gone");
        assert_eq!(table.0.len(), 2);
        // However many come, whoever is at the limit is not forgotten.
        for key in 65..10_000 {
            take(&mut table, key, at(3601)).expect("the first");
            assert!(table.0.len() <= 64);
        }
        assert!(take(&mut table, 0, at(3601)).is_err());
    }
}
