//! ACME accounts.

use std::net::IpAddr;

use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Authority, AuthorityError,
    crash_point::{CrashPoint, reach},
    random_bits,
};
use crate::{
    domain::{
        account::{Account, AccountChange, AccountStatus, Thumbprint},
        audit::Actor,
        directory::DirectoryName,
        enrolment::{Enrolment, EnrolmentState},
        id::{AccountId, EnrolmentId},
        invitation::InvitationId,
    },
    store::{self, ChangeAccountKey},
};

/// An account that somebody wants to open. Its key has signed the request, and the binding's MAC was verified.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Where it is opened.
    pub directory: DirectoryName,
    /// The thumbprint of its key.
    pub thumbprint: Thumbprint,
    /// Its key as a JWK.
    pub jwk: serde_json::Value,
    /// Where its owner can be reached.
    pub contacts: Vec<String>,
    /// The invitation that its external account binding names.
    pub binding: Option<InvitationId>,
    /// The address that the request came from, if it is known.
    pub from: Option<IpAddr>,
    /// The external account binding as it was sent.
    pub external_account_binding: Option<serde_json::Value>,
    /// The terms of service that its owner has agreed to.
    pub terms_of_service: Option<String>,
}

/// Another key for an account. It has signed the request, and so has the old one.
#[derive(Debug, Clone)]
pub struct NewAccountKey {
    /// The thumbprint of the old key.
    pub from: Thumbprint,
    /// The thumbprint of the new one.
    pub to: Thumbprint,
    /// The new key as a JWK.
    pub jwk: serde_json::Value,
    /// The SHA-256 of its SubjectPublicKeyInfo; nothing for a kind of key that no certificate has.
    pub fingerprint: Option<[u8; 32]>,
}

impl Authority {
    /// The account with this id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn account(&self, id: &AccountId) -> Result<Option<Account>, AuthorityError> {
        Ok(self.store().account(id).await?)
    }

    /// The account with this key in a directory.
    ///
    /// # Errors
    /// What the store says.
    pub async fn account_by_key(
        &self,
        directory: &DirectoryName,
        thumbprint: &Thumbprint,
    ) -> Result<Option<Account>, AuthorityError> {
        Ok(self.store().account_by_key(directory, *thumbprint).await?)
    }

    /// Whether a key is that of an account, of whatever directory and state.
    ///
    /// # Errors
    /// What the store says.
    pub async fn is_account_key(&self, thumbprint: &Thumbprint) -> Result<bool, AuthorityError> {
        Ok(self.store().is_account_key(*thumbprint).await?)
    }

    /// The MAC key of an external account binding (RFC 8555 section 7.3.4), if there is such an invitation. Whether it can
    /// still be redeemed is told only to who has made the MAC, so that ids can't be probed: [`Self::create_account`]
    /// refuses then.
    ///
    /// # Errors
    /// What the store says.
    pub async fn external_account_key(
        &self,
        key_id: &str,
    ) -> Result<Option<(InvitationId, Zeroizing<[u8; 32]>)>, AuthorityError> {
        let Ok(id) = key_id.parse::<InvitationId>() else {
            return Ok(None);
        };
        let invitation = self.store().invitation(id).await?;
        Ok(invitation.map(|_| (id, self.secrets().server_root.external_account_key(&id))))
    }

    /// Why the server ended an account, where its enrolment says so.
    ///
    /// # Errors
    /// What the store says.
    pub async fn why_revoked(&self, account: &Account) -> Result<Option<String>, AuthorityError> {
        let Some(id) = &account.enrolment else {
            return Ok(None);
        };
        let enrolment = self.store().enrolment(id).await?;
        Ok(enrolment.and_then(|enrolment| match enrolment.state {
            EnrolmentState::Ended { at, reason } => Some(format!("{reason}, at {at}")),
            EnrolmentState::Active | EnrolmentState::AwaitingApproval { .. } => None,
        }))
    }

    /// Opens an account; with a binding, its invitation is redeemed and an enrolment begins. It waits for an operator's
    /// approval if the invitation asks for it, or if the principal has a good certificate of an enrolment that the
    /// invitation was made without knowing of.
    ///
    /// # Errors
    /// `Conflict` when the key has an account, `Unauthorized` when the invitation can't be redeemed,
    /// `RateLimited`.
    pub async fn create_account(&self, new: NewAccount) -> Result<Account, AuthorityError> {
        let now = self.now();
        self.admit_account(self.directory(&new.directory)?, new.binding, new.from)?;
        let id = AccountId::from_random(random_bits()?);
        let enrolment = match new.binding {
            None => None,
            Some(binding) => {
                let invitation = self
                    .store()
                    .invitation(binding)
                    .await?
                    .ok_or(AuthorityError::NotFound("invitation"))?;
                Some(Enrolment {
                    id: EnrolmentId::from_random(random_bits()?),
                    invitation: binding,
                    account: id.clone(),
                    principal: invitation.principal,
                    grant: invitation.grant,
                    needs: invitation.needs,
                    // The command decides whether it has to wait for an approval.
                    state: EnrolmentState::Active,
                    created_at: now,
                    approved_at: None,
                    certified_at: None,
                })
            }
        };
        let account = Account {
            id,
            directory: new.directory,
            thumbprint: new.thumbprint,
            jwk: new.jwk,
            contacts: new.contacts,
            status: AccountStatus::Valid,
            enrolment: enrolment.as_ref().map(|enrolment| enrolment.id.clone()),
            terms_of_service: new.terms_of_service,
            external_account_binding: new.external_account_binding,
            created_at: now,
        };
        let audit = self.audit(
            &Actor::Account(account.id.to_string()),
            "account.create",
            &account.id,
            json!({
                "directory": account.directory,
                "thumbprint": account.thumbprint.to_base64url(),
                "invitation": new.binding,
                "principal": enrolment.as_ref().map(|enrolment| &enrolment.principal),
            }),
        );
        let new = store::NewAccount {
            account: account.clone(),
            enrolment,
        };
        reach(CrashPoint::AccountBeforeCommit);
        self.store().create_account(new, audit).await?;
        reach(CrashPoint::AccountCommitted);
        Ok(account)
    }

    /// Changes an account's contacts, or the terms of service that its owner has agreed to.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is no longer valid.
    pub async fn update_account(
        &self,
        id: &AccountId,
        change: AccountChange,
    ) -> Result<Account, AuthorityError> {
        self.change_account(id, "account.update", change).await
    }

    /// Ends an account, for ever (RFC 8555 section 7.3.6).
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is no longer valid.
    pub async fn deactivate_account(&self, id: &AccountId) -> Result<Account, AuthorityError> {
        let change = AccountChange {
            status: Some(AccountStatus::Deactivated),
            ..AccountChange::default()
        };
        self.change_account(id, "account.deactivate", change).await
    }

    async fn change_account(
        &self,
        id: &AccountId,
        action: &'static str,
        change: AccountChange,
    ) -> Result<Account, AuthorityError> {
        let detail = match &change.terms_of_service {
            Some(terms) => json!({ "terms_of_service": terms }),
            None => json!({}),
        };
        let audit = self.audit(&Actor::Account(id.to_string()), action, id, detail);
        Ok(self
            .store()
            .update_account(id.clone(), change, audit)
            .await?)
    }

    /// Gives an account another key; both have signed for it (RFC 8555 section 7.3.5).
    ///
    /// # Errors
    /// `KeyBlocked`; `Conflict` when an account of the directory has the key, or this one has not the old one any more.
    pub async fn change_account_key(
        &self,
        id: &AccountId,
        change: NewAccountKey,
    ) -> Result<Account, AuthorityError> {
        let audit = self.audit(
            &Actor::Account(id.to_string()),
            "account.change-key",
            id,
            json!({ "from": change.from.to_base64url(), "to": change.to.to_base64url() }),
        );
        let change = ChangeAccountKey {
            account: id.clone(),
            from: change.from,
            to: change.to,
            jwk: change.jwk,
            fingerprint: change.fingerprint,
        };
        Ok(self.store().change_account_key(change, audit).await?)
    }

    /// Whether a key is refused for ever because it was revoked as compromised, by the SHA-256 of its
    /// SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// What the store says.
    pub async fn is_key_blocked(&self, fingerprint: [u8; 32]) -> Result<bool, AuthorityError> {
        Ok(self.store().is_key_blocked(fingerprint).await?)
    }

    /// Whether a certificate has a key: then it is no account's (RFC 8555 section 11.1), or the account would outlive the
    /// key's compromise.
    ///
    /// # Errors
    /// What the store says.
    pub async fn is_certificate_key(&self, fingerprint: [u8; 32]) -> Result<bool, AuthorityError> {
        Ok(self.store().is_certificate_key(fingerprint).await?)
    }
}
