//! The signals that mean something to the agent.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::AgentError;

/// Listens for them.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Nothing came.
    ByTime,
    /// SIGHUP.
    ToRenew,
    /// SIGTERM or SIGINT.
    ToEnd,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The operating system says no.
    pub fn new() -> Result<Self, AgentError> {
        let listen = |kind| {
            signal(kind).map_err(|error| AgentError::System {
                what: "can't listen for signals",
                error,
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Returns when the program is told to end.
    pub async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for a signal, but not longer than `at_most`.
    pub async fn wait(&mut self, at_most: Duration) -> Woken {
        tokio::select! {
            _ = self.terminate.recv() => Woken::ToEnd,
            _ = self.interrupt.recv() => Woken::ToEnd,
            _ = self.hang_up.recv() => Woken::ToRenew,
            () = tokio::time::sleep(at_most) => Woken::ByTime,
        }
    }
}
