//! Reading the audit trail.

use axum::{
    Extension, Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, problem::Problem};
use crate::{authority::AuthorityError, domain::audit::AuditEntry};

/// Which entries are wanted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListAudit {
    /// Those after this number.
    #[serde(default)]
    pub after: u64,
    /// At most so many.
    pub limit: Option<usize>,
}

pub(super) async fn list(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<ListAudit>,
) -> Result<Json<Vec<AuditEntry>>, Problem> {
    caller.on_everything()?;
    let entries = state
        .authority
        .store()
        .audit(wanted.after, wanted.limit.unwrap_or(1000))
        .await
        .map_err(AuthorityError::from)?;
    Ok(Json(entries))
}
