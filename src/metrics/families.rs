//! The families of metrics, each with its help text and its labels.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{GateFigures, Sources};
use crate::{
    authority::{Check, Severity, TallyReading},
    domain::Timestamp,
};

/// Labels of one metric.
type Labels = Vec<(&'static str, String)>;

/// A value with its labels.
type Sample<T> = (Labels, T);

/// All figures at one moment.
#[derive(Debug)]
pub(super) struct Figures {
    gauges: Vec<(&'static str, &'static str, Vec<Sample<i64>>)>,
    counters: Vec<(&'static str, &'static str, Vec<Sample<u64>>)>,
}

impl Figures {
    pub(super) fn of(sources: &Sources) -> Self {
        let gate = (sources.gate)();
        Self {
            gauges: gauges(sources, &gate),
            counters: counters(&sources.authority.tally(), &gate),
        }
    }
}

fn gauges(
    sources: &Sources,
    gate: &GateFigures,
) -> Vec<(&'static str, &'static str, Vec<Sample<i64>>)> {
    let authority = &sources.authority;
    let now = authority.now();
    let issuers = authority.issuers();
    let until = |moment: Timestamp| seconds(moment) - seconds(now);
    let named = |name: &str| vec![("issuer", name.to_owned())];

    let (mut number, mut age, mut next, mut entries) = (vec![], vec![], vec![], vec![]);
    for list in authority.lists().iter() {
        let Some(issuer) = issuers.by_id(&list.issuer) else {
            continue;
        };
        let mut labels = named(issuer.name().as_str());
        labels.push(("shard", list.shard.to_string()));
        number.push((
            labels.clone(),
            i64::try_from(list.number).unwrap_or(i64::MAX),
        ));
        age.push((labels.clone(), -until(list.this_update)));
        next.push((labels.clone(), until(list.next_update)));
        if let Some(count) = list.entries {
            entries.push((labels, i64::try_from(count).unwrap_or(i64::MAX)));
        }
    }
    let ca = issuers
        .standing()
        .map(|issuer| {
            let mut labels = named(issuer.name().as_str());
            labels.push(("role", issuer.record.role.to_string()));
            labels.push(("state", issuer.state().to_string()));
            let ends = Timestamp::from_unix_seconds(issuer.certificate.not_after());
            (labels, until(ends))
        })
        .collect();
    let responders = authority.ocsp_responders();
    let responders = issuers
        .iter()
        .filter_map(|issuer| {
            let active = responders.get(&issuer.id())?;
            Some((named(issuer.name().as_str()), until(active.not_after())))
        })
        .collect();
    let own = authority.own_certificate_ends();
    let own = own.map(|ends| (vec![], until(ends))).into_iter().collect();
    let report = authority.last_report();
    let checks = Check::ALL
        .into_iter()
        .filter_map(|check| {
            let severity: Severity = report.as_ref()?.severity_of(check);
            let labels = vec![("check", check.to_string())];
            Some((labels, i64::from(severity.number())))
        })
        .collect();
    let epoch = i64::try_from(authority.standing().epoch()).unwrap_or(i64::MAX);
    let connections = i64::try_from(gate.connections).unwrap_or(i64::MAX);
    vec![
        (
            "list_number",
            "Number of the revocation list last published",
            number,
        ),
        (
            "list_age_seconds",
            "Seconds since the list's thisUpdate",
            age,
        ),
        (
            "list_next_update_seconds",
            "Seconds to the list's nextUpdate; negative once it is stale",
            next,
        ),
        (
            "list_entries",
            "Entries on the list; missing until this process has made one",
            entries,
        ),
        (
            "ca_certificate_expiry_seconds",
            "Seconds to the CA certificate's notAfter",
            ca,
        ),
        (
            "server_certificate_expiry_seconds",
            "Seconds to the notAfter of this server's own certificate",
            own,
        ),
        (
            "ocsp_responder_expiry_seconds",
            "Seconds to the notAfter of the OCSP responder's certificate",
            responders,
        ),
        (
            "standing_epoch",
            "Number of the last trust event that decisions are made by",
            vec![(vec![], epoch)],
        ),
        (
            "incidents_open",
            "Incidents for which certificates are to be renewed early",
            vec![(
                vec![],
                i64::try_from(authority.open_incidents().len()).unwrap_or(i64::MAX),
            )],
        ),
        (
            "check",
            "What the doctor found: 0 ok, 1 warning, 2 critical",
            checks,
        ),
        (
            "gate_connections",
            "Connections of the gate that are open",
            vec![(vec![], connections)],
        ),
    ]
}

fn counters(
    tally: &TallyReading,
    gate: &GateFigures,
) -> Vec<(&'static str, &'static str, Vec<Sample<u64>>)> {
    let by = |label: &'static str, counts: &std::collections::BTreeMap<String, u64>| {
        counts
            .iter()
            .map(|(name, count)| (vec![(label, name.clone())], *count))
            .collect()
    };
    let denials = gate
        .denials
        .iter()
        .map(|(name, count)| (vec![("type", (*name).to_owned())], *count))
        .collect();
    let failures = ["lint", "signer", "store"]
        .map(|name| {
            let count = tally.failures.get(name).copied().unwrap_or(0);
            (vec![("of", name.to_owned())], count)
        })
        .to_vec();
    let one = |count: Option<u64>| {
        count
            .map(|count| (Vec::new(), count))
            .into_iter()
            .collect::<Vec<_>>()
    };
    let decisions = gate.decisions;
    vec![
        (
            "certificates_issued",
            "Certificates issued since the start",
            by("profile", &tally.issued),
        ),
        (
            "certificates_revoked",
            "Certificates revoked since the start",
            by("reason", &tally.revoked),
        ),
        (
            "ocsp_answers",
            "Answers to OCSP requests since the start",
            by("status", &tally.ocsp),
        ),
        (
            "acme_rate_limited",
            "Requests to the ACME server that were refused because a limit was reached",
            by("limit", &tally.rate_limited),
        ),
        (
            "failures",
            "What the linter refused, and failures of signers and of the store",
            failures,
        ),
        (
            "gate_permits",
            "Requests that the gate let through",
            one(Some(gate.permits)),
        ),
        ("gate_denials", "Requests that the gate refused", denials),
        (
            "gate_decisions_written",
            "Decisions that were written to their log",
            one(decisions.map(|it| it.written)),
        ),
        (
            "gate_decisions_dropped",
            "Decisions that are not in their log, because the queue was full",
            one(decisions.map(|it| it.dropped)),
        ),
        (
            "gate_decisions_failed",
            "Decisions that are not in their log, because it could not be written",
            one(decisions.map(|it| it.failed)),
        ),
    ]
}

fn seconds(moment: Timestamp) -> i64 {
    moment.unix_seconds()
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, samples) in &self.gauges {
            each(
                &mut encoder,
                name,
                help,
                MetricType::Gauge,
                samples,
                |mut metric, value| metric.encode_gauge(value),
            )?;
        }
        for (name, help, samples) in &self.counters {
            each(
                &mut encoder,
                name,
                help,
                MetricType::Counter,
                samples,
                |mut metric, value| metric.encode_counter::<NoLabelSet, _, u64>(value, None),
            )?;
        }
        Ok(())
    }
}

/// Writes a family, if it has a sample.
fn each<T>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    samples: &[Sample<T>],
    write: impl Fn(MetricEncoder<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if samples.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    if let [(labels, value)] = samples
        && labels.is_empty()
    {
        return write(family, value);
    }
    for (labels, value) in samples {
        write(family.encode_family(labels)?, value)?;
    }
    Ok(())
}
