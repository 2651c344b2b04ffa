//! Why a server does not start, and what the process's exit code makes of it.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    ConfigError, KeepingError, MarkFileError, OwnCertificateError, PassphraseError, StateError,
};
use crate::{
    authority::{AuthorityError, CaKeyError},
    gate::GateStartError,
    listen::{BindError, unix::UnixSocketError},
    store::StoreError,
};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The first policy is at fault.
    #[error("{}:\n{faults}", file.display())]
    Policy {
        /// The file.
        file: PathBuf,
        /// Every fault with its line.
        faults: String,
    },
    /// A file of the state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// What opens the CA keys.
    #[error("the passphrase of the CA keys: {0}")]
    Passphrase(#[from] PassphraseError),
    /// The token that CA keys are in.
    #[error(transparent)]
    CaKey(#[from] CaKeyError),
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The admin socket.
    #[error(transparent)]
    Socket(#[from] UnixSocketError),
    /// The store's file is gone.
    #[error("{} is missing: without it every revocation would be forgotten; restore it from your backup", .0.display())]
    StoreMissing(PathBuf),
    /// The store.
    #[error("portcullis.db: {0}")]
    Store(#[from] StoreError),
    /// The high-water mark, or a database that is behind it.
    #[error(transparent)]
    Mark(#[from] MarkFileError),
    /// What was to be kept: a backup, a restored directory.
    #[error(transparent)]
    Keeping(#[from] KeepingError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The gate.
    #[error(transparent)]
    Gate(#[from] GateStartError),
    /// The anchor.
    #[error("root.pem can't be an anchor: {0}")]
    Anchor(String),
    /// The fronts' certificate.
    #[error(transparent)]
    Certificate(#[from] OwnCertificateError),
    /// The ACME server.
    #[error("ACME: {0}")]
    Acme(String),
    /// Trouble on purpose where others could meet it.
    #[error(
        "--chaos makes trouble for every client, and server.listen = {0} can be reached from outside of this machine: use a \
         loopback address, such as 127.0.0.1:8444, or start without --chaos"
    )]
    Chaos(SocketAddr),
}

impl ServeError {
    /// The process's exit code: 64 (EX_USAGE) for a file that its owner has to mend, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Keeping(error) => error.exit_code(),
            Self::Config(_)
            | Self::Policy { .. }
            | Self::Chaos(_)
            | Self::CaKey(CaKeyError::Refused(_)) => 64,
            Self::State(_)
            | Self::Passphrase(_)
            | Self::CaKey(CaKeyError::Failed(_))
            | Self::Bind(_)
            | Self::Socket(_)
            | Self::StoreMissing(_)
            | Self::Store(_)
            | Self::Mark(_)
            | Self::Authority(_)
            | Self::Gate(_)
            | Self::Anchor(_)
            | Self::Certificate(_)
            | Self::Acme(_) => 1,
        }
    }
}
