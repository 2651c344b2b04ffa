//! What the doctor finds.

use axum::{Extension, Json, extract::State};
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, problem::Problem};
use crate::{
    authority::{Finding, Report},
    domain::Timestamp,
};

/// An examination.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownReport {
    /// When it was made.
    pub at: Timestamp,
    /// The worst severity: `ok`, `warning` or `critical`.
    pub severity: String,
    /// 0, 1 or 2: the severity as the exit code that says so.
    pub exit_code: u8,
    /// What was found, the worst first.
    pub findings: Vec<ShownFinding>,
}

/// What a check found about one thing.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownFinding {
    /// What was examined.
    pub check: String,
    /// Of which issuer or list; empty where there is only one.
    pub subject: String,
    /// `ok`, `warning` or `critical`.
    pub severity: String,
    /// What is so.
    pub says: String,
    /// What to do, where something could be done.
    pub remedy: Option<String>,
}

impl From<&Report> for ShownReport {
    fn from(report: &Report) -> Self {
        Self {
            at: report.at,
            severity: report.severity().to_string(),
            exit_code: report.severity().number(),
            findings: report.findings.iter().map(ShownFinding::from).collect(),
        }
    }
}

impl From<&Finding> for ShownFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            check: finding.check.to_string(),
            subject: finding.subject.clone(),
            severity: finding.severity.to_string(),
            says: finding.says.clone(),
            remedy: finding.remedy.clone(),
        }
    }
}

pub(super) async fn examine(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ShownReport>, Problem> {
    caller.on_everything()?;
    Ok(Json(ShownReport::from(&state.authority.examine().await)))
}
