//! The log of decisions: one line of JSON for every request that the gate let through or refused, in a file of its own.
//!
//! ```text
//! threads of the gate --(bounded queue, never waited for)--> one writer: serialise, write, sync, rotate
//! ```
//! What a crash can lose is stated: of the process, what was decided in its last [`WRITE_EVERY`] or so and not yet written;
//! of the machine, what was not yet synced, at most [`DecisionSettings::sync`] more. Where the disk can't keep up, or is
//! full, requests go on: what is not written is counted, and the log itself says how much is missing.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use crate::domain::Clock;

mod file;
mod record;
mod writer;

pub(super) use record::{Outcome, Permitted, Record, Refused};

use file::LogFile;
use writer::Writer;

/// How often the writer empties the queue. It is not woken for a decision, which would cost the gate more than all the
/// rest.
pub const WRITE_EVERY: Duration = Duration::from_millis(100);

/// How many decisions may wait to be written.
const QUEUE: usize = 32_768;

/// How decisions are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionSettings {
    /// The file. Older ones lie beside it, with `.1`, `.2` and so on after the name.
    pub file: PathBuf,
    /// From how many octets on the file is put aside and another one begun.
    pub max_size: u64,
    /// How many files that were put aside are kept.
    pub keep: u32,
    /// How often what was written is synced to the disk, at the least.
    pub sync: Duration,
}

/// What the log has counted.
#[derive(Debug, Default)]
pub struct DecisionCounts {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl DecisionCounts {
    /// How many decisions were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// How many were not, because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many were not, because the file could not be written.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Where the threads of a gate put their decisions.
#[derive(Debug, Clone)]
pub(super) struct Decisions {
    queue: SyncSender<Box<Record>>,
    counts: Arc<DecisionCounts>,
}

impl Decisions {
    /// Puts a decision into the queue. It never waits: where the queue is full the decision is counted, and not logged.
    pub(super) fn log(&self, record: Record) {
        match self.queue.try_send(Box::new(record)) {
            Ok(()) => {}
            // The writer ends after the threads, so it is not gone while one of them asks.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The running writer. It ends when every [`Decisions`] is gone, having written what was left.
#[derive(Debug)]
pub(super) struct DecisionLog {
    counts: Arc<DecisionCounts>,
    thread: Option<thread::JoinHandle<()>>,
}

impl DecisionLog {
    /// Opens the file and starts the writer.
    ///
    /// # Errors
    /// When the file can't be opened, or the system refuses a thread.
    pub(super) fn start(
        settings: DecisionSettings,
        clock: Arc<dyn Clock>,
    ) -> io::Result<(Decisions, Self)> {
        let file = LogFile::open(&settings)?;
        let counts = Arc::new(DecisionCounts::default());
        let (queue, waiting) = sync_channel(QUEUE);
        let writer = Writer::new(file, waiting, Arc::clone(&counts), clock, settings.sync);
        let thread = thread::Builder::new()
            .name("decisions".to_owned())
            .spawn(move || writer.run())?;
        let log = Self {
            counts: Arc::clone(&counts),
            thread: Some(thread),
        };
        Ok((Decisions { queue, counts }, log))
    }

    pub(super) fn counts(&self) -> Arc<DecisionCounts> {
        Arc::clone(&self.counts)
    }

    /// Waits until everything is written, once every [`Decisions`] is gone.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of decisions panicked");
        }
    }
}
