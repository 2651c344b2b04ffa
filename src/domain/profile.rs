//! The name of a profile: by it configuration, enrolments and records speak of what kind of certificate is meant.

use std::{fmt, str::FromStr};

use portcullis_ca::profile::ProfileKind;
use serde::{Deserialize, Serialize};

/// NAME of `[profiles.NAME]`, or of a kind that nobody configured. A record keeps it when the profile is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

impl ProfileName {
    /// The most octets of a name.
    pub const MAX_OCTETS: usize = 40;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ProfileKind> for ProfileName {
    /// The name of the kind's own profile.
    fn from(kind: ProfileKind) -> Self {
        Self(kind.name().to_owned())
    }
}

impl FromStr for ProfileName {
    type Err = InvalidProfileName;

    fn from_str(text: &str) -> Result<Self, InvalidProfileName> {
        let good = (1..=Self::MAX_OCTETS).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidProfileName(text.chars().take(100).collect()))
        }
    }
}

impl TryFrom<String> for ProfileName {
    type Error = InvalidProfileName;

    fn try_from(text: String) -> Result<Self, InvalidProfileName> {
        text.parse()
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> Self {
        name.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no name of a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a profile: a lower-case letter, then letters, digits and hyphens, at most 40"
)]
pub struct InvalidProfileName(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_names_are_names_and_stored_text_is_read_strictly() {
        for kind in ProfileKind::ALL {
            assert_eq!(kind.name().parse(), Ok(ProfileName::from(kind)));
        }
        for (text, good) in [
            ("camera", true),
            ("camera-2", true),
            ("Camera", false),
            ("2camera", false),
            ("a.b", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<ProfileName>().is_ok(), good, "{text:?}");
        }
    }
}
