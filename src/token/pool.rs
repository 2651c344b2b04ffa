//! The threads on which a module is called, and the time after which nobody waits for it any more.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use portcullis_ca::key::KeyAlgorithm;
use tokio::sync::oneshot;

use super::{TokenError, connection::Connection, worker::Worker};

/// How many calls may wait for a thread.
const WAITING: usize = 1024;

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// Threads with a session each.
pub(super) struct Pool {
    /// Nothing once it is being dropped.
    jobs: Option<mpsc::SyncSender<Job>>,
    /// Disconnected when every thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
    timeout: Duration,
    token: String,
}

impl Pool {
    /// Starts the threads; they end when the pool is dropped, and what they are at is done. Dropping waits for them, for
    /// a module must not be called while the process ends; not for ever, for it may hang.
    pub(super) fn start(connection: &Arc<Connection>, threads: usize) -> Result<Self, TokenError> {
        let (jobs, waiting) = mpsc::sync_channel::<Job>(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        let (running, ended) = mpsc::channel();
        for number in 0..threads {
            let mut worker = Worker::new(Arc::clone(connection));
            let waiting = Arc::clone(&waiting);
            let running = running.clone();
            thread::Builder::new()
                .name(format!("token-{number}"))
                .spawn(move || {
                    loop {
                        let next = waiting.lock().recv();
                        match next {
                            Ok(job) => job(&mut worker),
                            Err(mpsc::RecvError) => break,
                        }
                    }
                    // In this order: the last worker closes the module.
                    drop(worker);
                    drop(running);
                })
                .map_err(|error| TokenError::Failed {
                    token: connection.token(),
                    message: format!("no thread for it: {error}"),
                })?;
        }
        Ok(Self {
            jobs: Some(jobs),
            ended: Mutex::new(ended),
            timeout: connection.timeout(),
            token: connection.token(),
        })
    }

    /// Runs something on one of the threads, and waits for it no longer than the settings say. What takes longer goes on
    /// there; what nobody waits for any more is not begun.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        self.run_within(self.timeout, work).await
    }

    /// The same for what may take longer: an RSA key is found by luck.
    pub(super) async fn run_slowly<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        self.run_within(12 * self.timeout, work).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&mut Worker) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |worker| {
            if !answer.is_closed() {
                // Who has stopped waiting has had an error.
                let _ = answer.send(work(worker));
            }
        });
        let Some(jobs) = &self.jobs else {
            return Err(self.failed("its threads have ended"));
        };
        match jobs.try_send(job) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(_)) => {
                return Err(TokenError::Busy {
                    token: self.token.clone(),
                    waiting: WAITING,
                });
            }
            Err(mpsc::TrySendError::Disconnected(_)) => {
                return Err(self.failed("its threads have ended"));
            }
        }
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(self.failed("its thread failed")),
            Err(_) => Err(TokenError::Slow {
                token: self.token.clone(),
                seconds: timeout.as_secs(),
            }),
        }
    }

    /// It's of no use to ask.
    pub(super) fn unsupported(&self, algorithm: KeyAlgorithm) -> TokenError {
        TokenError::Unsupported {
            token: self.token.clone(),
            algorithm,
            message: "keys in tokens are p256, p384, ed25519, rsa2048, rsa3072 or rsa4096"
                .to_owned(),
        }
    }

    pub(super) fn failed(&self, message: &str) -> TokenError {
        TokenError::Failed {
            token: self.token.clone(),
            message: message.to_owned(),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        // Nobody sends: it comes back when the last thread has ended, or when it has hung for too long.
        let _ = self.ended.lock().recv_timeout(self.timeout);
    }
}
