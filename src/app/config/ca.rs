//! `[ca]`: what opens the CA keys, and the token that some of them may live in.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{ConfigError, Source};
use crate::{app::PassphraseSource, domain::duration::WrittenDuration};

/// `[ca]` as read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaConfig {
    /// A file whose first line opens the CA keys.
    pub passphrase_file: Option<PathBuf>,
    /// A systemd credential that does.
    pub passphrase_credential: Option<String>,
    /// An environment variable that does.
    pub passphrase_env: Option<String>,
    /// Ask for it at the terminal.
    pub passphrase_prompt: bool,
    /// `[ca.token]`.
    pub token: Option<TokenConfig>,
}

/// `[ca.token]` as read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The PKCS#11 module: a shared library.
    pub module: PathBuf,
    /// The token's label.
    pub label: Option<String>,
    /// Its slot, for tokens that share a label.
    pub slot: Option<u64>,
    /// A file whose first line is the PIN.
    pub pin_file: Option<PathBuf>,
    /// A systemd credential that is.
    pub pin_credential: Option<String>,
    /// An environment variable that is.
    pub pin_env: Option<String>,
    /// Ask for it at the terminal.
    #[serde(default)]
    pub pin_prompt: bool,
    /// How many signatures are made at once.
    pub sessions: Option<usize>,
    /// How long a signature may take.
    pub timeout: Option<WrittenDuration>,
}

/// `[ca]` as checked.
#[derive(Debug, Clone, Default)]
pub struct CaSettings {
    /// What opens the keys that are sealed, if any are.
    pub passphrase: Option<PassphraseSource>,
    /// The token, if there is one.
    pub token: Option<TokenSettings>,
}

/// `[ca.token]` as checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// The PKCS#11 module: a shared library.
    pub module: PathBuf,
    /// Which of the module's tokens.
    pub token: TokenChoice,
    /// Where its PIN comes from; nothing where the token has a keypad of its own.
    pub pin: Option<PassphraseSource>,
    /// How many signatures are made at once.
    pub sessions: usize,
    /// How long a signature may take, waiting for its turn included.
    pub timeout: Duration,
}

/// Which of a module's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenChoice {
    /// The one with this label.
    Label(String),
    /// The one in this slot.
    Slot(u64),
}

impl TokenSettings {
    /// How many signatures are made at once, unless the configuration says another number.
    pub const SESSIONS: usize = 4;
    /// How long a signature may take, unless the configuration says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
}

impl CaConfig {
    pub(super) fn check(
        self,
        source: &Source<'_>,
        state_dir: &Path,
    ) -> Result<CaSettings, ConfigError> {
        let passphrase = one_of(
            "ca.passphrase",
            [
                self.passphrase_file
                    .map(|file| PassphraseSource::File(state_dir.join(file))),
                self.passphrase_credential.map(PassphraseSource::Credential),
                self.passphrase_env.map(PassphraseSource::Environment),
                self.passphrase_prompt.then_some(PassphraseSource::Prompt),
            ],
            source,
        )?;
        let token = self
            .token
            .map(|token| token.check(source, state_dir))
            .transpose()?;
        Ok(CaSettings { passphrase, token })
    }
}

impl TokenConfig {
    fn check(self, source: &Source<'_>, state_dir: &Path) -> Result<TokenSettings, ConfigError> {
        let token = match (self.label, self.slot) {
            (Some(label), None) if !label.is_empty() => TokenChoice::Label(label),
            (None, Some(slot)) => TokenChoice::Slot(slot),
            (Some(_) | None, _) => {
                return Err(source.fault(
                    "ca.token",
                    "say which token: its label, or its slot; portcullis takes one of the two",
                ));
            }
        };
        let sessions = self.sessions.unwrap_or(TokenSettings::SESSIONS);
        if !(1..=64).contains(&sessions) {
            return Err(source.fault("ca.token.sessions", "1 to 64 sessions"));
        }
        let timeout = self
            .timeout
            .map_or(TokenSettings::TIMEOUT, |WrittenDuration(timeout)| timeout);
        if timeout < Duration::from_secs(1) || timeout > Duration::from_secs(300) {
            return Err(source.fault(
                "ca.token.timeout",
                "a signature may take 1 second to 5 minutes",
            ));
        }
        let pin = one_of(
            "ca.token.pin",
            [
                self.pin_file
                    .map(|file| PassphraseSource::File(state_dir.join(file))),
                self.pin_credential.map(PassphraseSource::Credential),
                self.pin_env.map(PassphraseSource::Environment),
                self.pin_prompt.then_some(PassphraseSource::Prompt),
            ],
            source,
        )?;
        Ok(TokenSettings {
            module: state_dir.join(self.module),
            token,
            pin,
            sessions,
            timeout,
        })
    }
}

fn one_of(
    key: &str,
    sources: [Option<PassphraseSource>; 4],
    source: &Source<'_>,
) -> Result<Option<PassphraseSource>, ConfigError> {
    let mut named = ["file", "credential", "env", "prompt"]
        .into_iter()
        .zip(sources)
        .filter_map(|(name, found)| found.map(|found| (name, found)));
    let first = named.next();
    if let (Some((first, _)), Some((second, _))) = (&first, named.next()) {
        return Err(source.fault(
            &format!("{key}_{second}"),
            format!("there is {key}_{first} already; one source is enough, and two could disagree"),
        ));
    }
    Ok(first.map(|(_, found)| found))
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn read(text: &str) -> Result<CaSettings, String> {
        Settings::from_toml(text, Path::new("portcullis.toml"), Path::new("state"))
            .map(|settings| settings.ca)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_passphrase_has_one_source_or_none() {
        for (text, wanted) in [
            ("", None),
            ("passphrase_prompt = false", None),
            ("passphrase_prompt = true", Some(PassphraseSource::Prompt)),
            (
                "passphrase_file = \"keys/passphrase\"",
                Some(PassphraseSource::File("state/keys/passphrase".into())),
            ),
            (
                "passphrase_file = \"/run/phrase\"",
                Some(PassphraseSource::File("/run/phrase".into())),
            ),
            (
                "passphrase_credential = \"ca\"",
                Some(PassphraseSource::Credential("ca".to_owned())),
            ),
            (
                "passphrase_env = \"CA\"",
                Some(PassphraseSource::Environment("CA".to_owned())),
            ),
        ] {
            let settings = read(&format!("[ca]\n{text}\n")).expect(text);
            assert_eq!(settings.passphrase, wanted, "{text}");
        }
    }

    #[test]
    fn a_token_needs_a_module_and_a_label_or_a_slot() {
        let token = read(
            "[ca.token]\nmodule = \"/lib/p11.so\"\nlabel = \"hsm\"\npin_file = \"pin\"\ntimeout = \"3s\"",
        )
        .expect("good")
        .token;
        assert_eq!(
            token,
            Some(TokenSettings {
                module: "/lib/p11.so".into(),
                token: TokenChoice::Label("hsm".to_owned()),
                pin: Some(PassphraseSource::File("state/pin".into())),
                sessions: 4,
                timeout: Duration::from_secs(3),
            })
        );
        let slot = read("[ca.token]\nmodule = \"/lib/p11.so\"\nslot = 3").expect("good");
        assert_eq!(
            slot.token.map(|token| (token.token, token.pin)),
            Some((TokenChoice::Slot(3), None))
        );
    }

    #[test]
    fn what_contradicts_itself_is_told_with_its_line() {
        let token = "[ca.token]\nmodule = \"/lib/p11.so\"\n";
        for (text, place, words) in [
            (
                "[ca]\npassphrase_env = \"A\"\npassphrase_prompt = true".to_owned(),
                "line 3, column 1",
                "ca.passphrase_env already",
            ),
            ("[ca.token]\nlabel = \"hsm\"".to_owned(), "line 1", "module"),
            (token.to_owned(), "line 1, column", "its label, or its slot"),
            (
                format!("{token}label = \"a\"\nslot = 1"),
                "line 1, column",
                "one of the two",
            ),
            (
                format!("{token}label = \"a\"\npin_file = \"x\"\npin_env = \"X\""),
                "line 5, column 1",
                "ca.token.pin_file already",
            ),
            (
                format!("{token}label = \"a\"\npin = \"1234\""),
                "line 4, column 1",
                "unknown field `pin`",
            ),
            (
                format!("{token}label = \"a\"\nsessions = 0"),
                "line 4, column 1",
                "1 to 64",
            ),
            (
                format!("{token}label = \"a\"\ntimeout = \"0s\""),
                "line 4, column 1",
                "1 second to 5 minutes",
            ),
        ] {
            let error = read(&text).expect_err(&text);
            assert!(
                error.contains(place) && error.contains(words),
                "{text:?}: {error}"
            );
        }
    }
}
