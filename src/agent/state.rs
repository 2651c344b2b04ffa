//! The state directory: who may read what, and where it is. What `current` points to is in `install`.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    account::{AccountError, StoredAccount},
    certificate::{Certificate, CertificateError},
    durable,
    key::KeyError,
};

/// Permissions of a file that only its owner may read.
pub(super) const SECRET: u32 = 0o600;
/// Permissions of a file that anyone may read who may enter the directory.
pub(super) const PUBLIC: u32 = 0o644;
const OWNER_ONLY: u32 = 0o700;

/// The directory that holds all that the agent keeps.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
}

/// Held while the state is changed. It ends when dropped, or with the process.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateDirectory {
    /// Opens the directory at `path`, and makes it (mode 0700) if it isn't there; its parent must be there.
    ///
    /// # Errors
    /// It can't be made, is no directory, or others may enter it.
    pub fn create(path: &Path) -> Result<Self, StateError> {
        if let Some(parent) = path.parent()
            && !parent.as_os_str().is_empty()
            && !parent.exists()
        {
            return Err(StateError::NoParent {
                path: path.to_owned(),
                parent: parent.to_owned(),
            });
        }
        durable::create_directory(path, OWNER_ONLY).map_err(StateError::writing(path))?;
        Self::open(path)
    }

    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// It isn't there, is no directory, or others may enter it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StateError::NotEnrolled(path.to_owned()));
            }
            metadata => metadata.map_err(StateError::reading(path))?,
        };
        if !metadata.is_dir() {
            return Err(StateError::NotADirectory(path.to_owned()));
        }
        check_owner_only(path, metadata.permissions().mode())?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock that whoever changes the state must hold.
    ///
    /// # Errors
    /// Another process holds it, or the directory can't be written.
    pub fn lock(&self) -> Result<StateLock, StateError> {
        let path = self.path.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(SECRET)
            .open(&path)
            .map_err(StateError::writing(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(StateLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StateError::Busy(self.path.clone())),
            Err(TryLockError::Error(error)) => Err(StateError::writing(&path)(error)),
        }
    }

    /// Where the root certificates are.
    #[must_use]
    pub fn root_path(&self) -> PathBuf {
        self.path.join("root.pem")
    }

    /// The root certificates that the server is trusted by, one at least.
    ///
    /// # Errors
    /// The file is damaged or can't be read.
    pub fn roots(&self) -> Result<Option<Vec<Certificate>>, StateError> {
        let path = self.root_path();
        let Some(pem) = read_if_there(&path)? else {
            return Ok(None);
        };
        Certificate::chain_from_pem(&pem)
            .map(Some)
            .map_err(|error| StateError::Certificate { path, error })
    }

    /// Puts these root certificates in the place of those that are trusted.
    ///
    /// # Errors
    /// The file can't be written; it is then as it was.
    pub fn set_roots(&self, roots: &[Certificate], _lock: &StateLock) -> Result<(), StateError> {
        let path = self.root_path();
        let pem: String = roots.iter().map(Certificate::to_pem).collect();
        durable::write(&path, pem.as_bytes(), PUBLIC).map_err(StateError::writing(&path))
    }

    /// The account that renewals use.
    ///
    /// # Errors
    /// The file is damaged, can't be read, or may be read by others.
    pub fn account(&self) -> Result<Option<StoredAccount>, StateError> {
        self.read_account("account.json")
    }

    /// The account of an enrolment that hasn't got its certificate yet.
    ///
    /// # Errors
    /// As for [`Self::account`].
    pub fn pending_account(&self) -> Result<Option<StoredAccount>, StateError> {
        self.read_account("pending-account.json")
    }

    fn read_account(&self, name: &str) -> Result<Option<StoredAccount>, StateError> {
        let path = self.path.join(name);
        let Some(json) = read_secret_if_there(&path)? else {
            return Ok(None);
        };
        StoredAccount::from_json(&json)
            .map(Some)
            .map_err(|error| StateError::Account { path, error })
    }

    /// Stores the account of an enrolment that is under way.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn set_pending_account(
        &self,
        account: &StoredAccount,
        _lock: &StateLock,
    ) -> Result<(), StateError> {
        let path = self.path.join("pending-account.json");
        durable::write(&path, &account.to_json(), SECRET).map_err(StateError::writing(&path))
    }

    /// Makes the pending account the one that renewals use, in one step.
    ///
    /// # Errors
    /// The files can't be changed.
    pub fn promote_pending_account(&self, _lock: &StateLock) -> Result<(), StateError> {
        let path = self.path.join("account.json");
        fs::rename(self.path.join("pending-account.json"), &path)
            .and_then(|()| durable::sync_directory(&self.path))
            .map_err(StateError::writing(&path))
    }
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::reading(path)(error)),
    }
}

pub(super) fn read_secret_if_there(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
    match fs::metadata(path) {
        Ok(metadata) => check_owner_only(path, metadata.permissions().mode())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::reading(path)(error)),
    }
    Ok(read_if_there(path)?.map(Zeroizing::new))
}

fn check_owner_only(path: &Path, mode: u32) -> Result<(), StateError> {
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(StateError::TooOpen {
        path: path.to_owned(),
        mode: mode & 0o777,
        right: mode & 0o700,
    })
}

/// What is wrong with the state directory or a file in it.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Nothing is there yet.
    #[error("{} does not exist: this device is not enrolled; run `portcullis-agent enroll` first", .0.display())]
    NotEnrolled(PathBuf),
    /// It is there, but without an account or a certificate.
    #[error("{} holds no {what}: this device is not enrolled; run `portcullis-agent enroll` first", path.display())]
    Incomplete {
        /// The state directory.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The directory above is missing.
    #[error("can't make {}: its parent {} does not exist", path.display(), parent.display())]
    NoParent {
        /// The state directory.
        path: PathBuf,
        /// The directory above.
        parent: PathBuf,
    },
    /// Something else is there.
    #[error("{} is not a directory: name another with --state-dir", .0.display())]
    NotADirectory(PathBuf),
    /// Others than the owner have access.
    #[error(
        "{} has permissions {mode:04o}, so others than its owner may read a secret: if nobody did, run \
         `chmod {right:04o} {}`; otherwise have the certificate revoked, and enrol again",
        path.display(), path.display()
    )]
    TooOpen {
        /// The file or directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What they should be.
        right: u32,
    },
    /// The directory belongs to another principal.
    #[error(
        "{} holds the enrolment of {here}, and this invitation is for {invited}: give each its own directory \
         (--state-dir DIR), or give {here} up on this device with --replace; its certificate stays good until it \
         expires or is revoked (`portcullis cert revoke {here}`)",
        path.display()
    )]
    OtherIdentity {
        /// The state directory.
        path: PathBuf,
        /// Whose it is.
        here: String,
        /// Who is invited.
        invited: String,
    },
    /// Another process is changing the state.
    #[error("another portcullis-agent is at work in {}: wait until it is done", .0.display())]
    Busy(PathBuf),
    /// A file can't be read.
    #[error("can't read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system answered.
        error: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {}: {error}; nothing that was there has changed", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system answered.
        error: io::Error,
    },
    /// `current` is no link that this program made.
    #[error("{} should be a link to a directory live/NUMBER beside it, and is not", .0.display())]
    Current(PathBuf),
    /// The certificate and the key aren't a pair.
    #[error("the certificate and the key in {} do not belong together: enrol again", .0.display())]
    Mismatch(PathBuf),
    /// A stored account is damaged.
    #[error("{}: {error}", path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: AccountError,
    },
    /// Something else that is stored as JSON is damaged.
    #[error("{} is damaged at line {line}, column {column}: remove it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A stored certificate is damaged.
    #[error("{}: {error}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: CertificateError,
    },
    /// A stored key is damaged.
    #[error("{}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyError,
    },
}

impl StateError {
    pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Read { path, error }
    }

    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Write { path, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_state_directory_is_made_for_its_owner_only_and_refused_when_it_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let state = StateDirectory::create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        drop(state);
        set_mode(&path, 0o750);
        let message = StateDirectory::create(&path).unwrap_err().to_string();
        assert!(
            message.contains("0750") && message.contains("chmod 0700"),
            "{message}"
        );
    }

    #[test]
    fn an_account_that_others_may_read_is_refused_with_the_command_that_mends_it() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::create(&parent.path().join("state")).unwrap();
        let path = state.path().join("account.json");
        fs::write(&path, b"{}").unwrap();
        set_mode(&path, 0o640);
        assert!(matches!(
            state.account(),
            Err(StateError::TooOpen {
                mode: 0o640,
                right: 0o600,
                ..
            })
        ));
    }

    #[test]
    fn a_state_directory_in_the_wrong_place_is_told_apart() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(matches!(
            StateDirectory::open(&parent.path().join("none")),
            Err(StateError::NotEnrolled(_))
        ));
        assert!(matches!(
            StateDirectory::open(&file),
            Err(StateError::NotADirectory(_))
        ));
        assert!(matches!(
            StateDirectory::create(&parent.path().join("a/b")),
            Err(StateError::NoParent { .. })
        ));
        assert!(matches!(
            StateDirectory::create(&file),
            Err(StateError::Write { .. })
        ));
    }

    #[test]
    fn only_one_process_at_a_time_changes_the_state() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::create(&parent.path().join("state")).unwrap();
        let lock = state.lock().unwrap();
        assert!(matches!(state.lock(), Err(StateError::Busy(_))));
        drop(lock);
        assert!(state.lock().is_ok());
    }
}
