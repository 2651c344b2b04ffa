//! Durations as people write them: `90s`, `15m`, `24h`, `7d`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A duration of whole seconds, written as a number with its unit: `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WrittenDuration(pub Duration);

/// The units, the greatest first, with their seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl FromStr for WrittenDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let invalid = || InvalidDuration(text.chars().take(40).collect());
        let unit = text.chars().last().ok_or_else(invalid)?;
        let (_, seconds) = UNITS
            .into_iter()
            .find(|(letter, _)| *letter == unit)
            .ok_or_else(invalid)?;
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        digits
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(seconds))
            // A thousand years: more is a slip of the finger, and less than what a timestamp holds.
            .filter(|seconds| *seconds <= 1000 * 366 * 86_400)
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(invalid)
    }
}

impl fmt::Display for WrittenDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (letter, unit) = UNITS
            .into_iter()
            .find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit))
            .unwrap_or(('s', 1));
        write!(f, "{}{letter}", seconds / unit)
    }
}

impl Serialize for WrittenDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WrittenDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration; write a number with its unit: 90s, 15m, 24h, 7d")]
pub struct InvalidDuration(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, seconds, printed) in [
            ("90s", 90, "90s"),
            ("60s", 60, "1m"),
            ("24h", 86_400, "1d"),
            ("36h", 129_600, "36h"),
            ("0s", 0, "0s"),
        ] {
            let read: WrittenDuration = text.parse().expect(text);
            assert_eq!(
                (read.0.as_secs(), read.to_string()),
                (seconds, printed.to_owned())
            );
        }
        for text in [
            "",
            "s",
            "24",
            "1w",
            "-1h",
            "1.5h",
            "999999999d",
            "1h30m",
            "é",
        ] {
            assert!(text.parse::<WrittenDuration>().is_err(), "{text}");
        }
    }
}
