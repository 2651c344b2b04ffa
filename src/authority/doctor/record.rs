//! What the store remembers: whether the clock contradicts it, and how much it is.

use std::time::Duration;

use super::finding::{Check, Finding, about};
use crate::domain::Timestamp;

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
    fn too_many_certificates_are_told() {
        assert_eq!(certificate_count(10, 10).severity, Severity::Ok);
        assert_eq!(certificate_count(11, 10).severity, Severity::Warning);
    }
}
