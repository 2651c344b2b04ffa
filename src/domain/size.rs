//! Sizes as people write them: `512KiB`, `64MiB`, `1GiB`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

/// A number of octets, written as a number with its unit: `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WrittenSize(pub u64);

/// The units, the greatest first, with their octets.
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl FromStr for WrittenSize {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        UNITS
            .into_iter()
            .find_map(|(unit, octets)| Some((text.strip_suffix(unit)?, octets)))
            .filter(|(digits, _)| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|(digits, octets)| digits.parse::<u64>().ok()?.checked_mul(octets))
            .map(Self)
            .ok_or_else(|| InvalidSize(text.chars().take(40).collect()))
    }
}

impl fmt::Display for WrittenSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, octets) = UNITS
            .into_iter()
            .find(|(_, octets)| self.0 >= *octets && self.0.is_multiple_of(*octets))
            .unwrap_or(("KiB", 1 << 10));
        write!(f, "{}{unit}", self.0 / octets)
    }
}

impl<'de> Deserialize<'de> for WrittenSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size; write a number and KiB, MiB or GiB, for example 64MiB")]
pub struct InvalidSize(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit_and_nothing_else() {
        for (text, octets) in [
            ("1KiB", Some(1024)),
            ("64MiB", Some(64 << 20)),
            ("2GiB", Some(2 << 30)),
            ("0MiB", Some(0)),
            ("64", None),
            ("64MB", None),
            ("+1KiB", None),
            ("1.5GiB", None),
            ("KiB", None),
            ("99999999999999GiB", None),
        ] {
            let read = text.parse::<WrittenSize>();
            assert_eq!(read.as_ref().ok().map(|size| size.0), octets, "{text}");
        }
        assert_eq!(WrittenSize(64 << 20).to_string(), "64MiB");
    }
}
