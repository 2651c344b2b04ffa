//! The one writer: a thread that takes commands from a queue and commits as many as are waiting with one sync. Each
//! command is a savepoint of its own, so that a refused one takes nobody with it; each caller hears of success only
//! after the commit.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::{failed, remembered::Remembered};
use crate::{
    domain::{
        Timestamp,
        account::Account,
        audit::{AuditDraft, AuditEntry, BEFORE_THE_FIRST},
        id::AccountId,
    },
    store::{Answer, StoreError},
};

/// The most commands that one commit holds.
const MOST_PER_COMMIT: usize = 512;

/// The way to the writer.
pub(super) struct Writer {
    jobs: Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the thread. It ends when the writer is dropped and the queue is empty.
    pub(super) fn start(
        connection: Connection,
        remembered: Arc<Remembered<AccountId, Account>>,
    ) -> Result<Self, StoreError> {
        let tails = Tails::read(&connection).map_err(failed)?;
        let (jobs, queue) = channel();
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&connection, tails, &queue, &remembered))
            .map_err(|error| StoreError::Unavailable(error.to_string().into()))?;
        Ok(Self { jobs })
    }

    /// Has a command carried out; it returns when the command is durable, or refused.
    pub(super) fn write<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'static, T> {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.send(Box::new(Command {
            command: Some(command),
            outcome: None,
            reply,
        }));
        Box::pin(async move {
            let gone = || StoreError::Unavailable("its writer has ended".into());
            sent.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }
}

/// What a command works with.
pub(super) struct Transaction<'a> {
    connection: &'a Connection,
    tails: Tails,
    changed_accounts: &'a mut Vec<AccountId>,
}

impl std::ops::Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Transaction<'_> {
    /// What is remembered of this account ends with the transaction, whatever becomes of it.
    pub(super) fn changes_account(&mut self, id: &AccountId) {
        self.changed_accounts.push(id.clone());
    }

    /// Adds an entry to the audit trail.
    pub(super) fn audit(&mut self, draft: &AuditDraft) -> Result<(), StoreError> {
        let entry = AuditEntry::chain(self.tails.audit_number + 1, &self.tails.audit_hash, draft);
        self.connection
            .prepare_cached(
                "INSERT INTO audit (number, at, actor, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    entry.number,
                    entry.at.unix_millis(),
                    entry.actor,
                    entry.action,
                    entry.subject,
                    entry.detail,
                    entry.hash
                ])
            })
            .map_err(failed)?;
        self.tails.audit_number = entry.number;
        self.tails.audit_hash = entry.hash;
        Ok(())
    }

    /// Adds a trust event; the answer is its number, the new epoch.
    pub(super) fn event(
        &mut self,
        at: Timestamp,
        kind: &str,
        body: &serde_json::Value,
    ) -> Result<u64, StoreError> {
        let number = self.tails.event_number + 1;
        self.connection
            .prepare_cached("INSERT INTO events (number, at, kind, body) VALUES (?, ?, ?, ?)")
            .and_then(|mut insert| {
                insert.execute(params![number, at.unix_millis(), kind, body.to_string()])
            })
            .map_err(failed)?;
        self.tails.event_number = number;
        Ok(number)
    }
}

impl Transaction<'_> {
    /// Adds a trust event with a number that may leave some out: after a database was restored, numbers that gates have
    /// seen are not given again. The answer is its number.
    pub(super) fn raise_epoch(
        &mut self,
        at: Timestamp,
        number: u64,
        kind: &str,
        body: &serde_json::Value,
    ) -> Result<u64, StoreError> {
        self.tails.event_number = self.tails.event_number.max(number.saturating_sub(1));
        self.event(at, kind, body)
    }
}

/// Where the numbered tables end. They go back when a command or a commit fails.
#[derive(Clone, Copy)]
struct Tails {
    audit_number: u64,
    audit_hash: [u8; 32],
    event_number: u64,
    /// The version of the file's contents at which this was read; it moves when another connection writes.
    data_version: u64,
}

/// Moves when, and only when, another connection has written to the file.
fn data_version(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}

impl Tails {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        // First, so that what is written meanwhile is noticed the next time.
        let data_version = data_version(connection)?;
        let audit = connection
            .query_row(
                "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let (audit_number, audit_hash) = audit.unwrap_or((0, BEFORE_THE_FIRST));
        let event_number =
            connection.query_row("SELECT coalesce(max(number), 0) FROM events", [], |row| {
                row.get(0)
            })?;
        Ok(Self {
            audit_number,
            audit_hash,
            event_number,
            data_version,
        })
    }
}

trait Job: Send {
    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), ()>;
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

struct Command<F, T> {
    command: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Command<F, T>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), ()> {
        let outcome = self.command.take().map(|command| command(transaction));
        let done = matches!(outcome, Some(Ok(_)));
        self.outcome = outcome;
        if done { Ok(()) } else { Err(()) }
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let outcome = match (self.outcome, commit) {
            (Some(Err(refusal)), _) => Err(refusal),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Ok(_)) | None, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Unavailable("the command was not run".into())),
        };
        // Who no longer waits for the answer will look the record up.
        let _ = self.reply.send(outcome);
    }
}

fn run(
    connection: &Connection,
    mut tails: Tails,
    queue: &Receiver<Box<dyn Job>>,
    remembered: &Remembered<AccountId, Account>,
) {
    while let Ok(first) = queue.recv() {
        let mut jobs = vec![first];
        let mut changed_accounts = Vec::new();
        let outcome = group(connection, tails, &mut changed_accounts, &mut jobs, queue);
        let commit = match outcome {
            Ok(after) => {
                tails = after;
                Ok(())
            }
            Err(error) => {
                // Where COMMIT failed the transaction may still be open; nothing of it must remain.
                if !connection.is_autocommit() {
                    let _ = connection.execute_batch("ROLLBACK");
                }
                Err(failed(error))
            }
        };
        remembered.forget(&changed_accounts);
        for job in jobs {
            job.answer(commit.clone());
        }
    }
}

/// One transaction over everything that waits.
fn group(
    connection: &Connection,
    tails: Tails,
    changed_accounts: &mut Vec<AccountId>,
    jobs: &mut Vec<Box<dyn Job>>,
    queue: &Receiver<Box<dyn Job>>,
) -> rusqlite::Result<Tails> {
    execute(connection, "BEGIN IMMEDIATE")?;
    // Another process may write to the same file; then the numbered tables end elsewhere than this writer remembers.
    let version = data_version(connection)?;
    let tails = if tails.data_version == version {
        tails
    } else {
        Tails::read(connection)?
    };
    let mut transaction = Transaction {
        connection,
        tails,
        changed_accounts,
    };
    let mut next = 0;
    while let Some(job) = jobs.get_mut(next) {
        let before = transaction.tails;
        execute(connection, "SAVEPOINT command")?;
        if job.run(&mut transaction).is_err() {
            transaction.tails = before;
            execute(connection, "ROLLBACK TO command")?;
        }
        execute(connection, "RELEASE command")?;
        next += 1;
        if jobs.len() < MOST_PER_COMMIT
            && let Ok(another) = queue.try_recv()
        {
            jobs.push(another);
        }
    }
    execute(connection, "COMMIT")?;
    Ok(transaction.tails)
}

/// Carries out a statement that is parsed once and kept.
fn execute(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}
