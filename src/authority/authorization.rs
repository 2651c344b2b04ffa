//! Authorizations: those that are asked for before any order, and those that serve another one.

use std::time::Duration;

use serde_json::json;

use super::{Authority, AuthorityError, challenge::challenges_for, order::authorize, random_bits};
use crate::domain::{
    Timestamp,
    account::Account,
    audit::Actor,
    authorization::Authorization,
    directory::Directory,
    id::{AccountId, AuthorizationId},
    identifier::Identifier,
};

/// How long an authorization that was asked for before any order is good for.
const PRE_AUTHORIZATION_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

impl Authority {
    /// Authorizes an identifier before any order (RFC 8555 section 7.4.1).
    ///
    /// # Errors
    /// `RejectedIdentifier` for a wildcard and for what the account may not order at all, `Unauthorized` when its
    /// enrolment has ended.
    pub async fn new_authorization(
        &self,
        account: &AccountId,
        identifier: Identifier,
    ) -> Result<Authorization, AuthorityError> {
        let account = self
            .store()
            .account(account)
            .await?
            .ok_or(AuthorityError::NotFound("account"))?;
        let directory = self.directory(&account.directory)?;
        let enrolment = self.active_enrolment(&account).await?;
        if let Identifier::Dns(name) = &identifier
            && name.is_wildcard()
        {
            return Err(AuthorityError::RejectedIdentifier {
                identifier: identifier.to_string(),
                reason: "a wildcard is authorized with its order only (RFC 8555 section 7.4.1); order it".to_owned(),
            });
        }
        let one = std::slice::from_ref(&identifier);
        self.admit_order(directory, &account, enrolment.as_ref(), one, false)?;
        let profile = self.ordered_profile(directory, enrolment.as_ref(), None)?;
        self.check_names(directory, &profile, one)?;
        let (state, challenges) = authorize(directory, enrolment.as_ref(), &identifier)?;
        let authorization = Authorization {
            id: AuthorizationId::from_random(random_bits()?),
            account: account.id.clone(),
            order: None,
            identifier,
            state,
            expires_at: self.now() + PRE_AUTHORIZATION_LIFE,
            challenges,
            attested_key: None,
        };
        self.admit_pending(directory, &account.id, std::slice::from_ref(&authorization))
            .await?;
        let audit = self.audit(
            &Actor::Account(account.id.to_string()),
            "authorization.request",
            &authorization.id,
            json!({ "identifier": authorization.identifier.to_string() }),
        );
        self.store()
            .place_authorization(authorization.clone(), audit)
            .await?;
        Ok(authorization)
    }

    /// The authorization that an account has for an identifier already and that serves a new order too: one that was
    /// asked for before any order, or one that was proved not too long ago. Whether the account may order the identifier
    /// at all is decided without it, each time.
    pub(super) async fn reusable_authorization(
        &self,
        directory: &Directory,
        account: &Account,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<Option<Authorization>, AuthorityError> {
        let kept = self
            .store()
            .proved_authorization(&account.id, identifier)
            .await?;
        Ok(kept.filter(|kept| is_reusable(directory, kept, now)))
    }
}

fn is_reusable(directory: &Directory, kept: &Authorization, now: Timestamp) -> bool {
    let Some((kind, proved_at)) = kept.proof() else {
        return false;
    };
    let recent = kept.order.is_none() || now < proved_at + directory.reuse_authorizations;
    // A way of proving that is no longer good enough here.
    let offered = challenges_for(directory, &kept.identifier).contains(&kind);
    kept.is_valid_at(now) && recent && offered
}
