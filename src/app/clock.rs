//! The process's clock: the one place in the server where the system's time is read.

use std::time::Duration;

use time::OffsetDateTime;

use crate::domain::{Clock, Timestamp};

/// The system's clock, moved by an offset when a test asks for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock {
    ahead: Duration,
}

impl SystemClock {
    /// A clock that is so much ahead of the system's.
    #[must_use]
    pub fn ahead_by(ahead: Duration) -> Self {
        Self { ahead }
    }

    /// Waits, on the calling thread: for commands that watch other processes, never in a server.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else is handed"
    )]
    pub fn pause(duration: Duration) {
        std::thread::sleep(duration);
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else is handed"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::from(OffsetDateTime::now_utc()) + self.ahead
    }
}
