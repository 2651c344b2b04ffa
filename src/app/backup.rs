//! `portcullis backup`: everything of a state directory in a new directory, with the server running or not. Keys are
//! copied as they are at rest; the file with their passphrase is left out.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::{
    KeepingError, MARK_FILE, PassphraseSource, RESTORED_FILE, STORE_FILE, ServeError, StateDir,
    StateError, read_settings, write_mark,
};
use crate::{
    authority::Secrets,
    domain::{
        Timestamp,
        high_water::{HighWaterMark, WaterLevel},
    },
    store::sqlite::SqliteReader,
};

/// The manifest's file.
pub(super) const MANIFEST: &str = "manifest.json";

/// What a backup has in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How it is written: 1.
    pub format: u32,
    /// The version that made it.
    pub version: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Whose it is.
    pub trust_domain: String,
    /// How far the database in it had come.
    pub level: WaterLevel,
    /// Every file.
    pub files: Vec<ManifestFile>,
    /// What the configuration names and is not in it: what lies elsewhere, and passphrases.
    pub left_out: Vec<String>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path in the directory.
    pub path: PathBuf,
    /// SHA-256 of its contents, hexadecimal.
    pub sha256: String,
    /// Its permissions.
    pub mode: u32,
}

/// Makes a backup in a new directory. It is there whole, or not at all.
///
/// # Errors
/// [`ServeError`]; nothing is left then.
pub fn backup(state: &StateDir, to: &Path, now: Timestamp) -> Result<Manifest, ServeError> {
    let settings = read_settings(state)?;
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |error| StateError::Io { path, error }
    };
    if to.exists() {
        return Err(KeepingError::Exists(to.to_owned()).into());
    }
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let inside = fs::canonicalize(parent).map_err(io_error(parent))?;
    if inside.starts_with(fs::canonicalize(state.path()).map_err(io_error(state.path()))?) {
        return Err(KeepingError::Inside(to.to_owned()).into());
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let _ = fs::remove_dir_all(&partial);
    make_dir(&partial)?;
    let passphrase = match &settings.ca.passphrase {
        Some(PassphraseSource::File(path)) => Some(path.clone()),
        Some(_) | None => None,
    };
    let made = fill(state, &partial, passphrase.as_deref(), now, &settings);
    let manifest = match made {
        Ok(manifest) => manifest,
        Err(error) => {
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
    };
    fs::rename(&partial, to).map_err(io_error(to))?;
    sync_dir(parent)?;
    Ok(manifest)
}

fn fill(
    state: &StateDir,
    partial: &Path,
    passphrase: Option<&Path>,
    now: Timestamp,
    settings: &super::Settings,
) -> Result<Manifest, ServeError> {
    let copy = partial.join(STORE_FILE);
    write_file(&copy, 0o600, &[])?;
    SqliteReader::open(&state.file(STORE_FILE))?.copy_to(&copy)?;
    let reader = SqliteReader::open(&copy)?;
    reader.check()?;
    let level = reader.water_level()?;
    drop(reader);
    // The mark of this very copy: the one beside the database may be a moment ahead.
    let mark = HighWaterMark {
        at: now,
        level: level.clone(),
    };
    let secrets = Secrets::from_seed(&*state.seed()?);
    write_mark(&partial.join(MARK_FILE), &secrets.mark_key, &mark)?;
    let mut left_out = Vec::new();
    if settings.store.high_water_mark != state.file(MARK_FILE) {
        left_out.push(settings.store.high_water_mark.display().to_string());
    }
    if let Some(passphrase) = passphrase {
        left_out.push(passphrase.display().to_string());
    }
    copy_tree(state.path(), state.path(), partial, passphrase)?;
    let mut files = Vec::new();
    list(partial, partial, &mut files)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let manifest = Manifest {
        format: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: now,
        trust_domain: settings.trust_domain.to_string(),
        level,
        files,
        left_out,
    };
    let text = serde_json::to_vec_pretty(&manifest).expect("texts and numbers are JSON");
    write_file(&partial.join(MANIFEST), 0o600, &text)?;
    Ok(manifest)
}

/// Copies every file but the database, the mark, and what only a running server has.
fn copy_tree(
    root: &Path,
    from: &Path,
    to: &Path,
    passphrase: Option<&Path>,
) -> Result<(), ServeError> {
    let failed = |path: &Path, error| StateError::Io {
        path: path.to_owned(),
        error,
    };
    for entry in fs::read_dir(from).map_err(|error| failed(from, error))? {
        let path = entry.map_err(|error| failed(from, error))?.path();
        let metadata = fs::metadata(&path).map_err(|error| failed(&path, error))?;
        let Some(name) = path.file_name() else {
            continue;
        };
        let target = to.join(name);
        if metadata.is_dir() {
            make_dir(&target)?;
            copy_tree(root, &path, &target, passphrase)?;
        } else if metadata.is_file() && !(from == root && is_left_out(&name.to_string_lossy())) {
            let same = |other: &Path| fs::canonicalize(other).ok() == fs::canonicalize(&path).ok();
            if !passphrase.is_some_and(same) {
                copy_file(&path, &target, metadata.mode() & 0o777)?;
            }
        }
    }
    sync_dir(to)
}

fn is_left_out(name: &str) -> bool {
    name.starts_with(STORE_FILE) || name.starts_with(MARK_FILE) || name == RESTORED_FILE
}

/// What is in a backup's directory, but for the manifest.
pub(super) fn list(
    root: &Path,
    dir: &Path,
    files: &mut Vec<ManifestFile>,
) -> Result<(), ServeError> {
    let failed = |path: &Path, error| StateError::Io {
        path: path.to_owned(),
        error,
    };
    for entry in fs::read_dir(dir).map_err(|error| failed(dir, error))? {
        let path = entry.map_err(|error| failed(dir, error))?.path();
        if path.is_dir() {
            list(root, &path, files)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_owned();
        if name.as_os_str() != MANIFEST {
            let metadata = fs::metadata(&path).map_err(|error| failed(&path, error))?;
            files.push(ManifestFile {
                sha256: sha256(&path).map_err(|error| failed(&path, error))?,
                mode: metadata.mode() & 0o777,
                path: name,
            });
        }
    }
    Ok(())
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(context.finish()));
        }
        context.update(&buffer[..read]);
    }
}

pub(super) fn make_dir(path: &Path) -> Result<(), ServeError> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(path)
        .map_err(|error| StateError::Io {
            path: path.to_owned(),
            error,
        })?;
    Ok(())
}

/// Copies a file that isn't there yet, and has it on the disk when it returns.
pub(super) fn copy_file(from: &Path, to: &Path, mode: u32) -> Result<(), ServeError> {
    let failed = |path: &Path, error| StateError::Io {
        path: path.to_owned(),
        error,
    };
    let mut source = File::open(from).map_err(|error| failed(from, error))?;
    let mut target = new_file(to, mode).map_err(|error| failed(to, error))?;
    io::copy(&mut source, &mut target)
        .and_then(|_| target.sync_all())
        .map_err(|error| failed(to, error))?;
    Ok(())
}

pub(super) fn write_file(path: &Path, mode: u32, contents: &[u8]) -> Result<(), ServeError> {
    new_file(path, mode)
        .and_then(|mut file| file.write_all(contents).and_then(|()| file.sync_all()))
        .map_err(|error| StateError::Io {
            path: path.to_owned(),
            error,
        })?;
    Ok(())
}

fn new_file(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

pub(super) fn sync_dir(path: &Path) -> Result<(), ServeError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StateError::Io {
            path: path.to_owned(),
            error,
        })?;
    Ok(())
}
