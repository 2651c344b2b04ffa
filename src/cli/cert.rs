//! `portcullis cert list|show|revoke|verify`.

use std::io;

use clap::Subcommand;

mod list;
mod revoke;
mod show;
mod text;

use super::{Failure, Outcome, client::Client, verify};
use crate::{
    app::{StateDir, SystemClock},
    domain::Clock,
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
    Revoke(Box<revoke::RevokeArgs>),
    /// Verify a certificate as the gate does
    Verify(verify::VerifyArgs),
}

pub(super) fn run(command: CertCommand, state: &StateDir, as_json: bool) -> Outcome {
    match command {
        CertCommand::List(args) => list::run(&Client::new(state)?, &args, as_json),
        CertCommand::Show { what } => show::run(&Client::new(state)?, &what, as_json),
        CertCommand::Revoke(args) => revoke::run(&Client::new(state)?, *args, as_json),
        CertCommand::Verify(mut args) => {
            args.json |= as_json;
            let verdict = verify::run(&args, SystemClock::default().now(), &mut io::stdout())
                .map_err(Failure::new)?;
            Ok(verdict.into())
        }
    }
}
