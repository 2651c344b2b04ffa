//! A Unix socket that only its owner may open.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process,
};

/// A listening Unix socket with the mode 0600. Its file goes away with it.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file that we made, so that we never remove another's.
    file: (u64, u64),
}

impl UnixSocket {
    /// Listens at `path`. A socket that a dead process left there is replaced; one that somebody listens on is not,
    /// nor is a file of any other kind.
    ///
    /// The socket is bound in a fresh directory that only its owner may enter, and moved to its place once its mode
    /// is 0600: there is no moment at which another user could open it, whatever the umask is.
    ///
    /// # Errors
    /// [`UnixSocketError`] says what is in the way and what to do.
    pub fn bind(path: &Path) -> Result<Self, UnixSocketError> {
        let failed = |problem| UnixSocketError {
            path: path.to_owned(),
            problem,
        };
        check_place(path).map_err(failed)?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        let workshop = parent.join(format!(".s{}", process::id()));
        let made = make_in(&workshop, path);
        // Empty unless something failed in it; a remainder would only be in the way of the next start.
        let _ = fs::remove_file(workshop.join("s"));
        let _ = fs::remove_dir(&workshop);
        let (listener, file) = made.map_err(|error| failed(Problem::System(error)))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.file);
        if ours {
            // Nothing to be done if it fails: the next start replaces a dead socket.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn check_place(path: &Path) -> Result<(), Problem> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Problem::System(error)),
    };
    if !found.file_type().is_socket() {
        return Err(Problem::NotASocket);
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Problem::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(Problem::System(error)),
    }
}

fn make_in(workshop: &Path, path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    match fs::remove_file(workshop.join("s")).and_then(|()| fs::remove_dir(workshop)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let _ = fs::remove_dir(workshop);
        }
        Err(error) => return Err(error),
    }
    DirBuilder::new().mode(0o700).create(workshop)?;
    let inside = workshop.join("s");
    let listener = UnixListener::bind(&inside)?;
    fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
    fs::rename(&inside, path)?;
    let made = fs::symlink_metadata(path)?;
    Ok((listener, (made.dev(), made.ino())))
}

/// A Unix socket that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on the socket {}: {problem}", path.display())]
pub struct UnixSocketError {
    /// The path that was asked for.
    pub path: PathBuf,
    /// What is in the way.
    pub problem: Problem,
}

/// What is in the way of a Unix socket.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A living process listens there.
    #[error("another process listens on it; stop that one, or choose another path")]
    InUse,
    /// Something else than a socket has the name.
    #[error(
        "there is a file of another kind; it was left untouched, move it away or choose another path"
    )]
    NotASocket,
    /// The system refused.
    #[error("{0}; its directory must exist and be writable, and the path have at most 100 octets")]
    System(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_its_owners_alone_and_goes_away_with_the_listener() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("admin.sock");
        let socket = UnixSocket::bind(&path).expect("a socket");
        let mode = fs::metadata(&path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("entries").count(), 1);
        drop(socket);
        assert_eq!(fs::read_dir(dir.path()).expect("entries").count(), 0);
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("admin.sock");
        drop(UnixListener::bind(&path).expect("a socket that stays behind"));
        let living = UnixSocket::bind(&path).expect("a dead socket is replaced");
        let refused = UnixSocket::bind(&path).expect_err("a living one is not");
        assert!(matches!(refused.problem, Problem::InUse), "{refused}");
        UnixStream::connect(&path).expect("the living one still answers");
        drop(living);
    }

    #[test]
    fn a_file_of_another_kind_is_left_untouched() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("admin.sock");
        fs::write(&path, "notes").expect("a file");
        let refused = UnixSocket::bind(&path).expect_err("a file is in the way");
        assert!(matches!(refused.problem, Problem::NotASocket), "{refused}");
        assert_eq!(fs::read_to_string(&path).expect("the file"), "notes");
    }
}
