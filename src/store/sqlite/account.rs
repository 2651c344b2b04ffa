//! Accounts in SQLite.

use rusqlite::{Connection, params};

use super::{SqliteStore, failed, find, to_json, writer::Transaction};
use crate::{
    domain::{
        account::{Account, AccountStatus, Thumbprint},
        directory::DirectoryName,
        id::AccountId,
    },
    store::{Accounts, Answer, StoreError},
};

impl Accounts for SqliteStore {
    fn account<'a>(&'a self, id: &'a AccountId) -> Answer<'a, Option<Account>> {
        let id = id.clone();
        let answer = self.remembered.get_or(&id, || {
            self.readers.with(|connection| by_id(connection, &id))
        });
        Box::pin(std::future::ready(answer))
    }

    fn account_by_key<'a>(
        &'a self,
        directory: &'a DirectoryName,
        thumbprint: Thumbprint,
    ) -> Answer<'a, Option<Account>> {
        let directory = directory.clone();
        self.look_up(move |connection| by_key(connection, &directory, thumbprint))
    }

    fn is_account_key(&self, thumbprint: Thumbprint) -> Answer<'_, bool> {
        self.look_up(move |connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM accounts WHERE thumbprint = ?)")?
                .query_row([thumbprint.0], |row| row.get(0))
        })
    }
}

pub(super) fn by_id(connection: &Connection, id: &AccountId) -> rusqlite::Result<Option<Account>> {
    find(
        connection,
        "SELECT body FROM accounts WHERE id = ?",
        [id.as_str()],
    )
}

pub(super) fn by_key(
    connection: &Connection,
    directory: &DirectoryName,
    thumbprint: Thumbprint,
) -> rusqlite::Result<Option<Account>> {
    find(
        connection,
        "SELECT body FROM accounts WHERE thumbprint = ? AND directory = ?",
        params![thumbprint.0, directory.as_str()],
    )
}

pub(super) fn insert(connection: &Connection, account: &Account) -> Result<(), StoreError> {
    let body = to_json(account)?;
    connection
        .prepare_cached(
            "INSERT INTO accounts (id, directory, thumbprint, body) VALUES (?, ?, ?, ?)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                account.id.as_str(),
                account.directory.as_str(),
                account.thumbprint.0,
                body
            ])
        })
        .map(drop)
        .map_err(failed)
}

pub(super) fn update(
    transaction: &mut Transaction<'_>,
    account: &Account,
) -> Result<(), StoreError> {
    transaction.changes_account(&account.id);
    let body = to_json(account)?;
    transaction
        .prepare_cached("UPDATE accounts SET thumbprint = ?, body = ? WHERE id = ?")
        .and_then(|mut update| {
            update.execute(params![account.thumbprint.0, body, account.id.as_str()])
        })
        .map(drop)
        .map_err(failed)
}

/// The account, if it may still act.
pub(super) fn valid(connection: &Connection, id: &AccountId) -> Result<Account, StoreError> {
    let account = by_id(connection, id)
        .map_err(failed)?
        .ok_or(StoreError::NotFound("account"))?;
    if account.status != AccountStatus::Valid {
        return Err(StoreError::Conflict("the account is no longer valid"));
    }
    Ok(account)
}
