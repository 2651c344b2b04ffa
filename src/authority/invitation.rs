//! Inviting somebody to enrol, and taking that back.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use zeroize::Zeroizing;

use super::{Authority, AuthorityError, fill_random};
use crate::{
    domain::{
        api_key::{ApiKeyId, ApiKeyKind, ApiKeyToken},
        audit::Actor,
        directory::DirectoryName,
        enrolment::{Enrolment, Grant},
        identifier::Identifier,
        identifier_pattern::IdentifierPattern,
        invitation::{Invitation, InvitationId, Needs},
        principal::Principal,
        profile::ProfileName,
    },
    store::{InvitationQuery, RevokeInvitation, RevokedInvitation},
};

/// What an invitation is to be.
#[derive(Debug, Clone)]
pub struct Invite {
    /// Who is to enrol.
    pub principal: Principal,
    /// The identifiers that it allows, beside the principal's own permanent identifier.
    pub identifiers: Vec<Identifier>,
    /// And those that are not named one by one.
    pub patterns: Vec<IdentifierPattern>,
    /// By which profiles its certificates are made, the default one first; that of the principal's kind where nothing is
    /// said.
    pub profiles: Vec<ProfileName>,
    /// In which directories it may be used; empty: in all.
    pub directories: Vec<DirectoryName>,
    /// What an order needs beside the key.
    pub needs: Needs,
    /// How many accounts may be opened with it.
    pub uses: u32,
    /// How long it is good for.
    pub life: Duration,
}

impl Invite {
    /// For one account, within a day, that gets certificates for its principal's own identifier.
    #[must_use]
    pub fn of(principal: Principal) -> Self {
        Self {
            principal,
            identifiers: Vec::new(),
            patterns: Vec::new(),
            profiles: Vec::new(),
            directories: Vec::new(),
            needs: Needs::default(),
            uses: 1,
            life: Duration::from_secs(24 * 3600),
        }
    }
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
/// The most that it may list of anything.
const MAX_LISTED: usize = 1000;

impl Authority {
    /// Invites somebody. Who may ask for this was decided before.
    ///
    /// # Errors
    /// `Invalid` for users, a profile that does not fit, a directory that there isn't, no uses or too long a life.
    pub async fn invite(&self, actor: &Actor, invite: Invite) -> Result<Invited, AuthorityError> {
        let invalid = |reason: &str| Err(AuthorityError::Invalid(reason.to_owned()));
        if invite.uses == 0 {
            return invalid("an invitation has at least one use");
        }
        if invite.life.is_zero() || invite.life > MAX_LIFE {
            return invalid("an invitation is good for at least a second and at most 365 days");
        }
        if invite.identifiers.len() + invite.patterns.len() > MAX_LISTED {
            return invalid(
                "an invitation lists at most 1,000 identifiers and patterns; a pattern such as *.dev.example stands for many",
            );
        }
        let grant = self.grant(&invite)?;
        self.check_directories(&invite.directories, &grant)?;
        let now = self.now();
        let mut randomness = Zeroizing::new([0; 32]);
        fill_random(randomness.as_mut())?;
        let id = ApiKeyToken::mint(ApiKeyKind::Enrolment, &randomness).id();
        let invitation = Invitation {
            id,
            principal: invite.principal,
            grant,
            needs: invite.needs,
            directories: invite.directories,
            uses: invite.uses,
            used: 0,
            expires_at: now + invite.life,
            created_at: now,
            revoked_at: None,
        };
        let names = invitation.grant.identifiers.iter().map(ToString::to_string);
        let patterns = invitation.grant.patterns.iter().map(ToString::to_string);
        let audit = self.audit(
            actor,
            "invitation.create",
            id,
            json!({
                "principal": invitation.principal,
                "identifiers": names.chain(patterns).collect::<Vec<_>>(),
                "profiles": invitation.grant.profiles().collect::<Vec<_>>(),
                "directories": invitation.directories,
                "needs": invitation.needs,
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

    fn grant(&self, invite: &Invite) -> Result<Grant, AuthorityError> {
        let own = Identifier::PermanentIdentifier(invite.principal.path().to_owned());
        let identifiers: BTreeSet<Identifier> = invite
            .identifiers
            .iter()
            .cloned()
            .chain(std::iter::once(own))
            .collect();
        let mut wanted = invite.profiles.iter().cloned();
        let profile = self
            .profiles()
            .for_principal(&invite.principal, wanted.next())?;
        let mut more_profiles = Vec::new();
        for name in wanted {
            let name = self
                .profiles()
                .for_principal(&invite.principal, Some(name))?;
            if name != profile && !more_profiles.contains(&name) {
                more_profiles.push(name);
            }
        }
        let mut patterns = invite.patterns.clone();
        patterns.sort_by_key(ToString::to_string);
        patterns.dedup();
        Ok(Grant {
            profile,
            more_profiles,
            identifiers: identifiers.into_iter().collect(),
            patterns,
        })
    }

    /// Better told now than when somebody stands before a door that stays shut.
    fn check_directories(
        &self,
        wanted: &[DirectoryName],
        grant: &Grant,
    ) -> Result<(), AuthorityError> {
        let directories = &self.inner.parts.directories;
        for name in wanted {
            let Some(directory) = directories.get(name) else {
                let names: Vec<&str> = directories.iter().map(|it| it.name.as_str()).collect();
                return Err(AuthorityError::Invalid(format!(
                    "there is no directory {name}; one of {} ([acme.directories.{name}] in portcullis.toml would make one)",
                    names.join(", ")
                )));
            };
            if !grant
                .profiles()
                .any(|profile| directory.allows_profile(profile))
            {
                let profiles: Vec<&str> = grant.profiles().map(ProfileName::as_str).collect();
                return Err(AuthorityError::Invalid(format!(
                    "the directory {name} does not offer the profile {}; its profiles in portcullis.toml are {}",
                    profiles.join(", "),
                    directory
                        .profiles
                        .iter()
                        .map(ProfileName::as_str)
                        .collect::<Vec<_>>()
                        .join(", ")
                )));
            }
        }
        Ok(())
    }

    /// The invitation with this id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, AuthorityError> {
        Ok(self.store().invitation(id).await?)
    }

    /// The invitations that a query asks for, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn invitations(
        &self,
        query: InvitationQuery,
    ) -> Result<Vec<Invitation>, AuthorityError> {
        Ok(self.store().invitations(query, self.now()).await?)
    }

    /// The enrolments that were begun with an invitation, oldest first, at most `limit`.
    ///
    /// # Errors
    /// What the store says.
    pub async fn enrolments_of(
        &self,
        invitation: InvitationId,
        limit: usize,
    ) -> Result<Vec<Enrolment>, AuthorityError> {
        Ok(self.store().enrolments_of(invitation, limit).await?)
    }

    /// Takes an invitation back: no account is opened with it any more, and who waits for an approval waits in vain. With
    /// `stop_accounts` the accounts that were opened with it end too. Certificates stay as they are.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it was taken back before and there is nothing to stop.
    pub async fn revoke_invitation(
        &self,
        actor: &Actor,
        id: ApiKeyId,
        stop_accounts: bool,
    ) -> Result<RevokedInvitation, AuthorityError> {
        let audit = self.audit(
            actor,
            "invitation.revoke",
            id,
            json!({ "stop_accounts": stop_accounts }),
        );
        let revoke = RevokeInvitation {
            id,
            stop_accounts,
            at: self.now(),
        };
        Ok(self.store().revoke_invitation(revoke, audit).await?)
    }
}
