//! Authorizations and their challenges.

use serde_json::json;

use super::{
    Authority, AuthorityError,
    crash_point::{CrashPoint, reach},
};
use crate::domain::{
    audit::Actor,
    authorization::Authorization,
    challenge::{ChallengeKind, ValidationFailure},
    directory::Directory,
    id::AuthorizationId,
    identifier::Identifier,
};

/// The ways in which an identifier can be proved in a directory; none, when it can't be.
pub(super) fn challenges_for(directory: &Directory, identifier: &Identifier) -> Vec<ChallengeKind> {
    let possible: &[ChallengeKind] = match identifier {
        // RFC 8555 section 7.1.3: a wildcard stands for names that nobody can be reached by.
        Identifier::Dns(name) if name.is_wildcard() => {
            &[ChallengeKind::Dns01, ChallengeKind::DnsAccount01]
        }
        Identifier::Dns(_) => &[
            ChallengeKind::Http01,
            ChallengeKind::Dns01,
            ChallengeKind::TlsAlpn01,
            ChallengeKind::DnsAccount01,
        ],
        // RFC 8738 section 7: there is no dns-01 for addresses.
        Identifier::Ip(_) => &[ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
        Identifier::PermanentIdentifier(_) | Identifier::HardwareModule(_) => {
            &[ChallengeKind::DeviceAttest01]
        }
    };
    possible
        .iter()
        .copied()
        .filter(|kind| directory.challenges.contains(kind))
        .collect()
}

impl Authority {
    /// The authorization with this id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn authorization(
        &self,
        id: &AuthorizationId,
    ) -> Result<Option<Authorization>, AuthorityError> {
        Ok(self.store().authorization(id).await?)
    }

    /// Whether a challenge may be looked at now. It changes nothing: what is settled at once was never begun.
    ///
    /// # Errors
    /// `WrongState` when the authorization or the challenge has ended, `RateLimited` when too much of it has failed.
    pub async fn check_challenge(
        &self,
        authorization: &Authorization,
        kind: ChallengeKind,
    ) -> Result<(), AuthorityError> {
        self.admit_challenge(authorization).await?;
        authorization.clone().begin(kind, self.now())?;
        Ok(())
    }

    /// Records that a challenge is being looked at, by whoever takes it up again if this process ends.
    ///
    /// # Errors
    /// `WrongState` when the authorization or the challenge has ended.
    pub async fn begin_challenge(
        &self,
        id: &AuthorizationId,
        kind: ChallengeKind,
    ) -> Result<Authorization, AuthorityError> {
        reach(CrashPoint::ChallengeBeforeBegin);
        let begun = self.store().begin_challenge(id, kind, self.now()).await?;
        reach(CrashPoint::ChallengeBegun);
        Ok(begun)
    }

    /// The outcome of looking at a challenge, be it recorded that it was begun or not; the order follows.
    ///
    /// # Errors
    /// `WrongState` when the authorization or the challenge has ended.
    pub async fn finish_challenge(
        &self,
        id: &AuthorizationId,
        kind: ChallengeKind,
        outcome: Result<(), ValidationFailure>,
    ) -> Result<Authorization, AuthorityError> {
        let failure = outcome.as_ref().err().map(|failure| &failure.detail);
        let audit = self.audit(
            &Actor::Authority,
            "authorization.validate",
            id,
            json!({ "challenge": kind.name(), "valid": outcome.is_ok(), "failure": failure }),
        );
        let failed = outcome.is_err();
        reach(CrashPoint::ChallengeValidated);
        let authorization = self
            .store()
            .finish_challenge(id, kind, outcome, self.now(), audit)
            .await?;
        reach(CrashPoint::ChallengeRecorded);
        if failed {
            self.count_failed_validation(&authorization).await?;
        }
        Ok(authorization)
    }

    /// The client gives an authorization up.
    ///
    /// # Errors
    /// `WrongState` when it has ended already.
    pub async fn deactivate_authorization(
        &self,
        id: &AuthorizationId,
    ) -> Result<Authorization, AuthorityError> {
        let owner = self
            .store()
            .authorization(id)
            .await?
            .ok_or(AuthorityError::NotFound("authorization"))?
            .account;
        let audit = self.audit(
            &Actor::Account(owner.to_string()),
            "authorization.deactivate",
            id,
            json!({}),
        );
        Ok(self
            .store()
            .deactivate_authorization(id, self.now(), audit)
            .await?)
    }
}
