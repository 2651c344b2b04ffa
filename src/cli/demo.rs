//! `portcullis demo`.

use super::Outcome;

/// How the demo is to run.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Leave everything running, to play with
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(_args: &DemoArgs) -> Outcome {
    Ok(std::process::ExitCode::SUCCESS)
}
