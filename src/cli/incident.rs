//! `portcullis incident open|list|close`: certificates that are to be renewed before their time.

use std::process::ExitCode;

use clap::Subcommand;
use portcullis_ca::serial::Serial;

use super::{Outcome, client::Client, output};
use crate::{
    api::incident::{OpenIncident, ShownIncident},
    app::StateDir,
    domain::{PrincipalPattern, ProfileName, duration::WrittenDuration},
};

#[derive(Debug, Subcommand)]
pub(super) enum IncidentCommand {
    /// Have certificates renewed early: clients that read renewal information (RFC 9773) renew when they ask next
    #[command(visible_alias = "create")]
    Open(Box<OpenArgs>),
    /// List incidents, and how many certificates are not replaced yet
    List {
        /// Closed ones too
        #[arg(long)]
        all: bool,
    },
    /// Close an incident: nobody is told to renew for it any more
    Close {
        /// Its number
        number: u64,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct OpenArgs {
    /// Certificates of an issuer, by its name or its key
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Certificates of a profile
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileName>,
    /// Certificates of principals, for example device:fra/**
    #[arg(long, value_name = "PATTERN")]
    principal: Option<PrincipalPattern>,
    /// A certificate; may be given several times
    #[arg(long, value_name = "SERIAL")]
    serial: Vec<Serial>,
    /// Certificates issued at a time (2027-01-01T00:00:00Z) or later, or at most so long ago (7d)
    #[arg(long, value_name = "TIME|AGO")]
    issued_from: Option<String>,
    /// Certificates issued before a time, or longer ago; the default is now
    #[arg(long, value_name = "TIME|AGO")]
    issued_before: Option<String>,
    /// Every certificate
    #[arg(long)]
    all: bool,
    /// Why; it stands in the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// A page that tells the owners of the certificates why
    #[arg(long, value_name = "URL")]
    explanation_url: Option<String>,
    /// Spread the renewals over so long, so that they don't come at once
    #[arg(long, default_value = "0s", value_name = "DURATION")]
    within: WrittenDuration,
    /// Only tell how many certificates it would be
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(command: IncidentCommand, state: &StateDir, as_json: bool) -> Outcome {
    let client = Client::new(state)?;
    match command {
        IncidentCommand::Open(args) => open(&client, *args, as_json),
        IncidentCommand::List { all } => list(&client, all, as_json),
        IncidentCommand::Close { number } => {
            let closed: ShownIncident = client.post(
                &format!("/v1/incidents/{number}/close"),
                &serde_json::json!({}),
            )?;
            if as_json {
                output::json(&closed)?;
            } else {
                say!("Closed incident {number}: nobody is told to renew for it any more.");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn open(client: &Client, args: OpenArgs, as_json: bool) -> Outcome {
    let opened: ShownIncident = client.post(
        "/v1/incidents",
        &OpenIncident {
            issuer: args.issuer,
            profile: args.profile,
            principal: args.principal,
            serials: args.serial.iter().map(ToString::to_string).collect(),
            issued_from: args.issued_from,
            issued_before: args.issued_before,
            all: args.all,
            reason: args.reason,
            explanation_url: args.explanation_url,
            within_seconds: args.within.0.as_secs(),
            dry_run: args.dry_run,
        },
    )?;
    if as_json {
        output::json(&opened)?;
        return Ok(ExitCode::SUCCESS);
    }
    let count = opened.certificates.unwrap_or_default();
    let Some(number) = opened.number else {
        say!("{count} good certificates would be renewed.");
        return Ok(ExitCode::SUCCESS);
    };
    let when = match args.within.0.as_secs() {
        0 => "when their clients ask next".to_owned(),
        _ => format!("within {}, as their clients ask", args.within),
    };
    say!("Opened incident {number}: {count} good certificates are to be renewed {when}.");
    say!("  portcullis incident list       shows how many are not replaced yet");
    say!("  portcullis incident close {number}    when it is over");
    say!("It revokes nothing: portcullis cert revoke does.");
    Ok(ExitCode::SUCCESS)
}

fn list(client: &Client, all: bool, as_json: bool) -> Outcome {
    let mut incidents: Vec<ShownIncident> = client.get("/v1/incidents")?;
    incidents.retain(|incident| all || incident.closed_at.is_none());
    if as_json {
        output::json(&incidents)?;
        return Ok(ExitCode::SUCCESS);
    }
    let count = |it: Option<u64>| it.map_or_else(String::new, |it| it.to_string());
    let rows: Vec<Vec<String>> = incidents
        .iter()
        .map(|incident| {
            vec![
                count(incident.number),
                incident.status.clone(),
                incident.opened_at.to_string(),
                count(incident.certificates),
                count(incident.outstanding),
                conditions(incident),
                incident.reason.clone(),
            ]
        })
        .collect();
    output::table(
        &[
            "NUMBER",
            "STATUS",
            "OPENED",
            "GOOD",
            "NOT REPLACED",
            "CERTIFICATES",
            "REASON",
        ],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}

/// What an incident is about, in words.
fn conditions(incident: &ShownIncident) -> String {
    let mut parts = Vec::new();
    let mut part = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            parts.push(format!("{name} {value}"));
        }
    };
    part("issuer", incident.issuer.clone());
    part(
        "profile",
        incident.profile.as_ref().map(ToString::to_string),
    );
    part(
        "principal",
        incident.principal.as_ref().map(ToString::to_string),
    );
    part(
        "serial",
        match &incident.serials[..] {
            [] => None,
            [one] => Some(one.clone()),
            many => Some(format!("(one of {})", many.len())),
        },
    );
    part("from", incident.issued_from.map(|at| at.to_string()));
    part("before", Some(incident.issued_before.to_string()));
    parts.join(", ")
}
