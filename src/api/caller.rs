//! Who calls, and whether they may. A handler gets at an [`Actor`], which every change wants, only through a decision.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{SharedState, problem::Problem};
use crate::{
    domain::{Labels, Principal, PrincipalPattern, Scope, audit::Actor, policy::Subject},
    listen::UnixPeer,
};

/// A caller with the permission that the route needs, not yet decided on.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) principal: Principal,
    permission: &'static str,
    state: SharedState,
}

/// Puts the [`Caller`] into the request; one that the kernel does not name goes no further.
pub(super) async fn identify(
    State((state, permission)): State<(SharedState, &'static str)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(peer) = request.extensions().get::<UnixPeer>() else {
        return Problem::forbidden("nobody says who calls").into_response();
    };
    let caller = Caller {
        principal: Principal::local_user(peer.uid),
        permission,
        state,
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

impl Caller {
    /// Decides whether the caller may act on a principal; the answer is who acts.
    pub(super) fn on(&self, principal: &Principal) -> Result<Actor, Problem> {
        self.decide(&format!("{}/{}", principal.kind(), principal.path()))
    }

    /// Decides whether the caller may act on every principal that matches.
    pub(super) fn on_all_that_match(&self, pattern: &PrincipalPattern) -> Result<Actor, Problem> {
        // A scope's resource writes `device:fra/**` as `device/fra/**`.
        self.decide(&pattern.to_string().replacen(':', "/", 1))
    }

    /// Decides whether the caller may act on all of them.
    pub(super) fn on_everything(&self) -> Result<Actor, Problem> {
        self.decide("**")
    }

    /// Decides whether the caller may do everything there is, as it takes to give anybody anything.
    pub(super) fn on_all_there_is(&self) -> Result<Actor, Problem> {
        self.on_everything()?;
        self.decide_scope(&Scope::everything())
    }

    /// Decides whether the caller may let somebody act as a principal, with all that the principal may do or, with
    /// `only`, that much of it: nobody lends what they haven't got.
    pub(super) fn lend(
        &self,
        principal: &Principal,
        only: Option<&[Scope]>,
    ) -> Result<Actor, Problem> {
        let actor = self.on(principal)?;
        let standing = self.state.authority.standing();
        let policy = standing.policy();
        let policy = policy
            .as_ref()
            .ok_or_else(|| Problem::unavailable("no policy has been loaded"))?;
        let (mine, theirs) = (
            standing.principal_state(&self.principal).labels,
            standing.principal_state(principal).labels,
        );
        let subject = |principal, labels, only| Subject {
            principal,
            labels,
            only,
        };
        policy
            .may_act_for(
                subject(&self.principal, &mine, None),
                subject(principal, &theirs, only),
                &self.scope(&format!("{}/{}", principal.kind(), principal.path()))?,
                self.state.authority.now(),
            )
            .map_err(|widens| Problem::forbidden(&widens.to_string()))?;
        Ok(actor)
    }

    fn decide(&self, resource: &str) -> Result<Actor, Problem> {
        self.decide_scope(&self.scope(resource)?)
    }

    fn decide_scope(&self, needed: &Scope) -> Result<Actor, Problem> {
        let standing = self.state.authority.standing();
        let policy = standing.policy();
        let policy = policy
            .as_ref()
            .ok_or_else(|| Problem::unavailable("no policy has been loaded"))?;
        let state = standing.principal_state(&self.principal);
        if state.suspended {
            return Err(Problem::forbidden(&format!(
                "{} is suspended",
                self.principal
            )));
        }
        let labels: &Labels = &state.labels;
        let now = self.state.authority.now();
        match policy.permits(&self.principal, labels, &[], needed, now) {
            Ok(_) => Ok(Actor::Principal(self.principal.clone())),
            Err(refusal) => {
                tracing::warn!(principal = %self.principal, scope = %needed, rule = %refusal.rule, "the admin API refused a caller");
                Err(Problem::forbidden(&format!(
                    "{}: {refusal}",
                    self.principal
                )))
            }
        }
    }

    fn scope(&self, resource: &str) -> Result<Scope, Problem> {
        format!("{}@{resource}", self.permission)
            .parse()
            .map_err(|_| Problem::internal("the route's permission is no scope"))
    }
}
