//! Bindings and denies as compiled.

use crate::domain::{
    Timestamp,
    labels::{LabelName, LabelValue, Labels},
    principal::{Principal, PrincipalPattern},
    scope::Scope,
};

/// Gives a role to the principals that match, while the labels match, until a date.
#[derive(Debug)]
pub(super) struct Binding {
    /// The role's place in `Policy::roles`.
    pub(super) role: usize,
    pub(super) to: PrincipalPattern,
    /// Every one of these labels must have one of its values.
    pub(super) when: Vec<(LabelName, Vec<LabelValue>)>,
    /// The first moment at which it no longer holds.
    pub(super) until: Option<Timestamp>,
}

/// Takes a scope away from the principals that match; it beats every allow.
#[derive(Debug)]
pub(super) struct Deny {
    pub(super) to: PrincipalPattern,
    pub(super) scope: Scope,
}

impl Binding {
    pub(super) fn holds(&self, principal: &Principal, labels: &Labels, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
            && self.when.iter().all(|(name, values)| {
                labels
                    .get(name.as_str())
                    .is_some_and(|value| values.contains(value))
            })
            && self.to.matches(principal)
    }
}

impl Deny {
    /// Whether it takes away anything of `scope`. Where its own `{self}` or label can't be filled in, what it takes
    /// away can't be known, and every resource is taken for it.
    pub(super) fn overlaps(&self, principal: &Principal, labels: &Labels, scope: &Scope) -> bool {
        self.to.matches(principal) && self.filled(principal, labels).overlaps(scope)
    }

    /// Whether it takes away all of `scope`, for certain.
    pub(super) fn covers(&self, principal: &Principal, labels: &Labels, scope: &Scope) -> bool {
        self.to.matches(principal)
            && self
                .scope
                .expand(principal, labels)
                .is_some_and(|deny| deny.covers(scope))
    }

    fn filled(&self, principal: &Principal, labels: &Labels) -> Scope {
        self.scope.expand(principal, labels).map_or_else(
            || self.scope.on_every_resource(),
            |scope| scope.into_owned(),
        )
    }
}
