//! `portcullis restore FROM`: a backup in a new state directory, verified first. It is always blocked: `serve` refuses
//! to start on it until it has been reconciled with the lists that were published since.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    KeepingError, MARK_FILE, RESTORED_FILE, STORE_FILE, ServeError, StateDir, StateError,
    backup::{MANIFEST, Manifest, copy_file, list, make_dir, sync_dir, write_file},
    verify_audit,
};
use crate::{domain::Timestamp, store::sqlite::SqliteReader};

/// Why a state directory is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When the backup was made that it came from.
    pub made_at: Timestamp,
    /// When it was restored.
    pub restored_at: Timestamp,
    /// The epoch that the backup had.
    pub epoch: u64,
}

/// Restores a backup into a directory that is empty or not there yet.
///
/// # Errors
/// [`ServeError`]: the backup is not whole, or there is something in the directory.
pub fn restore(from: &Path, state: &StateDir, now: Timestamp) -> Result<Manifest, ServeError> {
    let occupied = fs::read_dir(state.path()).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || state.path().is_file() {
        return Err(KeepingError::Exists(state.path().to_owned()).into());
    }
    let manifest = verify(from)?;
    make_dir(state.path())?;
    let blocked = Restored {
        made_at: manifest.made_at,
        restored_at: now,
        epoch: manifest.level.epoch,
    };
    // First, so that what was restored only in part is blocked too.
    let text = serde_json::to_vec_pretty(&blocked).expect("times and numbers are JSON");
    write_file(&state.file(RESTORED_FILE), 0o600, &text)?;
    sync_dir(state.path())?;
    let mut files: Vec<_> = manifest.files.iter().collect();
    // The configuration last, as `init` writes it: without it there is no authority.
    files.sort_by_key(|file| file.path.as_os_str() == "portcullis.toml");
    for file in files {
        let target = state.path().join(&file.path);
        if let Some(parent) = target.parent() {
            make_dir(parent)?;
        }
        copy_file(&from.join(&file.path), &target, file.mode)?;
    }
    sync_dir(&state.file("keys"))?;
    sync_dir(state.path())?;
    Ok(manifest)
}

/// Verifies that a backup is as it was made: every file, the database, its audit trail.
fn verify(from: &Path) -> Result<Manifest, ServeError> {
    let damaged = |what: String| {
        ServeError::from(KeepingError::Backup {
            directory: from.to_owned(),
            what,
        })
    };
    let path = from.join(MANIFEST);
    let text = fs::read(&path).map_err(|error| StateError::Io { path, error })?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| damaged(format!("{MANIFEST} can't be read: {error}")))?;
    if manifest.format != 1 {
        return Err(damaged(format!(
            "it was made by another version ({})",
            manifest.version
        )));
    }
    let mut found = Vec::new();
    list(from, from, &mut found)?;
    for file in &manifest.files {
        let there = found.iter().find(|other| other.path == file.path);
        match there {
            None => return Err(damaged(format!("{} is missing", file.path.display()))),
            Some(other) if other.sha256 != file.sha256 => {
                return Err(damaged(format!(
                    "{} is not as it was when the backup was made",
                    file.path.display()
                )));
            }
            Some(_) => {}
        }
    }
    let listed = |path: &Path| manifest.files.iter().any(|file| file.path == path);
    if let Some(other) = found.iter().find(|file| !listed(&file.path)) {
        return Err(damaged(format!(
            "{} was not in it when it was made",
            other.path.display()
        )));
    }
    let reader = SqliteReader::open(&from.join(STORE_FILE))?;
    reader.check()?;
    if reader.water_level()? != manifest.level {
        return Err(damaged("its database is another one".to_owned()));
    }
    drop(reader);
    verify_audit(&StateDir::new(from), None, Some(&from.join(MARK_FILE)))?
        .verdict
        .map_err(|fault| damaged(format!("its audit trail is not sound: {fault}")))?;
    Ok(manifest)
}
