//! `portcullis approval list|approve|reject`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, Outcome, client::Client, output};
use crate::{
    api::approval::{Approval, Decided, Reject},
    app::StateDir,
};

#[derive(Debug, Subcommand)]
pub(super) enum ApprovalCommand {
    /// List who waits: accounts that were opened with an invitation that needs your approval, or that is older than the
    /// certificate that its device has
    List,
    /// Approve: the account may order from now on, as its invitation says
    Approve {
        /// The id in the list
        id: String,
    },
    /// Reject: the account gets nothing, and its client is told why
    Reject {
        /// The id in the list
        id: String,
        /// What the client is told
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
}

pub(super) fn run(command: ApprovalCommand, state: &StateDir, as_json: bool) -> Outcome {
    let client = Client::new(state)?;
    match command {
        ApprovalCommand::List => list(&client, as_json),
        ApprovalCommand::Approve { id } => {
            let path = format!("/v1/approvals/{}/approve", checked(&id)?);
            let decided: Decided = client.post(&path, &serde_json::json!({}))?;
            if as_json {
                output::json(&decided)?;
            } else {
                say!(
                    "Approved: {} gets its certificate when its client asks again",
                    decided.principal
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        ApprovalCommand::Reject { id, reason } => {
            let path = format!("/v1/approvals/{}/reject", checked(&id)?);
            let decided: Decided = client.post(&path, &Reject { reason })?;
            if as_json {
                output::json(&decided)?;
            } else {
                say!(
                    "Rejected. To let {} enrol after all, invite it again: portcullis invite {0}",
                    decided.principal
                );
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// It goes into a path.
fn checked(id: &str) -> Result<&str, Failure> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !id.is_empty() && id.bytes().all(is_plain) {
        return Ok(id);
    }
    Err(Failure::usage(format!(
        "{id:?} is no enrolment's id; it has 22 letters, digits, '-' and '_': portcullis approval list shows them"
    )))
}

fn list(client: &Client, as_json: bool) -> Outcome {
    let waiting: Vec<Approval> = client.get("/v1/approvals")?;
    if as_json {
        output::json(&waiting)?;
        return Ok(ExitCode::SUCCESS);
    }
    if waiting.is_empty() {
        say!("Nobody waits for an approval.");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = waiting
        .iter()
        .map(|approval| {
            vec![
                approval.id.clone(),
                approval.principal.to_string(),
                approval.invitation.to_string(),
                approval.since.to_string(),
                approval.until.to_string(),
                approval.contacts.join(" "),
                approval.reason.clone(),
            ]
        })
        .collect();
    output::table(
        &[
            "ID",
            "PRINCIPAL",
            "INVITATION",
            "SINCE",
            "UNTIL",
            "CONTACT",
            "WHY",
        ],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}
