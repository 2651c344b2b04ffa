//! A request under way, which may lose its permission before it has been answered.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    connection::Connection,
    switch::{Position, Switch},
};
use crate::{
    authority::standing::Standing,
    domain::{Timestamp, api_key::ApiKey, credential::Presented, permit::decide, route::Target},
};

/// A permitted request, with all that its permission was decided by.
#[derive(Debug)]
pub(super) struct InFlight {
    presented: Presented,
    key: Option<Arc<ApiKey>>,
    target: Target,
    switch: Switch,
}

impl InFlight {
    pub(super) fn new(presented: Presented, key: Option<Arc<ApiKey>>, target: Target) -> Self {
        Self {
            presented,
            key,
            target,
            switch: Switch::default(),
        }
    }

    /// Cuts the request if it would not be permitted any more. Its connection lives on.
    pub(super) fn recheck(&self, standing: &Standing, now: Timestamp) {
        if !self.is_permitted(standing, now) {
            self.switch.cut();
        }
    }

    fn is_permitted(&self, standing: &Standing, now: Timestamp) -> bool {
        if let Some(used) = &self.key {
            let in_force = standing
                .api_key(&used.id)
                .is_some_and(|key| key.digest == used.digest && key.check_standing(now).is_ok());
            if !in_force {
                return false;
            }
        }
        let policy = standing.policy();
        let Some(policy) = policy.as_deref() else {
            return false;
        };
        let state = |principal: &_| standing.principal_state(principal);
        decide(
            &self.presented,
            &self.target,
            policy,
            &state,
            standing.epoch(),
            now,
        )
        .is_ok()
    }

    fn poll_cut(&self, context: &mut Context<'_>) -> Poll<()> {
        self.switch
            .poll_beyond(Position::Closing, context)
            .map(|_| ())
    }
}

/// The request's place among those of its connection; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    connection: Arc<Connection>,
    request: Arc<InFlight>,
}

impl UnderWay {
    pub(super) fn begin(connection: &Arc<Connection>, request: InFlight) -> Self {
        let request = Arc::new(request);
        connection.begin(Arc::clone(&request));
        Self {
            connection: Arc::clone(connection),
            request,
        }
    }

    /// Ready once nothing more of this request may pass.
    pub(super) fn poll_cut(&self, context: &mut Context<'_>) -> Poll<()> {
        // A connection that is cut drops what is under way on it, so nobody has to be woken for that.
        if self.connection.switch().is_cut() {
            return Poll::Ready(());
        }
        self.request.poll_cut(context)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.connection.end(&self.request);
    }
}
