//! The high-water mark's file: written whole or not at all, read at every start, compared with the database.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{MARK_FILE, StateDir};
use crate::{
    authority::{Authority, AuthorityError},
    domain::{
        TrustDomain,
        high_water::{HighWaterMark, MarkError, MarkKey, RolledBack, WaterLevel},
    },
    store::StoreError,
};

/// Reads the mark; nothing when there is none.
///
/// # Errors
/// [`MarkFileError`] when there is one that can't be believed.
pub fn read_mark(path: &Path, key: &MarkKey) -> Result<Option<HighWaterMark>, MarkFileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(MarkFileError::io(path, error)),
    };
    HighWaterMark::open(&text, key)
        .map(Some)
        .map_err(|error| MarkFileError::Unreadable {
            path: path.to_owned(),
            error,
        })
}

/// Reads the mark from where it belongs or, when the configuration was changed since, from where it is without one.
pub(super) fn find_mark(
    state: &StateDir,
    path: &Path,
    key: &MarkKey,
) -> Result<Option<HighWaterMark>, MarkFileError> {
    match read_mark(path, key)? {
        Some(mark) => Ok(Some(mark)),
        None => read_mark(&state.file(MARK_FILE), key),
    }
}

/// Writes the mark: a new file beside the old one, synced, then put in its place, and that synced too.
///
/// # Errors
/// [`MarkFileError`] with what the system says; the old one is still there then.
pub fn write_mark(path: &Path, key: &MarkKey, mark: &HighWaterMark) -> Result<(), MarkFileError> {
    let failed = |error| MarkFileError::io(path, error);
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    file.write_all(mark.seal(key).as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path))
        .map_err(failed)?;
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(failed)
}

/// Writes the mark where it belongs, and leaves none where it was before the configuration was changed: an old one there
/// would be believed some day.
pub(super) fn move_mark(
    state: &StateDir,
    path: &Path,
    key: &MarkKey,
    mark: &HighWaterMark,
) -> Result<(), MarkFileError> {
    write_mark(path, key, mark)?;
    let usual = state.file(MARK_FILE);
    if usual == path {
        return Ok(());
    }
    match fs::remove_file(&usual) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(MarkFileError::io(&usual, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Compares a database with its mark. `hash_at_mark` is the hash that the database has for the mark's audit entry.
pub(super) fn check_mark(
    path: &Path,
    trust_domain: &TrustDomain,
    mark: Option<&HighWaterMark>,
    database: &WaterLevel,
    hash_at_mark: Option<[u8; 32]>,
) -> Result<(), MarkFileError> {
    let refused = |error| MarkFileError::Refused {
        path: path.to_owned(),
        trust_domain: trust_domain.clone(),
        error,
    };
    match mark {
        Some(mark) => database
            .check_against(&mark.level, hash_at_mark)
            .map_err(|rolled_back| refused(Some(rolled_back))),
        // A new authority has none yet.
        None if database.is_empty() => Ok(()),
        None => Err(refused(None)),
    }
}

/// Signs checkpoints as they fall due and keeps the mark at the height that the authority has reached, until it is
/// dropped. What many changes within a second did is written once.
pub(super) async fn keep_high_water(authority: &Authority, path: &Path) {
    const STEP: Duration = Duration::from_secs(1);
    const AFTER_A_FAILURE: Duration = Duration::from_secs(10);
    let mut written = None;
    loop {
        let outcome = step(authority, path, &mut written).await;
        let pause = match outcome {
            Ok(()) => {
                authority.mark_was_kept();
                STEP
            }
            Err(error) => {
                tracing::error!(alarm = "high-water", %error, "the high-water mark could not be kept: a database that is rolled back now would not be noticed");
                AFTER_A_FAILURE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn step(
    authority: &Authority,
    path: &Path,
    written: &mut Option<WaterLevel>,
) -> Result<(), MarkFileError> {
    if let Some(checkpoint) = authority.checkpoint_audit_if_due().await? {
        tracing::info!(
            number = checkpoint.number,
            "a checkpoint of the audit trail was signed"
        );
    }
    let mark = authority.high_water_mark().await?;
    if written.as_ref() != Some(&mark.level) {
        write_off_thread(authority, path, &mark).await?;
        *written = Some(mark.level);
    }
    Ok(())
}

/// The last checkpoint and the last mark, at a clean end.
pub(super) async fn close_high_water(authority: &Authority, path: &Path) {
    let outcome = async {
        authority.checkpoint_audit().await?;
        let mark = authority.high_water_mark().await?;
        write_off_thread(authority, path, &mark).await
    };
    if let Err(error) = outcome.await {
        tracing::error!(alarm = "high-water", %error, "the last high-water mark could not be written");
    }
}

async fn write_off_thread(
    authority: &Authority,
    path: &Path,
    mark: &HighWaterMark,
) -> Result<(), MarkFileError> {
    let (authority, path, mark) = (authority.clone(), path.to_owned(), mark.clone());
    tokio::task::spawn_blocking(move || write_mark(&path, &authority.secrets().mark_key, &mark))
        .await
        .map_err(|error| MarkFileError::Authority(AuthorityError::Internal(error.to_string())))?
}

/// What is wrong with the high-water mark, or with the database that it was compared with.
#[derive(Debug, thiserror::Error)]
pub enum MarkFileError {
    /// It can't be read or written.
    #[error("the high-water mark {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is no mark of this authority's.
    #[error("the high-water mark {}: {error}; put the right one back, or: portcullis restore --reconcile", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: MarkError,
    },
    /// The database is behind the mark, or there is no mark for a database that was used.
    #[error("{}", refusal(path, trust_domain, error.as_ref()))]
    Refused {
        /// The file.
        path: PathBuf,
        /// What an override must name.
        trust_domain: TrustDomain,
        /// How it is behind; nothing when there is no mark.
        error: Option<RolledBack>,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl MarkFileError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            error,
        }
    }
}

fn refusal(path: &Path, trust_domain: &TrustDomain, error: Option<&RolledBack>) -> String {
    let what = match error {
        Some(error) => format!(
            "the database was rolled back: {error} (by the high-water mark {})",
            path.display()
        ),
        None => format!(
            "the high-water mark {} is missing, so whether the database was rolled back can't be known",
            path.display()
        ),
    };
    format!(
        "{what}. What was revoked since would be let in again, so nothing is started. Compare it with the lists that were \
         published: portcullis restore --reconcile. Where there are none: portcullis restore --override {trust_domain}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_mark_replaces_the_one_before_and_is_for_its_owner_only() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("high-water");
        let key = MarkKey::new(&[1; 32]);
        assert!(matches!(read_mark(&path, &key), Ok(None)));
        for epoch in [1, 2] {
            let mark = HighWaterMark {
                at: Timestamp::from_unix_seconds(9),
                level: WaterLevel {
                    epoch,
                    audit_number: 1,
                    audit_hash: [1; 32],
                    checkpoint: 0,
                    lists: Vec::new(),
                },
            };
            write_mark(&path, &key, &mark).expect("written");
            assert_eq!(read_mark(&path, &key).expect("read"), Some(mark));
        }
        assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
        let files = fs::read_dir(dir.path()).expect("a directory").count();
        assert_eq!(files, 1);
        let other = read_mark(&path, &MarkKey::new(&[2; 32]));
        assert!(matches!(other, Err(MarkFileError::Unreadable { .. })));
    }
}
