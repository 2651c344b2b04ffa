//! What the doctor says: a check, how bad it is, what is wrong, what to do.

use std::fmt;

use crate::domain::Timestamp;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// All is well.
    Ok,
    /// It will go wrong if nobody does anything; there is time.
    Warning,
    /// It is wrong, or will be before long.
    Critical,
}

impl Severity {
    /// Every severity, the mildest first.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Warning, Self::Critical];

    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// 0, 1 or 2: in the metric, and as the exit code of `portcullis doctor`.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// A CA's certificate ends.
    CaExpiry,
    /// Where a CA's key is, and whether it is sealed.
    CaKey,
    /// A root has issued leaves.
    RootLeaves,
    /// A list was not renewed when it should have been, or is not there.
    List,
    /// A list can't be made anew, whatever is revoked meanwhile.
    ListPublishing,
    /// The list of a root whose key is offline ends.
    OfflineList,
    /// An OCSP responder's certificate was not renewed.
    OcspResponder,
    /// This server's own certificate was not renewed.
    ServerCertificate,
    /// The clock contradicts what was recorded.
    Clock,
    /// The audit trail was not signed lately.
    AuditCheckpoint,
    /// What shows a database that was rolled back is not kept.
    HighWater,
    /// The store holds more than it was measured with.
    CertificateCount,
    /// The store can't be read.
    Store,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 13] = [
        Self::CaExpiry,
        Self::CaKey,
        Self::RootLeaves,
        Self::List,
        Self::ListPublishing,
        Self::OfflineList,
        Self::OcspResponder,
        Self::ServerCertificate,
        Self::Clock,
        Self::AuditCheckpoint,
        Self::HighWater,
        Self::CertificateCount,
        Self::Store,
    ];

    /// The name in output, metrics and the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CaExpiry => "ca-expiry",
            Self::CaKey => "ca-key",
            Self::RootLeaves => "root-leaves",
            Self::List => "list",
            Self::ListPublishing => "list-publishing",
            Self::OfflineList => "offline-list",
            Self::OcspResponder => "ocsp-responder",
            Self::ServerCertificate => "server-certificate",
            Self::Clock => "clock",
            Self::AuditCheckpoint => "audit-checkpoint",
            Self::HighWater => "high-water",
            Self::CertificateCount => "certificate-count",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a check found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was examined.
    pub check: Check,
    /// Of which issuer or list; empty where there is only one.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is so.
    pub says: String,
    /// What to do, where something could be done.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: Check, subject: &str, says: String) -> Self {
        Self {
            check,
            subject: subject.to_owned(),
            severity: Severity::Ok,
            says,
            remedy: None,
        }
    }

    pub(super) fn warning(check: Check, subject: &str, says: String, remedy: &str) -> Self {
        Self {
            severity: Severity::Warning,
            remedy: Some(remedy.to_owned()),
            ..Self::ok(check, subject, says)
        }
    }

    pub(super) fn critical(check: Check, subject: &str, says: String, remedy: &str) -> Self {
        Self {
            severity: Severity::Critical,
            ..Self::warning(check, subject, says, remedy)
        }
    }

    /// Warning or critical by the moment: with the time at which each begins.
    pub(super) fn by_moment(
        check: Check,
        subject: &str,
        now: Timestamp,
        (warning_at, critical_at): (Timestamp, Timestamp),
        says: String,
        remedy: &str,
    ) -> Self {
        if now >= critical_at {
            Self::critical(check, subject, says, remedy)
        } else if now >= warning_at {
            Self::warning(check, subject, says, remedy)
        } else {
            Self::ok(check, subject, says)
        }
    }
}

/// An examination: every check's findings, the worst first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// When it was made.
    pub at: Timestamp,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(at: Timestamp, mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.check, finding.subject.clone());
            b.severity
                .cmp(&a.severity)
                .then_with(|| key(a).cmp(&key(b)))
        });
        Self { at, findings }
    }

    /// The worst that was found.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.worst(|_| true)
    }

    /// The worst that a check found.
    #[must_use]
    pub fn severity_of(&self, check: Check) -> Severity {
        self.worst(|finding| finding.check == check)
    }

    fn worst(&self, of: impl Fn(&Finding) -> bool) -> Severity {
        self.findings
            .iter()
            .filter(|finding| of(finding))
            .map(|finding| finding.severity)
            .max()
            .unwrap_or(Severity::Ok)
    }
}

/// A length of time for people: `3 days`, `5 h`, `12 min`, `40 s`.
pub(super) fn about(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        172_800.. => format!("{} days", seconds / 86_400),
    }
}
