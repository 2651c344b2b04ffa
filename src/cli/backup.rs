//! `portcullis backup`.

use std::{path::PathBuf, process::ExitCode};

use super::{Failure, Outcome, output};
use crate::{
    app::{StateDir, SystemClock, backup},
    domain::Clock,
};

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// A directory that does not exist yet; it is for its owner only, for it holds the CA keys
    #[arg(value_name = "TO_DIR")]
    to: PathBuf,
}

pub(super) fn run(args: &BackupArgs, state: &StateDir, as_json: bool) -> Outcome {
    let now = SystemClock::default().now();
    let manifest = backup(state, &args.to, now).map_err(|error| Failure {
        code: error.exit_code(),
        message: error.to_string(),
    })?;
    if as_json {
        output::json(&manifest)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "{} files of {} are in {}: keys as they are at rest, and the database up to entry {} of its audit trail",
        manifest.files.len(),
        manifest.trust_domain,
        args.to.display(),
        manifest.level.audit_number
    );
    for path in &manifest.left_out {
        say!("Not in it: {path}");
    }
    say!(
        "Keep it as safe as the CA itself. To bring it back: portcullis restore {}",
        args.to.display()
    );
    Ok(ExitCode::SUCCESS)
}
