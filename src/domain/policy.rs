//! The policy: roles, bindings, denies and routes, read from one document and then immutable.
//!
//! One table of permissions, one decision, default deny. To add one more kind of section: read it in
//! `policy/document.rs`, check it in `policy/compile.rs`, keep its compiled form here.

use std::{fmt, sync::Arc};

use super::{
    Timestamp,
    credential::CredentialKind,
    labels::Labels,
    principal::{Principal, TrustDomain},
    request_path::NormalisedPath,
    route::{Host, Route, RouteTable, Target},
    scope::Scope,
};

mod acting;
mod binding;
mod compile;
mod document;
mod error;
mod index;
mod role;

pub use acting::{Subject, WhyWidens, WidensBeyondActor};
pub use error::{PolicyError, PolicyErrors};

use binding::{Binding, Deny};
use index::PrincipalIndex;
use role::Role;

/// A compiled policy. A decision looks only at what may concern its principal, its scope and its path.
#[derive(Debug)]
pub struct Policy {
    trust_domain: TrustDomain,
    local_admins: Vec<Principal>,
    admin_scope: Scope,
    roles: Vec<Role>,
    bindings: Vec<Binding>,
    bindings_by_principal: PrincipalIndex,
    denies: Vec<Deny>,
    denies_by_principal: PrincipalIndex,
    routes: RouteTable,
    warnings: Vec<PolicyError>,
}

/// What a document is compiled for.
#[derive(Debug, Clone)]
pub struct PolicyContext {
    /// The trust domain of this authority.
    pub trust_domain: TrustDomain,
    /// Who has the built-in role `admin` without a binding: the callers at the Unix socket, `user:local/UID`.
    pub local_admins: Vec<Principal>,
}

/// A list of scopes that a credential is narrowed to.
#[derive(Debug, Clone, Copy)]
pub struct Narrowing<'a> {
    /// The credential.
    pub by: CredentialKind,
    /// Its `only`: nothing beyond these is allowed.
    pub only: &'a [Scope],
}

/// Yes, by this rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The rule that allowed it.
    pub rule: Rule,
    /// The first moment at which that rule no longer holds, if there is one.
    pub until: Option<Timestamp>,
}

/// No, by this rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{needed} is not allowed: {rule}")]
pub struct Refusal {
    /// The rule that refused it.
    pub rule: Rule,
    /// What was needed.
    pub needed: Scope,
}

/// The rule that decided. It prints as the policy would be quoted: `role "sensor" via bind[2]`, `deny[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A role, by a binding.
    Binding {
        /// The role's name.
        role: Arc<str>,
        /// The binding's place in the document, from 0.
        index: usize,
    },
    /// The built-in role `admin` of the operator at the Unix socket.
    LocalAdmin,
    /// A deny.
    Deny {
        /// Its place in the document, from 0.
        index: usize,
    },
    /// Nothing allows it.
    DefaultDeny,
    /// The principal may, but this credential is narrowed to other scopes.
    Narrowed(CredentialKind),
    /// The route states no scope, so it denies everyone.
    RouteWithoutScope {
        /// Its place in the document, from 0.
        index: usize,
    },
    /// The credential itself: absent, not good, or not this one.
    Credential,
    /// The request itself, whoever sends it.
    Request,
}

impl Policy {
    /// The name of the built-in role that allows everything.
    pub const ADMIN_ROLE: &str = "admin";

    /// The policy of a document.
    ///
    /// # Errors
    /// Everything that is wrong with the document, each with its line and column: what isn't TOML, unknown keys,
    /// scopes and patterns that don't parse, names that nothing has or two things have, routes that could match the
    /// same request equally.
    pub fn compile(document: &str, context: &PolicyContext) -> Result<Self, PolicyErrors> {
        compile::compile(document, context)
    }

    /// The policy of an empty document: everyone but the local operators is denied everything.
    #[must_use]
    pub fn empty(context: &PolicyContext) -> Self {
        Self {
            trust_domain: context.trust_domain.clone(),
            local_admins: context.local_admins.clone(),
            admin_scope: Scope::everything(),
            roles: vec![Role::builtin_admin()],
            bindings: Vec::new(),
            bindings_by_principal: PrincipalIndex::default(),
            denies: Vec::new(),
            denies_by_principal: PrincipalIndex::default(),
            routes: RouteTable::default(),
            warnings: Vec::new(),
        }
    }

    /// Whether `principal`, with these labels, narrowed by every one of `narrowings`, may do what `needed` says.
    ///
    /// This is the core of every decision, at the gate and in the admin API. That the principal is not suspended and
    /// its credentials are good is the caller's to check; `decide` does.
    ///
    /// # Errors
    /// [`Refusal`] with the rule: the first deny that overlaps, else that no role covers it, else a narrowing.
    pub fn permits(
        &self,
        principal: &Principal,
        labels: &Labels,
        narrowings: &[Narrowing<'_>],
        needed: &Scope,
        now: Timestamp,
    ) -> Result<Grant, Refusal> {
        let refuse = |rule| Refusal {
            rule,
            needed: needed.clone(),
        };
        // A deny is weighed by overlap, not by covering: what is needed as a whole is not allowed in part. And what
        // was not filled in is nothing that anyone can be allowed.
        if let Some(index) = self.first_deny(principal, labels, needed) {
            return Err(refuse(Rule::Deny { index }));
        }
        if needed.is_template() {
            return Err(refuse(Rule::DefaultDeny));
        }
        let grant = self
            .first_grant(principal, labels, needed, now)
            .ok_or_else(|| refuse(Rule::DefaultDeny))?;
        let covers = |scope: &Scope| {
            scope
                .expand(principal, labels)
                .is_some_and(|scope| scope.covers(needed))
        };
        match narrowings.iter().find(|n| !n.only.iter().any(covers)) {
            Some(narrowing) => Err(refuse(Rule::Narrowed(narrowing.by))),
            None => Ok(grant),
        }
    }

    fn first_deny(&self, principal: &Principal, labels: &Labels, scope: &Scope) -> Option<usize> {
        let mut first = None;
        self.denies_by_principal
            .for_each(principal, labels, |index| {
                if first.is_some_and(|first| first < index) {
                    return;
                }
                if let Some(deny) = self.denies.get(index)
                    && deny.overlaps(principal, labels, scope)
                {
                    first = Some(index);
                }
            });
        first
    }

    fn first_grant(
        &self,
        principal: &Principal,
        labels: &Labels,
        needed: &Scope,
        now: Timestamp,
    ) -> Option<Grant> {
        if self.is_local_admin(principal) && self.admin_scope.covers(needed) {
            return Some(Grant {
                rule: Rule::LocalAdmin,
                until: None,
            });
        }
        let mut first: Option<(usize, &Binding, &Role)> = None;
        self.bindings_by_principal
            .for_each(principal, labels, |index| {
                if first.is_some_and(|(first, ..)| first < index) {
                    return;
                }
                if let Some(binding) = self.bindings.get(index)
                    && binding.holds(principal, labels, now)
                    && let Some(role) = self.roles.get(binding.role)
                    && role.covers(principal, labels, needed)
                {
                    first = Some((index, binding, role));
                }
            });
        first.map(|(index, binding, role)| Grant {
            rule: Rule::Binding {
                role: Arc::clone(&role.name),
                index,
            },
            until: binding.until,
        })
    }

    fn is_local_admin(&self, principal: &Principal) -> bool {
        self.local_admins.contains(principal)
    }

    /// Every scope that the principal's roles give it at `now`, filled in, with the rule; denies not yet taken away.
    #[must_use]
    pub fn scopes_of(
        &self,
        principal: &Principal,
        labels: &Labels,
        now: Timestamp,
    ) -> Vec<(Scope, Rule)> {
        let mut scopes = Vec::new();
        if self.is_local_admin(principal) {
            scopes.push((self.admin_scope.clone(), Rule::LocalAdmin));
        }
        let mut indices = Vec::new();
        self.bindings_by_principal
            .for_each(principal, labels, |index| indices.push(index));
        indices.sort_unstable();
        for index in indices {
            if let Some(binding) = self.bindings.get(index)
                && binding.holds(principal, labels, now)
                && let Some(role) = self.roles.get(binding.role)
            {
                let rule = Rule::Binding {
                    role: Arc::clone(&role.name),
                    index,
                };
                let filled = role.scopes().filter_map(|s| s.expand(principal, labels));
                scopes.extend(filled.map(|s| (s.into_owned(), rule.clone())));
            }
        }
        scopes
    }

    /// What a request asks for: its route, and the scope that it needs there.
    #[must_use]
    pub fn target(&self, host: &Host, method: &str, path: &NormalisedPath) -> Target {
        self.routes.target(host, method, path)
    }

    /// Every route, in the order of the document.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        self.routes.routes()
    }

    /// The trust domain that the policy was compiled for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// What is allowed but probably not meant: a route without a scope, a role that nobody has.
    #[must_use]
    pub fn warnings(&self) -> &[PolicyError] {
        &self.warnings
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binding { role, index } => write!(f, "role \"{role}\" via bind[{index}]"),
            Self::LocalAdmin => write!(f, "role \"{}\" of the local operator", Policy::ADMIN_ROLE),
            Self::Deny { index } => write!(f, "deny[{index}]"),
            Self::DefaultDeny => f.write_str("default deny"),
            Self::Narrowed(by) => write!(f, "`only` of the {by}"),
            Self::RouteWithoutScope { index } => write!(f, "route[{index}] without a scope"),
            Self::Credential => f.write_str("check of the credentials"),
            Self::Request => f.write_str("check of the request"),
        }
    }
}
