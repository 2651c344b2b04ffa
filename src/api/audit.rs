//! Reading the audit trail.

use axum::{
    Extension, Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, moment, problem::Problem};
use crate::{domain::audit::AuditEntry, store::AuditQuery};

/// Which entries are wanted: newest first, but oldest first with `after`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListAudit {
    /// By whom.
    pub actor: Option<String>,
    /// Those whose action begins so.
    pub action: Option<String>,
    /// About what.
    pub subject: Option<String>,
    /// From then on: a time, or how long ago.
    pub since: Option<String>,
    /// Before then: a time, or how long ago.
    pub until: Option<String>,
    /// Those after this number, oldest first.
    pub after: Option<u64>,
    /// Those before this number.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// The most entries of one answer.
const MOST: usize = 10_000;

pub(super) async fn list(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<ListAudit>,
) -> Result<Json<Vec<AuditEntry>>, Problem> {
    caller.on_everything()?;
    let now = state.authority.now();
    let moment =
        |name, text: Option<String>| text.map(|text| moment::ago(name, &text, now)).transpose();
    let entries = state
        .authority
        .audit_entries(AuditQuery {
            actor: wanted.actor,
            action: wanted.action,
            subject: wanted.subject,
            since: moment("since", wanted.since)?,
            until: moment("until", wanted.until)?,
            newest_first: wanted.after.is_none(),
            after: wanted.after,
            before: wanted.before,
            limit: wanted.limit.unwrap_or(1000).clamp(1, MOST),
        })
        .await?;
    Ok(Json(entries))
}
