//! When to renew the certificate, and when to ask the server about it (RFC 9773 sections 4.2 and 4.3). The server's word
//! counts where it gives one; without it the device has a rule of its own, and with or without it a certificate is renewed
//! before it ends.

use std::time::Duration;

use time::OffsetDateTime;

use super::{
    certificate::Certificate,
    random::random,
    renewal::{ask_after_failure, latest, not_again_before, part_of, renewal_time},
    renewal_info::RenewalInfo,
};

/// What is known about when to renew one certificate.
#[derive(Debug, Default)]
pub struct Schedule {
    /// Which one, by its SHA-256.
    certificate: Option<[u8; 32]>,
    info: Option<RenewalInfo>,
    ask_at: Option<OffsetDateTime>,
    failures: u32,
    /// When this process renewed last.
    renewed_at: Option<OffsetDateTime>,
}

impl Schedule {
    /// From here on it is about `certificate`. If it was about another one, what is known is what was `kept`.
    pub fn follow(
        &mut self,
        certificate: &Certificate,
        kept: impl FnOnce() -> Option<RenewalInfo>,
    ) {
        let this = Some(certificate.sha256());
        if self.certificate != this {
            let info = kept();
            *self = Self {
                certificate: this,
                ask_at: info.as_ref().map(|info| info.ask_again_at),
                info,
                failures: 0,
                renewed_at: self.renewed_at,
            };
        }
    }

    /// Whether to ask now. Nobody asks about a certificate that has expired (RFC 9773 section 4.3.3). A moment that lies
    /// further ahead than any wait was set before the clock was.
    #[must_use]
    pub fn is_to_ask(&self, certificate: &Certificate, now: OffsetDateTime) -> bool {
        now <= certificate.not_after()
            && self
                .ask_at
                .is_none_or(|at| at <= now || at - now > time::Duration::DAY)
    }

    /// The server has answered; with nothing, if it does not say when to renew. The answer is whether that is news.
    pub fn answered(&mut self, info: Option<RenewalInfo>, now: OffsetDateTime) -> bool {
        let told = |info: &Option<RenewalInfo>| {
            info.as_ref()
                .map(|it| (it.start, it.end, it.explanation_url.clone()))
        };
        let news = told(&info) != told(&self.info);
        self.ask_at = Some(
            info.as_ref()
                .map_or(now + Duration::from_secs(86_400), |info| info.ask_again_at),
        );
        self.failures = 0;
        self.info = info;
        news
    }

    /// It could not be asked: what it said before still counts. The answer is when to ask again.
    pub fn failed(
        &mut self,
        certificate: &Certificate,
        may_pass: bool,
        retry_after: Option<Duration>,
        now: OffsetDateTime,
    ) -> OffsetDateTime {
        let life = certificate.not_after() - certificate.not_before();
        let wait = ask_after_failure(
            life,
            may_pass.then_some(self.failures),
            retry_after,
            random(),
        );
        self.failures = self.failures.saturating_add(1);
        let next = now + wait;
        self.ask_at = Some(next);
        next
    }

    /// The certificate was renewed.
    pub const fn renewed(&mut self, now: OffsetDateTime) {
        self.renewed_at = Some(now);
    }

    /// When to renew `certificate`.
    #[must_use]
    pub fn due(&self, certificate: &Certificate) -> OffsetDateTime {
        due(certificate, self.info.as_ref(), self.renewed_at)
    }

    /// When there is something to do next, if the certificate is due at `due`.
    #[must_use]
    pub fn next(&self, due: OffsetDateTime) -> OffsetDateTime {
        self.ask_at.map_or(due, |ask_at| ask_at.min(due))
    }
}

/// When a certificate is to be renewed: at a moment in the server's window, else by the device's own rule. Both moments come
/// from the certificate itself, so that every run comes to the same answer, and devices to different ones.
///
/// A window may bring the renewal forward to at once; but who renewed at `renewed_at` does not renew for it again at once,
/// or a server that always says so would be asked for one certificate after the other. And no window puts it off until the
/// certificate has ended.
#[must_use]
pub fn due(
    certificate: &Certificate,
    info: Option<&RenewalInfo>,
    renewed_at: Option<OffsetDateTime>,
) -> OffsetDateTime {
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    let sha256 = certificate.sha256();
    let random = |at: usize| {
        let mut octets = [0; 8];
        octets.copy_from_slice(&sha256[at..at + 8]);
        u64::from_be_bytes(octets)
    };
    let own = renewal_time(not_before, not_after, random(0));
    let Some(info) = info else {
        return own;
    };
    let selected = info.start + part_of(info.end - info.start, random(8));
    if selected >= own {
        return selected.min(latest(not_before, not_after)).max(own);
    }
    let again = renewed_at.map(|at| not_again_before(not_after - not_before, at));
    again.map_or(selected, |again| selected.max(again)).min(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::CertificateDer;
    use time::macros::datetime;

    const BEGIN: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);

    /// One that lives for a day.
    fn certificate() -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        parameters.not_before = BEGIN;
        parameters.not_after = BEGIN + time::Duration::DAY;
        let der = parameters.self_signed(&key).unwrap().der().to_vec();
        Certificate::from_der(CertificateDer::from(der)).unwrap()
    }

    fn hours(hours: i64) -> OffsetDateTime {
        BEGIN + time::Duration::hours(hours)
    }

    fn info(start: i64, end: i64) -> RenewalInfo {
        RenewalInfo {
            certificate: String::new(),
            start: hours(start),
            end: hours(end),
            explanation_url: None,
            asked_at: BEGIN,
            ask_again_at: hours(1),
        }
    }

    #[test]
    fn the_moment_lies_in_the_window_and_devices_spread_over_it() {
        let window = info(2, 10);
        let moments: Vec<_> = (0..200)
            .map(|_| due(&certificate(), Some(&window), None))
            .collect();
        assert!(moments.iter().all(|it| (hours(2)..=hours(10)).contains(it)));
        for quarter in 0..4 {
            let (from, until) = (hours(2 + quarter * 2), hours(4 + quarter * 2));
            let count = moments
                .iter()
                .filter(|it| (from..until).contains(*it))
                .count();
            assert!((20..=90).contains(&count), "{count} from {from}");
        }
        let one = certificate();
        assert_eq!(
            due(&one, Some(&window), None),
            due(&one, Some(&window), None)
        );
    }

    #[test]
    fn a_window_in_the_past_is_at_once_and_never_one_renewal_after_the_other() {
        let it = certificate();
        let past = info(-2, -1);
        let own = due(&it, None, None);
        assert!(due(&it, Some(&past), None) < BEGIN);
        // Renewed a moment ago, and told to renew again.
        let again = due(&it, Some(&past), Some(hours(1)));
        assert_eq!(again, hours(1) + time::Duration::minutes(30));
        // But never later than without the server.
        assert_eq!(due(&it, Some(&past), Some(hours(23))), own);
    }

    #[test]
    fn no_window_puts_a_renewal_off_until_the_certificate_has_ended() {
        let it = certificate();
        let moment = due(&it, Some(&info(24 * 365, 24 * 366)), None);
        assert!(moment < hours(23), "{moment}");
        assert!(moment > due(&it, None, None));
    }

    #[test]
    fn the_server_is_asked_again_when_it_said_and_not_about_what_has_expired() {
        let it = certificate();
        let mut schedule = Schedule::default();
        schedule.follow(&it, || None);
        assert!(schedule.is_to_ask(&it, BEGIN));
        assert!(schedule.answered(Some(info(2, 10)), BEGIN), "news");
        assert!(!schedule.answered(Some(info(2, 10)), BEGIN), "no news");
        for (now, ask) in [
            (BEGIN, false),
            (hours(1), true),
            (hours(24), true),
            (hours(25), false),
            // The clock was set back by a week.
            (hours(-7 * 24), true),
        ] {
            assert_eq!(schedule.is_to_ask(&it, now), ask, "{now}");
        }
        // A failure leaves what was said in force.
        let next = schedule.failed(&it, true, None, hours(1));
        assert!(next > hours(1) && next <= hours(2));
        assert!((hours(2)..=hours(10)).contains(&schedule.due(&it)));
        // Another certificate has nothing of it.
        let other = certificate();
        schedule.follow(&other, || None);
        assert!(schedule.is_to_ask(&other, hours(1)));
        assert_eq!(schedule.due(&other), due(&other, None, None));
    }
}
