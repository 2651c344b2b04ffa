//! Denials: what a caller that may not sees, and what the audit log says about it.

use std::{fmt, time::Duration};

use super::{
    api_key::{ApiKeyFault, ApiKeyParseError},
    mapping::MappingError,
    policy::Rule,
    principal::Principal,
    request_path::PathError,
    route::HostError,
    scope::Scope,
};

mod reason;

pub use reason::DenialReason;

/// A request that may not pass: the reason in public words, the rule that decided, and for the audit log alone the
/// details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    reason: DenialReason,
    rule: Rule,
    details: Box<Details>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Details {
    principal: Option<Principal>,
    scope: Option<Scope>,
    allow: Vec<Box<str>>,
    retry_after: Option<Duration>,
    audit: String,
}

impl Denial {
    pub(crate) fn by_rule(reason: DenialReason, rule: Rule) -> Self {
        Self {
            reason,
            rule,
            details: Box::default(),
        }
    }

    fn of_credential(reason: DenialReason, audit: impl fmt::Display) -> Self {
        Self::by_rule(reason, Rule::Credential).with_audit(audit)
    }

    /// A key that is not valid; `fault` is for the audit log only, the caller hears `invalid_token`.
    #[must_use]
    pub fn invalid_token(fault: impl fmt::Display) -> Self {
        Self::of_credential(DenialReason::InvalidToken, fault)
    }

    /// The certificate, or one above it, is revoked.
    #[must_use]
    pub fn certificate_revoked(audit: impl fmt::Display) -> Self {
        Self::of_credential(DenialReason::CertificateRevoked, audit)
    }

    /// The certificate, or one above it, has expired.
    #[must_use]
    pub fn certificate_expired(audit: impl fmt::Display) -> Self {
        Self::of_credential(DenialReason::CertificateExpired, audit)
    }

    /// A malformed request: a key twice, a path that is refused, a bad host.
    #[must_use]
    pub fn invalid_request(fault: impl fmt::Display) -> Self {
        Self::by_rule(DenialReason::InvalidRequest, Rule::Request).with_audit(fault)
    }

    /// The host has another TLS policy than the name of the handshake.
    #[must_use]
    pub fn misdirected_request(audit: impl fmt::Display) -> Self {
        Self::by_rule(DenialReason::MisdirectedRequest, Rule::Request).with_audit(audit)
    }

    /// A rate or quota is used up, for `retry_after` more.
    #[must_use]
    pub fn too_many_requests(retry_after: Duration) -> Self {
        let mut denial = Self::by_rule(DenialReason::TooManyRequests, Rule::Request);
        denial.details.retry_after = Some(retry_after);
        denial
    }

    /// What the gate knows is too old to decide by.
    #[must_use]
    pub fn standing_stale(audit: impl fmt::Display) -> Self {
        Self::by_rule(DenialReason::StandingStale, Rule::Request).with_audit(audit)
    }

    pub(crate) fn method_not_allowed(allow: Vec<Box<str>>) -> Self {
        let mut denial = Self::by_rule(DenialReason::MethodNotAllowed, Rule::DefaultDeny);
        denial.details.allow = allow;
        denial
    }

    pub(crate) fn with_audit(mut self, audit: impl fmt::Display) -> Self {
        self.details.audit = audit.to_string();
        self
    }

    pub(crate) fn with_principal(mut self, principal: &Principal) -> Self {
        self.details.principal = Some(principal.clone());
        self
    }

    pub(crate) fn with_scope(mut self, scope: Scope) -> Self {
        self.details.scope = Some(scope);
        self
    }

    /// Why, as far as the caller is told.
    #[must_use]
    pub const fn reason(&self) -> DenialReason {
        self.reason
    }

    /// The rule that decided.
    #[must_use]
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Who was calling, if that was proved.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.details.principal.as_ref()
    }

    /// The scope that is missing.
    #[must_use]
    pub fn missing_scope(&self) -> Option<&Scope> {
        self.details.scope.as_ref()
    }

    /// What the audit log is told beyond the rule; never for the caller. Perhaps empty.
    #[must_use]
    pub fn audit_words(&self) -> &str {
        &self.details.audit
    }

    /// The HTTP status.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        self.reason.http_status()
    }

    /// The methods for `Allow`, which every 405 carries (RFC 9110 section 15.5.6).
    #[must_use]
    pub fn allow(&self) -> Option<String> {
        (self.reason == DenialReason::MethodNotAllowed).then(|| self.details.allow.join(", "))
    }

    /// How long to wait, for `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.details.retry_after
    }

    /// The value of `WWW-Authenticate`: on every 401 (RFC 9110 section 11.6.1), and where RFC 6750 section 3.1 has an
    /// error code. Quotes and backslashes in `realm` are left out.
    #[must_use]
    pub fn www_authenticate(&self, realm: &str) -> Option<String> {
        let realm: String = realm
            .chars()
            .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
            .collect();
        let bearer = format!("Bearer realm=\"{realm}\"");
        match self.reason {
            DenialReason::InvalidToken => Some(format!("{bearer}, error=\"invalid_token\"")),
            DenialReason::InvalidRequest => Some(format!("{bearer}, error=\"invalid_request\"")),
            DenialReason::InsufficientScope => {
                let scope = self.missing_scope().map(|s| format!(", scope=\"{s}\""));
                let scope = scope.unwrap_or_default();
                Some(format!("{bearer}, error=\"insufficient_scope\"{scope}"))
            }
            // No credential was presented, or it was no token: no error code (RFC 6750 section 3.1).
            DenialReason::NoCredential
            | DenialReason::CertificateRevoked
            | DenialReason::CertificateExpired
            | DenialReason::PrincipalSuspended => Some(bearer),
            DenialReason::ClientCertificateRequired
            | DenialReason::UnmappedCertificate
            | DenialReason::AmbiguousCertificate
            | DenialReason::OutsideNetwork
            | DenialReason::CredentialsDisagree
            | DenialReason::MisdirectedRequest
            | DenialReason::TooManyRequests
            | DenialReason::StandingStale
            | DenialReason::NoRoute
            | DenialReason::MethodNotAllowed => None,
        }
    }
}

impl From<MappingError> for Denial {
    fn from(error: MappingError) -> Self {
        let reason = match error {
            MappingError::Unmapped(_) => DenialReason::UnmappedCertificate,
            MappingError::Ambiguous(_) => DenialReason::AmbiguousCertificate,
        };
        Self::of_credential(reason, error)
    }
}

impl From<ApiKeyParseError> for Denial {
    fn from(error: ApiKeyParseError) -> Self {
        Self::invalid_token(error)
    }
}

impl From<ApiKeyFault> for Denial {
    fn from(fault: ApiKeyFault) -> Self {
        Self::invalid_token(fault)
    }
}

impl From<PathError> for Denial {
    fn from(error: PathError) -> Self {
        Self::invalid_request(error)
    }
}

impl From<HostError> for Denial {
    fn from(error: HostError) -> Self {
        Self::invalid_request(error)
    }
}

impl fmt::Display for Denial {
    /// The reason and the rule, for the audit log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.reason.type_name(), self.rule)?;
        if let Some(scope) = self.missing_scope() {
            write!(f, ", needs {scope}")?;
        }
        if !self.details.audit.is_empty() {
            write!(f, ": {}", self.details.audit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_401_carries_www_authenticate_and_every_type_is_its_own() {
        let mut types: Vec<_> = DenialReason::ALL.map(DenialReason::type_name).to_vec();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), DenialReason::ALL.len());
        for reason in DenialReason::ALL {
            let header = Denial::by_rule(reason, Rule::DefaultDeny).www_authenticate("a\"\\b");
            if reason.http_status() == 401 {
                assert!(header.is_some(), "{reason:?}");
            }
            assert!(header.is_none_or(|h| h.starts_with("Bearer realm=\"ab\"")));
        }
    }

    #[test]
    fn what_the_audit_log_learns_about_a_key_the_caller_does_not() {
        let denials = [
            Denial::from(ApiKeyParseError::Malformed),
            Denial::from(ApiKeyParseError::Checksum),
            Denial::from(ApiKeyFault::WrongSecret),
            Denial::from(ApiKeyFault::EnrolmentOnly),
        ];
        let audit: std::collections::HashSet<_> = denials.iter().map(Denial::audit_words).collect();
        assert_eq!(audit.len(), 4);
        for denial in &denials {
            assert_eq!(denial.reason(), DenialReason::InvalidToken);
            assert_eq!(
                denial.www_authenticate("home").as_deref(),
                Some("Bearer realm=\"home\", error=\"invalid_token\"")
            );
        }
    }
}
