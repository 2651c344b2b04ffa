//! A key and its certificate, put in place together.
//!
//! Each pair is a directory `live/NUMBER`, written whole and synced before it gets its name, and never changed after.
//! The link `current` is then pointed to it with one rename, so whoever follows it finds the old pair or the new one,
//! and no crash leaves a key beside another key's certificate. The pair before is kept for programs that opened one
//! of its files just then.

use std::{
    fs,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    certificate::Certificate,
    durable,
    key::DeviceKey,
    state::{
        PUBLIC, SECRET, StateDirectory, StateError, StateLock, read_if_there, read_secret_if_there,
    },
};

/// A key, its certificate, and the issuers above it, which belong together.
#[derive(Debug)]
pub struct Credentials {
    /// The device's key.
    pub key: DeviceKey,
    /// The certificate for that key.
    pub certificate: Certificate,
    /// The issuers' certificates, from the one that signed `certificate` upwards, without the root.
    pub issuers: Vec<Certificate>,
}

impl Credentials {
    /// Whether the certificate leads to one of `roots`, by the names in it and its issuers.
    #[must_use]
    pub fn lead_to(&self, roots: &[Certificate]) -> bool {
        let mut chain = std::iter::once(&self.certificate).chain(&self.issuers);
        chain.any(|certificate| roots.iter().any(|root| certificate.names_as_issuer(root)))
    }
}

/// Credentials as they are installed.
#[derive(Debug)]
pub struct Installed {
    /// What was read.
    pub credentials: Credentials,
    /// The directory `live/NUMBER` that it was read from.
    pub directory: PathBuf,
}

/// The moments of an installation between which a crash makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begun,
    KeyWritten,
    CertificateWritten,
    ChainWritten,
    Named,
    Swapped,
}

impl StateDirectory {
    /// Where the certificate in use is found: a leaf and its issuers, as TLS programs want it.
    #[must_use]
    pub fn certificate_path(&self) -> PathBuf {
        self.path().join("current/cert.pem")
    }

    /// Where the key in use is found.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.path().join("current/key.pem")
    }

    /// Where the issuers of the certificate in use are found, without the leaf.
    #[must_use]
    pub fn chain_path(&self) -> PathBuf {
        self.path().join("current/chain.pem")
    }

    /// The credentials in use; `None` when there are none yet.
    ///
    /// # Errors
    /// They can't be read, are damaged, don't belong together, or others may read the key.
    pub fn installed(&self) -> Result<Option<Installed>, StateError> {
        let Some(directory) = self.current()? else {
            return Ok(None);
        };
        let missing = |what| StateError::Incomplete {
            path: directory.clone(),
            what,
        };
        let path = directory.join("key.pem");
        let pem = read_secret_if_there(&path)?.ok_or_else(|| missing("key.pem"))?;
        let pem = Zeroizing::new(String::from_utf8_lossy(&pem).into_owned());
        let key = DeviceKey::from_pem(&pem).map_err(|error| StateError::Key { path, error })?;
        let path = directory.join("cert.pem");
        let pem = read_if_there(&path)?.ok_or_else(|| missing("cert.pem"))?;
        let mut issuers = Certificate::chain_from_pem(&pem)
            .map_err(|error| StateError::Certificate { path, error })?;
        let certificate = issuers.remove(0);
        if certificate.public_key() != key.public_key() {
            return Err(StateError::Mismatch(directory));
        }
        Ok(Some(Installed {
            credentials: Credentials {
                key,
                certificate,
                issuers,
            },
            directory,
        }))
    }

    /// The directory that `current` points to.
    ///
    /// # Errors
    /// `current` is something else than a link to `live/NUMBER`.
    pub fn current(&self) -> Result<Option<PathBuf>, StateError> {
        let link = self.path().join("current");
        match fs::read_link(&link) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Ok(target) if number(&target).is_some() && target.starts_with("live") => {
                Ok(Some(self.path().join(target)))
            }
            Ok(_) | Err(_) => Err(StateError::Current(link)),
        }
    }

    /// Puts `credentials` in the place of those in use.
    ///
    /// # Errors
    /// A file can't be written, or the key and the certificate don't belong together; then those that were in use
    /// still are.
    pub fn install(&self, credentials: &Credentials, lock: &StateLock) -> Result<(), StateError> {
        self.install_watched(credentials, lock, &mut |_| Ok(()))
    }

    /// `after` is called after each step; when it fails, everything stays as if the process had died there.
    fn install_watched(
        &self,
        credentials: &Credentials,
        _lock: &StateLock,
        after: &mut dyn FnMut(Step) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        if credentials.certificate.public_key() != credentials.key.public_key() {
            return Err(StateError::Mismatch(self.path().to_owned()));
        }
        let live = self.path().join("live");
        durable::create_directory(&live, 0o700).map_err(StateError::writing(&live))?;
        let previous = self.current()?.as_deref().and_then(number);
        let unnamed = live.join(".new");
        if unnamed.exists() {
            fs::remove_dir_all(&unnamed).map_err(StateError::writing(&unnamed))?;
        }
        durable::create_directory(&unnamed, 0o700).map_err(StateError::writing(&unnamed))?;
        after(Step::Begun)?;

        let chain: String = credentials
            .issuers
            .iter()
            .map(Certificate::to_pem)
            .collect();
        let certificate = credentials.certificate.to_pem() + &chain;
        let key = credentials.key.to_pem();
        let files = [
            ("key.pem", key.as_str(), SECRET, Step::KeyWritten),
            ("cert.pem", &certificate, PUBLIC, Step::CertificateWritten),
            ("chain.pem", &chain, PUBLIC, Step::ChainWritten),
        ];
        for (name, contents, mode, step) in files {
            let path = unnamed.join(name);
            durable::write_new(&path, contents.as_bytes(), mode)
                .map_err(StateError::writing(&path))?;
            after(step)?;
        }
        durable::sync_directory(&unnamed).map_err(StateError::writing(&unnamed))?;

        let next = numbers(&live).into_iter().max().unwrap_or(0) + 1;
        let target = PathBuf::from(format!("live/{next:010}"));
        let named = self.path().join(&target);
        fs::rename(&unnamed, &named)
            .and_then(|()| durable::sync_directory(&live))
            .map_err(StateError::writing(&named))?;
        after(Step::Named)?;

        let link = self.path().join("current");
        durable::point_link(&link, &target).map_err(StateError::writing(&link))?;
        after(Step::Swapped)?;

        for old in numbers(&live) {
            if old != next && Some(old) != previous {
                let path = live.join(format!("{old:010}"));
                if let Err(error) = fs::remove_dir_all(&path) {
                    tracing::warn!(path = %path.display(), %error, "can't remove superseded credentials");
                }
            }
        }
        Ok(())
    }
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.parse().ok()
}

fn numbers(live: &Path) -> Vec<u64> {
    fs::read_dir(live)
        .into_iter()
        .flatten()
        .filter_map(|entry| number(&entry.ok()?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::key::KeyType;
    use rcgen::{CertificateParams, KeyPair};
    use std::os::unix::fs::PermissionsExt;

    fn credentials(name: &str) -> Credentials {
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()])
            .unwrap()
            .self_signed(&pair)
            .unwrap();
        Credentials {
            key: DeviceKey::from_pem(&pair.serialize_pem()).unwrap(),
            certificate: Certificate::from_der(certificate.der().clone()).unwrap(),
            issuers: Vec::new(),
        }
    }

    fn name_in_use(state: &StateDirectory) -> Option<String> {
        let installed = state.installed().unwrap()?;
        Some(installed.credentials.certificate.names()[0].clone())
    }

    #[test]
    fn the_key_is_readable_by_its_owner_only_and_the_pair_is_read_back() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::create(&parent.path().join("state")).unwrap();
        assert_eq!(name_in_use(&state), None);
        let lock = state.lock().unwrap();
        state.install(&credentials("a.example"), &lock).unwrap();
        assert_eq!(name_in_use(&state).unwrap(), "a.example");
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(state.key_path()), 0o600);
        assert_eq!(mode(state.certificate_path()), 0o644);
        assert_eq!(mode(state.path().join("current/")), 0o700);
        fs::set_permissions(state.key_path(), fs::Permissions::from_mode(0o604)).unwrap();
        assert!(matches!(
            state.installed(),
            Err(StateError::TooOpen { mode: 0o604, .. })
        ));
    }

    #[test]
    fn a_crash_at_any_moment_leaves_the_old_pair_or_the_new_one_and_the_next_renewal_works() {
        let steps = [
            (Step::Begun, "old"),
            (Step::KeyWritten, "old"),
            (Step::CertificateWritten, "old"),
            (Step::ChainWritten, "old"),
            (Step::Named, "old"),
            (Step::Swapped, "new"),
        ];
        for (crash, expected) in steps {
            let parent = tempfile::tempdir().unwrap();
            let state = StateDirectory::create(&parent.path().join("state")).unwrap();
            let lock = state.lock().unwrap();
            state.install(&credentials("old"), &lock).unwrap();
            let died = state.install_watched(&credentials("new"), &lock, &mut |step| {
                if step == crash {
                    return Err(StateError::Busy(PathBuf::new()));
                }
                Ok(())
            });
            assert!(died.is_err(), "{crash:?}");
            assert_eq!(name_in_use(&state).unwrap(), expected, "{crash:?}");
            state.install(&credentials("next"), &lock).unwrap();
            assert_eq!(name_in_use(&state).unwrap(), "next", "{crash:?}");
            assert!(numbers(&state.path().join("live")).len() <= 2, "{crash:?}");
            assert!(!state.path().join("live/.new").exists(), "{crash:?}");
        }
    }

    #[test]
    fn a_key_and_a_certificate_that_do_not_belong_together_are_neither_installed_nor_read() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::create(&parent.path().join("state")).unwrap();
        let lock = state.lock().unwrap();
        let mut mismatched = credentials("a.example");
        state.install(&mismatched, &lock).unwrap();
        mismatched.key = DeviceKey::generate(KeyType::P256).unwrap();
        assert!(matches!(
            state.install(&mismatched, &lock),
            Err(StateError::Mismatch(_))
        ));
        assert_eq!(name_in_use(&state).unwrap(), "a.example");
        fs::write(state.key_path(), mismatched.key.to_pem().as_bytes()).unwrap();
        assert!(matches!(state.installed(), Err(StateError::Mismatch(_))));
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::create(&parent.path().join("state")).unwrap();
        std::os::unix::fs::symlink("/etc", state.path().join("current")).unwrap();
        assert!(matches!(state.installed(), Err(StateError::Current(_))));
    }
}
