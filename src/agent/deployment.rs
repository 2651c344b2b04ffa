//! What the programs of this device were last told of by the hook, and what has changed since.

use std::path::PathBuf;

use super::{
    durable,
    state::{PUBLIC, StateDirectory, StateError, StateLock, read_if_there},
    trust_bundle,
};

/// What was in place when the hook succeeded, or is in place now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The directory `live/NUMBER`.
    credentials: PathBuf,
    /// The id of the roots in `root.pem`, in hexadecimal; none in what an earlier version wrote.
    roots: Option<String>,
}

/// What is new to the programs of this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// A certificate and its key.
    Certificate,
    /// The roots in `root.pem`.
    Trust,
    /// All of it.
    Both,
}

impl Changes {
    /// What `now` has that `before` had not; nothing when they are the same.
    #[must_use]
    pub fn between(before: Option<&Deployment>, now: &Deployment) -> Option<Self> {
        let certificate = before.is_none_or(|before| before.credentials != now.credentials);
        let trust = before.is_none_or(|before| before.roots != now.roots);
        match (certificate, trust) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::Certificate),
            (false, true) => Some(Self::Trust),
            (false, false) => None,
        }
    }

    /// As the hook is told: words with a space between them.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Trust => "trust",
            Self::Both => "certificate trust",
        }
    }
}

impl StateDirectory {
    /// What is in place now; `None` while there is no certificate.
    ///
    /// # Errors
    /// It can't be read.
    pub fn in_place(&self) -> Result<Option<Deployment>, StateError> {
        let Some(credentials) = self.current()? else {
            return Ok(None);
        };
        let roots = self.roots()?.unwrap_or_default();
        Ok(Some(Deployment {
            credentials,
            roots: Some(hex::encode(trust_bundle::id(&roots))),
        }))
    }

    /// What was in place when the hook last succeeded.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn deployed(&self) -> Result<Option<Deployment>, StateError> {
        let contents = read_if_there(&self.path().join("deployed"))?;
        Ok(contents.map(|contents| {
            let text = String::from_utf8_lossy(&contents);
            let mut lines = text.lines().map(str::trim);
            Deployment {
                credentials: self
                    .path()
                    .join("live")
                    .join(lines.next().unwrap_or_default()),
                roots: lines.next().map(str::to_owned),
            }
        }))
    }

    /// Remembers that the hook has succeeded for `deployment`.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn set_deployed(
        &self,
        deployment: &Deployment,
        _lock: &StateLock,
    ) -> Result<(), StateError> {
        let path = self.path().join("deployed");
        let name = deployment.credentials.file_name().unwrap_or_default();
        let roots = deployment.roots.as_deref().unwrap_or_default();
        let text = format!("{}\n{roots}\n", name.to_string_lossy());
        durable::write(&path, text.as_bytes(), PUBLIC).map_err(StateError::writing(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_is_told_what_is_new_and_nothing_else() {
        let deployment = |number: u8, roots: Option<&str>| Deployment {
            credentials: PathBuf::from(format!("live/{number:010}")),
            roots: roots.map(str::to_owned),
        };
        let now = deployment(2, Some("b"));
        let cases = [
            (None, Some("certificate trust")),
            (Some(deployment(1, Some("a"))), Some("certificate trust")),
            (Some(deployment(1, Some("b"))), Some("certificate")),
            (Some(deployment(2, Some("a"))), Some("trust")),
            // As an earlier version wrote it: nobody was told of roots then.
            (Some(deployment(2, None)), Some("trust")),
            (Some(now.clone()), None),
        ];
        for (before, expected) in cases {
            let changes = Changes::between(before.as_ref(), &now);
            assert_eq!(changes.map(Changes::words), expected, "{before:?}");
        }
    }

    #[test]
    fn what_was_deployed_is_read_back_in_the_form_of_every_version() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::create(&parent.path().join("state")).unwrap();
        assert_eq!(state.deployed().unwrap(), None);
        let mut deployment = Deployment {
            credentials: state.path().join("live/0000000007"),
            roots: Some("ab12".into()),
        };
        let lock = state.lock().unwrap();
        state.set_deployed(&deployment, &lock).unwrap();
        assert_eq!(state.deployed().unwrap().as_ref(), Some(&deployment));
        std::fs::write(state.path().join("deployed"), "0000000007\n").unwrap();
        deployment.roots = None;
        assert_eq!(state.deployed().unwrap(), Some(deployment));
    }
}
