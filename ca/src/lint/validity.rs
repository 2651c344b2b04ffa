//! Validity (RFC 5280 section 4.1.2.5).

use super::{Examined, Findings};
use crate::profile::seconds;

const YEAR_2050: i64 = 2_524_608_000;

pub(super) fn check(findings: &mut Findings, it: &Examined<'_>) {
    let validity = &it.parsed.validity;
    let (from, to) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    findings.require(
        (from, to) == (it.draft.not_before, it.draft.not_after),
        "RFC 5280 4.1.2.5: the validity is the one that was meant",
        || format!("{from} to {to}"),
    );
    findings.require(
        from <= to,
        "RFC 5280 4.1.2.5: the validity is not empty",
        || format!("{from} to {to}"),
    );
    let longest = seconds(it.draft.profile.lifetime);
    // Both ends count (Let's Encrypt 2021).
    let life = to.saturating_sub(from).saturating_add(1);
    findings.require(
        life <= longest,
        "RFC 5280 4.1.2.5: both ends count, and the profile's lifetime is not exceeded",
        || format!("{life} s of {longest} s"),
    );
    findings.require(
        it.issuer.is_none_or(|issuer| to <= issuer.not_after()),
        "notAfter does not lie beyond the issuer's",
        || to.to_string(),
    );
    for (time, moment) in [(&validity.not_before, from), (&validity.not_after, to)] {
        findings.require(
            time.is_utctime() == (moment < YEAR_2050),
            "RFC 5280 4.1.2.5: UTCTime to 2049, GeneralizedTime after",
            || moment.to_string(),
        );
    }
}
