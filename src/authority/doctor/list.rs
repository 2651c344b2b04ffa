//! Lists: renewed in time, or somebody is told while the last one is still good (Let's Encrypt, 2023: lists eleven days
//! stale, and nobody knew).

use std::time::Duration;

use super::finding::{Check, Finding, about};
use crate::domain::Timestamp;

/// A list as it was last published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    pub(super) shard: u32,
    pub(super) this_update: Timestamp,
    pub(super) next_update: Timestamp,
}

impl Published {
    /// When it is told that the list was not renewed, and when that becomes an emergency. Renewal is due at half of its
    /// life; both moments lie before its end, whatever its life.
    fn alarms(&self) -> (Timestamp, Timestamp) {
        let life = self.next_update.since(self.this_update);
        let margin = (life / 24).max(Duration::from_secs(120)).min(life / 8);
        (
            self.this_update + life / 2 + margin,
            self.this_update + life / 4 * 3,
        )
    }

    /// The same for a list that only a ceremony renews: a month, and a week, or a quarter and a sixteenth of its life.
    fn ceremony_alarms(&self) -> (Timestamp, Timestamp) {
        const DAY: Duration = Duration::from_secs(86_400);
        let life = self.next_update.since(self.this_update);
        let before_end = |least: Duration, part: u32| {
            let left = least.max(life / part).min(life / part * 4);
            self.next_update.earlier_by(left)
        };
        (
            before_end(30 * DAY, 4).max(self.this_update + life / 2),
            before_end(7 * DAY, 16),
        )
    }

    fn says(&self, now: Timestamp) -> String {
        if now > self.next_update {
            return format!(
                "it ended {} ago: verifiers refuse what it is about",
                about(now.since(self.next_update))
            );
        }
        format!(
            "it is {} old and ends in {}",
            about(now.since(self.this_update)),
            about(self.next_update.since(now))
        )
    }
}

/// One finding for each list that is not well; if all are, one for all of them.
pub(super) fn of_issuer(
    issuer: &str,
    is_offline: bool,
    published: &[Published],
    wanted: u32,
    now: Timestamp,
) -> Vec<Finding> {
    let (check, remedy) = if is_offline {
        (
            Check::OfflineList,
            "bring the key back for a ceremony and renew the list: portcullis ca root crl NAME",
        )
    } else {
        (
            Check::List,
            "the server's log says why it could not be renewed; when that is mended: portcullis crl publish",
        )
    };
    let mut findings = Vec::new();
    let missing = (0..wanted)
        .filter(|shard| published.iter().all(|list| list.shard != *shard))
        .count();
    if missing > 0 {
        let says = format!("{missing} of its {wanted} lists were never published");
        findings.push(Finding::critical(check, issuer, says, remedy));
    }
    for list in published {
        let alarms = if is_offline {
            list.ceremony_alarms()
        } else {
            list.alarms()
        };
        let subject = if published.len() == 1 {
            issuer.to_owned()
        } else {
            format!("{issuer}/{}", list.shard)
        };
        let finding = Finding::by_moment(check, &subject, now, alarms, list.says(now), remedy);
        if finding.remedy.is_some() {
            findings.push(finding);
        }
    }
    if findings.is_empty() && !published.is_empty() {
        let next = published.iter().map(|list| list.next_update).min();
        let left = next.map_or(Duration::ZERO, |next| next.since(now));
        let says = match published.len() {
            1 => format!("its list is good for another {}", about(left)),
            count => format!("its {count} lists are good for another {}", about(left)),
        };
        findings.push(Finding::ok(check, issuer, says));
    }
    findings
}

/// A list that can't be made anew: what is revoked meanwhile is on no list.
pub(super) fn publishing(subject: &str, since: Timestamp, what: &str, now: Timestamp) -> Finding {
    const GRAVE: Duration = Duration::from_secs(4 * 3600);
    Finding::by_moment(
        Check::ListPublishing,
        subject,
        now,
        (since.min(now), since + GRAVE),
        format!("for {} it can't be made: {what}", about(now.since(since))),
        "the gate and OCSP know what was revoked; whoever reads lists does not until this is mended",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::doctor::Severity;

    /// Let's Encrypt 2023: eleven days stale, and nobody knew. Whatever a list's life, the alarms come before its end.
    #[test]
    fn a_list_that_is_not_renewed_is_a_warning_then_critical_and_only_then_stale() {
        const MINUTE: u64 = 60;
        const DAY: u64 = 86_400;
        for is_offline in [false, true] {
            for life in [MINUTE, 10 * MINUTE, 3600, DAY, 7 * DAY, 60 * DAY, 400 * DAY] {
                let made = Timestamp::from_unix_seconds(1_800_000_000);
                let list = Published {
                    shard: 0,
                    this_update: made,
                    next_update: made + Duration::from_secs(life),
                };
                let severity = |at: Duration| {
                    let findings = of_issuer("ca", is_offline, &[list], 1, made + at);
                    assert_eq!(findings.len(), 1);
                    findings[0].severity
                };
                // In 200 steps through nextUpdate and beyond.
                let steps: Vec<Severity> = (0..=220)
                    .map(|step| severity(Duration::from_secs(life) * step / 200))
                    .collect();
                let what = format!("offline {is_offline}, life {life} s");
                assert!(steps.is_sorted(), "{what}");
                let first = |wanted| {
                    let found = steps.iter().position(|severity| *severity == wanted);
                    found.unwrap_or_else(|| panic!("{what}: never {wanted}"))
                };
                assert!(
                    first(Severity::Warning) >= 100,
                    "{what}: not before it is due"
                );
                assert!(
                    first(Severity::Warning) < first(Severity::Critical),
                    "{what}"
                );
                // At least a sixteenth of its life is left.
                assert!(first(Severity::Critical) <= 188, "{what}");
            }
        }
    }

    #[test]
    fn a_ceremony_is_called_for_weeks_before_the_list_ends() {
        let made = Timestamp::from_unix_seconds(1_800_000_000);
        let day = |days: u64| Duration::from_secs(86_400 * days);
        let list = |life| Published {
            shard: 0,
            this_update: made,
            next_update: made + day(life),
        };
        for (life, warning, critical) in [(400, 300, 375), (90, 60, 83)] {
            let (warning_at, critical_at) = list(life).ceremony_alarms();
            assert_eq!(
                (warning_at, critical_at),
                (made + day(warning), made + day(critical)),
                "{life} days"
            );
        }
    }

    #[test]
    fn a_list_that_cannot_be_made_is_told_at_once() {
        let since = Timestamp::from_unix_seconds(1_800_000_000);
        for (hours, severity) in [
            (0, Severity::Warning),
            (3, Severity::Warning),
            (4, Severity::Critical),
        ] {
            let now = since + Duration::from_secs(3600 * hours);
            assert_eq!(publishing("ca/0", since, "no", now).severity, severity);
        }
    }

    #[test]
    fn the_lists_that_are_not_well_are_named() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let hours = |hours: u64| Duration::from_secs(3600 * hours);
        let list = |shard, age| Published {
            shard,
            this_update: now.earlier_by(hours(age)),
            next_update: now.earlier_by(hours(age)) + hours(24),
        };
        let subjects = |lists: &[Published]| -> Vec<(String, Severity)> {
            of_issuer("ca", false, lists, 2, now)
                .into_iter()
                .map(|finding| (finding.subject, finding.severity))
                .collect()
        };
        assert_eq!(
            subjects(&[list(0, 1), list(1, 14), list(2, 25)]),
            [
                ("ca/1".to_owned(), Severity::Warning),
                ("ca/2".to_owned(), Severity::Critical)
            ]
        );
        assert_eq!(
            subjects(&[list(0, 1), list(1, 2)]),
            [("ca".to_owned(), Severity::Ok)]
        );
        for lists in [&[][..], &[list(0, 1)]] {
            assert_eq!(
                subjects(lists),
                [("ca".to_owned(), Severity::Critical)],
                "a shard without a list"
            );
        }
    }
}
