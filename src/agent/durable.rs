//! Writing to disk so that a crash, at any moment, leaves what was there before or what was to come, whole.
//!
//! A new file is written beside the old one, synced, renamed over it, and then the directory is synced: rename(2) is
//! atomic, and without the last step the rename itself may be lost at a power cut. The names that are used on the way
//! begin with a dot and are always the same, so what a crash leaves behind is overwritten the next time; the caller
//! holds the state directory's lock.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

/// Replaces or makes the file at `path`, with permissions `mode`.
///
/// # Errors
/// What the file system answers; the file at `path` is then as it was.
pub fn write(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let temporary = beside(path)?;
    remove_file_if_there(&temporary)?;
    let written = write_new(&temporary, contents, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell; a leftover is overwritten the next time.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    sync_directory_of(path)
}

/// Makes the file at `path`, which isn't there yet, and syncs it but not its directory.
///
/// # Errors
/// What the file system answers.
pub fn write_new(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    // The mode is given at creation, so that a secret is never readable by others, not even for a moment.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    // The process's umask may have taken bits away that a public file is to have.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Makes the directory at `path` with permissions `mode`, if it isn't there yet.
///
/// # Errors
/// What the file system answers.
pub fn create_directory(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => sync_directory_of(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Points the symbolic link at `link` to `target`, in one step.
///
/// # Errors
/// What the file system answers; the link is then as it was.
pub fn point_link(link: &Path, target: &Path) -> io::Result<()> {
    let temporary = beside(link)?;
    remove_file_if_there(&temporary)?;
    symlink(target, &temporary)?;
    fs::rename(&temporary, link)?;
    sync_directory_of(link)
}

/// Syncs the directory at `path`: the names in it, not what they stand for.
///
/// # Errors
/// What the file system answers.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        Some(_) => sync_directory(Path::new(".")),
        None => Ok(()),
    }
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path has no file name",
        ));
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    Ok(path.with_file_name(temporary))
}

fn remove_file_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_whole_and_has_the_mode_that_was_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write(&path, b"old", 0o644).unwrap();
        write(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        let names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["key.pem"]);
    }

    #[test]
    fn what_a_crash_left_half_written_does_not_stop_the_next_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("account.json");
        fs::write(directory.path().join(".account.json.new"), b"{\"hal").unwrap();
        write(&path, b"{}", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        symlink("nowhere", directory.path().join(".current.new")).unwrap();
        let link = directory.path().join("current");
        point_link(&link, Path::new("live/1")).unwrap();
        point_link(&link, Path::new("live/2")).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("live/2"));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.pem");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"kept").unwrap();
        assert!(write(&path, b"new", 0o644).is_err());
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"kept");
        assert!(!directory.path().join(".root.pem.new").exists());
    }
}
