//! What the store remembers: whether the clock contradicts it, and how much it is.

use std::time::Duration;

use super::finding::{Check, Finding, about};
use crate::{domain::Timestamp, store::TrailHealth};

/// The clock is never before what was recorded, nor before what was issued began.
pub(super) fn clock(
    now: Timestamp,
    newest_record: Option<Timestamp>,
    beginnings: Vec<(String, Timestamp)>,
) -> Finding {
    /// Clocks are set back a little now and then.
    const TOLERATED: Duration = Duration::from_secs(5);
    const GRAVE: Duration = Duration::from_secs(60);
    let behind = newest_record
        .map(|at| ("the newest record in the store".to_owned(), at))
        .into_iter()
        .chain(beginnings)
        .map(|(what, at)| (at.since(now), what))
        .max()
        .filter(|(behind, _)| *behind > TOLERATED);
    let Some((behind, what)) = behind else {
        return Finding::ok(
            Check::Clock,
            "",
            "the system's clock agrees with the records".to_owned(),
        );
    };
    let says = format!("the system's clock is {} before {what}", about(behind));
    let remedy = "set the system's clock (NTP): validity, lists and OCSP answers hang on it";
    if behind > GRAVE {
        Finding::critical(Check::Clock, "", says, remedy)
    } else {
        Finding::warning(Check::Clock, "", says, remedy)
    }
}

/// Checkpoints are signed by a job; without them whoever rewrites the trail, hashes and all, is not found out.
/// What was left when the process before this one ended is signed by this one, which needs a moment.
pub(super) fn checkpoint(now: Timestamp, started_at: Timestamp, trail: &TrailHealth) -> Finding {
    const HOUR: Duration = Duration::from_secs(3600);
    let Some(since) = trail.oldest_unsigned.map(|at| at.max(started_at)) else {
        return Finding::ok(
            Check::AuditCheckpoint,
            "",
            "the whole audit trail is signed".to_owned(),
        );
    };
    Finding::by_moment(
        Check::AuditCheckpoint,
        "",
        now,
        (since + HOUR, since + 24 * HOUR),
        format!(
            "entries of the audit trail have not been signed for {}",
            about(now.since(since))
        ),
        "the server's log says why no checkpoint could be made",
    )
}

/// The mark that shows a database that was rolled back is written within seconds.
pub(super) fn high_water(now: Timestamp, kept: Timestamp) -> Finding {
    Finding::by_moment(
        Check::HighWater,
        "",
        now,
        (
            kept + Duration::from_secs(60),
            kept + Duration::from_secs(600),
        ),
        format!("the high-water mark is {} old", about(now.since(kept))),
        "a database that is rolled back now would not be noticed; the server's log says why it can't be written",
    )
}

/// More certificates than the store was measured with.
pub(super) fn certificate_count(count: u64, threshold: u64) -> Finding {
    if count <= threshold {
        return Finding::ok(
            Check::CertificateCount,
            "",
            format!("the store holds at most {count} certificates"),
        );
    }
    Finding::warning(
        Check::CertificateCount,
        "",
        format!("the store holds some {count} certificates, more than {threshold}"),
        "let what has expired be pruned sooner, or raise doctor.certificates if this is what you want",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::doctor::Severity;

    #[test]
    fn a_clock_that_was_set_back_is_told() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let after = |seconds| now + Duration::from_secs(seconds);
        for (newest, beginning, severity) in [
            (None, None, Severity::Ok),
            (
                Some(now.earlier_by(Duration::from_secs(1))),
                None,
                Severity::Ok,
            ),
            (Some(after(5)), None, Severity::Ok),
            (Some(after(6)), None, Severity::Warning),
            (Some(after(61)), None, Severity::Critical),
            (None, Some(after(30)), Severity::Warning),
            (Some(now), Some(after(3600)), Severity::Critical),
        ] {
            let beginnings = beginning.map(|at| ("a certificate".to_owned(), at));
            let found = clock(now, newest, beginnings.into_iter().collect());
            assert_eq!(found.severity, severity, "{found:?}");
        }
    }

    #[test]
    fn a_trail_that_is_not_signed_and_a_mark_that_is_not_kept_are_told() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let ago = |seconds| now.earlier_by(Duration::from_secs(seconds));
        let never = Timestamp::from_unix_seconds(0);
        for (oldest_unsigned, started_at, severity) in [
            (None, never, Severity::Ok),
            (Some(ago(600)), never, Severity::Ok),
            (Some(ago(3600)), never, Severity::Warning),
            (Some(ago(86_400)), never, Severity::Critical),
            (Some(ago(86_400)), ago(1), Severity::Ok),
        ] {
            let trail = TrailHealth { oldest_unsigned };
            assert_eq!(checkpoint(now, started_at, &trail).severity, severity);
        }
        for (kept, severity) in [
            (ago(0), Severity::Ok),
            (ago(60), Severity::Warning),
            (ago(600), Severity::Critical),
        ] {
            assert_eq!(high_water(now, kept).severity, severity);
        }
    }

    #[test]
    fn too_many_certificates_are_told() {
        assert_eq!(certificate_count(10, 10).severity, Severity::Ok);
        assert_eq!(certificate_count(11, 10).severity, Severity::Warning);
    }
}
