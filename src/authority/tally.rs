//! What the authority has done since it was started, counted: for the metrics, and for nothing else.

use std::{borrow::Cow, collections::BTreeMap};

use parking_lot::Mutex;

/// Counts by name.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<Cow<'static, str>, u64>>);

impl Counts {
    pub(super) fn add(&self, name: impl Into<Cow<'static, str>>, count: u64) {
        if count > 0 {
            *self.0.lock().entry(name.into()).or_default() += count;
        }
    }

    fn read(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock();
        counts
            .iter()
            .map(|(name, count)| (name.clone().into_owned(), *count))
            .collect()
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Certificates that were recorded, by profile.
    pub(super) issued: Counts,
    /// Certificates that were revoked, by reason.
    pub(super) revoked: Counts,
    /// Answers to OCSP requests, by what they are.
    pub(super) ocsp: Counts,
    /// Requests that were refused because a limit was reached, by its name.
    pub(super) rate_limited: Counts,
}

/// What failed. Process-wide, for it is counted where it is told: where one error becomes another, and no authority is
/// at hand.
pub(super) static FAILURES: Counts = Counts(Mutex::new(BTreeMap::new()));

/// What the authority has done since it was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TallyReading {
    /// Certificates that were recorded, by profile.
    pub issued: BTreeMap<String, u64>,
    /// Certificates that were revoked, by reason.
    pub revoked: BTreeMap<String, u64>,
    /// Answers to OCSP requests, by what they are: `signed`, or the name of the status.
    pub ocsp: BTreeMap<String, u64>,
    /// Requests that were refused because a limit was reached, by its name.
    pub rate_limited: BTreeMap<String, u64>,
    /// `lint`: what the linter refused; `store` and `signer`: how often they failed.
    pub failures: BTreeMap<String, u64>,
}

impl super::Authority {
    /// What was done since the start.
    #[must_use]
    pub fn tally(&self) -> TallyReading {
        let tally = &self.inner.tally;
        TallyReading {
            issued: tally.issued.read(),
            revoked: tally.revoked.read(),
            ocsp: tally.ocsp.read(),
            rate_limited: tally.rate_limited.read(),
            failures: FAILURES.read(),
        }
    }
}
