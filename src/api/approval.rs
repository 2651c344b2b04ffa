//! Approvals: enrolments that wait for an operator, and the decision on one.

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, problem::Problem};
use crate::domain::{
    DirectoryName, Principal, Timestamp,
    enrolment::{Enrolment, EnrolmentState},
    id::EnrolmentId,
    invitation::InvitationId,
};

/// The most that are listed.
const MOST: usize = 1000;

/// An enrolment that waits.
#[derive(Debug, Serialize, Deserialize)]
pub struct Approval {
    /// Its id.
    pub id: String,
    /// Who its certificates would prove.
    pub principal: Principal,
    /// The invitation that it was begun with.
    pub invitation: InvitationId,
    /// The ACME account that asks.
    pub account: String,
    /// Where its owner says they can be reached.
    pub contacts: Vec<String>,
    /// In which directory it is.
    pub directory: Option<DirectoryName>,
    /// Why it waits.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when it may be approved.
    pub until: Timestamp,
    /// What it may order then.
    pub allowed: String,
}

pub(super) async fn list(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<Approval>>, Problem> {
    caller.on_everything()?;
    let mut approvals = Vec::new();
    for enrolment in state.authority.awaiting_approval(MOST).await? {
        let EnrolmentState::AwaitingApproval {
            since,
            until,
            reason,
        } = enrolment.state
        else {
            continue;
        };
        let account = state.authority.account(&enrolment.account).await?;
        let (contacts, directory) = account.map_or_else(Default::default, |account| {
            (account.contacts, Some(account.directory))
        });
        approvals.push(Approval {
            id: enrolment.id.to_string(),
            principal: enrolment.principal,
            invitation: enrolment.invitation,
            account: enrolment.account.to_string(),
            contacts,
            directory,
            reason,
            since,
            until,
            allowed: enrolment.grant.allowed(),
        });
    }
    Ok(Json(approvals))
}

/// What was decided.
#[derive(Debug, Serialize, Deserialize)]
pub struct Decided {
    /// Which enrolment.
    pub id: String,
    /// Whose it is.
    pub principal: Principal,
    /// How it is now.
    pub state: EnrolmentState,
}

impl From<Enrolment> for Decided {
    fn from(enrolment: Enrolment) -> Self {
        Self {
            id: enrolment.id.to_string(),
            principal: enrolment.principal,
            state: enrolment.state,
        }
    }
}

/// Approving lets somebody act as the principal, so it takes what inviting takes.
pub(super) async fn approve(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Decided>, Problem> {
    let enrolment = find(&state, id).await?;
    let actor = caller.lend(&enrolment.principal, None)?;
    let decided = state.authority.approve(&actor, &enrolment.id).await?;
    Ok(Json(decided.into()))
}

/// Why an enrolment is rejected.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// For the client, one line.
    #[serde(default)]
    pub reason: String,
}

pub(super) async fn reject(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json(wanted): Json<Reject>,
) -> Result<Json<Decided>, Problem> {
    let enrolment = find(&state, id).await?;
    let actor = caller.on(&enrolment.principal)?;
    let decided = state
        .authority
        .reject(&actor, &enrolment.id, &wanted.reason)
        .await?;
    Ok(Json(decided.into()))
}

async fn find(state: &SharedState, id: String) -> Result<Enrolment, Problem> {
    state
        .authority
        .enrolment(&EnrolmentId::from_text(id))
        .await?
        .ok_or_else(|| {
            Problem::not_found(
                "there is no enrolment with this id: portcullis approval list shows those that wait",
            )
        })
}
