//! Inviting somebody to enrol.

use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::{Authority, AuthorityError, fill_random};
use crate::domain::{
    api_key::{ApiKeyKind, ApiKeyToken},
    audit::Actor,
    identifier::Identifier,
    invitation::Invitation,
    principal::Principal,
    profile::ProfileName,
};

/// What an invitation is to be.
#[derive(Debug, Clone)]
pub struct Invite {
    /// Who is to enrol.
    pub principal: Principal,
    /// The names that it vouches for, beside the principal's own permanent identifier.
    pub identifiers: Vec<Identifier>,
    /// By which profile its certificates are made; that of the principal's kind where nothing is said.
    pub profile: Option<ProfileName>,
    /// How many accounts may be opened with it.
    pub uses: u32,
    /// How long it is good for.
    pub life: Duration,
}

/// An invitation and the MAC key of its binding, which is shown once and kept nowhere.
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// The MAC key.
    pub mac_key: Zeroizing<[u8; 32]>,
}

/// The longest that an invitation may be good for.
const MAX_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

impl Authority {
    /// Invites somebody. Who may ask for this was decided before.
    ///
    /// # Errors
    /// `Invalid` for users, a profile that does not fit, no uses or too long a life.
    pub async fn invite(&self, actor: &Actor, invite: Invite) -> Result<Invited, AuthorityError> {
        let profile = self
            .profiles()
            .for_principal(&invite.principal, invite.profile)?;
        if invite.uses == 0 {
            return Err(AuthorityError::Invalid(
                "an invitation has at least one use".to_owned(),
            ));
        }
        if invite.life.is_zero() || invite.life > MAX_LIFE {
            return Err(AuthorityError::Invalid(
                "an invitation is good for at least a second and at most 365 days".to_owned(),
            ));
        }
        let now = self.now();
        let mut randomness = Zeroizing::new([0; 32]);
        fill_random(randomness.as_mut())?;
        let id = ApiKeyToken::mint(ApiKeyKind::Enrolment, &randomness).id();
        let mut identifiers = invite.identifiers;
        identifiers.push(Identifier::PermanentIdentifier(
            invite.principal.path().to_owned(),
        ));
        identifiers.sort();
        identifiers.dedup();
        let invitation = Invitation {
            id,
            principal: invite.principal,
            profile,
            identifiers,
            uses: invite.uses,
            used: 0,
            expires_at: now + invite.life,
            created_at: now,
            revoked_at: None,
        };
        let names: Vec<String> = invitation
            .identifiers
            .iter()
            .map(ToString::to_string)
            .collect();
        let audit = self.audit(
            actor,
            "invitation.create",
            id,
            json!({
                "principal": invitation.principal,
                "identifiers": names,
                "profile": invitation.profile,
                "uses": invitation.uses,
                "expires_at": invitation.expires_at,
            }),
        );
        self.store().invite(invitation.clone(), audit).await?;
        Ok(Invited {
            invitation,
            mac_key: self.secrets().server_root.external_account_key(&id),
        })
    }
}
