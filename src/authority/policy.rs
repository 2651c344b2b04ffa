//! Checking and applying policies, and loading the standing.

use std::sync::Arc;

use serde_json::json;

use super::{Authority, AuthorityError, standing::StandingSnapshot};
use crate::{
    domain::{Timestamp, audit::Actor, event::TrustEvent, policy::Policy},
    store::PolicyRevision,
};

/// A policy that was put in force.
#[derive(Debug, Clone, Copy)]
pub struct AppliedPolicy {
    /// Its revision.
    pub revision: u64,
    /// The epoch from which on it decides.
    pub epoch: u64,
}

impl Authority {
    /// Compiles a policy without applying it.
    ///
    /// # Errors
    /// `Invalid` with every fault, each with its line.
    pub fn check_policy(&self, text: &str) -> Result<Arc<Policy>, AuthorityError> {
        Policy::compile(text, &self.inner.parts.policy_context)
            .map(Arc::new)
            .map_err(|errors| AuthorityError::Invalid(errors.to_string()))
    }

    /// The policy in force.
    ///
    /// # Errors
    /// What the store says.
    pub async fn policy(&self) -> Result<Option<PolicyRevision>, AuthorityError> {
        Ok(self.store().policy().await?)
    }

    /// Puts a policy in force. When the call returns, it decides.
    ///
    /// # Errors
    /// `Invalid` with every fault, and nothing is applied; `Conflict` when another one was applied meanwhile.
    pub async fn apply_policy(
        &self,
        actor: &Actor,
        text: String,
    ) -> Result<AppliedPolicy, AuthorityError> {
        let policy = self.check_policy(&text)?;
        let audit = self.audit(
            actor,
            "policy.apply",
            "policy",
            json!({ "bytes": text.len() }),
        );
        self.change_standing(move |authority| async move {
            let current = authority
                .store()
                .policy()
                .await?
                .map_or(0, |policy| policy.revision);
            let (revision, epoch) = authority.store().apply_policy(current, text, audit).await?;
            Ok((
                AppliedPolicy { revision, epoch },
                Some((epoch, TrustEvent::PolicyApplied(policy))),
            ))
        })
        .await
    }

    /// Opens the standing with what the store has.
    pub(super) async fn load_standing(&self, first_policy: &str) -> Result<(), AuthorityError> {
        if self.store().policy().await?.is_none() {
            self.check_policy(first_policy)?;
            let audit = self.audit(
                &Actor::Authority,
                "policy.apply",
                "policy",
                json!({ "bytes": first_policy.len(), "first": true }),
            );
            self.store()
                .apply_policy(0, first_policy.to_owned(), audit)
                .await?;
        }
        let text = self
            .store()
            .policy()
            .await?
            .ok_or(AuthorityError::NotFound("policy"))?
            .text;
        let now = self.now();
        let snapshot = StandingSnapshot {
            epoch: self.store().epoch().await?,
            policy: self.check_policy(&text)?,
            // All of them, expired or not: were the clock ahead at this start, leaving the expired ones out would let
            // revoked ones in when it is set right.
            revoked: self
                .store()
                .all_revoked(Timestamp::from_unix_millis(0))
                .await?,
            issuers: self.issuers().known(),
            api_keys: self
                .store()
                .api_keys()
                .await?
                .into_iter()
                .filter(|key| key.check_standing(now).is_ok())
                .map(Arc::new)
                .collect(),
            principals: Vec::new(),
        };
        self.standing().load(snapshot);
        Ok(())
    }
}
