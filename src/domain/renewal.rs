//! When a certificate is to be renewed (RFC 9773 section 4.2): a pure function of the certificate, the incident that
//! reaches it, and the moment. Whoever enrolled together does not renew together: each certificate has a share of its own,
//! taken from its serial, that stays the same whenever it is asked for.

use std::time::Duration;

use aws_lc_rs::digest;
use portcullis_ca::serial::Serial;

use super::{Timestamp, certificate::CertificateRecord, incident::Incident};

/// No client is told to ask more often: agents take a minute where they are told less (RFC 9773 section 4.3.2).
const SHORTEST_RETRY: Duration = Duration::from_secs(60);
/// No client is told to ask less often, so that an incident is heard of within a working day.
const LONGEST_RETRY: Duration = Duration::from_secs(6 * 3600);
/// The end lies after the start (RFC 9773 section 4.2), and both are whole seconds.
const NARROWEST: Duration = Duration::from_secs(1);

/// What is asked about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewable {
    /// Its serial.
    pub serial: Serial,
    /// The first moment of its validity.
    pub not_before: Timestamp,
    /// The last.
    pub not_after: Timestamp,
    /// Since when nobody takes it any more: it is revoked, or its issuer is retired.
    pub refused_since: Option<Timestamp>,
}

impl From<&CertificateRecord> for Renewable {
    fn from(record: &CertificateRecord) -> Self {
        Self {
            serial: record.serial,
            not_before: record.not_before,
            not_after: record.not_after,
            refused_since: record.revocation.map(|revocation| revocation.at),
        }
    }
}

/// Between when and when to renew: whole seconds, the end after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first moment.
    pub start: Timestamp,
    /// The last.
    pub end: Timestamp,
}

/// When to renew, why, and when to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalInfo {
    /// Between when and when.
    pub window: Window,
    /// Where people read why the window is what it is.
    pub explanation_url: Option<String>,
    /// When to ask again.
    pub retry_after: Duration,
}

/// When a certificate is to be renewed, as of a moment. `incident` is the open one that reaches it, if one does.
///
/// Usually the window lies around two thirds of the lifetime. One that nobody takes any more, or that an incident
/// reaches, has a window that ends with that, or earlier if it was due earlier; an expired one's is over anyway.
#[must_use]
pub fn renewal_info(of: &Renewable, incident: Option<&Incident>, now: Timestamp) -> RenewalInfo {
    let life = of.not_after.since(of.not_before);
    let refused = of.refused_since.map(|at| Window::that_ended(at, life));
    let reached = incident.map(|incident| {
        let after = share(incident.within, fraction(&of.serial));
        Window::that_ended(incident.opened_at + after, life)
    });
    let window =
        [refused, reached]
            .into_iter()
            .flatten()
            .fold(usual(of, life), |earliest, window| {
                if window.end < earliest.end {
                    window
                } else {
                    earliest
                }
            });
    RenewalInfo {
        window,
        explanation_url: incident.and_then(|incident| incident.explanation_url.clone()),
        retry_after: retry_after(life, window, now),
    }
}

/// A thirtieth of the lifetime wide, and beginning between nine and ten and a half fifteenths of it: all windows lie
/// between 60 % and 73.4 %, and their middle is two thirds.
fn usual(of: &Renewable, life: Duration) -> Window {
    let start = of.not_before + life / 15 * 9 + share(life / 10, fraction(&of.serial));
    Window::from(start, life / 30)
}

impl Window {
    fn from(start: Timestamp, width: Duration) -> Self {
        let start = start.whole_seconds();
        Self {
            start,
            end: (start + width.max(NARROWEST)).whole_seconds(),
        }
    }

    /// One that is over at a moment.
    fn that_ended(at: Timestamp, life: Duration) -> Self {
        let end = at.whole_seconds();
        let width = (life / 30).clamp(NARROWEST, Duration::from_secs(3600));
        Self {
            start: end.earlier_by(width).whole_seconds(),
            end,
        }
    }
}

/// A twenty-fourth of the lifetime, within bounds. Shortly before the window it is the window's beginning: what is said then
/// counts most.
fn retry_after(life: Duration, window: Window, now: Timestamp) -> Duration {
    let usual = (life / 24).clamp(SHORTEST_RETRY, LONGEST_RETRY);
    if now < window.start {
        usual.min(window.start.since(now)).max(SHORTEST_RETRY)
    } else {
        (usual / 4).max(SHORTEST_RETRY)
    }
}

/// A certificate's share of whatever is spread over all of them, as a fraction of 2^64: it does not change, and tells
/// nothing of anybody else's.
fn fraction(serial: &Serial) -> u64 {
    let hash = digest::digest(&digest::SHA256, serial.significant_octets());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_ref()[..8]);
    u64::from_be_bytes(first)
}

fn share(of: Duration, fraction: u64) -> Duration {
    let millis = (of.as_millis() * u128::from(fraction)) >> 64;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::Reach;
    use proptest::prelude::*;

    const BEGIN: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const DAY: u64 = 86_400;

    fn serial(number: u64) -> Serial {
        Serial::from_der_integer(&(u128::from(number) + (1 << 100)).to_be_bytes()).unwrap()
    }

    fn certificate(number: u64, life: u64) -> Renewable {
        Renewable {
            serial: serial(number),
            not_before: BEGIN,
            not_after: BEGIN + Duration::from_secs(life),
            refused_since: None,
        }
    }

    fn incident(opened: Timestamp, within: u64) -> Incident {
        Incident {
            number: 1,
            reach: Reach::issued_before(opened),
            reason: "the issuer's key".to_owned(),
            explanation_url: Some("https://ca.example/incidents/1".to_owned()),
            within: Duration::from_secs(within),
            opened_at: opened,
            opened_by: "user:local/0".to_owned(),
            closed_at: None,
        }
    }

    fn seconds(window: Window) -> (i64, i64) {
        let since = |at: Timestamp| at.unix_seconds() - BEGIN.unix_seconds();
        (since(window.start), since(window.end))
    }

    #[test]
    fn a_thousand_devices_that_enrolled_in_one_minute_renew_over_hours() {
        // Serials that follow one another, and random ones, alike.
        for step in [1, 0x9e37_79b9_7f4a_7c15] {
            let starts: Vec<i64> = (0..1000_u64)
                .map(|number| {
                    let mut it = certificate(number.wrapping_mul(step), DAY);
                    it.not_before = BEGIN + Duration::from_millis(number * 60);
                    it.not_after = it.not_before + Duration::from_secs(DAY);
                    seconds(renewal_info(&it, None, BEGIN).window).0
                })
                .collect();
            // The windows begin over 2.4 hours: 144 minutes, seven certificates each.
            let (first, last) = (*starts.iter().min().unwrap(), *starts.iter().max().unwrap());
            assert!(last - first > 2 * 3600, "{first} to {last}");
            let mut minutes = std::collections::BTreeMap::<i64, usize>::new();
            for start in &starts {
                *minutes.entry(start / 60).or_default() += 1;
            }
            let most = minutes.values().max().copied().unwrap();
            assert!(most <= 25, "{most} in one minute");
            assert!(minutes.len() > 130, "{} minutes", minutes.len());
            // Alike in all tenths of the time.
            let mut tenths = [0; 10];
            for start in &starts {
                let tenth = (start - first) * 10 / (last - first + 1);
                tenths[usize::try_from(tenth).unwrap()] += 1;
            }
            assert!(
                tenths.iter().all(|it| (60..=140).contains(it)),
                "{tenths:?}"
            );
        }
    }

    #[test]
    fn an_incident_is_spread_over_the_time_that_was_stated() {
        let opened = BEGIN + Duration::from_secs(1000);
        let ends = |within| -> Vec<i64> {
            let incident = incident(opened, within);
            (0..1000)
                .map(|it| renewal_info(&certificate(it, DAY), Some(&incident), opened).window)
                .map(|window| seconds(window).1 - 1000)
                .collect()
        };
        assert!(ends(0).iter().all(|end| *end == 0), "at once means at once");
        let hour = ends(3600);
        assert!(hour.iter().all(|end| (0..=3600).contains(end)));
        for quarter in 0..4 {
            let count = hour.iter().filter(|end| **end / 900 == quarter).count();
            assert!((190..=310).contains(&count), "{count} in quarter {quarter}");
        }
    }

    #[test]
    fn windows_fit_every_lifetime_and_a_client_is_told_when_to_ask_again() {
        // Lifetime; how long after a client that asks at once is told to ask again.
        for (life, retry) in [
            (60, 60),
            (300, 60),
            (3600, 150),
            (DAY, 3600),
            (7 * DAY, 6 * 3600),
            (90 * DAY, 6 * 3600),
        ] {
            let it = certificate(7, life);
            let info = renewal_info(&it, None, BEGIN);
            assert_eq!(info.retry_after.as_secs(), retry, "{life}");
            let (start, end) = seconds(info.window);
            let life = i64::try_from(life).unwrap();
            assert!(
                start >= life * 3 / 5 - 1 && end <= life * 11 / 15 + 2,
                "{life}"
            );
            // Just before the window begins, it is worth asking when it does.
            let before = info.window.start.earlier_by(Duration::from_secs(70));
            if before > BEGIN {
                let later = renewal_info(&it, None, before);
                assert!(later.retry_after <= Duration::from_secs(70), "{life}");
            }
        }
    }

    #[test]
    fn what_is_revoked_or_reached_by_an_incident_is_due_at_once() {
        let now = BEGIN + Duration::from_secs(3600);
        let at = now.earlier_by(Duration::from_secs(10));
        let good = certificate(1, DAY);
        let revoked = Renewable {
            refused_since: Some(at),
            ..good
        };
        let reached = incident(at, 0);
        let late = incident(good.not_after.earlier_by(Duration::from_secs(10)), 0);
        let usual = renewal_info(&good, None, now).window;
        for (what, info, end) in [
            ("revoked", renewal_info(&revoked, None, now), at),
            ("reached", renewal_info(&good, Some(&reached), now), at),
            ("both", renewal_info(&revoked, Some(&reached), now), at),
            (
                "due before the incident began",
                renewal_info(&good, Some(&late), now),
                usual.end,
            ),
        ] {
            assert_eq!(info.window.end, end, "{what}");
            assert!(info.window.start < info.window.end, "{what}");
        }
        assert!(usual.start > now);
        assert_eq!(
            renewal_info(&good, Some(&reached), now).explanation_url,
            reached.explanation_url
        );
        assert_eq!(renewal_info(&revoked, None, now).explanation_url, None);
        let over = good.not_after + Duration::from_secs(DAY);
        assert!(renewal_info(&good, None, over).window.end < good.not_after);
    }

    proptest! {
        #[test]
        fn every_window_ends_after_it_starts_within_the_lifetime_and_is_always_the_same(
            number: u64,
            life in 2_u64..400 * 86_400,
            asked in 0_u64..800 * 86_400,
            revoked in proptest::option::of(0_u64..400 * 86_400),
            within in 0_u64..86_400,
            opened in proptest::option::of(0_u64..400 * 86_400),
        ) {
            let after = |seconds| BEGIN + Duration::from_secs(seconds);
            let it = Renewable { refused_since: revoked.map(after), ..certificate(number, life) };
            let incident = opened.map(|at| incident(after(at), within));
            let info = renewal_info(&it, incident.as_ref(), after(asked));
            prop_assert!(info.window.start < info.window.end);
            prop_assert!(info.window.end <= it.not_after);
            prop_assert!(info.retry_after >= SHORTEST_RETRY && info.retry_after <= LONGEST_RETRY);
            prop_assert_eq!(info.window, renewal_info(&it, incident.as_ref(), BEGIN).window);
            if let Some(at) = it.refused_since {
                prop_assert!(info.window.end <= at);
            }
            if let Some(incident) = &incident {
                prop_assert!(info.window.end <= incident.opened_at + incident.within);
            }
            if it.refused_since.is_none() && incident.is_none() {
                prop_assert!(info.window.start >= it.not_before);
                let share = info.window.start.since(it.not_before).as_secs_f64() / life as f64;
                prop_assert!(share <= 0.7001, "{}", share);
            }
        }
    }
}
