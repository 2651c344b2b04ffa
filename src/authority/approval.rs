//! Approvals: an operator's word on an enrolment that waits for it.

use serde_json::json;

use super::{Authority, AuthorityError};
use crate::domain::{audit::Actor, enrolment::Enrolment, id::EnrolmentId};

impl Authority {
    /// The enrolments that wait for an approval and can still get it, oldest first, at most `limit`.
    ///
    /// # Errors
    /// What the store says.
    pub async fn awaiting_approval(&self, limit: usize) -> Result<Vec<Enrolment>, AuthorityError> {
        Ok(self.store().awaiting_approval(self.now(), limit).await?)
    }

    /// Approves of an enrolment: from now on its account may order. Who may ask for this was decided before.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it doesn't wait, or its invitation has ended.
    pub async fn approve(
        &self,
        actor: &Actor,
        id: &EnrolmentId,
    ) -> Result<Enrolment, AuthorityError> {
        let audit = self.audit(actor, "enrolment.approve", id, json!({}));
        Ok(self.store().decide_enrolment(id, None, audit).await?)
    }

    /// Rejects an enrolment; it ends with the reason, which its client is told.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it doesn't wait; `Invalid` for a reason that is too long or has control characters.
    pub async fn reject(
        &self,
        actor: &Actor,
        id: &EnrolmentId,
        reason: &str,
    ) -> Result<Enrolment, AuthorityError> {
        if reason.chars().count() > 200 || reason.chars().any(char::is_control) {
            return Err(AuthorityError::Invalid(
                "a reason is one line of at most 200 characters".to_owned(),
            ));
        }
        let reason = match reason.trim() {
            "" => "no reason was given",
            reason => reason,
        };
        let audit = self.audit(actor, "enrolment.reject", id, json!({ "reason": reason }));
        let reason = Some(reason.to_owned());
        Ok(self.store().decide_enrolment(id, reason, audit).await?)
    }

    /// Ends what nobody approved of while its invitation was good.
    pub(super) async fn expire_approvals(&self) -> Result<(), AuthorityError> {
        const AT_ONCE: usize = 500;
        loop {
            let audit = self.audit(
                &Actor::Authority,
                "enrolment.expire",
                "enrolments",
                json!({}),
            );
            let now = self.now();
            if self.store().expire_approvals(now, AT_ONCE, audit).await? < AT_ONCE {
                return Ok(());
            }
        }
    }
}
