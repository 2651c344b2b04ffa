//! How often something may happen: the generic cell rate algorithm (ITU-T I.371), pure. Time is an argument.
//!
//! A key's whole past is one moment, [`Used`]: when it would be as if it had never done anything. Each time moves that
//! moment by one share of the period; a key may be ahead of the clock by the whole period and no more. So `60/1h` lets
//! sixty through at once, and then one each minute.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Timestamp, duration::WrittenDuration};

/// So many times in so long, written `60/1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    period: Duration,
}

/// What a key has used up: the moment at which it will have nothing used up, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used(i64);

impl Rate {
    /// The most that can be allowed in a period.
    pub const MOST: u32 = 1_000_000;
    /// The longest period.
    pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

    /// How often it may happen in a [`Self::period`], and at once after a quiet one.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count.get()
    }

    /// In which time.
    #[must_use]
    pub const fn period(self) -> Duration {
        self.period
    }

    /// Whether it may happen at `now` to a key that has used up `used`, and what is used up then.
    ///
    /// # Errors
    /// How long it must wait; at the end of that it may, if nothing else happens meanwhile.
    pub fn take(self, used: Option<Used>, now: Timestamp) -> Result<Used, Duration> {
        let Used(level) = self.level(used, now);
        let ahead = level - micros(now);
        let room = self.share() * i64::from(self.count() - 1);
        if ahead > room {
            // The clock has milliseconds: a wait that ended within one would be told a moment too early.
            let millis = (ahead - room).unsigned_abs().div_ceil(1000);
            return Err(Duration::from_millis(millis));
        }
        Ok(Used(level + self.share()))
    }

    /// Counts what has happened already, whether it was allowed or not. Nobody owes more than a period.
    #[must_use]
    pub fn charge(self, used: Option<Used>, now: Timestamp) -> Used {
        let Used(level) = self.level(used, now);
        Used((level + self.share()).min(self.highest(now)))
    }

    /// What is used up if one time that was taken did not happen after all.
    #[must_use]
    pub fn give_back(self, used: Used) -> Used {
        Used(used.0 - self.share())
    }

    /// A key that was quiet has nothing used up. One that is further ahead than it can come was so before the clock was
    /// set back.
    fn level(self, used: Option<Used>, now: Timestamp) -> Used {
        let level = used.map_or(i64::MIN, |Used(level)| level);
        Used(level.clamp(micros(now), self.highest(now)))
    }

    fn highest(self, now: Timestamp) -> i64 {
        micros(now) + self.share() * i64::from(self.count())
    }

    /// The part of the period that one time takes, in microseconds; rounded up, so that a period never holds more than
    /// it may.
    fn share(self) -> i64 {
        let micros = self.period.as_micros().div_ceil(u128::from(self.count()));
        i64::try_from(micros).expect("a period has at most 366 days")
    }
}

impl Used {
    /// Whether it makes no difference any more.
    #[must_use]
    pub fn is_spent(self, now: Timestamp) -> bool {
        self.0 <= micros(now)
    }
}

fn micros(moment: Timestamp) -> i64 {
    moment.unix_millis().saturating_mul(1000)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, WrittenDuration(self.period))
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let invalid = || InvalidRate(text.chars().take(40).collect());
        let (count, period) = text.split_once('/').ok_or_else(invalid)?;
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let count = count
            .parse::<NonZeroU32>()
            .ok()
            .filter(|count| count.get() <= Self::MOST)
            .ok_or_else(invalid)?;
        let WrittenDuration(period) = period.parse().map_err(|_| invalid())?;
        if period < Duration::from_secs(1) || period > Self::LONGEST {
            return Err(invalid());
        }
        Ok(Self { count, period })
    }
}

/// Text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no rate; write how often (1 to {most}) in how long (1s to 366d), as in \"60/1h\", or \"off\"",
    most = Rate::MOST
)]
pub struct InvalidRate(String);

/// A rate as people write it, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenRate(pub Option<Rate>);

impl FromStr for WrittenRate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        if text == "off" {
            return Ok(Self(None));
        }
        text.parse().map(Some).map(Self)
    }
}

impl fmt::Display for WrittenRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(rate) => rate.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for WrittenRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(text: &str) -> Rate {
        text.parse().expect(text)
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + millis)
    }

    #[test]
    fn a_rate_is_read_and_printed() {
        for (text, printed) in [
            ("60/1h", "60/1h"),
            ("1/60s", "1/1m"),
            ("1000000/366d", "1000000/366d"),
        ] {
            assert_eq!(rate(text).to_string(), printed);
        }
        assert_eq!("off".parse(), Ok(WrittenRate(None)));
        for text in [
            "",
            "60",
            "0/1h",
            "-1/1h",
            "+1/1h",
            "60/0s",
            "1000001/1h",
            "1/367d",
            "1/h",
            "on",
        ] {
            let error = text.parse::<WrittenRate>().expect_err(text);
            assert!(error.to_string().contains("60/1h"), "{error}");
        }
    }

    #[test]
    fn all_of_a_period_at_once_and_then_one_share_after_the_other() {
        let rate = rate("3/3s");
        let mut used = None;
        let mut take = |millis| {
            let outcome = rate.take(used, at(millis));
            used = outcome.ok().or(used);
            outcome.map(drop)
        };
        for millis in [0, 0, 0] {
            assert_eq!(take(millis), Ok(()));
        }
        assert_eq!(take(0), Err(Duration::from_secs(1)));
        assert_eq!(take(999), Err(Duration::from_millis(1)));
        assert_eq!(take(1000), Ok(()));
        assert_eq!(take(1000), Err(Duration::from_secs(1)));
        assert_eq!(take(9000), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_period() {
        let rate = rate("2/10s");
        let mut used = None;
        for _ in 0..2 {
            used = rate.take(used, at(1_000_000_000)).ok();
        }
        assert_eq!(rate.take(used, at(0)), Err(Duration::from_secs(5)));
    }

    #[test]
    fn what_was_given_back_can_be_taken_again_and_charges_never_exceed_a_period() {
        let rate = rate("1/1h");
        let used = rate.take(None, at(0)).expect("the first");
        assert!(rate.take(Some(used), at(0)).is_err());
        assert!(rate.take(Some(rate.give_back(used)), at(0)).is_ok());
        let mut charged = Some(used);
        for _ in 0..100 {
            charged = Some(rate.charge(charged, at(0)));
        }
        assert_eq!(rate.take(charged, at(0)), Err(Duration::from_secs(3600)));
        assert!(!used.is_spent(at(0)) && used.is_spent(at(3_600_000)));
    }

    /// The naive model: a bucket that holds `count` and from which one runs out each share of the period, in units of
    /// which a share has `share`.
    struct Bucket {
        level: i128,
        last: i64,
    }

    impl Bucket {
        fn take(&mut self, rate: Rate, millis: i64) -> bool {
            let share = i128::from(rate.share());
            self.level = (self.level - i128::from(millis - self.last) * 1000).max(0);
            self.last = millis;
            let fits = self.level + share <= share * i128::from(rate.count());
            if fits {
                self.level += share;
            }
            fits
        }
    }

    proptest! {
        #[test]
        fn it_decides_as_a_leaking_bucket_does(
            count in 1_u32..50,
            seconds in 1_u64..500,
            steps in prop::collection::vec(0_i64..20_000, 1..200),
        ) {
            let rate = rate(&format!("{count}/{seconds}s"));
            let mut bucket = Bucket { level: 0, last: 0 };
            let (mut used, mut millis) = (None, 0);
            for step in steps {
                millis += step;
                let outcome = rate.take(used, at(millis));
                prop_assert_eq!(outcome.is_ok(), bucket.take(rate, millis));
                used = outcome.ok().or(used);
            }
        }

        #[test]
        fn the_wait_that_is_told_is_the_shortest(
            count in 1_u32..50,
            seconds in 1_u64..500,
            steps in prop::collection::vec(0_i64..2_000, 1..200),
        ) {
            let rate = rate(&format!("{count}/{seconds}s"));
            let (mut used, mut millis) = (None, 0);
            for step in steps {
                millis += step;
                match rate.take(used, at(millis)) {
                    Ok(now_used) => used = Some(now_used),
                    Err(wait) => {
                        let end = millis + i64::try_from(wait.as_millis()).expect("it is short");
                        prop_assert!(rate.take(used, at(end)).is_ok());
                        prop_assert!(rate.take(used, at(end - 1)).is_err());
                    }
                }
            }
        }

        #[test]
        fn no_period_holds_more_than_two_counts_less_one(
            count in 1_u32..20,
            steps in prop::collection::vec(0_i64..3_000, 1..300),
        ) {
            let rate = rate(&format!("{count}/10s"));
            let (mut used, mut millis, mut taken) = (None, 0, Vec::new());
            for step in steps {
                millis += step;
                if let Ok(now_used) = rate.take(used, at(millis)) {
                    used = Some(now_used);
                    taken.push(millis);
                }
            }
            for (index, first) in taken.iter().enumerate() {
                let within = taken[index..].iter().take_while(|at| **at < first + 10_000).count();
                prop_assert!(within < 2 * count as usize);
            }
        }
    }
}
