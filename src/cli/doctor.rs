//! `portcullis doctor`.

use std::process::ExitCode;

use super::{Failure, Outcome, client::Client, output};
use crate::{api::doctor::ShownReport, app::StateDir};

/// The exit code when nothing could be found out.
const UNKNOWN: u8 = 3;

/// How to examine.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 all is well, 1 a warning, 2 something critical, 3 nobody could be asked.\n\nThe server looks by itself each minute: what changes is in its log (alarm=…) and in the metric portcullis_check."
)]
pub(super) struct DoctorArgs {
    /// Show only what is not well, and what could be better
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: &DoctorArgs, state: &StateDir, as_json: bool) -> Outcome {
    let client = Client::new(state)?;
    let report: ShownReport = client.get("/v1/doctor").map_err(|failure| Failure {
        message: format!("nothing could be examined: {}", failure.message),
        code: UNKNOWN,
    })?;
    let code = ExitCode::from(report.exit_code);
    if as_json {
        output::json(&report)?;
        return Ok(code);
    }
    let shown: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| !args.quiet || finding.remedy.is_some())
        .collect();
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|finding| {
            vec![
                finding.severity.clone(),
                finding.check.clone(),
                finding.subject.clone(),
                finding.says.clone(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        output::table(&["SEVERITY", "CHECK", "OF", "WHAT IS SO"], &rows);
    }
    let remedies: Vec<_> = shown
        .iter()
        .filter_map(|finding| Some((finding, finding.remedy.as_ref()?)))
        .collect();
    if !remedies.is_empty() {
        say!("");
    }
    for (finding, remedy) in remedies {
        let subject = if finding.subject.is_empty() {
            String::new()
        } else {
            format!(" of {}", finding.subject)
        };
        say!("{}{subject}: {remedy}", finding.check);
    }
    Ok(code)
}
