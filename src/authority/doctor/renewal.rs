//! What renews itself at two thirds of its life: this server's certificate, and the OCSP responders'.

use std::time::Duration;

use super::finding::{Check, Finding, about};
use crate::domain::Timestamp;

/// When it is told that something was not renewed, and when that becomes an emergency; both before it ends.
fn alarms(not_before: Timestamp, not_after: Timestamp) -> (Timestamp, Timestamp) {
    let life = not_after.since(not_before);
    let margin = (life / 48).max(Duration::from_secs(120)).min(life / 12);
    (
        not_before + life / 3 * 2 + margin,
        not_before + life / 6 * 5,
    )
}

/// The certificate of the fronts.
pub(super) fn server_certificate(
    not_before: Timestamp,
    not_after: Timestamp,
    now: Timestamp,
) -> Finding {
    Finding::by_moment(
        Check::ServerCertificate,
        "",
        now,
        alarms(not_before, not_after),
        format!(
            "this server's own certificate ends in {}",
            about(not_after.since(now))
        ),
        "the server's log says why it was not renewed; it renews itself at two thirds of its life",
    )
}

/// The certificate of an issuer's responder.
pub(super) fn ocsp_responder(
    issuer: &str,
    validity: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
) -> Finding {
    const REMEDY: &str = "the server's log says why; it is made at the start and renews itself at two thirds of its life";
    let Some((not_before, not_after)) = validity else {
        return Finding::warning(
            Check::OcspResponder,
            issuer,
            "there is no OCSP responder: whoever asks is told to try later".to_owned(),
            REMEDY,
        );
    };
    Finding::by_moment(
        Check::OcspResponder,
        issuer,
        now,
        alarms(not_before, not_after),
        format!(
            "the certificate of its OCSP responder ends in {}",
            about(not_after.since(now))
        ),
        REMEDY,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::doctor::Severity;

    #[test]
    fn a_certificate_that_was_not_renewed_is_told_before_it_ends() {
        for life in [10_u64, 3600, 86_400, 7 * 86_400] {
            let begins = Timestamp::from_unix_seconds(1_800_000_000);
            let ends = begins + Duration::from_secs(life);
            let severities: Vec<Severity> = (0..=120)
                .map(|step| begins + Duration::from_secs(life) * step / 100)
                .map(|now| server_certificate(begins, ends, now).severity)
                .collect();
            assert!(severities.is_sorted(), "{life}");
            let first = |wanted| severities.iter().position(|it| *it == wanted);
            assert!(first(Severity::Warning) > Some(66), "{life}");
            assert!(
                first(Severity::Critical) > first(Severity::Warning),
                "{life}"
            );
            assert!(first(Severity::Critical) < Some(90), "{life}");
        }
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert_eq!(ocsp_responder("ca", None, now).severity, Severity::Warning);
    }
}
