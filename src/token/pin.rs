//! The PIN: fetched anew for each login, and never tried twice when it was refused.

use std::{fmt, sync::Arc};

use cryptoki::slot::TokenInfo;
use parking_lot::Mutex;
use zeroize::Zeroizing;

/// Where the PIN comes from. It is asked at each login, so that a PIN that was mended is taken up. What it says when it
/// has none goes into an error.
pub type PinSource = Arc<dyn Fn() -> Result<Zeroizing<Vec<u8>>, String> + Send + Sync>;

/// How many tries a token says are left before it locks (`CKF_USER_PIN_…`, PKCS #11 2.40 section 3.2). It never tells a
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriesLeft {
    /// It doesn't say.
    Unknown,
    /// A wrong PIN was tried since the last good login.
    Few,
    /// One.
    One,
    /// None: it is locked.
    None,
}

impl TriesLeft {
    pub(super) fn of(info: &TokenInfo) -> Self {
        Self::from_flags(
            info.user_pin_locked(),
            info.user_pin_final_try(),
            info.user_pin_count_low(),
        )
    }

    fn from_flags(locked: bool, final_try: bool, count_low: bool) -> Self {
        if locked {
            Self::None
        } else if final_try {
            Self::One
        } else if count_low {
            Self::Few
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for TriesLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "it does not say how many tries are left",
            Self::Few => "few tries are left",
            Self::One => "one try is left",
            Self::None => "no tries are left, it is locked",
        })
    }
}

/// What is known of the PIN of one token.
#[derive(Default)]
pub(super) struct PinMemory {
    refused: Mutex<Option<Zeroizing<Vec<u8>>>>,
    accepted: Mutex<Option<Zeroizing<Vec<u8>>>>,
}

impl PinMemory {
    /// Whether this PIN was refused, and no other one accepted since.
    pub(super) fn was_refused(&self, pin: &[u8]) -> bool {
        self.refused
            .lock()
            .as_ref()
            .is_some_and(|it| it.as_slice() == pin)
    }

    /// Whether this PIN was the last one to be accepted.
    pub(super) fn was_accepted(&self, pin: &[u8]) -> bool {
        self.accepted
            .lock()
            .as_ref()
            .is_some_and(|it| it.as_slice() == pin)
    }

    pub(super) fn refuse(&self, pin: Zeroizing<Vec<u8>>) {
        *self.accepted.lock() = None;
        *self.refused.lock() = Some(pin);
    }

    pub(super) fn accept(&self, pin: Zeroizing<Vec<u8>>) {
        *self.refused.lock() = None;
        *self.accepted.lock() = Some(pin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tries_left_are_told_as_far_as_the_token_tells() {
        for (locked, final_try, low, wanted) in [
            (false, false, false, "does not say"),
            (false, false, true, "few tries"),
            (false, true, true, "one try"),
            (false, true, false, "one try"),
            (true, true, true, "no tries"),
            (true, false, false, "no tries"),
        ] {
            let said = TriesLeft::from_flags(locked, final_try, low).to_string();
            assert!(
                said.contains(wanted),
                "{locked} {final_try} {low}: {said}, not {wanted}"
            );
        }
    }

    #[test]
    fn a_refused_pin_is_remembered_until_another_one_is_accepted() {
        let memory = PinMemory::default();
        let pin = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        memory.accept(pin("1234"));
        memory.refuse(pin("1234"));
        assert!(memory.was_refused(b"1234") && !memory.was_accepted(b"1234"));
        assert!(!memory.was_refused(b"12345"));
        memory.accept(pin("5678"));
        assert!(!memory.was_refused(b"1234") && memory.was_accepted(b"5678"));
    }
}
