//! The writer: a thread that empties the queue into the file.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::Duration,
};

use super::{
    DecisionCounts, WRITE_EVERY,
    file::LogFile,
    record::{Record, write_missing},
};
use crate::domain::{Clock, Timestamp};

/// How many octets are gathered before they are written.
const BATCH: usize = 256 * 1024;

pub(super) struct Writer {
    file: LogFile,
    waiting: Receiver<Box<Record>>,
    counts: Arc<DecisionCounts>,
    clock: Arc<dyn Clock>,
    sync: Duration,
    /// When the disk was last told to keep what was written.
    synced_at: Timestamp,
    is_unsynced: bool,
    /// What the log has not yet said to be missing: how many were dropped when it last said so, and how many could not
    /// be written since.
    dropped_told: u64,
    unwritten: u64,
    is_failing: bool,
}

/// Whether anybody can still put something into the queue.
#[derive(PartialEq, Eq)]
enum Queue {
    Open,
    Closed,
}

impl Writer {
    pub(super) fn new(
        file: LogFile,
        waiting: Receiver<Box<Record>>,
        counts: Arc<DecisionCounts>,
        clock: Arc<dyn Clock>,
        sync: Duration,
    ) -> Self {
        Self {
            file,
            waiting,
            counts,
            synced_at: clock.now(),
            clock,
            sync,
            is_unsynced: false,
            dropped_told: 0,
            unwritten: 0,
            is_failing: false,
        }
    }

    /// Writes until every sender is gone and the queue is empty.
    pub(super) fn run(mut self) {
        let mut lines = Vec::new();
        loop {
            let queue = self.empty_queue(&mut lines);
            if queue == Queue::Closed {
                self.sync_file();
                return;
            }
            let now = self.clock.now();
            if now < self.synced_at || now >= self.synced_at + self.sync {
                self.synced_at = now;
                self.sync_file();
            }
            thread::park_timeout(WRITE_EVERY);
        }
    }

    /// Writes what waits.
    fn empty_queue(&mut self, lines: &mut Vec<u8>) -> Queue {
        loop {
            lines.clear();
            let mut count = 0;
            let told = self.tell_missing(lines);
            let queue = loop {
                match self.waiting.try_recv() {
                    Ok(record) => {
                        record.write(lines);
                        count += 1;
                        if lines.len() >= BATCH {
                            break None;
                        }
                    }
                    Err(TryRecvError::Empty) => break Some(Queue::Open),
                    Err(TryRecvError::Disconnected) => break Some(Queue::Closed),
                }
            };
            if !lines.is_empty() {
                self.write(lines, count, told);
            }
            if let Some(queue) = queue {
                return queue;
            }
        }
    }

    /// Says what is missing before the next lines; the answer is how many were dropped as far as that says.
    fn tell_missing(&self, lines: &mut Vec<u8>) -> u64 {
        let dropped = self.counts.dropped.load(Ordering::Relaxed);
        if dropped > self.dropped_told || self.unwritten > 0 {
            let queue_full = dropped - self.dropped_told;
            write_missing(lines, self.clock.now(), queue_full, self.unwritten);
        }
        dropped
    }

    /// Writes lines with so many decisions in them. Of a batch that fails, some lines may be there all the same.
    fn write(&mut self, lines: &[u8], count: u64, dropped_told: u64) {
        match self.file.write(lines) {
            Ok(()) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!(missing = self.unwritten, "decisions are logged again");
                }
                self.is_unsynced = true;
                self.dropped_told = dropped_told;
                self.unwritten = 0;
                self.counts.written.fetch_add(count, Ordering::Relaxed);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(alarm = "decisions", %error, "the log of decisions can't be written; the gate goes on without it");
                }
                self.unwritten += count;
                self.counts.failed.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    fn sync_file(&mut self) {
        if self.is_unsynced
            && let Err(error) = self.file.sync()
        {
            tracing::error!(alarm = "decisions", %error, "the log of decisions can't be synced");
        }
        self.is_unsynced = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{atomic::AtomicU64, mpsc::sync_channel};

    use http::{HeaderValue, Method};

    use super::*;
    use crate::{
        domain::denial::Denial,
        gate::decisions::{
            DecisionSettings, Decisions,
            record::{Outcome, Refused},
        },
    };

    struct FixedClock;

    impl Clock for FixedClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_seconds(1_800_000_000)
        }
    }

    fn record(path: &str) -> Record {
        Record {
            at: FixedClock.now(),
            request_id: HeaderValue::from_static("7"),
            peer: ([127, 0, 0, 1], 9).into(),
            method: Method::GET,
            outcome: Outcome::Refused(Box::new(Refused {
                denial: Denial::invalid_request("a \"quoted\"\nline"),
                path: path.to_owned(),
                principal: None,
                serial: None,
                epoch: 3,
            })),
        }
    }

    #[test]
    fn what_did_not_fit_into_the_queue_is_counted_and_told_in_the_log() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = DecisionSettings {
            file: directory.path().join("decisions.log"),
            max_size: 1 << 20,
            keep: 1,
            sync: Duration::from_secs(1),
        };
        let file = LogFile::open(&settings).expect("opened");
        let counts = Arc::new(DecisionCounts {
            written: AtomicU64::new(0),
            ..DecisionCounts::default()
        });
        let (queue, waiting) = sync_channel(2);
        let decisions = Decisions {
            queue,
            counts: Arc::clone(&counts),
        };
        for path in ["/1", "/2\r\n\u{0}", "/3", "/4"] {
            decisions.log(record(path));
        }
        drop(decisions);
        Writer::new(
            file,
            waiting,
            Arc::clone(&counts),
            Arc::new(FixedClock),
            settings.sync,
        )
        .run();
        let text = std::fs::read_to_string(&settings.file).expect("a log");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(
            lines[0],
            r#"{"time":"2027-01-15T08:00:00Z","decision":"missing","queue_full":2,"not_written":0}"#
        );
        assert_eq!(
            lines[1],
            concat!(
                r#"{"time":"2027-01-15T08:00:00Z","request_id":"7","decision":"denial","#,
                r#""reason":"invalid_request","rule":"check of the request","method":"GET","path":"/1","#,
                r#""detail":"a \"quoted\"\nline","epoch":3,"peer":"127.0.0.1:9"}"#
            )
        );
        assert!(lines[2].contains(r#""path":"/2\r\n\u0000""#), "{text}");
        let figures = (counts.written(), counts.dropped(), counts.failed());
        assert_eq!(figures, (2, 2, 0));
    }
}
