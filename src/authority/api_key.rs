//! Minting and revoking API keys.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Authority, AuthorityError, fill_random};
use crate::domain::{
    api_key::{ApiKey, ApiKeyId, ApiKeyKind, ApiKeyToken},
    audit::Actor,
    event::TrustEvent,
    principal::Principal,
    scope::Scope,
};

/// What a key is to be.
#[derive(Debug, Clone)]
pub struct MintApiKey {
    /// What it is for.
    pub kind: ApiKeyKind,
    /// Whom it proves.
    pub principal: Principal,
    /// What its owner calls it.
    pub name: String,
    /// If present, nothing beyond these scopes is allowed.
    pub only: Option<Vec<Scope>>,
    /// If not empty, the networks that it may be used from.
    pub cidrs: Vec<IpNet>,
    /// How long it is good for; for ever without.
    pub life: Option<Duration>,
    /// If present, it is good only together with the certificate with this SHA-256 thumbprint.
    pub bound_certificate: Option<[u8; 32]>,
}

/// A new key and its token, which is shown once.
pub struct MintedApiKey {
    /// The record.
    pub key: Arc<ApiKey>,
    /// The token as its holder gets it.
    pub token: Zeroizing<String>,
}

impl Authority {
    /// Mints a key. Who may ask for this was decided before.
    ///
    /// # Errors
    /// `Invalid` when its kind forbids its shape, or for enrolment keys, which `invite` makes.
    pub async fn mint_api_key(
        &self,
        actor: &Actor,
        created_by: &Principal,
        mint: MintApiKey,
    ) -> Result<MintedApiKey, AuthorityError> {
        if mint.kind == ApiKeyKind::Enrolment {
            return Err(AuthorityError::Invalid(
                "an enrolment key is made by inviting somebody: portcullis invite PRINCIPAL"
                    .to_owned(),
            ));
        }
        let now = self.now();
        let mut randomness = Zeroizing::new([0; 32]);
        fill_random(randomness.as_mut())?;
        let token = ApiKeyToken::mint(mint.kind, &randomness);
        let key = ApiKey {
            id: token.id(),
            kind: mint.kind,
            principal: mint.principal,
            name: mint.name,
            only: mint.only,
            cidrs: mint.cidrs,
            expires_at: mint.life.map(|life| now + life),
            bound_certificate: mint.bound_certificate,
            digest: self.secrets().pepper.digest(&token),
            created_at: now,
            created_by: created_by.clone(),
            revoked_at: None,
        };
        key.check_shape()
            .map_err(|error| AuthorityError::Invalid(error.to_string()))?;
        let audit = self.audit(
            actor,
            "api-key.mint",
            key.id,
            json!({
                "kind": key.kind,
                "principal": key.principal,
                "name": key.name,
                "only": key.only,
                "expires_at": key.expires_at,
            }),
        );
        let key = Arc::new(key);
        let minted = MintedApiKey {
            key: Arc::clone(&key),
            token: token.reveal(),
        };
        self.change_standing(|authority| async move {
            let epoch = authority
                .store()
                .mint_api_key(ApiKey::clone(&key), audit)
                .await?;
            Ok(((), Some((epoch, TrustEvent::ApiKeyMinted(key)))))
        })
        .await?;
        Ok(minted)
    }

    /// All keys, oldest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, AuthorityError> {
        Ok(self.store().api_keys().await?)
    }

    /// Revokes a key. When the call returns it opens nothing any more.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is revoked already.
    pub async fn revoke_api_key(&self, actor: &Actor, id: ApiKeyId) -> Result<u64, AuthorityError> {
        let audit = self.audit(actor, "api-key.revoke", id, json!({}));
        self.change_standing(move |authority| async move {
            let now = authority.now();
            let epoch = authority.store().revoke_api_key(id, now, audit).await?;
            Ok((epoch, Some((epoch, TrustEvent::ApiKeyRevoked(id)))))
        })
        .await
    }
}
