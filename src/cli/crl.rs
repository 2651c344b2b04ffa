//! `portcullis crl list|publish`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Outcome, client::Client, output};
use crate::{api::list::ShownList, app::StateDir};

#[derive(Debug, Subcommand)]
pub(super) enum CrlCommand {
    /// Show the lists as they stand
    List,
    /// Publish new lists now; they also come by themselves, after every revocation and in time
    Publish,
}

pub(super) fn run(command: &CrlCommand, state: &StateDir, as_json: bool) -> Outcome {
    let client = Client::new(state)?;
    let lists: Vec<ShownList> = match command {
        CrlCommand::List => client.get("/v1/lists")?,
        CrlCommand::Publish => client.post("/v1/lists/publish", &serde_json::json!({}))?,
    };
    if as_json {
        output::json(&lists)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = lists
        .iter()
        .map(|list| {
            vec![
                list.issuer.chars().take(16).collect(),
                list.shard.to_string(),
                list.number.to_string(),
                list.this_update.to_string(),
                list.next_update.to_string(),
            ]
        })
        .collect();
    output::table(
        &["ISSUER", "SHARD", "NUMBER", "THIS UPDATE", "NEXT UPDATE"],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}
