//! Anti-replay nonces (RFC 8555 section 6.5): sealed counters, each good once.
//!
//! A nonce is the seal (AES-256-GCM-SIV) of a counter and the second it was made in, under a key that lives as long
//! as the process; so nothing is stored when one is handed out, nobody can make one up, and those of an earlier
//! process are refused. What was used is one bit in a window over the newest counters. A nonce that is too old for the
//! window or for its life is refused as `badNonce`, and the client tries again with the fresh one in the answer.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    rand,
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;

use super::{problem::Problem, signed_request::SignedRequest, state::AcmeState};
use crate::domain::Timestamp;

/// Where a nonce stands in an answer (RFC 8555 section 6.5.1).
pub const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

/// How long a nonce is good.
pub const NONCE_LIFE: Duration = Duration::from_secs(3600);

/// How many of the newest nonces can still be redeemed. The window takes a bit each: 512 KiB at most.
pub const NONCE_WINDOW: u64 = 1 << 22;

/// Counter and second.
const PLAIN_LEN: usize = 16;
const TAG_LEN: usize = 16;

/// Makes nonces and redeems them.
pub struct Nonces {
    key: LessSafeKey,
    /// Chosen at random once a process. One value for all nonces is safe with GCM-SIV (RFC 8452), whose plaintexts
    /// here, the counters, never repeat.
    prefix: [u8; NONCE_LEN],
    window: Mutex<Window>,
    life: Duration,
}

/// Why a nonce was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// It was not made by this process.
    #[error("the nonce was not made by this server since its last start")]
    Unknown,
    /// It was redeemed before.
    #[error("the nonce was used before")]
    Used,
    /// It is older than its life, or many newer ones were made since.
    #[error("the nonce is too old")]
    Expired,
}

impl Nonces {
    /// With a new key and prefix.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn new() -> Result<Self, Unspecified> {
        Self::with_window(NONCE_WINDOW, NONCE_LIFE)
    }

    fn with_window(capacity: u64, life: Duration) -> Result<Self, Unspecified> {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        rand::fill(key.as_mut_slice())?;
        let mut prefix = [0; NONCE_LEN];
        rand::fill(&mut prefix)?;
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key.as_slice())?),
            prefix,
            window: Mutex::new(Window::new(capacity)),
            life,
        })
    }

    /// A fresh nonce, as it goes into `Replay-Nonce`.
    #[must_use]
    pub fn issue(&self, now: Timestamp) -> String {
        let counter = self.window.lock().next();
        let mut sealed = Vec::with_capacity(PLAIN_LEN + TAG_LEN);
        sealed.extend_from_slice(&counter.to_be_bytes());
        sealed.extend_from_slice(&now.unix_seconds().to_be_bytes());
        self.key
            .seal_in_place_append_tag(self.nonce(), Aad::empty(), &mut sealed)
            .expect("sixteen bytes are within the limits of the cipher");
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Takes a nonce; the same one is refused from then on.
    ///
    /// # Errors
    /// Says why it is not good; all of them are `badNonce` to the client.
    pub fn redeem(&self, text: &str, now: Timestamp) -> Result<(), NonceError> {
        let mut sealed = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| NonceError::Unknown)?;
        let plain = self
            .key
            .open_in_place(self.nonce(), Aad::empty(), &mut sealed)
            .map_err(|Unspecified| NonceError::Unknown)?;
        let plain: &[u8; PLAIN_LEN] = (&*plain).try_into().map_err(|_| NonceError::Unknown)?;
        let (counter, second) = plain.split_at(8);
        let counter = u64::from_be_bytes(counter.try_into().expect("half of sixteen bytes"));
        let second = i64::from_be_bytes(second.try_into().expect("half of sixteen bytes"));
        if now.since(Timestamp::from_unix_seconds(second)) > self.life {
            return Err(NonceError::Expired);
        }
        self.window.lock().take(counter)
    }

    fn nonce(&self) -> Nonce {
        Nonce::assume_unique_for_key(self.prefix)
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

/// One bit for each of the newest counters: set once it was redeemed.
struct Window {
    /// The counter of the first bit; a multiple of 64.
    first: u64,
    next: u64,
    words: VecDeque<u64>,
    capacity: u64,
}

impl Window {
    fn new(capacity: u64) -> Self {
        Self {
            first: 0,
            next: 0,
            words: VecDeque::new(),
            capacity,
        }
    }

    fn next(&mut self) -> u64 {
        let counter = self.next;
        self.next += 1;
        if counter - self.first >= self.words.len() as u64 * 64 {
            self.words.push_back(0);
        }
        if self.words.len() as u64 * 64 > self.capacity {
            self.words.pop_front();
            self.first += 64;
        }
        counter
    }

    fn take(&mut self, counter: u64) -> Result<(), NonceError> {
        let Some(offset) = counter.checked_sub(self.first) else {
            return Err(NonceError::Expired);
        };
        let word = usize::try_from(offset / 64)
            .ok()
            .and_then(|index| self.words.get_mut(index))
            .ok_or(NonceError::Unknown)?;
        let bit = 1 << (offset % 64);
        if *word & bit != 0 {
            return Err(NonceError::Used);
        }
        *word |= bit;
        Ok(())
    }
}

/// HEAD of newNonce: 200 (RFC 8555 section 7.2).
pub async fn head(State(state): State<Arc<AcmeState>>) -> Response {
    fresh(&state, StatusCode::OK)
}

/// GET of newNonce: 204.
pub async fn read(State(state): State<Arc<AcmeState>>) -> Response {
    fresh(&state, StatusCode::NO_CONTENT)
}

/// POST-as-GET of newNonce (RFC 8555 section 6.3 allows both).
///
/// # Errors
/// Those of any signed request.
pub async fn read_signed(
    State(state): State<Arc<AcmeState>>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    request.by_account(&state).await?.payload.expect_empty()?;
    Ok(fresh(&state, StatusCode::NO_CONTENT))
}

/// Puts a fresh nonce into an answer, which must not be kept then.
pub fn add_to(headers: &mut HeaderMap, state: &AcmeState) {
    let nonce = state.nonces.issue(state.clock.now());
    headers.insert(
        REPLAY_NONCE,
        HeaderValue::try_from(nonce).expect("base64url fits a header"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

fn fresh(state: &AcmeState, status: StatusCode) -> Response {
    let mut response = status.into_response();
    add_to(response.headers_mut(), state);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn a_nonce_is_good_once() {
        let nonces = Nonces::new().unwrap();
        let (first, second) = (nonces.issue(NOW), nonces.issue(NOW));
        assert_ne!(first, second);
        assert_eq!(nonces.redeem(&second, NOW), Ok(()));
        assert_eq!(nonces.redeem(&first, NOW), Ok(()));
        assert_eq!(nonces.redeem(&first, NOW), Err(NonceError::Used));
        assert_eq!(nonces.redeem(&second, NOW), Err(NonceError::Used));
    }

    #[test]
    fn a_nonce_that_was_made_up_changed_or_made_by_another_process_is_refused() {
        let nonces = Nonces::new().unwrap();
        let good = nonces.issue(NOW);
        let mut changed = good.clone();
        let last = if changed.pop() == Some('A') { 'E' } else { 'A' };
        changed.push(last);
        let of_another = Nonces::new().unwrap().issue(NOW);
        for bad in [
            "",
            "AAAA",
            "not base64!",
            &changed,
            &of_another,
            &format!("{good}="),
        ] {
            assert_eq!(nonces.redeem(bad, NOW), Err(NonceError::Unknown), "{bad}");
        }
        assert_eq!(nonces.redeem(&good, NOW), Ok(()));
    }

    #[test]
    fn a_nonce_expires_by_age_and_by_the_number_of_newer_ones() {
        let nonces = Nonces::with_window(128, Duration::from_secs(60)).unwrap();
        let old = nonces.issue(NOW);
        assert_eq!(
            nonces.redeem(&old, NOW + Duration::from_secs(61)),
            Err(NonceError::Expired)
        );
        assert_eq!(nonces.redeem(&old, NOW + Duration::from_secs(60)), Ok(()));
        let early = nonces.issue(NOW);
        for _ in 0..1000 {
            let _ = nonces.issue(NOW);
        }
        assert_eq!(nonces.redeem(&early, NOW), Err(NonceError::Expired));
        assert!(
            nonces.window.lock().words.len() <= 2,
            "the window must not grow"
        );
        let late = nonces.issue(NOW);
        assert_eq!(nonces.redeem(&late, NOW), Ok(()));
        assert_eq!(nonces.redeem(&late, NOW), Err(NonceError::Used));
    }
}
