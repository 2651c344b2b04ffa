//! Who may let someone act as a principal, or raise it: only who may all of that already.

use super::{Narrowing, Policy, Rule};
use crate::domain::{
    Timestamp, credential::CredentialKind, labels::Labels, principal::Principal, scope::Scope,
};

/// A principal with what its permissions depend on.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// Its labels; for a change of labels, the ones that it will have.
    pub labels: &'a Labels,
    /// What its credential is, or will be, narrowed to.
    pub only: Option<&'a [Scope]>,
}

/// The actor may not: it would lend what it hasn't got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{missing} is beyond what the actor may do: {why}")]
pub struct WidensBeyondActor {
    /// The scope that the actor lacks.
    pub missing: Scope,
    /// Why it lacks it.
    pub why: WhyWidens,
}

/// Why an actor may not let someone act as a principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhyWidens {
    /// The principal is not among those that the actor administers.
    #[error("the principal is not the actor's to administer ({0})")]
    NotAdministered(Rule),
    /// The principal has the scope, and no scope of the actor covers it.
    #[error("the principal would have it ({0}) and the actor has not")]
    NotHeld(Rule),
    /// The principal has the scope, and a deny of the actor takes some of it away.
    #[error("deny[{0}] takes it, or some of it, away from the actor")]
    Denied(usize),
}

impl Policy {
    /// Whether `actor` may let someone act as `target` (by a key, an invitation, an approval) or raise it (by a label,
    /// a binding): `administers` must be allowed to the actor, and each scope that `target` has, narrowed by its
    /// `only`, must be covered by one of the actor's, with no deny of the actor's overlapping it. What the policy
    /// denies to `target` as well is not lent, and not asked for.
    ///
    /// # Errors
    /// [`WidensBeyondActor`] names the first scope that the actor lacks.
    pub fn may_act_for(
        &self,
        actor: Subject<'_>,
        target: Subject<'_>,
        administers: &Scope,
        now: Timestamp,
    ) -> Result<(), WidensBeyondActor> {
        let narrowings: Vec<Narrowing<'_>> = actor
            .only
            .map(|only| Narrowing {
                by: CredentialKind::ApiKey,
                only,
            })
            .into_iter()
            .collect();
        self.permits(actor.principal, actor.labels, &narrowings, administers, now)
            .map_err(|refusal| WidensBeyondActor {
                missing: refusal.needed,
                why: WhyWidens::NotAdministered(refusal.rule),
            })?;
        let held = self.scopes_for(actor, now);
        for (lent, rule) in self.scopes_for(target, now) {
            if self.denied_to(target, &lent) {
                continue;
            }
            if !held.iter().any(|(scope, _)| scope.covers(&lent)) {
                return Err(WidensBeyondActor {
                    missing: lent,
                    why: WhyWidens::NotHeld(rule),
                });
            }
            if let Some(index) = self.deny_lifted(actor, target, &lent) {
                return Err(WidensBeyondActor {
                    missing: lent,
                    why: WhyWidens::Denied(index),
                });
            }
        }
        Ok(())
    }

    /// What the subject's roles give it, narrowed by its `only`.
    fn scopes_for(&self, subject: Subject<'_>, now: Timestamp) -> Vec<(Scope, Rule)> {
        let scopes = self.scopes_of(subject.principal, subject.labels, now);
        let Some(only) = subject.only else {
            return scopes;
        };
        let only: Vec<_> = only
            .iter()
            .filter_map(|scope| scope.expand(subject.principal, subject.labels))
            .collect();
        scopes
            .into_iter()
            .flat_map(|(scope, rule)| {
                only.iter()
                    .filter_map(|only| Some((scope.intersection(only)?, rule.clone())))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Whether a deny takes all of `scope` away from the subject.
    fn denied_to(&self, subject: Subject<'_>, scope: &Scope) -> bool {
        let mut denied = false;
        self.denies_by_principal
            .for_each(subject.principal, subject.labels, |index| {
                denied |= self
                    .denies
                    .get(index)
                    .is_some_and(|deny| deny.covers(subject.principal, subject.labels, scope));
            });
        denied
    }

    /// The first deny of the actor's that overlaps `lent` where the target is not denied the same.
    fn deny_lifted(&self, actor: Subject<'_>, target: Subject<'_>, lent: &Scope) -> Option<usize> {
        let mut lifted: Option<usize> = None;
        self.denies_by_principal
            .for_each(actor.principal, actor.labels, |index| {
                let Some(deny) = self.denies.get(index) else {
                    return;
                };
                if !deny.overlaps(actor.principal, actor.labels, lent) {
                    return;
                }
                let kept = deny
                    .scope
                    .expand(actor.principal, actor.labels)
                    .and_then(|denied| denied.intersection(lent))
                    .is_some_and(|both| self.denied_to(target, &both));
                if !kept && lifted.is_none_or(|first| index < first) {
                    lifted = Some(index);
                }
            });
        lifted
    }
}
