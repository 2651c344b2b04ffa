//! Showing, checking and applying policies.

use axum::{Extension, Json, extract::State};
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, problem::Problem};
use crate::domain::Timestamp;

/// The policy in force.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownPolicy {
    /// Its revision.
    pub revision: u64,
    /// Since when.
    pub applied_at: Timestamp,
    /// By whom.
    pub applied_by: String,
    /// The document.
    pub text: String,
}

pub(super) async fn show(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ShownPolicy>, Problem> {
    caller.on_everything()?;
    let policy = state
        .authority
        .policy()
        .await?
        .ok_or_else(|| Problem::not_found("no policy was ever applied"))?;
    Ok(Json(ShownPolicy {
        revision: policy.revision,
        applied_at: policy.applied_at,
        applied_by: policy.applied_by,
        text: policy.text,
    }))
}

/// A policy document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// TOML.
    pub text: String,
}

/// That a document is sound.
#[derive(Debug, Serialize, Deserialize)]
pub struct PolicyChecked {
    /// How many routes it has.
    pub routes: usize,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
}

pub(super) async fn check(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<PolicyText>,
) -> Result<Json<PolicyChecked>, Problem> {
    caller.on_everything()?;
    let policy = state.authority.check_policy(&wanted.text)?;
    Ok(Json(PolicyChecked {
        routes: policy.routes().len(),
        warnings: policy.warnings().iter().map(ToString::to_string).collect(),
    }))
}

/// A policy that was put in force.
#[derive(Debug, Serialize, Deserialize)]
pub struct PolicyApplied {
    /// Its revision.
    pub revision: u64,
    /// The epoch from which on it decides.
    pub epoch: u64,
    /// How many routes it has.
    pub routes: usize,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
}

pub(super) async fn apply(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<PolicyText>,
) -> Result<Json<PolicyApplied>, Problem> {
    // A policy can give anybody anything, so it takes the right to everything to apply one.
    let actor = caller.on_all_there_is()?;
    let policy = state.authority.check_policy(&wanted.text)?;
    let applied = state.authority.apply_policy(&actor, wanted.text).await?;
    Ok(Json(PolicyApplied {
        revision: applied.revision,
        epoch: applied.epoch,
        routes: policy.routes().len(),
        warnings: policy.warnings().iter().map(ToString::to_string).collect(),
    }))
}
