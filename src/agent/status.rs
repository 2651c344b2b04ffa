//! What the device has, told to people and to programs.

use std::{fmt, path::Path};

use serde::Serialize;
use time::OffsetDateTime;

use super::{
    certificate::Certificate,
    failure::{Failure, Failures},
    moment::rfc3339,
    renewal_info::RenewalInfo,
    schedule,
    state::{StateDirectory, StateError},
};

/// Whether the certificate can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It is valid, and not due for renewal.
    Fresh,
    /// It is valid, and due for renewal.
    RenewalDue,
    /// It is valid by its dates, and the server refuses to renew it: its enrolment may have ended, and whoever asks about
    /// revocation refuses it.
    Refused,
    /// It is valid only later, by this device's clock.
    NotYetValid,
    /// It has expired, by this device's clock.
    Expired,
}

/// What the state directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether the certificate can be used.
    pub condition: Condition,
    /// The principal's SPIFFE ID; none in a plain server certificate.
    pub principal: Option<String>,
    /// DNS names and addresses in the certificate.
    pub names: Vec<String>,
    /// The serial number in hexadecimal.
    pub serial: String,
    /// When it became valid, in RFC 3339.
    pub not_before: String,
    /// When it expires, in RFC 3339.
    pub not_after: String,
    /// When `run` renews it, in RFC 3339.
    pub next_renewal: String,
    /// Between when and when the server wants it renewed, if it said so.
    pub renewal_window: Option<RenewalWindow>,
    /// The ACME directory that it came from.
    pub server: String,
    /// Where the certificate and its issuers are.
    pub certificate_file: String,
    /// Where the key is.
    pub key_file: String,
    /// Where the root certificates are.
    pub root_file: String,
    /// The roots that the server is trusted by.
    pub roots: Vec<Root>,
    /// What failed the last time it was tried.
    pub failures: Failures,
}

/// What the server said about when to renew (RFC 9773), all in RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RenewalWindow {
    /// From when on.
    pub start: String,
    /// Until when.
    pub end: String,
    /// Where the server says why.
    pub explanation_url: Option<String>,
    /// When the server was asked.
    pub asked_at: String,
}

impl From<&RenewalInfo> for RenewalWindow {
    fn from(info: &RenewalInfo) -> Self {
        Self {
            start: rfc3339(info.start),
            end: rfc3339(info.end),
            explanation_url: info.explanation_url.clone(),
            asked_at: rfc3339(info.asked_at),
        }
    }
}

/// A root certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Root {
    /// Its subject, for people.
    pub subject: String,
    /// The SHA-256 of its DER in hexadecimal.
    pub sha256: String,
    /// When it expires, in RFC 3339.
    pub not_after: String,
}

impl From<&Certificate> for Root {
    fn from(root: &Certificate) -> Self {
        Self {
            subject: root.subject().to_owned(),
            sha256: hex::encode(root.sha256()),
            not_after: rfc3339(root.not_after()),
        }
    }
}

impl Status {
    /// Reads the state directory at `path`, as of `now`.
    ///
    /// # Errors
    /// There is nothing, or it can't be used.
    pub fn read(path: &Path, now: OffsetDateTime) -> Result<Self, StateError> {
        let state = StateDirectory::open(path)?;
        let missing = |what| StateError::Incomplete {
            path: path.to_owned(),
            what,
        };
        let account = state.account()?.ok_or_else(|| missing("ACME account"))?;
        let certificate = state
            .installed()?
            .ok_or_else(|| missing("certificate"))?
            .credentials
            .certificate;
        let roots = state.roots()?.ok_or_else(|| missing("root.pem"))?;
        let failures = state.failures()?;
        let refused = failures.renewal.as_ref().is_some_and(|it| it.is_final);
        let info = state.renewal_info(&certificate)?;
        let renewal = schedule::due(&certificate, info.as_ref(), None);
        let condition = if now < certificate.not_before() {
            Condition::NotYetValid
        } else if now > certificate.not_after() {
            Condition::Expired
        } else if refused {
            Condition::Refused
        } else if now < renewal {
            Condition::Fresh
        } else {
            Condition::RenewalDue
        };
        Ok(Self {
            condition,
            principal: certificate.principal().map(str::to_owned),
            names: certificate.names().to_vec(),
            serial: certificate.serial().to_owned(),
            not_before: rfc3339(certificate.not_before()),
            not_after: rfc3339(certificate.not_after()),
            next_renewal: rfc3339(renewal),
            renewal_window: info.as_ref().map(RenewalWindow::from),
            server: account.directory,
            certificate_file: state.certificate_path().display().to_string(),
            key_file: state.key_path().display().to_string(),
            root_file: state.root_path().display().to_string(),
            roots: roots.iter().map(Root::from).collect(),
            failures,
        })
    }

    /// Whether a server would take the certificate now, as far as the device can know, and nothing failed the last time.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let valid = match self.condition {
            Condition::Fresh | Condition::RenewalDue => true,
            Condition::Refused | Condition::NotYetValid | Condition::Expired => false,
        };
        valid && self.failures == Failures::default()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = match self.condition {
            Condition::Fresh => "valid",
            Condition::RenewalDue => {
                "valid, and due for renewal (is `portcullis-agent run` running?)"
            }
            Condition::Refused => {
                "valid by its dates, but the server refuses to renew it: it may be revoked"
            }
            Condition::NotYetValid => "not valid yet: this device's clock is probably slow",
            Condition::Expired => "expired (is `portcullis-agent run` running?)",
        };
        let principal = self.principal.as_deref().unwrap_or("none");
        let names = if self.names.is_empty() {
            "none".to_owned()
        } else {
            self.names.join(", ")
        };
        let lines = [
            ("certificate", condition),
            ("principal", principal),
            ("names", &names),
            ("serial", &self.serial),
            ("valid from", &self.not_before),
            ("valid until", &self.not_after),
            ("next renewal", &self.next_renewal),
            ("server", &self.server),
            ("certificate file", &self.certificate_file),
            ("key file", &self.key_file),
            ("root file", &self.root_file),
        ];
        for (name, value) in lines {
            writeln!(f, "{name:<17} {value}")?;
        }
        if let Some(window) = &self.renewal_window {
            let RenewalWindow {
                start,
                end,
                explanation_url,
                asked_at,
            } = window;
            let why = explanation_url.as_deref().unwrap_or_default();
            let why = if why.is_empty() {
                String::new()
            } else {
                format!("; why: {}", why.escape_debug())
            };
            writeln!(
                f,
                "{:<17} {start} to {end}, as the server said at {asked_at}{why}",
                "renewal window"
            )?;
        }
        for root in &self.roots {
            writeln!(f, "{:<17} {root}", "root")?;
        }
        let Failures { renewal, trust } = &self.failures;
        for (name, failure) in [("last renewal", renewal), ("trust bundle", trust)] {
            if let Some(Failure { at, error, .. }) = failure {
                writeln!(f, "{name:<17} failed at {at}: {error}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A terminal must not be told what to do by a certificate.
        let subject = self.subject.escape_debug();
        write!(
            f,
            "{subject}, valid until {}, SHA-256 {}",
            self.not_after, self.sha256
        )
    }
}
