//! Trouble on purpose (`serve --chaos`): what RFC 8555 lets a server do and servers seldom do, so that clients are tested
//! against it. Every answer is one that the standard allows; nothing is decided otherwise than without it.
//!
//! | trouble | how often | why a client has to live with it |
//! | --- | --- | --- |
//! | a good nonce is refused | 1 in 5 | RFC 8555 section 6.5 |
//! | 503 or 429 with `Retry-After`, in seconds or as a date | 1 in 12 | RFC 9110 section 10.2.3 |
//! | the answer takes up to a quarter of a second | 1 in 4 | no time is promised |
//! | a finalized order is `processing` for up to three looks | 1 in 2 | RFC 8555 section 7.4 |
//! | challenges, identifiers and authorizations change places | always | no order is promised |
//! | objects have a member that nobody knows | 1 in 2 | RFC 8555 section 7.1.1 |
//! | the connection is closed after the answer | 1 in 4 | RFC 9112 section 9.6 |
//! | a renewal window is a second long | always | RFC 9773 section 4.2 |
//!
//! Authorizations are reused for as long as they are valid, and an account's orders come one to a page. What happens is
//! drawn from the seed: the same requests, one after the other, have the same answers.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::{
    problem::{Problem, ProblemType},
    state::AcmeState,
};
use crate::domain::Timestamp;

/// The most orders that are shown as `processing` at a time.
const MOST_PROCESSING: usize = 10_000;
/// The largest answer that is rewritten.
const LARGEST: usize = 4 * 1024 * 1024;
/// How long clients are told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where the trouble is drawn from.
#[derive(Debug)]
pub struct Chaos {
    seed: u64,
    drawn: AtomicU64,
    /// Orders that have their certificate and do not show it yet: the path of each, and how many looks are left.
    processing: Mutex<HashMap<String, u64>>,
}

impl Chaos {
    /// Trouble that the seed decides.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: AtomicU64::new(0),
            processing: Mutex::default(),
        }
    }

    /// The next number below `bound`: SplitMix64 (Steele, Lea, Flood, 2014) of how many were drawn before.
    fn below(&self, bound: u64) -> u64 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut mixed = self
            .seed
            .wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// Whether a good nonce is to be refused; it is used up then.
    pub(super) fn refuses_nonce(&self) -> bool {
        self.one_in(5)
    }

    fn busy(&self, now: Timestamp) -> Response {
        let problem = if self.one_in(2) {
            Problem::new(
                ProblemType::RateLimited,
                "this server was started with --chaos and sends you away on purpose; try again after the time in Retry-After",
            )
        } else {
            Problem::internal().with_status(StatusCode::SERVICE_UNAVAILABLE)
        };
        let mut response = problem.with_retry_after(RETRY_AFTER).into_response();
        if self.one_in(2)
            && let Some(date) = http_date(now + RETRY_AFTER)
        {
            response.headers_mut().insert(header::RETRY_AFTER, date);
        }
        response
    }

    fn shuffle(&self, items: &mut [Value]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            items.swap(last, other);
        }
    }

    /// Whether an order that is valid is still to be shown as `processing`.
    fn is_still_processing(&self, path: &str) -> bool {
        let mut processing = self.processing.lock();
        if let Some(order) = path.strip_suffix("/finalize") {
            if processing.len() >= MOST_PROCESSING || !self.one_in(2) {
                return false;
            }
            processing.insert(order.to_owned(), self.below(3));
            return true;
        }
        match processing.get_mut(path) {
            Some(0) => {
                processing.remove(path);
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
            None => false,
        }
    }

    /// The object as a client may find it, too; whether its status is one that passes.
    fn disturb(&self, path: &str, object: &mut Map<String, Value>) -> bool {
        for name in ["challenges", "identifiers", "authorizations"] {
            if let Some(Value::Array(items)) = object.get_mut(name) {
                self.shuffle(items);
            }
        }
        if let Some(Value::Object(window)) = object.get_mut("suggestedWindow")
            && let Some(start) = window.get("start").and_then(Value::as_str)
            && let Ok(start) = start.parse::<Timestamp>()
        {
            let end = start + Duration::from_secs(1);
            window.insert("end".to_owned(), end.to_string().into());
        }
        if self.one_in(2) {
            let name = format!("chaos-{:x}", self.below(u64::MAX));
            // In a directory every member but "meta" is a URL.
            let value = "https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1";
            object.insert(name, value.into());
        }
        let hidden = object.get("status").is_some_and(|status| status == "valid")
            && object.contains_key("finalize")
            && self.is_still_processing(path);
        if hidden {
            object.insert("status".to_owned(), "processing".into());
            object.remove("certificate");
        }
        hidden
    }

    async fn rewrite(&self, path: &str, response: Response) -> Response {
        let is_json = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind == "application/json");
        if !is_json {
            return response;
        }
        let (mut head, body) = response.into_parts();
        let Ok(octets) = to_bytes(body, LARGEST).await else {
            return Problem::internal().into_response();
        };
        let Ok(Value::Object(mut object)) = serde_json::from_slice(&octets) else {
            return Response::from_parts(head, Body::from(octets));
        };
        if self.disturb(path, &mut object) {
            head.headers
                .insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
        }
        head.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(head, Body::from(Value::Object(object).to_string()))
    }
}

/// Makes trouble for a request, if there is to be any.
pub(super) async fn disturb(
    State(state): State<Arc<AcmeState>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(chaos) = state.chaos.clone() else {
        return next.run(request).await;
    };
    if chaos.one_in(4) {
        tokio::time::sleep(Duration::from_millis(chaos.below(250))).await;
    }
    let closes = chaos.one_in(4) && request.version() == Version::HTTP_11;
    let path = request.uri().path().to_owned();
    let mut response = if chaos.one_in(12) {
        chaos.busy(state.clock.now())
    } else {
        chaos.rewrite(&path, next.run(request).await).await
    };
    if closes {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// A date as HTTP writes it (RFC 9110 section 5.6.7).
fn http_date(moment: Timestamp) -> Option<HeaderValue> {
    const FORMAT: &[BorrowedFormatItem<'_>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let moment = OffsetDateTime::from_unix_timestamp(moment.unix_seconds()).ok()?;
    HeaderValue::try_from(moment.format(FORMAT).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_and_everything_happens_about_as_often_as_it_should() {
        let draw = |seed| {
            let chaos = Chaos::new(seed);
            (0..10_000).map(|_| chaos.below(12)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        for number in 0..12 {
            let count = draw(7).iter().filter(|drawn| **drawn == number).count();
            assert!((700..970).contains(&count), "{number}: {count}");
        }
    }

    #[test]
    fn an_order_stays_valid_once_it_was_shown_so() {
        let chaos = Chaos::new(1);
        for _ in 0..100 {
            let shown = |path: &str| {
                let mut order = Map::new();
                order.insert("status".to_owned(), "valid".into());
                order.insert("finalize".to_owned(), "https://ca.example/f".into());
                order.insert("certificate".to_owned(), "https://ca.example/c".into());
                chaos.disturb(path, &mut order);
                let is_valid = order["status"] == "valid";
                assert_eq!(order.contains_key("certificate"), is_valid);
                is_valid
            };
            let mut looks = vec![shown("/acme/order/1/finalize")];
            looks.extend((0..10).map(|_| shown("/acme/order/1")));
            let first_valid = looks.iter().position(|is_valid| *is_valid);
            assert!(first_valid.is_some_and(|first| first <= 3), "{looks:?}");
            assert!(looks.is_sorted(), "{looks:?}");
        }
    }

    #[test]
    fn a_date_is_written_as_http_has_it() {
        let moment = Timestamp::from_unix_seconds(784_111_777);
        assert_eq!(
            http_date(moment),
            Some(HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"))
        );
    }
}
