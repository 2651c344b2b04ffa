//! `portcullis policy check|apply|show`.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Outcome, client::Client, output};
use crate::{
    api::policy::{PolicyApplied, PolicyText, ShownPolicy},
    app::{StateDir, read_settings},
    domain::policy::{Policy, PolicyContext},
};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Check a policy file; no server is needed
    Check {
        /// The file
        file: PathBuf,
    },
    /// Put a policy in force; it decides when this returns
    Apply {
        /// The file
        file: PathBuf,
    },
    /// Show the policy in force
    Show,
}

pub(super) fn run(command: PolicyCommand, state: &StateDir, as_json: bool) -> Outcome {
    match command {
        PolicyCommand::Check { file } => check(&file, state, as_json),
        PolicyCommand::Apply { file } => {
            // Checked here first, so that faults are told with the file's name.
            compile(&file, state)?;
            let applied: PolicyApplied =
                Client::new(state)?.post("/v1/policy", &PolicyText { text: read(&file)? })?;
            if as_json {
                output::json(&applied)?;
            } else {
                say!(
                    "Policy revision {} is in force (epoch {}, {} routes)",
                    applied.revision,
                    applied.epoch,
                    applied.routes
                );
                for warning in &applied.warnings {
                    say!("warning: {warning}");
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        PolicyCommand::Show => {
            let shown: ShownPolicy = Client::new(state)?.get("/v1/policy")?;
            if as_json {
                output::json(&shown)?;
            } else {
                say!(
                    "# revision {}, applied {} by {}",
                    shown.revision,
                    shown.applied_at,
                    shown.applied_by
                );
                say!("{}", shown.text.trim_end());
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(file: &PathBuf, state: &StateDir, as_json: bool) -> Outcome {
    let policy = compile(file, state)?;
    let warnings: Vec<String> = policy.warnings().iter().map(ToString::to_string).collect();
    if as_json {
        output::json(&json!({ "routes": policy.routes().len(), "warnings": warnings }))?;
    } else {
        say!(
            "{} is sound: {} routes",
            file.display(),
            policy.routes().len()
        );
        for warning in warnings {
            say!("warning: {}: {warning}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn compile(file: &PathBuf, state: &StateDir) -> Result<Policy, Failure> {
    // Without a configuration the default trust domain does; it matters to mappings only.
    let trust_domain = match read_settings(state) {
        Ok(settings) => settings.trust_domain,
        Err(_) => "portcullis.internal".parse().map_err(Failure::new)?,
    };
    let context = PolicyContext {
        trust_domain,
        local_admins: Vec::new(),
    };
    Policy::compile(&read(file)?, &context).map_err(|errors| {
        let lines: Vec<String> = errors
            .iter()
            .map(|error| format!("{}: {error}", file.display()))
            .collect();
        Failure::usage(lines.join("\n"))
    })
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}
