//! A root's key on its way out, and its lists while the key is elsewhere.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_ca::{
    crl::{ListDraft, ListScope, RevokedEntry},
    revocation::RevocationReason,
    serial::Serial,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::{SharedState, caller::Caller, issuer::ShownIssuer, list::ShownList, problem::Problem};
use crate::domain::{Timestamp, issuer::IssuerRole, text::as_text};

/// How a root's key is to be handed out. It goes over the socket of this machine and nowhere else.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportKey {
    /// What seals the key.
    pub passphrase: String,
    /// When the key will be at hand again, at the latest, in seconds from now.
    pub next_ceremony_seconds: u64,
}

impl Drop for ExportKey {
    fn drop(&mut self) {
        self.passphrase.zeroize();
    }
}

/// A root's key, sealed.
#[derive(Serialize, Deserialize)]
pub struct KeyExported {
    /// PKCS#8 in PEM, sealed.
    pub key: String,
    /// Until when the root's list is good.
    pub list_until: Timestamp,
}

pub(super) async fn export(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(wanted): Json<ExportKey>,
) -> Result<Json<KeyExported>, Problem> {
    // With it, any CA can be made.
    let actor = caller.on_all_there_is()?;
    if wanted.passphrase.chars().count() < 8 {
        return Err(Problem::bad_request(
            "a root's key is sealed with a passphrase of at least 8 characters",
        ));
    }
    let exported = state
        .authority
        .export_root_key(
            &actor,
            &name,
            wanted.passphrase.as_bytes(),
            Duration::from_secs(wanted.next_ceremony_seconds),
        )
        .await?;
    Ok(Json(KeyExported {
        key: exported.key.to_string(),
        list_until: exported.list_until,
    }))
}

/// How a root's key is to be removed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveKey {
    /// When the key will be at hand again, at the latest, in seconds from now.
    pub next_ceremony_seconds: u64,
}

pub(super) async fn remove(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(wanted): Json<RemoveKey>,
) -> Result<Json<ShownIssuer>, Problem> {
    let actor = caller.on_everything()?;
    let next = Duration::from_secs(wanted.next_ceremony_seconds);
    let record = state.authority.remove_root_key(&actor, &name, next).await?;
    Ok(Json(ShownIssuer::of(&record, &state)))
}

/// Until when the next list is to be good.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftUntil {
    /// In seconds from now.
    pub life_seconds: u64,
}

/// What a list is to say, for whoever signs it elsewhere.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownDraft {
    /// Whose list, by name.
    pub issuer: String,
    /// Whether it is about CAs (a root's) or leaves.
    pub role: IssuerRole,
    /// Its number.
    pub number: u64,
    /// When it is made, in seconds since 1970.
    pub this_update: i64,
    /// When the next one will be there, in seconds since 1970.
    pub next_update: i64,
    /// Where it is published.
    pub distribution_point: String,
    /// What is revoked.
    pub entries: Vec<ShownEntry>,
}

/// An entry of a list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownEntry {
    /// Which certificate.
    #[serde(with = "as_text")]
    pub serial: Serial,
    /// When it was revoked, in seconds since 1970.
    pub revoked_at: i64,
    /// Why.
    #[serde(with = "as_text")]
    pub reason: RevocationReason,
}

impl ShownDraft {
    fn of(issuer: String, draft: &ListDraft) -> Self {
        Self {
            issuer,
            role: match draft.scope {
                ListScope::Authorities => IssuerRole::Root,
                ListScope::Leaves => IssuerRole::Intermediate,
            },
            number: draft.number,
            this_update: draft.this_update,
            next_update: draft.next_update,
            distribution_point: draft.distribution_point.clone(),
            entries: draft
                .entries
                .iter()
                .map(|entry| ShownEntry {
                    serial: entry.serial,
                    revoked_at: entry.revoked_at,
                    reason: entry.reason,
                })
                .collect(),
        }
    }

    /// The draft, ready to be checked and signed.
    #[must_use]
    pub fn draft(&self) -> ListDraft {
        ListDraft {
            number: self.number,
            this_update: self.this_update,
            next_update: self.next_update,
            scope: match self.role {
                IssuerRole::Root => ListScope::Authorities,
                IssuerRole::Intermediate => ListScope::Leaves,
            },
            distribution_point: self.distribution_point.clone(),
            entries: self
                .entries
                .iter()
                .map(|entry| RevokedEntry {
                    serial: entry.serial,
                    revoked_at: entry.revoked_at,
                    reason: entry.reason,
                })
                .collect(),
        }
    }
}

pub(super) async fn draft(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(until): Query<DraftUntil>,
) -> Result<Json<ShownDraft>, Problem> {
    caller.on_everything()?;
    let issuers = state.authority.issuers();
    let issuer = issuers.named(&name)?;
    let end = Timestamp::from_unix_seconds(issuer.certificate.not_after());
    let until = state.authority.now() + Duration::from_secs(until.life_seconds);
    let (draft, _) = state
        .authority
        .list_draft_for(issuer, 0, until.min(end).whole_seconds())
        .await?;
    Ok(Json(ShownDraft::of(issuer.name().to_string(), &draft)))
}

/// A list that was signed elsewhere.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedList {
    /// DER, base64.
    pub der: String,
}

pub(super) async fn publish(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(wanted): Json<SignedList>,
) -> Result<Json<ShownList>, Problem> {
    let actor = caller.on_everything()?;
    let issuers = state.authority.issuers();
    let issuer = issuers.named(&name)?;
    let der = STANDARD
        .decode(&wanted.der)
        .map_err(|_| Problem::bad_request("\"der\" is not base64"))?;
    let list = state
        .authority
        .accept_signed_list(&actor, issuer, 0, &der)
        .await?;
    Ok(Json(ShownList::from(&list)))
}
