//! A role as compiled: its scopes in order of service and action, so that one is found without looking at the others.

use std::sync::Arc;

use crate::domain::{labels::Labels, principal::Principal, scope::Scope};

/// A named list of scopes.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: Arc<str>,
    /// Without wildcard words, sorted: a scope's service and action are the first that it is ordered by.
    plain: Vec<Scope>,
    /// With `*` as service or action: only in roles marked `admin = true`.
    wild: Vec<Scope>,
}

impl Role {
    pub(super) fn new(name: &str, scopes: Vec<Scope>) -> Self {
        let (wild, mut plain): (Vec<_>, Vec<_>) =
            scopes.into_iter().partition(Scope::has_wildcard_word);
        plain.sort_unstable();
        plain.dedup();
        Self {
            name: name.into(),
            plain,
            wild,
        }
    }

    pub(super) fn builtin_admin() -> Self {
        Self::new(super::Policy::ADMIN_ROLE, vec![Scope::everything()])
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.plain.iter().chain(&self.wild)
    }

    /// Whether one of its scopes, filled in for the principal, covers what is needed.
    pub(super) fn covers(&self, principal: &Principal, labels: &Labels, needed: &Scope) -> bool {
        let words = (needed.service(), needed.action());
        let start = self
            .plain
            .partition_point(|scope| (scope.service(), scope.action()) < words);
        self.plain
            .get(start..)
            .unwrap_or_default()
            .iter()
            .take_while(|scope| (scope.service(), scope.action()) == words)
            .chain(&self.wild)
            .any(|scope| {
                scope
                    .expand(principal, labels)
                    .is_some_and(|scope| scope.covers(needed))
            })
    }
}
