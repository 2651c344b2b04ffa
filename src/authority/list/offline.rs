//! Lists of issuers whose key is elsewhere: what is to be signed goes out, what was signed comes in, and an alarm comes
//! before it is too late.

use std::sync::Arc;

use portcullis_ca::{
    crl::ListDraft,
    list::{ListIssuer, RevocationList},
    pki_types::CertificateDer,
};

use super::CurrentList;
use crate::{
    authority::{Authority, AuthorityError, Issuer},
    domain::{Timestamp, audit::Actor},
    store::ShardState,
};

impl Authority {
    /// What the next list of an issuer's shard is to say, if it is made now and good until `next_update`; and up to
    /// which trust event every revocation is on it. It is signed where the key is: `draft.check(…)?.sign(…)`.
    ///
    /// # Errors
    /// What the store says; and what keeps any list from being published.
    pub async fn list_draft_for(
        &self,
        issuer: &Issuer,
        shard: u32,
        next_update: Timestamp,
    ) -> Result<(ListDraft, u64), AuthorityError> {
        let last = self.last_list(issuer.id(), shard).await?;
        let head = last.as_ref().map(|(head, _)| *head);
        let this_update = head
            .map_or(self.now(), |list| self.now().max(list.this_update))
            .whole_seconds();
        let planned = self
            .plan_list(issuer, shard, head, (this_update, next_update))
            .await?;
        self.check_nothing_vanished(issuer.id(), &planned, last.map(|(_, list)| list))
            .await?;
        Ok((planned.draft, planned.covers))
    }

    /// Publishes a list that was signed elsewhere: if it is the next one, its signature verifies, and it says to the
    /// octet what the store has.
    ///
    /// # Errors
    /// `Invalid` with what is wrong with it; `Conflict` when another list was published meanwhile.
    pub async fn accept_signed_list(
        &self,
        actor: &Actor,
        issuer: &Arc<Issuer>,
        shard: u32,
        der: &[u8],
    ) -> Result<CurrentList, AuthorityError> {
        let invalid = |what: String| AuthorityError::Invalid(format!("the list: {what}"));
        let certificate = CertificateDer::from(issuer.certificate.der());
        let signer = ListIssuer::from_certificate(&certificate)
            .map_err(|error| AuthorityError::Internal(error.to_string()))?;
        let list =
            RevocationList::from_der(der, &signer).map_err(|error| invalid(error.to_string()))?;
        let time = |time: portcullis_ca::pki_types::UnixTime| {
            Timestamp::from_unix_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
        };
        let (this_update, next_update) = (time(list.this_update()), time(list.next_update()));
        let now = self.now();
        if this_update > now || next_update <= now {
            return Err(invalid(format!(
                "it is good from {this_update} to {next_update}, and now it is {now}"
            )));
        }
        let _turn = self.inner.publisher.turn.lock().await;
        self.lease(issuer.id(), shard).await?;
        let last = self.last_list(issuer.id(), shard).await?;
        let head = last.as_ref().map(|(head, _)| *head);
        if let Some(last) = head
            && (list.number() != (last.number + 1).into() || this_update < last.this_update)
        {
            return Err(AuthorityError::Conflict(format!(
                "the last list has the number {} and was made at {}; this one, number {} of {this_update}, does not \
                 follow it: draft it again",
                last.number,
                last.this_update,
                list.number(),
            )));
        }
        let planned = self
            .plan_list(issuer, shard, head, (this_update, next_update))
            .await?;
        // Its entries too: what was revoked since it was drafted would be missing on it.
        planned
            .draft
            .check_signed(der, &issuer.certificate)
            .map_err(|refused| {
                invalid(format!(
                    "{refused}; if something was revoked since it was drafted, draft it again"
                ))
            })?;
        self.check_nothing_vanished(issuer.id(), &planned, last.map(|(_, list)| list))
            .await?;
        self.record_list(actor, issuer.id(), shard, &planned, der.to_vec())
            .await
    }

    /// Whether the list of an issuer whose key is offline will do for now.
    pub(super) fn check_offline(
        &self,
        state: &ShardState,
        offline: &AuthorityError,
    ) -> Result<Option<CurrentList>, AuthorityError> {
        let fault = |what: &str| {
            Err(AuthorityError::Internal(format!(
                "{what}, and {offline}: portcullis ca root crl makes a list with it"
            )))
        };
        let Some(list) = self.current_list(state.issuer, state.shard) else {
            return fault("there is no list yet");
        };
        let covers = state.published.and_then(|list| list.covers);
        if covers.is_none_or(|covers| covers < state.revoked_up_to) {
            return fault("a revocation is missing on the list");
        }
        if self.now() >= list.alarm_at() {
            return fault(&format!("the list ends at {}", list.next_update));
        }
        Ok(None)
    }
}
