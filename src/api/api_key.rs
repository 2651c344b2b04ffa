//! Minting, listing and revoking API keys.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, problem::Problem};
use crate::{
    authority::MintApiKey,
    domain::{ApiKey, ApiKeyId, ApiKeyKind, Principal, Scope, Timestamp},
};

/// What a key is to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// Whom it proves.
    pub principal: Principal,
    /// `sk`, `rk` or `tk`.
    pub kind: ApiKeyKind,
    /// What its owner calls it.
    #[serde(default)]
    pub name: String,
    /// If present, nothing beyond these scopes is allowed.
    pub only: Option<Vec<Scope>>,
    /// If not empty, the networks that it may be used from.
    #[serde(default)]
    pub cidrs: Vec<IpNet>,
    /// How long it is good for, in seconds; for ever without.
    pub life_seconds: Option<u64>,
    /// SHA-256 of the certificate that it is good with only, hexadecimal.
    pub bound_certificate: Option<String>,
}

/// A new key with its token, which is shown once.
#[derive(Serialize, Deserialize)]
pub struct ApiKeyCreated {
    /// The token.
    pub token: String,
    /// The key.
    #[serde(flatten)]
    pub key: ShownApiKey,
}

/// A key as it is shown: nothing of its secret.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Its kind.
    pub kind: ApiKeyKind,
    /// Whom it proves.
    pub principal: Principal,
    /// What its owner calls it.
    pub name: String,
    /// What it is narrowed to.
    pub only: Option<Vec<Scope>>,
    /// Where it may be used from.
    pub cidrs: Vec<IpNet>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was minted.
    pub created_at: Timestamp,
    /// Who minted it.
    pub created_by: Principal,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// `valid`, `expired` or `revoked`.
    pub status: String,
}

impl ShownApiKey {
    fn of(key: &ApiKey, now: Timestamp) -> Self {
        let status = if key.revoked_at.is_some() {
            "revoked"
        } else if key.expires_at.is_some_and(|end| now >= end) {
            "expired"
        } else {
            "valid"
        };
        Self {
            id: key.id,
            kind: key.kind,
            principal: key.principal.clone(),
            name: key.name.clone(),
            only: key.only.clone(),
            cidrs: key.cidrs.clone(),
            expires_at: key.expires_at,
            created_at: key.created_at,
            created_by: key.created_by.clone(),
            revoked_at: key.revoked_at,
            status: status.to_owned(),
        }
    }
}

pub(super) async fn mint(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<CreateApiKey>,
) -> Result<Json<ApiKeyCreated>, Problem> {
    let actor = caller.lend(&wanted.principal, wanted.only.as_deref())?;
    let bound_certificate = wanted
        .bound_certificate
        .map(|text| {
            let mut thumbprint = [0; 32];
            hex::decode_to_slice(text.replace(':', ""), &mut thumbprint)
                .map(|()| thumbprint)
                .map_err(|_| {
                    Problem::bad_request(
                        "bound_certificate is the SHA-256 of a certificate: 64 hexadecimal digits",
                    )
                })
        })
        .transpose()?;
    let minted = state
        .authority
        .mint_api_key(
            &actor,
            &caller.principal,
            MintApiKey {
                kind: wanted.kind,
                principal: wanted.principal,
                name: wanted.name,
                only: wanted.only,
                cidrs: wanted.cidrs,
                life: wanted.life_seconds.map(Duration::from_secs),
                bound_certificate,
            },
        )
        .await?;
    Ok(Json(ApiKeyCreated {
        token: minted.token.to_string(),
        key: ShownApiKey::of(&minted.key, state.authority.now()),
    }))
}

pub(super) async fn list(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<ShownApiKey>>, Problem> {
    caller.on_everything()?;
    let now = state.authority.now();
    let keys = state.authority.api_keys().await?;
    Ok(Json(
        keys.iter().map(|key| ShownApiKey::of(key, now)).collect(),
    ))
}

/// What revoking a key did.
#[derive(Debug, Serialize, Deserialize)]
pub struct ApiKeyRevoked {
    /// Which key.
    pub id: ApiKeyId,
    /// The epoch from which on it opens nothing.
    pub epoch: u64,
}

pub(super) async fn revoke(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<ApiKeyRevoked>, Problem> {
    let id: ApiKeyId = id.parse().map_err(|_| {
        Problem::bad_request("a key's id is 12 letters and digits: portcullis key list shows them")
    })?;
    let key = state
        .authority
        .store()
        .api_key(id)
        .await
        .map_err(crate::authority::AuthorityError::from)?
        .ok_or_else(|| {
            Problem::not_found("there is no key with this id: portcullis key list shows them")
        })?;
    let actor = caller.on(&key.principal)?;
    let epoch = state.authority.revoke_api_key(&actor, id).await?;
    Ok(Json(ApiKeyRevoked { id, epoch }))
}
