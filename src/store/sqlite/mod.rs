//! The store in one SQLite file: one writer that groups commits, readers on connections of their own, WAL,
//! synchronous FULL (a commit is on the disk when it returns).

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use super::{Answer, Store, StoreError};
use crate::domain::{account::Account, id::AccountId};

mod account;
mod api_key;
mod audit;
mod authorization;
mod certificate;
mod commands;
mod device;
mod enrolment;
mod health;
mod inventory;
mod invitation;
mod issuer;
mod list;
mod migrations;
mod order;
#[cfg(test)]
mod plan;
mod policy;
mod prune;
mod reader;
mod reconcile;
mod remembered;
mod renewal;
mod revocation;
mod writer;

pub use reader::SqliteReader;
use remembered::Remembered;
use writer::Writer;

/// How many reading connections are kept open while nobody needs them.
const IDLE_READERS: usize = 8;

/// How many accounts are kept in memory; about a kilobyte each.
const REMEMBERED_ACCOUNTS: usize = 10_000;

/// A store in a SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    /// Every request is an account's.
    remembered: Arc<Remembered<AccountId, Account>>,
}

impl SqliteStore {
    /// Opens the file, making it if need be, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file can't be opened or written, [`StoreError::Damaged`] when it is no
    /// database of ours or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // For its owner only; SQLite gives the files beside it the same mode.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| {
                StoreError::Unavailable(format!("{}: {error}", path.display()).into())
            })?;
        let mut connection = Connection::open(path).map_err(failed)?;
        configure(&connection).map_err(failed)?;
        connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| {
                row.get::<_, String>(0)
            })
            .map_err(failed)?;
        connection
            // The writer puts rows into many places at once, and there is only one.
            .execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -65536;",
            )
            .map_err(failed)?;
        migrations::run(&mut connection)?;
        let remembered = Arc::new(Remembered::new(REMEMBERED_ACCOUNTS));
        Ok(Self {
            writer: Writer::start(connection, Arc::clone(&remembered))?,
            remembered,
            readers: Arc::new(Readers {
                path: path.to_owned(),
                idle: Mutex::new(Vec::new()),
            }),
        })
    }

    /// Looks one record up by its key, where the call is made: some microseconds, less than a change of threads costs.
    fn look_up<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Answer<'static, T> {
        let answer = self.readers.with(query);
        Box::pin(std::future::ready(answer))
    }

    /// Reads what may be much, on a connection of its own and off the async threads.
    fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'static, T> {
        let readers = Arc::clone(&self.readers);
        let task = tokio::task::spawn_blocking(move || readers.with(query));
        Box::pin(async move {
            task.await
                .map_err(|_| StoreError::Unavailable("a query was given up".into()))?
        })
    }
}

impl Store for SqliteStore {}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn with<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open().map_err(failed)?,
        };
        let answer = query(&connection).map_err(failed);
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        answer
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        configure(&connection)?;
        Ok(connection)
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch("PRAGMA cache_size = -16384; PRAGMA foreign_keys = ON;")
}

/// What SQLite says, as the store says it.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "another crate's enum, which may grow"
)]
fn failed(error: rusqlite::Error) -> StoreError {
    use rusqlite::{Error, ErrorCode};
    match &error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => StoreError::Unavailable(
                "the disk is full; free some space, nothing was changed".into(),
            ),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::damaged(&error),
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                StoreError::Unavailable(
                    format!("the database file can't be opened or written ({error})").into(),
                )
            }
            _ => StoreError::Unavailable(error.to_string().into()),
        },
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..) => StoreError::damaged(&error),
        _ => StoreError::Unavailable(error.to_string().into()),
    }
}

/// The JSON of a noun.
fn to_json<T: Serialize>(noun: &T) -> Result<String, StoreError> {
    serde_json::to_string(noun).map_err(StoreError::damaged)
}

/// A noun from its JSON in a column.
fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

/// A value from its text in a column.
fn from_text<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get_ref(column)?
        .as_str()?
        .parse()
        .map_err(|error| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// The noun whose JSON the first column of a query has, for one key.
fn find<T: DeserializeOwned>(
    connection: &Connection,
    query: &str,
    key: impl rusqlite::Params,
) -> rusqlite::Result<Option<T>> {
    connection
        .prepare_cached(query)?
        .query_row(key, |row| from_json(row, 0))
        .optional()
}
