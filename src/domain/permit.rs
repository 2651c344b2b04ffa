//! The decision: who is calling, with what, for what, under which policy and when. Pure, and the only maker of permits.

use std::sync::Arc;

use portcullis_ca::serial::Serial;

use super::{
    Timestamp,
    api_key::{ApiKeyFault, ApiKeyId, networks_allow},
    credential::{ApiKeyCredential, CertificateCredential, CredentialKind, Presented},
    denial::{Denial, DenialReason},
    labels::PrincipalState,
    policy::{Narrowing, Policy, Rule},
    principal::Principal,
    route::{AuthMethod, Need, Route, Target},
    scope::Scope,
};

/// A request that may pass. Only [`decide`] makes one, and nothing is forwarded without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    principal: Principal,
    scope: Scope,
    rule: Rule,
    route: Arc<Route>,
    certificate: Option<(Serial, [u8; 32])>,
    api_key: Option<ApiKeyId>,
    epoch: u64,
    decided_at: Timestamp,
    valid_until: Option<Timestamp>,
}

impl Permit {
    /// Who acts.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The scope that was needed, filled in.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The rule that allowed it.
    #[must_use]
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The route that it is for.
    #[must_use]
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The serial number of the certificate that was presented.
    #[must_use]
    pub fn certificate_serial(&self) -> Option<&Serial> {
        self.certificate.as_ref().map(|(serial, _)| serial)
    }

    /// The SHA-256 thumbprint of the certificate that was presented.
    #[must_use]
    pub fn certificate_thumbprint(&self) -> Option<&[u8; 32]> {
        self.certificate.as_ref().map(|(_, thumbprint)| thumbprint)
    }

    /// The API key that was used.
    #[must_use]
    pub const fn api_key(&self) -> Option<&ApiKeyId> {
        self.api_key.as_ref()
    }

    /// The epoch of the standing that it was decided by.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When it was decided.
    #[must_use]
    pub const fn decided_at(&self) -> Timestamp {
        self.decided_at
    }

    /// The first moment at which it must be decided again even if the epoch stays: a certificate's or key's expiry,
    /// or the binding's `until`.
    #[must_use]
    pub const fn valid_until(&self) -> Option<Timestamp> {
        self.valid_until
    }
}

/// Decides whether a request may pass.
///
/// `presented` was authenticated before; `target` comes from the same `policy` (`Policy::target`); `state` gives what
/// is known about a principal; `epoch` is that of the standing that all of this was read from.
///
/// Allowed is what the principal's roles allow, narrowed by every credential's `only`, minus denies. Two credentials
/// must prove the same principal, unless the key is bound to that very certificate; then the key's principal acts.
/// A key that the route does not accept is as good as not sent, for its header was not read.
///
/// # Errors
/// A [`Denial`] that names the reason and the rule. What isn't allowed is denied.
pub fn decide(
    presented: &Presented,
    target: &Target,
    policy: &Policy,
    state: &dyn Fn(&Principal) -> PrincipalState,
    epoch: u64,
    now: Timestamp,
) -> Result<Permit, Denial> {
    let certificate = presented.certificate.as_ref();
    if let Some(certificate) = certificate {
        check_certificate(certificate, state, now)?;
    }
    let (route, need) = match target {
        Target::Route { route, need } => (route, need),
        Target::NoRoute => return Err(Denial::by_rule(DenialReason::NoRoute, Rule::DefaultDeny)),
        Target::MethodNotAllowed { allow } => {
            return Err(Denial::method_not_allowed(allow.clone()));
        }
    };
    let api_key = presented
        .api_key
        .as_ref()
        .filter(|_| route.accepts(AuthMethod::ApiKey));
    if let Some(key) = api_key {
        check_api_key(key, presented, state, now)?;
    }
    let principal = acting_principal(certificate, api_key, route)?;

    let labels = state(principal).labels;
    let missing = |rule| Denial::by_rule(DenialReason::InsufficientScope, rule);
    let needed = match need {
        Need::Scope(scope) => scope.expand(principal, &labels).ok_or_else(|| {
            missing(Rule::DefaultDeny)
                .with_principal(principal)
                .with_audit(format_args!(
                    "{scope} can't be filled in with the labels of {principal}"
                ))
        })?,
        Need::NotStated => {
            let rule = Rule::RouteWithoutScope { index: route.index };
            return Err(missing(rule).with_principal(principal));
        }
        Need::Unnameable { parameter } => {
            let words = format_args!("no scope can name the value of {{{parameter}}}");
            return Err(missing(Rule::DefaultDeny)
                .with_principal(principal)
                .with_audit(words));
        }
    };

    let narrowings: Vec<Narrowing<'_>> = [
        (
            CredentialKind::Certificate,
            certificate.and_then(|c| c.only.as_deref()),
        ),
        (
            CredentialKind::ApiKey,
            api_key.and_then(|k| k.only.as_deref()),
        ),
    ]
    .into_iter()
    .filter_map(|(by, only)| only.map(|only| Narrowing { by, only }))
    .collect();
    let grant = policy
        .permits(principal, &labels, &narrowings, &needed, now)
        .map_err(|refusal| {
            missing(refusal.rule)
                .with_principal(principal)
                .with_scope(needed.clone().into_owned())
        })?;

    let ends = [
        certificate.map(CertificateCredential::expires_at),
        api_key.and_then(|key| key.expires_at),
        grant.until,
    ];
    Ok(Permit {
        principal: principal.clone(),
        scope: needed.into_owned(),
        rule: grant.rule,
        route: Arc::clone(route),
        certificate: certificate.map(|c| (c.serial, c.thumbprint)),
        api_key: api_key.map(|key| key.id),
        epoch,
        decided_at: now,
        valid_until: ends.into_iter().flatten().min(),
    })
}

/// A certificate that is past its time, or whose principal is suspended, ends the request wherever it leads.
fn check_certificate(
    certificate: &CertificateCredential,
    state: &dyn Fn(&Principal) -> PrincipalState,
    now: Timestamp,
) -> Result<(), Denial> {
    if certificate.is_expired(now) {
        let denial =
            Denial::certificate_expired(format_args!("notAfter {}", certificate.not_after));
        return Err(denial.with_principal(&certificate.principal));
    }
    if state(&certificate.principal).suspended {
        let denial = Denial::by_rule(DenialReason::PrincipalSuspended, Rule::Credential);
        return Err(denial.with_principal(&certificate.principal));
    }
    Ok(())
}

fn check_api_key(
    key: &ApiKeyCredential,
    presented: &Presented,
    state: &dyn Fn(&Principal) -> PrincipalState,
    now: Timestamp,
) -> Result<(), Denial> {
    let certificate = presented.certificate.as_ref();
    let invalid = |denial: Denial| Err(denial.with_principal(&key.principal));
    if let Some(end) = key.expires_at
        && end <= now
    {
        return invalid(ApiKeyFault::Expired(end).into());
    }
    if state(&key.principal).suspended {
        return invalid(Denial::invalid_token("the principal is suspended"));
    }
    if let Some(bound) = key.bound_certificate
        && certificate.is_none_or(|certificate| certificate.thumbprint != bound)
    {
        // RFC 8705 section 3: a bound token without its certificate is an invalid token.
        return invalid(Denial::invalid_token(
            "the key is bound to a certificate that was not presented",
        ));
    }
    if !networks_allow(&key.cidrs, presented.peer) {
        let denial = Denial::by_rule(DenialReason::OutsideNetwork, Rule::Credential);
        return invalid(denial.with_audit(format_args!("used from {}", presented.peer)));
    }
    if let Some(certificate) = certificate
        && certificate.principal != key.principal
        && key.bound_certificate.is_none()
    {
        let words = format_args!(
            "the certificate proves {}, the key {}",
            certificate.principal, key.principal
        );
        return Err(
            Denial::by_rule(DenialReason::CredentialsDisagree, Rule::Credential).with_audit(words),
        );
    }
    Ok(())
}

fn acting_principal<'p>(
    certificate: Option<&'p CertificateCredential>,
    api_key: Option<&'p ApiKeyCredential>,
    route: &Route,
) -> Result<&'p Principal, Denial> {
    if let Some(key) = api_key {
        return Ok(&key.principal);
    }
    if let Some(certificate) = certificate.filter(|_| route.accepts(AuthMethod::Certificate)) {
        return Ok(&certificate.principal);
    }
    let reason = if route.accepts(AuthMethod::ApiKey) {
        DenialReason::NoCredential
    } else {
        DenialReason::ClientCertificateRequired
    };
    Err(Denial::by_rule(reason, Rule::Credential))
}
