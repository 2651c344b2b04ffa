//! Why something could not be backed up, restored or reconciled, or why what was restored is not started.

use std::path::PathBuf;

use crate::domain::Timestamp;

/// Why something is not kept as it was asked for. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeepingError {
    /// The state directory was restored, and what was revoked since is not known yet.
    #[error("{} was restored from a backup of {made_at}: what was revoked since would be let in again, so nothing is started. \
         Compare it with the lists that were published: portcullis restore --reconcile --dir {}", directory.display(), directory.display())]
    Restored {
        /// The directory.
        directory: PathBuf,
        /// When the backup was made.
        made_at: Timestamp,
    },
    /// Something is where something new was to be made.
    #[error("{} exists; nothing is ever overwritten: choose another directory", .0.display())]
    Exists(PathBuf),
    /// A backup was to be made within what it is a backup of.
    #[error("{} lies in the state directory itself; a backup belongs elsewhere, best on another machine", .0.display())]
    Inside(PathBuf),
    /// A backup is not as it was made.
    #[error("{} can't be restored: {what}", directory.display())]
    Backup {
        /// The backup.
        directory: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The server has to be ended first.
    #[error("a server answers at {}; end it first", .0.display())]
    Running(PathBuf),
    /// The database is not behind anything that is known.
    #[error(
        "there is nothing to reconcile: the database is as far as its high-water mark says, and was not restored"
    )]
    NothingToReconcile,
    /// There is no mark where one was said to be.
    #[error("{} does not exist; it was to be a high-water mark", .0.display())]
    NoMark(PathBuf),
    /// Lists that were published could not be found.
    #[error("{}", lists_missing(missing, unread, trust_domain))]
    ListsMissing {
        /// Which, a line each.
        missing: String,
        /// What could not be read, a line each.
        unread: String,
        /// What an override must name.
        trust_domain: String,
    },
}

impl KeepingError {
    /// The process's exit code: 64 (EX_USAGE) for what was asked wrongly, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exists(_) | Self::NothingToReconcile | Self::NoMark(_) => 64,
            Self::Restored { .. }
            | Self::Inside(_)
            | Self::Backup { .. }
            | Self::Running(_)
            | Self::ListsMissing { .. } => 1,
        }
    }
}

fn lists_missing(missing: &str, unread: &str, trust_domain: &str) -> String {
    let unread = if unread.is_empty() {
        String::new()
    } else {
        format!("What could not be read:\n  {unread}\n")
    };
    format!(
        "not every list that was published was found, so what was revoked since can't be known; nothing was changed.\n  \
         {missing}\n{unread}Name copies of them: portcullis restore --reconcile --lists FILE|DIR|URL. If there are none, somebody has \
         to take it on themselves: portcullis restore --override {trust_domain}"
    )
}
