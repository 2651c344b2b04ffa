//! The doctor: what is about to go wrong, told while there is time. Checks are functions of facts and a moment; this file
//! gathers the facts, and watches.
//!
//! To add a check: its name in [`Check`], a function in the file of its noun, a line in [`Authority::examine`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Authority, Issuer};
use crate::domain::{
    Timestamp,
    issuer::{IssuerState, KeyPlace},
};

mod finding;
mod issuer;
mod list;
mod record;
mod renewal;

pub use finding::{Check, Finding, Report, Severity};

/// From when on the doctor speaks up, where that is a matter of taste.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoctorSettings {
    /// How many certificates the store may hold; more than that were never measured.
    pub certificates: u64,
}

impl Default for DoctorSettings {
    fn default() -> Self {
        Self {
            certificates: 10_000_000,
        }
    }
}

impl Authority {
    /// Examines everything.
    pub async fn examine(&self) -> Report {
        let now = self.now();
        let mut findings = Vec::new();
        self.examine_issuers(now, &mut findings);
        self.examine_lists(now, &mut findings);
        self.examine_own_certificates(now, &mut findings);
        let kept = *self.inner.mark_kept.lock();
        findings.extend(kept.map(|kept| record::high_water(now, kept)));
        let not_leaves = self
            .profiles()
            .iter()
            .filter(|(_, profile)| !profile.kind.is_named())
            .map(|(name, _)| name.to_string())
            .collect();
        match self.store().health(not_leaves).await {
            Ok(health) => {
                findings.push(record::clock(now, health.newest_record, self.beginnings()));
                findings.push(record::checkpoint(
                    now,
                    self.inner.started_at,
                    &health.trail,
                ));
                findings.push(record::certificate_count(
                    health.certificates,
                    self.inner.parts.doctor.certificates,
                ));
                let issuers = self.issuers();
                for (issuer, leaves) in &health.newest_leaves {
                    let root = issuers
                        .by_id(issuer)
                        .filter(|issuer| issuer.record.is_root());
                    findings.extend(root.map(|root| issuer::root_leaves(root.name(), *leaves)));
                }
            }
            Err(error) => findings.push(Finding::critical(
                Check::Store,
                "",
                format!("the store can't be read: {error}"),
                "look at its disk and at the server's log; nothing can be issued or revoked",
            )),
        }
        let report = Report::new(now, findings);
        self.inner.report.store(Some(Arc::new(report.clone())));
        report
    }

    /// What the last examination found; nothing before the first.
    #[must_use]
    pub fn last_report(&self) -> Option<Arc<Report>> {
        self.inner.report.load_full()
    }

    /// Says that the high-water mark was kept at this moment: `app` keeps it.
    pub fn mark_was_kept(&self) {
        *self.inner.mark_kept.lock() = Some(self.now());
    }

    fn examine_issuers(&self, now: Timestamp, findings: &mut Vec<Finding>) {
        let longest_leaf = self
            .profiles()
            .iter()
            .filter(|(_, profile)| profile.kind.is_named())
            .map(|(_, profile)| profile.lifetime)
            .max()
            .unwrap_or_default();
        for issuer in self.issuers().standing() {
            let life = issuer::Life {
                is_root: issuer.record.is_root(),
                is_on_its_way_out: issuer.state() == IssuerState::Retiring,
                not_before: Timestamp::from_unix_seconds(issuer.certificate.not_before()),
                not_after: Timestamp::from_unix_seconds(issuer.certificate.not_after()),
            };
            findings.push(issuer::expiry(issuer.name(), life, longest_leaf, now));
            let open = self.inner.parts.ca_keys.is_open_on_disk(&issuer.record.key);
            findings.push(issuer::key(
                issuer.name(),
                issuer.record.is_root(),
                &issuer.record.key,
                open,
            ));
        }
    }

    fn examine_lists(&self, now: Timestamp, findings: &mut Vec<Finding>) {
        let lists = self.lists();
        let issuers = self.issuers();
        for issuer in issuers.standing() {
            let published: Vec<_> = lists
                .iter()
                .filter(|list| list.issuer == issuer.id())
                .map(|list| list::Published {
                    shard: list.shard,
                    this_update: list.this_update,
                    next_update: list.next_update,
                })
                .collect();
            // A CA that has just been made gets its lists in a moment.
            let is_new = now < issuer.record.state_since + Duration::from_secs(120);
            let wanted = if is_new { 0 } else { issuer.shards() };
            findings.extend(list::of_issuer(
                issuer.name().as_str(),
                issuer.record.key == KeyPlace::Offline,
                &published,
                wanted,
                now,
            ));
        }
        for fault in self.list_faults() {
            let issuer = issuers
                .by_id(&fault.issuer)
                .filter(|issuer| issuer.signer().is_ok());
            findings.extend(issuer.map(|issuer| {
                let subject = format!("{}/{}", issuer.name(), fault.shard);
                list::publishing(&subject, fault.since, &fault.what, now)
            }));
        }
    }

    fn examine_own_certificates(&self, now: Timestamp, findings: &mut Vec<Finding>) {
        if let Some((not_before, not_after)) = *self.inner.own_certificate.lock() {
            findings.push(renewal::server_certificate(not_before, not_after, now));
        }
        let responders = self.ocsp_responders();
        let needs_one = |issuer: &Arc<Issuer>| self.sends_to_responder(issuer);
        for issuer in self.issuers().standing() {
            let validity = responders
                .get(&issuer.id())
                .map(|active| (active.not_before(), active.not_after()));
            if validity.is_some() || needs_one(issuer) {
                findings.push(renewal::ocsp_responder(
                    issuer.name().as_str(),
                    validity,
                    now,
                ));
            }
        }
    }

    /// The moments before which this process's clock can't be right, with their names.
    fn beginnings(&self) -> Vec<(String, Timestamp)> {
        let mut beginnings: Vec<_> = self
            .issuers()
            .standing()
            .map(|issuer| {
                (
                    format!("the certificate of {}", issuer.name()),
                    Timestamp::from_unix_seconds(issuer.certificate.not_before()),
                )
            })
            .collect();
        if let Some((not_before, _)) = *self.inner.own_certificate.lock() {
            beginnings.push(("this server's certificate".to_owned(), not_before));
        }
        beginnings
    }

    /// Examines everything each minute and tells what has become worse, or better, until it is dropped. `app` runs it as
    /// a job.
    pub async fn keep_examined(&self) {
        let mut watch = Watch::default();
        loop {
            watch.look(self).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
}

/// Whoever watches: it remembers what was told.
#[derive(Debug, Default)]
pub struct Watch {
    known: BTreeMap<(Check, String), Severity>,
}

impl Watch {
    /// Examines everything, and tells what has changed since the last look.
    pub async fn look(&mut self, authority: &Authority) -> Report {
        let report = authority.examine().await;
        tell_changes(&mut self.known, &report);
        report
    }
}

/// Logs every change of a severity, with `alarm` where there is something to be done.
fn tell_changes(known: &mut BTreeMap<(Check, String), Severity>, report: &Report) {
    let now: BTreeMap<_, _> = report
        .findings
        .iter()
        .map(|finding| ((finding.check, finding.subject.clone()), finding))
        .collect();
    for (key, finding) in &now {
        let before = known.get(key).copied().unwrap_or(Severity::Ok);
        if before == finding.severity {
            continue;
        }
        let (check, subject) = (finding.check.name(), finding.subject.as_str());
        let (says, remedy) = (&finding.says, finding.remedy.as_deref().unwrap_or(""));
        match finding.severity {
            Severity::Ok => tracing::info!(check, subject, "it is well again: {says}"),
            Severity::Warning => {
                tracing::warn!(
                    alarm = check,
                    subject,
                    severity = "warning",
                    remedy,
                    "{says}"
                );
            }
            Severity::Critical => {
                tracing::error!(
                    alarm = check,
                    subject,
                    severity = "critical",
                    remedy,
                    "{says}"
                );
            }
        }
    }
    for ((check, subject), severity) in known.iter() {
        if *severity != Severity::Ok && !now.contains_key(&(*check, subject.clone())) {
            tracing::info!(check = check.name(), subject, "it is well again");
        }
    }
    *known = now
        .into_iter()
        .map(|(key, finding)| (key, finding.severity))
        .collect();
}
