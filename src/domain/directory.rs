//! An ACME directory: one door to the authority, with rules of its own (RFC 8555 section 7.1.1).

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{challenge::ChallengeKind, profile::ProfileName, rate_limit::RateLimits};

/// The rules of a directory, as configured and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Names it.
    pub name: DirectoryName,
    /// Whether a new account needs an external account binding.
    pub external_account: ExternalAccount,
    /// Which profiles may be ordered here; empty: all that somebody enrols for.
    pub profiles: Vec<ProfileName>,
    /// Which challenges are offered here.
    pub challenges: Vec<ChallengeKind>,
    /// The name of the issuer that signs what is ordered here; nothing: whoever issues the profile.
    pub issuer: Option<String>,
    /// How much its clients may use up.
    pub limits: RateLimits,
    /// For how long after it was proved an authorization serves other orders of its account. Those that were asked for
    /// before any order serve as long as they are valid.
    pub reuse_authorizations: Duration,
}

/// Whether a new account needs an external account binding (RFC 8555 section 7.3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExternalAccount {
    /// It may have one.
    #[default]
    Optional,
    /// It must.
    Required,
}

impl Directory {
    /// How long an authorization serves other orders where nothing is configured: whoever tries again because one of many
    /// names failed need not prove the others again, and a name that has moved is not certified to who had it before.
    pub const REUSE_AUTHORIZATIONS: Duration = Duration::from_secs(3600);

    /// A directory with the rules that hold where nothing is configured, and without limits.
    #[must_use]
    pub fn new(name: DirectoryName) -> Self {
        Self {
            name,
            external_account: ExternalAccount::default(),
            profiles: Vec::new(),
            challenges: ChallengeKind::ALL.to_vec(),
            issuer: None,
            limits: RateLimits::default(),
            reuse_authorizations: Self::REUSE_AUTHORIZATIONS,
        }
    }

    /// Whether a profile may be ordered here.
    #[must_use]
    pub fn allows_profile(&self, profile: &ProfileName) -> bool {
        self.profiles.is_empty() || self.profiles.contains(profile)
    }
}

/// The name of a directory, as it stands in its URLs; `default` is the one without a name in them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DirectoryName(Arc<str>);

impl DirectoryName {
    /// The most octets of a name.
    pub const MAX_OCTETS: usize = 40;

    const DEFAULT: &str = "default";

    /// What stands first in the default directory's own paths, and so can't be the name of another one.
    pub const RESERVED: [&str; 14] = [
        "directory",
        "new-nonce",
        "new-account",
        "new-order",
        "new-authz",
        "account",
        "order",
        "authorization",
        "challenge",
        "certificate",
        "revoke-cert",
        "key-change",
        "trust-bundle",
        "renewal-info",
    ];

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that of the default directory.
    #[must_use]
    pub fn is_default(&self) -> bool {
        &*self.0 == Self::DEFAULT
    }
}

impl Default for DirectoryName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl FromStr for DirectoryName {
    type Err = InvalidDirectoryName;

    fn from_str(text: &str) -> Result<Self, InvalidDirectoryName> {
        let plain = (1..=Self::MAX_OCTETS).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if plain && !Self::RESERVED.contains(&text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidDirectoryName(text.chars().take(100).collect()))
        }
    }
}

impl TryFrom<String> for DirectoryName {
    type Error = InvalidDirectoryName;

    fn try_from(text: String) -> Result<Self, InvalidDirectoryName> {
        text.parse()
    }
}

impl From<DirectoryName> for String {
    fn from(name: DirectoryName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for DirectoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no name of a directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a directory: a lower-case letter, then letters, digits and hyphens, at most 40, and none of the words in the default directory's own paths, such as \"order\""
)]
pub struct InvalidDirectoryName(String);

/// All directories of a server; the default one is always there.
#[derive(Debug, Clone)]
pub struct Directories(BTreeMap<DirectoryName, Arc<Directory>>);

impl Directories {
    /// These, and the default one if it is not among them.
    #[must_use]
    pub fn new(directories: impl IntoIterator<Item = Directory>) -> Self {
        let mut all = Self::default();
        all.0.extend(
            directories
                .into_iter()
                .map(|directory| (directory.name.clone(), Arc::new(directory))),
        );
        all
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, name: &DirectoryName) -> Option<&Arc<Directory>> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Directory>> {
        self.0.values()
    }
}

impl Default for Directories {
    fn default() -> Self {
        let name = DirectoryName::default();
        Self(BTreeMap::from([(
            name.clone(),
            Arc::new(Directory::new(name)),
        )]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_no_word_of_the_default_directorys_paths() {
        for (text, good) in [
            ("default", true),
            ("factory-2", true),
            ("order", false),
            ("renewal-info", false),
            ("Factory", false),
            ("2factory", false),
            ("a/b", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<DirectoryName>().is_ok(), good, "{text:?}");
        }
    }
}
