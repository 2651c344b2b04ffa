//! CAs: how long they last, where their keys are, and what they issue that they shouldn't.

use std::time::Duration;

use super::finding::{Check, Finding, about};
use crate::domain::{
    Timestamp,
    issuer::{IssuerName, KeyPlace},
};

/// A CA certificate's life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) is_root: bool,
    /// It issues no more: that it ends is what is meant to happen.
    pub(super) is_on_its_way_out: bool,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

/// A warning for the last third of its life, but at most 90 days before its end, for a root a year: whoever trusts it
/// must be given another one. Critical when what it issues is cut short.
pub(super) fn expiry(
    name: &IssuerName,
    life: Life,
    longest_leaf: Duration,
    now: Timestamp,
) -> Finding {
    const DAY: Duration = Duration::from_secs(86_400);
    let whole = life.not_after.since(life.not_before);
    let warn_for = (whole / 3).min(if life.is_root { 365 * DAY } else { 90 * DAY });
    let critical_for = if life.is_root {
        longest_leaf.max((whole / 12).min(30 * DAY))
    } else {
        longest_leaf
    };
    let subject = name.as_str();
    let says = if now > life.not_after {
        format!(
            "its certificate ended {} ago: nothing below it is valid",
            about(now.since(life.not_after))
        )
    } else {
        format!(
            "its certificate ends in {}, on {}",
            about(life.not_after.since(now)),
            life.not_after
        )
    };
    if life.is_on_its_way_out {
        return Finding::ok(Check::CaExpiry, subject, says);
    }
    Finding::by_moment(
        Check::CaExpiry,
        subject,
        now,
        (
            life.not_after.earlier_by(warn_for.max(critical_for)),
            life.not_after.earlier_by(critical_for),
        ),
        says,
        &format!("let another one take its place: portcullis ca rotate {name}"),
    )
}

/// Where its key is. Nothing of it is an alarm; some of it could be better.
pub(super) fn key(
    name: &IssuerName,
    is_root: bool,
    place: &KeyPlace,
    is_open_on_disk: bool,
) -> Finding {
    let mut finding = Finding::ok(
        Check::CaKey,
        name.as_str(),
        format!("its key is in {place}"),
    );
    match place {
        KeyPlace::Offline => finding.says = "its key is offline".to_owned(),
        KeyPlace::File(_) if is_open_on_disk => {
            finding.says.push_str(", which no passphrase seals");
            finding.remedy =
                Some("whoever reads the file is the CA: init with --passphrase-file".to_owned());
        }
        KeyPlace::File(_) | KeyPlace::Token(_) => {}
    }
    if is_root && *place != KeyPlace::Offline {
        finding.remedy.get_or_insert(
            "a root's key is only needed for ceremonies: portcullis ca root export takes it offline"
                .to_owned(),
        );
    }
    finding
}

/// A root signs CAs, and its OCSP responder.
pub(super) fn root_leaves(name: &IssuerName, leaves: u64) -> Finding {
    if leaves == 0 {
        return Finding::ok(
            Check::RootLeaves,
            name.as_str(),
            "it issues no leaves".to_owned(),
        );
    }
    Finding::warning(
        Check::RootLeaves,
        name.as_str(),
        format!(
            "{leaves} of the newest 1,000 certificates are leaves that this root issued itself"
        ),
        "issue from an intermediate (portcullis ca create), so that the root's key can be offline",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::doctor::Severity;

    #[test]
    fn a_ca_that_ends_is_told_in_time_to_replace_it() {
        use Severity::{Critical, Ok, Warning};
        const HOUR: u64 = 3600;
        const DAY: u64 = 86_400;
        let name: IssuerName = "ca".parse().expect("a name");
        // (root, life, longest leaf, left, severity)
        for (is_root, life, leaf, left, severity) in [
            (false, 1095 * DAY, DAY, 91 * DAY, Ok),
            (false, 1095 * DAY, DAY, 89 * DAY, Warning),
            (false, 1095 * DAY, DAY, 2 * DAY, Warning),
            (false, 1095 * DAY, DAY, 23 * HOUR, Critical),
            (false, 1095 * DAY, 100 * DAY, 99 * DAY, Critical),
            (false, 3 * DAY, HOUR, 25 * HOUR, Ok),
            (false, 3 * DAY, HOUR, 23 * HOUR, Warning),
            (true, 3650 * DAY, DAY, 366 * DAY, Ok),
            (true, 3650 * DAY, DAY, 364 * DAY, Warning),
            (true, 3650 * DAY, DAY, 29 * DAY, Critical),
            (true, 3650 * DAY, DAY, 0, Critical),
        ] {
            let now = Timestamp::from_unix_seconds(1_800_000_000);
            let not_after = now + Duration::from_secs(left);
            let of = Life {
                is_root,
                is_on_its_way_out: false,
                not_before: not_after.earlier_by(Duration::from_secs(life)),
                not_after,
            };
            let leaf = Duration::from_secs(leaf);
            let found = expiry(&name, of, leaf, now);
            assert_eq!(
                found.severity, severity,
                "{life} {leaf:?} {left}: {found:?}"
            );
            let retiring = Life {
                is_on_its_way_out: true,
                ..of
            };
            assert_eq!(expiry(&name, retiring, leaf, now).severity, Ok);
        }
    }

    #[test]
    fn a_root_that_issues_leaves_is_told() {
        let name: IssuerName = "root".parse().expect("a name");
        assert_eq!(root_leaves(&name, 0).severity, Severity::Ok);
        assert_eq!(root_leaves(&name, 1).severity, Severity::Warning);
    }
}
