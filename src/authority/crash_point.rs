//! Places in the life of an order where a test has the process stop, to kill it there (`serve --test-stop-at`). In builds
//! without debug assertions there is nothing of it.

#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicUsize, Ordering};

/// A place. Its name on the command line is its own in lower case with dashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// newAccount: nothing of it is recorded yet.
    AccountBeforeCommit,
    /// newAccount: it is recorded, and not answered.
    AccountCommitted,
    /// newOrder: nothing of it is recorded yet.
    OrderBeforeCommit,
    /// newOrder: it is recorded, and not answered.
    OrderCommitted,
    /// A first look at a challenge failed: that it goes on is not recorded yet.
    ChallengeBeforeBegin,
    /// A first look at a challenge failed: that it goes on is recorded, and not answered.
    ChallengeBegun,
    /// The challenge is validated, and that is not recorded.
    ChallengeValidated,
    /// The outcome of the validation is recorded.
    ChallengeRecorded,
    /// finalize: all is checked, and nothing signed.
    FinalizeBeforeSign,
    /// finalize: the certificate is signed, and not recorded.
    FinalizeSigned,
    /// finalize: certificate and order are recorded, and not answered.
    FinalizeCommitted,
    /// The download of a certificate: it is read, and not answered.
    CertificateRead,
    /// revokeCert: nothing of it is recorded yet.
    RevokeBeforeCommit,
    /// revokeCert: it is recorded, not in force in this process, and not answered.
    RevokeCommitted,
}

impl CrashPoint {
    /// Every place, in the order in which an order comes to it.
    pub const ALL: [Self; 14] = [
        Self::AccountBeforeCommit,
        Self::AccountCommitted,
        Self::OrderBeforeCommit,
        Self::OrderCommitted,
        Self::ChallengeBeforeBegin,
        Self::ChallengeBegun,
        Self::ChallengeValidated,
        Self::ChallengeRecorded,
        Self::FinalizeBeforeSign,
        Self::FinalizeSigned,
        Self::FinalizeCommitted,
        Self::CertificateRead,
        Self::RevokeBeforeCommit,
        Self::RevokeCommitted,
    ];

    /// Its name: `order-committed`.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

impl std::str::FromStr for CrashPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Self::ALL.into_iter();
        all.clone()
            .find(|point| point.name() == text)
            .ok_or_else(|| {
                let names: Vec<String> = all.map(Self::name).collect();
                format!("it is one of {}", names.join(", "))
            })
    }
}

/// Where to stop: one more than the place's number, 0 for nowhere.
#[cfg(debug_assertions)]
static STOP_AT: AtomicUsize = AtomicUsize::new(0);

/// Has the process stop at a place.
#[cfg(debug_assertions)]
pub fn stop_at(point: CrashPoint) {
    STOP_AT.store(point as usize + 1, Ordering::SeqCst);
}

/// Whoever comes here goes no further, if a test wants it so; everybody else goes on.
#[inline]
pub(super) fn reach(point: CrashPoint) {
    #[cfg(debug_assertions)]
    if STOP_AT.load(Ordering::SeqCst) == point as usize + 1 {
        tracing::warn!(point = point.name(), "a test stops this process here");
        loop {
            std::thread::park();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = point;
}
