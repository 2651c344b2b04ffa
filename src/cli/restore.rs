//! `portcullis restore`.

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{Failure, Outcome, block_on, output};
use crate::{
    app::{ServeError, Sources, StateDir, SystemClock, read_settings, reconcile_state, restore},
    domain::Clock,
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "First `restore FROM_DIR` puts a backup into a new state directory. It is blocked then: the server does \
not start on it, for what was revoked since the backup would be let in again. Then `restore --reconcile` fetches the \
lists that were published, takes over every revocation, and raises all numbers; the server starts again after that."
)]
pub(super) struct RestoreArgs {
    /// A backup
    #[arg(value_name = "FROM_DIR", required_unless_present_any = ["reconcile", "lists", "override_domain"])]
    from: Option<PathBuf>,
    /// Reconcile what was restored, or a database that was rolled back, with the lists that were published
    #[arg(long, conflicts_with = "from")]
    reconcile: bool,
    /// Where lists are: files, directories, URLs; without it, where certificates say. Implies --reconcile
    #[arg(long, value_name = "FILE|DIR|URL", num_args = 1.., conflicts_with = "from")]
    lists: Vec<String>,
    /// An epoch that a gate has seen
    #[arg(long = "epoch", value_name = "N", conflicts_with = "from")]
    epochs: Vec<u64>,
    /// The high-water mark of the disk that was lost
    #[arg(long = "mark", value_name = "FILE", conflicts_with = "from")]
    marks: Vec<PathBuf>,
    /// Go on although lists are missing: what was revoked since the backup may be let in again. It must be said for which
    /// trust domain
    #[arg(
        long = "override",
        value_name = "TRUST-DOMAIN",
        conflicts_with = "from"
    )]
    override_domain: Option<String>,
}

fn failure(error: &ServeError) -> Failure {
    Failure {
        code: error.exit_code(),
        message: error.to_string(),
    }
}

pub(super) fn run(args: RestoreArgs, state: &StateDir, as_json: bool) -> Outcome {
    match &args.from {
        Some(from) => from_backup(from, state, as_json),
        None => reconcile(args, state, as_json),
    }
}

fn from_backup(from: &std::path::Path, state: &StateDir, as_json: bool) -> Outcome {
    let now = SystemClock::default().now();
    let manifest = restore(from, state, now).map_err(|error| failure(&error))?;
    if as_json {
        output::json(&manifest)?;
        return Ok(ExitCode::SUCCESS);
    }
    let dir = state.path().display();
    say!(
        "{} was restored into {dir} as it was on {}",
        manifest.trust_domain,
        manifest.made_at
    );
    for path in &manifest.left_out {
        say!("Not in the backup, and needed if it is gone: {path}");
    }
    say!(
        "It is blocked until it knows what was revoked since: portcullis restore --reconcile --dir {dir}"
    );
    Ok(ExitCode::SUCCESS)
}

fn reconcile(args: RestoreArgs, state: &StateDir, as_json: bool) -> Outcome {
    let settings = read_settings(state).map_err(|error| failure(&error))?;
    if let Some(domain) = &args.override_domain
        && *domain != settings.trust_domain.as_str()
    {
        return Err(Failure::usage(format!(
            "--override {domain}: this is the authority of {}; name it to override",
            settings.trust_domain
        )));
    }
    let sources = Sources {
        lists: args.lists,
        epochs: args.epochs,
        marks: args.marks,
        overridden: args.override_domain.is_some(),
    };
    let now = SystemClock::default().now();
    let done = block_on(reconcile_state(state, &sources, now))?.map_err(|error| failure(&error))?;
    let serials = |all: &[portcullis_ca::serial::Serial]| -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    };
    if as_json {
        output::json(&json!({
            "revoked": serials(&done.taken.revoked),
            "revoked_unseen": serials(&done.taken.unseen),
            "enrolments_ended": done.taken.enrolments_ended,
            "epoch": done.taken.epoch,
            "lists_read": done.read,
            "lists_unread": done.unread,
            "lists_missing": done.missing,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for list in &done.read {
        say!("Read {list}");
    }
    for serial in serials(&done.taken.revoked) {
        say!("Revoked {serial}");
    }
    for serial in serials(&done.taken.unseen) {
        say!("Revoked {serial}, which this database never saw");
    }
    if done.taken.enrolments_ended > 0 {
        say!(
            "{} enrolment(s) ended with them",
            done.taken.enrolments_ended
        );
    }
    say!(
        "The epoch is {} now; list numbers go on after those that were published",
        done.taken.epoch
    );
    for list in &done.missing {
        say!("MISSING {list}: who was revoked on it is let in again");
    }
    if let Some(made_at) = done.made_at {
        say!(
            "What lists do not tell is lost: API keys revoked, enrolments ended, invitations used, keys blocked, CAs changed and \
             policies applied since {made_at} must be revoked, ended and applied again (portcullis key list, portcullis ca \
             list, portcullis policy show)"
        );
    }
    say!(
        "The server may be started: portcullis serve --dir {}",
        state.path().display()
    );
    Ok(ExitCode::SUCCESS)
}
