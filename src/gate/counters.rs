//! What the gate counts: for each thread by itself, so that counting costs no thread another one's cache line.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{decisions::DecisionCounts, registry::Registry};
use crate::domain::denial::{Denial, DenialReason};

/// One thread's counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    permits: AtomicU64,
    denials: [AtomicU64; DenialReason::ALL.len()],
}

impl Counters {
    pub(super) fn permitted(&self) {
        self.permits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn denied(&self, denial: &Denial) {
        if let Some(place) = DenialReason::ALL
            .iter()
            .position(|reason| *reason == denial.reason())
        {
            self.denials[place].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The counts of a running gate, to be read from elsewhere.
#[derive(Debug, Clone)]
pub struct GateCounters {
    pub(super) threads: Vec<(Arc<Registry>, Arc<Counters>)>,
    pub(super) decisions: Option<Arc<DecisionCounts>>,
}

impl GateCounters {
    /// How many admitted connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.threads
            .iter()
            .map(|(registry, _)| registry.len())
            .sum()
    }

    /// How many requests were let through.
    #[must_use]
    pub fn permits(&self) -> u64 {
        self.threads
            .iter()
            .map(|(_, counters)| counters.permits.load(Ordering::Relaxed))
            .sum()
    }

    /// How many requests were refused, for each reason.
    #[must_use]
    pub fn denials(&self) -> [(DenialReason, u64); DenialReason::ALL.len()] {
        let mut place = 0;
        DenialReason::ALL.map(|reason| {
            let count = self
                .threads
                .iter()
                .map(|(_, counters)| counters.denials[place].load(Ordering::Relaxed))
                .sum();
            place += 1;
            (reason, count)
        })
    }

    /// What the log of decisions has counted; nothing when it is off.
    #[must_use]
    pub fn decisions(&self) -> Option<&DecisionCounts> {
        self.decisions.as_deref()
    }
}
