//! Moments in queries: a time, or a duration from now.

use super::problem::Problem;
use crate::domain::{Timestamp, duration::WrittenDuration};

/// A time (RFC 3339), or how long before now.
pub(super) fn ago(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    read(name, text, |WrittenDuration(duration)| {
        now.earlier_by(duration)
    })
}

/// A time (RFC 3339), or how long after now.
pub(super) fn ahead(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    read(name, text, |WrittenDuration(duration)| now + duration)
}

fn read(
    name: &str,
    text: &str,
    from_now: impl FnOnce(WrittenDuration) -> Timestamp,
) -> Result<Timestamp, Problem> {
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse().ok().map(from_now))
        .ok_or_else(|| {
            Problem::bad_request(&format!(
                "{name}: {text:?} is neither a time, such as 2027-01-01T00:00:00Z, nor a duration, such as 7d"
            ))
        })
}
