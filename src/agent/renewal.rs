//! When to renew, and when to try again: pure functions of times and random numbers.

use std::time::Duration;

use time::OffsetDateTime;

/// When to renew a certificate: about two thirds through its validity, give or take a fifteenth, so that devices that
/// were enrolled together don't renew together. `random` is taken as a fraction of 2^64; the same value gives the same
/// moment.
#[must_use]
pub fn renewal_time(
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    random: u64,
) -> OffsetDateTime {
    let lifetime = (not_after - not_before).whole_milliseconds().max(0);
    // 9/15 of the lifetime, and up to 2/15 more.
    let jitter = (lifetime * 2 / 15 * i128::from(random)) >> 64;
    let after = lifetime * 9 / 15 + jitter;
    not_before + time::Duration::milliseconds(i64::try_from(after).unwrap_or(i64::MAX))
}

/// How long to wait after failures: twice as long after each, up to a bound that fits the certificate's lifetime, and
/// always between half of that and all of it, so that devices that lost the server together don't return together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    refused: Duration,
    failures: u32,
}

const MINUTE: Duration = Duration::from_secs(60);
const SIX_HOURS: Duration = Duration::from_secs(6 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The longest that a server may ask to wait.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

impl Backoff {
    /// For certificates that live for `lifetime`.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        let longest = (lifetime / 48).clamp(Duration::from_secs(1), Duration::from_secs(600));
        Self {
            first: longest.min(Duration::from_secs(5)),
            longest,
            refused: (lifetime / 4).clamp(Duration::from_secs(10), Duration::from_secs(3600)),
            failures: 0,
        }
    }

    /// The wait after one more failure that may pass by itself. `retry_after` is what the server asked for; it is kept
    /// to, up to an hour.
    pub fn after_failure(&mut self, random: u64, retry_after: Option<Duration>) -> Duration {
        let doubled = self
            .first
            .saturating_mul(1_u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let wait = jittered(doubled.min(self.longest), random);
        wait.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }

    /// The wait after a refusal that only an operator can lift.
    #[must_use]
    pub fn after_refusal(&self, random: u64) -> Duration {
        jittered(self.refused, random)
    }

    /// Counts on from where `earlier` was, which was for another lifetime.
    pub const fn continue_from(&mut self, earlier: &Self) {
        self.failures = earlier.failures;
    }

    /// Forgets the failures.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// How long after an answer the server is asked again when to renew: as long as it said, but at least a minute and at most
/// a day (RFC 9773 section 4.3.2), and six hours where it said nothing.
#[must_use]
pub fn ask_again_after(retry_after: Option<Duration>) -> Duration {
    retry_after.map_or(SIX_HOURS, |wait| wait.clamp(MINUTE, DAY))
}

/// How long to wait when the server could not be asked (RFC 9773 section 4.3.3): after what may pass, and failed `failures`
/// times before, twice as long each time; after anything else, and in the end, six hours, or a twenty-fourth of the
/// certificate's `life` if that is less.
#[must_use]
pub fn ask_after_failure(
    life: time::Duration,
    failures: Option<u32>,
    retry_after: Option<Duration>,
    random: u64,
) -> Duration {
    let longest = (life / 24_i32)
        .try_into()
        .unwrap_or(MINUTE)
        .clamp(MINUTE, SIX_HOURS);
    let wait = match failures {
        Some(failures) => MINUTE
            .saturating_mul(1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX))
            .min(longest),
        None => longest,
    };
    let asked = retry_after.map_or(Duration::ZERO, |wait| wait.min(DAY));
    jittered(wait, random).max(MINUTE).max(asked)
}

/// A part of a span of time; `random` is taken as a fraction of 2^64.
#[must_use]
pub fn part_of(span: time::Duration, random: u64) -> time::Duration {
    let part = (span.whole_milliseconds().max(0) * i128::from(random)) >> 64;
    time::Duration::milliseconds(i64::try_from(part).unwrap_or(i64::MAX))
}

/// The last moment to renew at, whatever the server says: a tenth of the lifetime before the end.
#[must_use]
pub fn latest(not_before: OffsetDateTime, not_after: OffsetDateTime) -> OffsetDateTime {
    not_after - (not_after - not_before).max(time::Duration::ZERO) / 10
}

/// When to renew again at the earliest because the server says so, if it was done at `renewed_at` and the certificate lives
/// for `life`.
#[must_use]
pub fn not_again_before(life: time::Duration, renewed_at: OffsetDateTime) -> OffsetDateTime {
    renewed_at + (life / 48_i32).clamp(time::Duration::MINUTE, time::Duration::HOUR)
}

/// Between half of `whole` and `whole`.
#[must_use]
pub fn jittered(whole: Duration, random: u64) -> Duration {
    let half = whole / 2;
    let extra = (half.as_nanos() * u128::from(random)) >> 64;
    half + Duration::from_nanos(u64::try_from(extra).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    #[test]
    fn a_day_long_certificate_is_renewed_after_sixteen_hours_give_or_take_96_minutes() {
        let not_before = datetime!(2027-01-01 00:00 UTC);
        let not_after = datetime!(2027-01-02 00:00 UTC);
        let cases = [
            (0, datetime!(2027-01-01 14:24 UTC)),
            (u64::MAX / 2 + 1, datetime!(2027-01-01 16:00 UTC)),
            (u64::MAX, datetime!(2027-01-01 17:35:59.999 UTC)),
        ];
        for (random, expected) in cases {
            assert_eq!(renewal_time(not_before, not_after, random), expected);
        }
    }

    proptest! {
        #[test]
        fn a_renewal_is_always_between_three_and_three_quarter_fifths_of_the_lifetime(
            start in 0_i64..4_000_000_000,
            lifetime in 1_i64..400_000_000,
            random: u64,
        ) {
            let not_before = OffsetDateTime::from_unix_timestamp(start).unwrap();
            let not_after = not_before + time::Duration::seconds(lifetime);
            let share = (renewal_time(not_before, not_after, random) - not_before).as_seconds_f64()
                / lifetime as f64;
            prop_assert!((0.598..0.734).contains(&share), "{share}");
        }
    }

    #[test]
    fn a_certificate_that_ends_before_it_begins_is_renewed_at_once() {
        let moment = datetime!(2027-01-01 00:00 UTC);
        assert_eq!(renewal_time(moment, moment, 7), moment);
        let earlier = moment - time::Duration::DAY;
        assert_eq!(renewal_time(moment, earlier, u64::MAX), moment);
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_never_ends() {
        let mut backoff = Backoff::new(Duration::from_secs(24 * 3600));
        let waits: Vec<_> = (0..10)
            .map(|_| backoff.after_failure(u64::MAX, None).as_secs_f64().round())
            .collect();
        assert_eq!(
            waits,
            [5., 10., 20., 40., 80., 160., 320., 600., 600., 600.]
        );
        for _ in 0..10_000 {
            backoff.after_failure(0, None);
        }
        assert_eq!(backoff.after_failure(0, None), Duration::from_secs(300));
        backoff.reset();
        assert_eq!(backoff.after_failure(0, None), Duration::from_millis(2500));
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_up_to_an_hour() {
        let mut backoff = Backoff::new(Duration::from_secs(24 * 3600));
        for (asked, expected) in [(1, 2500), (120, 120_000), (86_400, 3_600_000)] {
            backoff.reset();
            assert_eq!(
                backoff.after_failure(0, Some(Duration::from_secs(asked))),
                Duration::from_millis(expected)
            );
        }
    }

    #[test]
    fn the_server_is_asked_again_between_a_minute_and_a_day_later() {
        for (said, expected) in [
            (None, 6 * 3600),
            (Some(0), 60),
            (Some(59), 60),
            (Some(7200), 7200),
            (Some(86_401), 86_400),
            (Some(u64::MAX), 86_400),
        ] {
            let wait = ask_again_after(said.map(Duration::from_secs));
            assert_eq!(wait.as_secs(), expected, "{said:?}");
        }
    }

    #[test]
    fn a_server_that_can_t_be_asked_is_asked_ever_more_slowly() {
        let day = time::Duration::DAY;
        let minutes = |life, failures, retry: Option<u64>| {
            let retry = retry.map(Duration::from_secs);
            ask_after_failure(life, failures, retry, u64::MAX)
                .as_secs_f64()
                .round()
                / 60.
        };
        let doubling: Vec<_> = (0..8).map(|it| minutes(day, Some(it), None)).collect();
        assert_eq!(doubling, [1., 2., 4., 8., 16., 32., 60., 60.]);
        assert_eq!(minutes(day * 90, None, None), 360.);
        assert_eq!(minutes(day, None, None), 60.);
        assert_eq!(minutes(time::Duration::minutes(5), None, None), 1.);
        assert_eq!(minutes(time::Duration::minutes(-5), None, None), 1.);
        assert_eq!(minutes(day, Some(0), Some(600)), 10.);
        assert_eq!(minutes(day, Some(0), Some(u64::MAX)), 24. * 60.);
    }

    #[test]
    fn short_certificates_are_tried_for_often_and_a_refusal_is_asked_about_slowly() {
        let mut short = Backoff::new(Duration::from_secs(60));
        for _ in 0..20 {
            assert!(short.after_failure(u64::MAX, None) <= Duration::from_millis(1250));
        }
        assert_eq!(short.after_refusal(0), Duration::from_millis(7500));
        let day = Backoff::new(Duration::from_secs(24 * 3600));
        assert_eq!(day.after_refusal(0), Duration::from_secs(1800));
    }
}
