//! `portcullis cert list|show|revoke|verify`.

use std::{io, process::ExitCode};

use clap::Subcommand;
use portcullis_ca::{revocation::RevocationReason, serial::Serial};

mod list;
mod show;
mod text;

use super::{Failure, Outcome, client::Client, output, verify};
use crate::{
    api::certificate::{CertificatesRevoked, RevokeCertificates},
    app::{StateDir, SystemClock},
    domain::{Clock, Principal},
};

#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// List certificates, newest first
    List(list::ListArgs),
    /// Show a certificate in words, who asked for it, and what came before and after it
    Show {
        /// Its serial, or a file with it (PEM or DER)
        #[arg(value_name = "SERIAL|FILE")]
        what: String,
    },
    /// Revoke certificates; nobody gets in with them any more when this returns
    Revoke(RevokeArgs),
    /// Verify a certificate as the gate does
    Verify(verify::VerifyArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// Serials, or principals such as device:fra/sensor-42 (all their valid certificates)
    #[arg(required = true, value_name = "SERIAL|PRINCIPAL")]
    targets: Vec<String>,
    /// Why (RFC 5280 section 5.3.1); all but superseded end the enrolment as well, and keyCompromise blocks the key for
    /// ever
    #[arg(long, default_value = "unspecified", value_name = "REASON")]
    reason: RevocationReason,
}

pub(super) fn run(command: CertCommand, state: &StateDir, as_json: bool) -> Outcome {
    match command {
        CertCommand::List(args) => list::run(&Client::new(state)?, &args, as_json),
        CertCommand::Show { what } => show::run(&Client::new(state)?, &what, as_json),
        CertCommand::Revoke(args) => revoke(&Client::new(state)?, args, as_json),
        CertCommand::Verify(mut args) => {
            args.json |= as_json;
            let verdict = verify::run(&args, SystemClock::default().now(), &mut io::stdout())
                .map_err(Failure::new)?;
            Ok(verdict.into())
        }
    }
}

fn revoke(client: &Client, args: RevokeArgs, as_json: bool) -> Outcome {
    let mut principal = None;
    let mut serials = Vec::new();
    for target in args.targets {
        if !target.contains('/') && target.parse::<Serial>().is_ok() {
            serials.push(target);
        } else {
            let parsed: Principal = target.parse().map_err(|error| {
                Failure::usage(format!(
                    "{target:?} is neither a serial (hexadecimal) nor a principal: {error}"
                ))
            })?;
            if principal.replace(parsed).is_some() {
                return Err(Failure::usage(
                    "one principal at a time; serials may be many",
                ));
            }
        }
    }
    let revoked: CertificatesRevoked = client.post(
        "/v1/certificates/revoke",
        &RevokeCertificates {
            serials,
            principal,
            reason: args.reason.name().to_owned(),
        },
    )?;
    if as_json {
        output::json(&revoked)?;
        return Ok(ExitCode::SUCCESS);
    }
    for serial in &revoked.serials {
        say!("Revoked {serial} ({})", args.reason);
    }
    for serial in &revoked.already_revoked {
        say!("{serial} was revoked already");
    }
    if revoked.enrolments_ended > 0 {
        say!(
            "{} enrolment(s) ended: to come back, a device must be invited again",
            revoked.enrolments_ended
        );
    }
    Ok(ExitCode::SUCCESS)
}
