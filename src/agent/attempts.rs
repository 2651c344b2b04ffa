//! Something that is tried until it succeeds.

use std::time::Duration;

use time::OffsetDateTime;

use super::{error::AgentError, random::random, renewal::Backoff};

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The lifetime that waits are reckoned for while there is no certificate.
const USUAL_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How often something has failed, and when it may be tried again.
pub struct Attempts {
    backoff: Backoff,
    not_before: Option<OffsetDateTime>,
}

impl Attempts {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            backoff: Backoff::new(USUAL_LIFETIME),
            not_before: None,
        }
    }

    /// It has succeeded, or something else is tried from here on.
    pub const fn reset(&mut self) {
        self.backoff.reset();
        self.not_before = None;
    }

    /// From here on waits fit a certificate that lives for `lifetime`.
    pub fn fit(&mut self, lifetime: time::Duration) {
        let lifetime = lifetime.try_into().unwrap_or(USUAL_LIFETIME);
        let failures = std::mem::replace(&mut self.backoff, Backoff::new(lifetime));
        self.backoff.continue_from(&failures);
    }

    /// It has failed at `now`: when it may be tried again. `retry_after` is what the server asked for.
    pub fn failed(
        &mut self,
        error: &AgentError,
        retry_after: Option<Duration>,
        now: OffsetDateTime,
    ) -> OffsetDateTime {
        let wait = if error.is_final() {
            self.backoff.after_refusal(random())
        } else {
            self.backoff.after_failure(random(), retry_after)
        };
        let next = now + wait;
        self.not_before = Some(next);
        next
    }

    /// When it may be tried next if it is due at `due`. A moment that lies further ahead than any wait was set before
    /// the clock was, and doesn't count.
    #[must_use]
    pub fn not_before(&self, due: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
        self.not_before
            .filter(|moment| *moment - now <= LONGEST_WAIT)
            .map_or(due, |moment| moment.max(due))
    }
}
