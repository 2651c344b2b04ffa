//! A switch that only ever moves from on to closing to cut, and wakes the one task that waits for it.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// How far a connection or request has come on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Position {
    /// It lives.
    On,
    /// It ends with the answers that are under way.
    Closing,
    /// It ends now; nothing more may pass.
    Cut,
}

/// Tells one task that its connection or request has to end. Moving it needs no lock.
#[derive(Debug, Default)]
pub(super) struct Switch {
    position: AtomicU8,
    waker: AtomicWaker,
}

impl Switch {
    /// Lets what is under way end, and nothing new begin.
    pub(super) fn close(&self) {
        self.advance(Position::Closing);
    }

    /// Ends it now.
    pub(super) fn cut(&self) {
        self.advance(Position::Cut);
    }

    /// Where it is.
    pub(super) fn position(&self) -> Position {
        match self.position.load(Ordering::Acquire) {
            0 => Position::On,
            1 => Position::Closing,
            _ => Position::Cut,
        }
    }

    /// Whether nothing more may pass.
    pub(super) fn is_cut(&self) -> bool {
        self.position() == Position::Cut
    }

    /// Ready as soon as the switch is beyond `seen`.
    pub(super) fn poll_beyond(&self, seen: Position, context: &mut Context<'_>) -> Poll<Position> {
        if self.position() > seen {
            return Poll::Ready(self.position());
        }
        self.waker.register(context.waker());
        // It may have moved before the waker was in place.
        let position = self.position();
        if position > seen {
            Poll::Ready(position)
        } else {
            Poll::Pending
        }
    }

    fn advance(&self, to: Position) {
        let to = to as u8;
        if self.position.fetch_max(to, Ordering::AcqRel) < to {
            self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_never_goes_back() {
        let switch = Switch::default();
        switch.cut();
        switch.close();
        assert_eq!(switch.position(), Position::Cut);
    }
}
