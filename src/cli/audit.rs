//! `portcullis audit list|verify|key`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::{
    Failure, Outcome,
    client::{Client, query},
    output,
};
use crate::{
    app::{StateDir, audit_key, verify_audit},
    domain::audit::{AuditEntry, AuditPublicKey},
};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Read the audit trail, newest first
    List(ListArgs),
    /// Verify all of it: every entry, every signed checkpoint, and that nothing was cut off. Exit code 2: something is
    /// wrong
    Verify(VerifyArgs),
    /// Print the public key of its checkpoints; keep it where nobody who can write to the database can change it
    Key,
}

/// Which entries to print.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// By whom: user:local/0, account:ID, authority
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Those whose action begins so: certificate.issue, or certificate. for all about certificates
    #[arg(long, value_name = "PREFIX")]
    action: Option<String>,
    /// About what: a serial, a principal, an id
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// From then on: a time (2027-01-01T00:00:00Z), or how long ago (7d)
    #[arg(long, value_name = "TIME|AGO")]
    since: Option<String>,
    /// Before then: a time, or how long ago
    #[arg(long, value_name = "TIME|AGO")]
    until: Option<String>,
    /// Those before this number, newest first: the next page of what was printed last
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Those after this number, oldest first
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// The key that the checkpoints must be of, as `audit key` printed it once
    #[arg(long, value_name = "KEY")]
    key: Option<AuditPublicKey>,
    /// Another high-water mark than the configured one
    #[arg(long, value_name = "FILE")]
    mark: Option<PathBuf>,
}

pub(super) fn run(args: &AuditArgs, state: &StateDir, as_json: bool) -> Outcome {
    match &args.command {
        None => list(&args.list, state, as_json),
        Some(AuditCommand::List(args)) => list(args, state, as_json),
        Some(AuditCommand::Verify(args)) => verify(args, state, as_json),
        Some(AuditCommand::Key) => key(state, as_json),
    }
}

/// How many entries are asked for at once.
const PAGE: usize = 1000;

fn list(args: &ListArgs, state: &StateDir, as_json: bool) -> Outcome {
    let client = Client::new(state)?;
    let (mut before, mut after) = (args.before, args.after);
    let mut entries: Vec<AuditEntry> = Vec::new();
    while entries.len() < args.limit {
        let wanted = (args.limit - entries.len()).min(PAGE);
        let query = query(&[
            ("actor", args.actor.clone()),
            ("action", args.action.clone()),
            ("subject", args.subject.clone()),
            ("since", args.since.clone()),
            ("until", args.until.clone()),
            ("before", before.map(|number| number.to_string())),
            ("after", after.map(|number| number.to_string())),
            ("limit", Some(wanted.to_string())),
        ]);
        let page: Vec<AuditEntry> = client.get(&format!("/v1/audit?{query}"))?;
        let is_last = page.len() < wanted;
        entries.extend(page);
        if is_last {
            break;
        }
        let last = entries.last().map(|entry| entry.number);
        if after.is_some() {
            after = last;
        } else {
            before = last;
        }
    }
    if as_json {
        output::json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    let more = entries.last().filter(|_| entries.len() == args.limit);
    let more = more.map(|entry| {
        let way = args.after.map_or("before", |_| "after");
        format!("For more: --{way} {}", entry.number)
    });
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
    if let Some(more) = more {
        eprintln!("{more}");
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs, state: &StateDir, as_json: bool) -> Outcome {
    let found = verify_audit(state, args.key, args.mark.as_deref()).map_err(|error| Failure {
        code: error.exit_code(),
        message: error.to_string(),
    })?;
    let fault = found.verdict.as_ref().err();
    let summary = found.verdict.as_ref().ok();
    if as_json {
        output::json(&json!({
            "sound": fault.is_none(),
            "entries": summary.map(|summary| summary.entries),
            "checkpoints": summary.map(|summary| summary.checkpoints),
            "hash": summary.map(|summary| hex::encode(summary.hash)),
            "first_bad": fault.and_then(|fault| fault.number()),
            "fault": fault.map(ToString::to_string),
            "marked_at": found.marked_at,
            "key": found.key.to_string(),
        }))?;
    } else if let Some(summary) = summary {
        say!(
            "The audit trail is sound: {} entries, {} signed checkpoints, nothing missing up to {}",
            summary.entries,
            summary.checkpoints,
            found
                .marked_at
                .map_or_else(String::new, |at| at.to_string())
        );
        say!("key {}", found.key);
    } else if let Some(fault) = fault {
        say!("The audit trail is not sound: {fault}");
    }
    Ok(if fault.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}

fn key(state: &StateDir, as_json: bool) -> Outcome {
    let key = audit_key(state).map_err(Failure::new)?;
    if as_json {
        output::json(&json!({ "key": key.to_string(), "pem": key.to_pem() }))?;
    } else {
        say!("{key}");
        say!("{}", key.to_pem().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
