//! Keys in a token (PKCS#11, OASIS PKCS #11 Specification 2.40 and 3.0): found, made, and signed with there. No private
//! key ever comes here.
//!
//! ```text
//! TokenKey ─ sign ─▶ Pool ─ a thread each ─▶ Worker ─ a session each ─▶ Connection ─▶ the module, a C library
//! ```
//!
//! A call of the module may take long, or never end: it is made on a thread of the pool, never on the async runtime, and
//! whoever waits for it waits for [`TokenSettings::timeout`] at most. When the token goes away (unplugged, logged out,
//! the process behind the module dead) the call ends with an error that says so; the next call opens everything anew, so
//! that it works again as soon as the token is back. A PIN that was refused is never tried again.
//!
//! To add a kind of key: `mechanism.rs`, and `public_key.rs` to read it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use portcullis_ca::key::{KeyAlgorithm, PublicKey};

mod connection;
mod ecdsa;
mod error;
mod key;
mod mechanism;
mod pin;
mod pool;
mod public_key;
mod worker;

pub use error::TokenError;
pub use key::TokenKey;
pub use pin::{PinSource, TriesLeft};

use connection::Connection;
use mechanism::Kind;
use pool::Pool;

/// Which token, and how it is used.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The PKCS#11 module: a shared library.
    pub module: PathBuf,
    /// Which of the module's tokens.
    pub token: TokenChoice,
    /// How many signatures are made at once, each on a thread and in a session of its own.
    pub sessions: usize,
    /// How long a call may take, waiting for its turn included.
    pub timeout: Duration,
}

/// Which of a module's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenChoice {
    /// The one with this label.
    Label(String),
    /// The one in this slot.
    Slot(u64),
}

/// A token. It is cheap to clone; the last one to be dropped closes it.
#[derive(Clone)]
pub struct Token {
    pool: Arc<Pool>,
}

impl Token {
    /// A token that is not asked for anything yet.
    ///
    /// # Errors
    /// [`TokenError::Failed`] when the threads can't be started.
    pub fn new(settings: TokenSettings, pin: Option<PinSource>) -> Result<Self, TokenError> {
        let sessions = settings.sessions;
        let connection = Arc::new(Connection::new(settings, pin));
        Ok(Self {
            pool: Arc::new(Pool::start(&connection, sessions)?),
        })
    }

    /// Loads the module, finds the token and logs in, so that what is wrong is known before something is to be signed.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong, and what to do.
    pub async fn check(&self) -> Result<(), TokenError> {
        self.pool.run(worker::Worker::check).await
    }

    /// Makes a key pair in the token: sensitive, not extractable, for signing only.
    ///
    /// # Errors
    /// [`TokenError`], also when there is a key with this label, or the token can't make such keys.
    pub async fn generate(
        &self,
        label: &str,
        algorithm: KeyAlgorithm,
    ) -> Result<TokenKey, TokenError> {
        let mut id = vec![0; 16];
        aws_lc_rs::rand::fill(&mut id)
            .map_err(|_| self.pool.failed("the system's random generator failed"))?;
        let kind = Kind::of(algorithm).ok_or_else(|| self.pool.unsupported(algorithm))?;
        let wanted = label.to_owned();
        let public_key = self
            .pool
            .run_slowly(move |worker| worker.generate(&wanted, &id, algorithm, kind))
            .await?;
        Ok(self.key(label, public_key))
    }

    /// Finds a key by its label.
    ///
    /// # Errors
    /// [`TokenError::NoKey`], [`TokenError::SeveralKeys`], and what opening the token says.
    pub async fn find(&self, label: &str) -> Result<TokenKey, TokenError> {
        let wanted = label.to_owned();
        let public_key = self
            .pool
            .run(move |worker| worker.public_key(&wanted))
            .await?;
        Ok(self.key(label, public_key))
    }

    /// A key that is known to be in the token by this label. The token is not asked: it may be away, and the key signs
    /// when it is back. A key that turns out to be another one does not sign.
    #[must_use]
    pub fn key(&self, label: &str, public_key: PublicKey) -> TokenKey {
        TokenKey::new(Arc::clone(&self.pool), label, public_key)
    }

    /// Destroys a key pair in the token.
    ///
    /// # Errors
    /// [`TokenError`], also when there is no such key.
    pub async fn destroy(&self, label: &str) -> Result<(), TokenError> {
        let label = label.to_owned();
        self.pool.run(move |worker| worker.destroy(&label)).await
    }
}
