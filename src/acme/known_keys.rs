//! The keys of accounts, each read and checked once. A thumbprint is a key's hash (RFC 7638), so what is kept under it
//! stays true; whether the account that has it may act is looked at with every request.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{jwk::Jwk, problem::Problem};
use crate::domain::{
    Recent,
    account::{Account, Thumbprint},
};

/// How many keys are kept.
const CAPACITY: usize = 10_000;

/// Keys by their thumbprint.
#[derive(Debug)]
pub struct KnownKeys(Mutex<Recent<Thumbprint, Arc<Jwk>>>);

impl Default for KnownKeys {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CAPACITY)))
    }
}

impl KnownKeys {
    /// The key of an account.
    ///
    /// # Errors
    /// `serverInternal`, when the store holds one that can't be read.
    pub fn of(&self, account: &Account) -> Result<Arc<Jwk>, Problem> {
        if let Some(key) = self.0.lock().get(&account.thumbprint) {
            return Ok(key);
        }
        let key = Jwk::from_json(account.jwk.to_string().as_bytes()).map_err(|error| {
            tracing::error!(account = %account.id, %error, "the store holds an account's key that can't be read");
            Problem::internal()
        })?;
        let key = Arc::new(key);
        self.0.lock().insert(account.thumbprint, Arc::clone(&key));
        Ok(key)
    }
}
