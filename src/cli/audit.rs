//! `portcullis audit`.

use std::process::ExitCode;

use super::{Outcome, client::Client, output};
use crate::{app::StateDir, domain::audit::AuditEntry};

/// Which entries to print.
#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// Those after this number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u64,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
}

pub(super) fn run(args: &AuditArgs, state: &StateDir, as_json: bool) -> Outcome {
    let path = format!("/v1/audit?after={}&limit={}", args.after, args.limit);
    let entries: Vec<AuditEntry> = Client::new(state)?.get(&path)?;
    if as_json {
        output::json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = entries
        .into_iter()
        .map(|entry| {
            vec![
                entry.number.to_string(),
                entry.at.to_string(),
                entry.actor,
                entry.action,
                entry.subject,
                entry.detail,
            ]
        })
        .collect();
    output::table(
        &["NUMBER", "AT", "ACTOR", "ACTION", "SUBJECT", "DETAIL"],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}
