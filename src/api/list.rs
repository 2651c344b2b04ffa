//! Revocation lists.

use axum::{Extension, Json, extract::State};
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, problem::Problem};
use crate::{authority::CurrentList, domain::Timestamp};

/// A published list.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownList {
    /// The public key of its issuer, SHA-256.
    pub issuer: String,
    /// Which of its shards.
    pub shard: u32,
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one will be there.
    pub next_update: Timestamp,
}

impl From<&CurrentList> for ShownList {
    fn from(list: &CurrentList) -> Self {
        Self {
            issuer: list.issuer.to_string(),
            shard: list.shard,
            number: list.number,
            this_update: list.this_update,
            next_update: list.next_update,
        }
    }
}

pub(super) async fn list(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<ShownList>>, Problem> {
    caller.on_everything()?;
    Ok(Json(
        state
            .authority
            .lists()
            .iter()
            .map(ShownList::from)
            .collect(),
    ))
}

pub(super) async fn publish(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<ShownList>>, Problem> {
    let actor = caller.on_everything()?;
    let published = state.authority.publish_lists(&actor).await?;
    Ok(Json(published.iter().map(ShownList::from).collect()))
}
