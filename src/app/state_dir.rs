//! The state directory: where everything of one authority lies.
//!
//! ```text
//! portcullis.toml     the configuration
//! policy.toml         the first policy; the one in force is in the store
//! root.pem            the trust anchor, for clients
//! intermediate.pem    what issues leaves
//! keys/root.key       PKCS#8, mode 0600, encrypted if there is a passphrase
//! keys/intermediate.key
//! keys/seed           32 octets, hexadecimal: API keys' pepper and bindings' MAC keys come from it
//! portcullis.db       the store
//! high-water          how far the store has come, unless the configuration puts it elsewhere
//! restored            that it was restored, until it is reconciled; nothing starts on it
//! admin.sock          the admin API, while the server runs
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use portcullis_ca::{
    certificate::IssuerCertificate,
    key::{KeyError, SigningKey},
    pki_types::{CertificateDer, pem::PemObject},
};
use zeroize::Zeroizing;

/// A state directory by its path.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The directory at a path, whether it exists or not.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.file("portcullis.toml")
    }

    /// Reads a text file in it.
    ///
    /// # Errors
    /// [`StateError`] names the file and says what to do.
    pub fn read(&self, name: &str) -> Result<String, StateError> {
        let path = self.file(name);
        fs::read_to_string(&path).map_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                StateError::Io { path, error }
            } else if self.config().exists() {
                StateError::Lost(path)
            } else {
                StateError::Missing {
                    directory: self.0.clone(),
                    path,
                }
            }
        })
    }

    /// Makes the directory and `keys/` in it, for its owner only.
    ///
    /// # Errors
    /// [`StateError`] names the directory.
    pub fn create(&self) -> Result<(), StateError> {
        for path in [self.0.clone(), self.file("keys")] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|error| StateError::Io { path, error })?;
        }
        Ok(())
    }

    /// Writes a new file and has it on the disk when it returns. It never overwrites one, and whatever cuts it short (a
    /// crash, a full disk) leaves no part of one under its name: a key that can't be read would keep a server from
    /// starting.
    ///
    /// # Errors
    /// [`StateError`] names the file.
    pub fn write_new(&self, name: &str, mode: u32, contents: &[u8]) -> Result<(), StateError> {
        let path = self.file(name);
        let failed = |error| StateError::Io {
            path: path.clone(),
            error,
        };
        let mut part = path.clone().into_os_string();
        part.push(".part");
        // What an interrupted attempt left behind.
        let _ = fs::remove_file(&part);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&part)
            .and_then(|mut file| {
                file.write_all(contents)?;
                file.sync_all()?;
                // Unlike a renaming, it fails where something is.
                fs::hard_link(&part, &path)
            });
        let _ = fs::remove_file(&part);
        written.map_err(failed)?;
        let parent = path.parent().unwrap_or(&self.0);
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(failed)
    }

    /// Writes a file in the place of what is there, if it says something else; whoever reads it sees the old one or the
    /// new one.
    ///
    /// # Errors
    /// [`StateError`] names the file.
    pub fn replace(&self, name: &str, mode: u32, contents: &[u8]) -> Result<(), StateError> {
        if fs::read(self.file(name)).is_ok_and(|there| there == contents) {
            return Ok(());
        }
        let fresh = format!("{name}.new");
        // What an interrupted attempt left behind.
        let _ = fs::remove_file(self.file(&fresh));
        self.write_new(&fresh, mode, contents)?;
        let path = self.file(name);
        fs::rename(self.file(&fresh), &path)
            .and_then(|()| File::open(path.parent().unwrap_or(&self.0))?.sync_all())
            .map_err(|error| StateError::Io { path, error })
    }

    /// The names of the key files that are there.
    ///
    /// # Errors
    /// [`StateError`] names the directory.
    pub fn key_files(&self) -> Result<Vec<String>, StateError> {
        let path = self.file("keys");
        let failed = |error| StateError::Io {
            path: path.clone(),
            error,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(name) = name.to_str().filter(|name| name.ends_with(".key")) {
                names.push(format!("keys/{name}"));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a file for good, and has it gone from the disk when it returns.
    ///
    /// # Errors
    /// [`StateError`] names the file.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.file(name);
        let parent = path.parent().unwrap_or(&self.0).to_owned();
        fs::remove_file(&path)
            .and_then(|()| File::open(parent)?.sync_all())
            .map_err(|error| StateError::Io { path, error })
    }

    /// Reads a key, which nobody but its owner may be able to read.
    ///
    /// # Errors
    /// [`StateError`] names the file: missing, open to others, wrong passphrase, damaged.
    pub fn key(&self, name: &str, passphrase: Option<&[u8]>) -> Result<SigningKey, StateError> {
        let pem = self.secret(name)?;
        SigningKey::from_pkcs8_pem(&pem, passphrase).map_err(|error| StateError::Key {
            path: self.file(name),
            error,
        })
    }

    /// Whether a file holds a private key that no passphrase seals.
    #[must_use]
    pub fn is_open(&self, name: &str) -> bool {
        self.secret(name)
            .is_ok_and(|pem| pem.contains("-----BEGIN PRIVATE KEY-----"))
    }

    /// Reads the seed.
    ///
    /// # Errors
    /// [`StateError`] names the file.
    pub fn seed(&self) -> Result<Zeroizing<[u8; 32]>, StateError> {
        let text = self.secret("keys/seed")?;
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), seed.as_mut()).map_err(|_| StateError::Damaged {
            path: self.file("keys/seed"),
            what: "it must be 64 hexadecimal digits",
        })?;
        Ok(seed)
    }

    fn secret(&self, name: &str) -> Result<Zeroizing<String>, StateError> {
        let text = Zeroizing::new(self.read(name)?);
        let path = self.file(name);
        let mode = fs::metadata(&path)
            .map_err(|error| StateError::Io {
                path: path.clone(),
                error,
            })?
            .mode();
        if mode & 0o077 != 0 {
            return Err(StateError::Open {
                path,
                mode: mode & 0o777,
            });
        }
        Ok(text)
    }

    /// Reads a CA certificate.
    ///
    /// # Errors
    /// [`StateError`] names the file.
    pub fn issuer_certificate(&self, name: &str) -> Result<IssuerCertificate, StateError> {
        let pem = self.read(name)?;
        let path = self.file(name);
        let der =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| StateError::Damaged {
                path: path.clone(),
                what: "it is no PEM certificate",
            })?;
        IssuerCertificate::from_der(&der).map_err(|error| StateError::Certificate {
            path,
            message: error.to_string(),
        })
    }
}

/// What is wrong with a file of the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It isn't there.
    #[error("{} is missing; make an authority with: portcullis init --dir {}", path.display(), directory.display())]
    Missing {
        /// The state directory.
        directory: PathBuf,
        /// The file.
        path: PathBuf,
    },
    /// It isn't there, and the rest of the authority is.
    #[error("{} is missing from this authority; restore it from your backup", .0.display())]
    Lost(PathBuf),
    /// It can't be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others may read it.
    #[error("{} may be read by others (mode {mode:o}); a key is for its owner only: chmod 600 {}", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key in it can't be used.
    #[error("{}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        error: KeyError,
    },
    /// Its contents are not what they should be.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What they should be.
        what: &'static str,
    },
    /// The certificate in it can't issue.
    #[error("{}: {message}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_there_whole_or_not_at_all_and_replaces_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = StateDir::new(directory.path());
        let names = || {
            let entries = fs::read_dir(directory.path()).expect("a directory");
            let mut names: Vec<_> = entries
                .map(|it| it.expect("an entry").file_name())
                .collect();
            names.sort();
            names
        };
        // An attempt that a crash cut short, and one that fails.
        fs::write(state.file("a.key.part"), "ha").expect("written");
        fs::create_dir(state.file("b.key.part")).expect("made");
        assert!(state.write_new("b.key", 0o600, b"whole").is_err());
        state.write_new("a.key", 0o600, b"whole").expect("written");
        assert!(state.write_new("a.key", 0o600, b"another").is_err());
        assert_eq!(fs::read(state.file("a.key")).expect("a file"), b"whole");
        assert_eq!(names(), ["a.key", "b.key.part"]);
        let mode = fs::metadata(state.file("a.key")).expect("a file").mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
