//! The command line: one file per command. All but `init`, `serve`, `demo` and what only reads files are clients of the
//! admin API.

use std::{fmt::Display, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::app::StateDir;

/// Prints a line; see [`output::line`].
macro_rules! say {
    ($($part:tt)*) => {
        $crate::cli::output::line(format_args!($($part)*))
    };
}

mod approval;
mod audit;
mod backup;
mod ca;
mod cert;
mod client;
mod crl;
pub mod demo;
mod doctor;
mod incident;
mod init;
mod invite;
mod key;
mod output;
mod passphrase;
mod policy;
mod restore;
mod serve;
pub mod verify;

/// Certificates instead of passwords for devices and services: a CA, an ACME server and an mTLS gate
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    propagate_version = true,
    after_help = "First steps:\n  portcullis demo                            watch the whole story\n  portcullis init                            make an authority in ./portcullis\n  portcullis serve                           run it\n  portcullis invite device:fra/sensor-42     let a device enrol"
)]
struct Cli {
    /// The state directory: configuration, keys and store of one authority
    #[arg(
        long,
        global = true,
        env = "PORTCULLIS_DIR",
        default_value = "portcullis",
        value_name = "DIR"
    )]
    dir: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new authority: root, intermediate, configuration and first policy
    Init(init::InitArgs),
    /// Run the authority, its ACME server, its status server and its gate
    Serve(serve::ServeArgs),
    /// Watch a device enrol, call an API, renew, and lose everything when it is revoked
    Demo(demo::DemoArgs),
    /// Invite a device or a service to enrol; list, show and revoke invitations
    Invite(invite::InviteArgs),
    /// Decide who may enrol, where an invitation leaves that to you
    #[command(subcommand)]
    Approval(approval::ApprovalCommand),
    /// Mint, list and revoke API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Make, take in, rotate and retire CAs
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// List, show, revoke and verify certificates
    #[command(subcommand)]
    Cert(cert::CertCommand),
    /// Have certificates renewed before their time
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// Check, apply and show the policy
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Show and publish revocation lists
    #[command(subcommand)]
    Crl(crl::CrlCommand),
    /// Find out what is about to go wrong, and what to do
    Doctor(doctor::DoctorArgs),
    /// Copy everything into a new directory, with the server running or not
    Backup(backup::BackupArgs),
    /// Bring a backup back, and reconcile it with the lists that were published since
    Restore(restore::RestoreArgs),
    /// Read and verify the audit trail
    Audit(audit::AuditArgs),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let state = StateDir::new(&cli.dir);
    let outcome = match cli.command {
        Command::Init(args) => init::run(&args, &state, cli.json),
        Command::Serve(args) => serve::run(&args, &state),
        Command::Demo(args) => demo::run(&args),
        Command::Invite(args) => invite::run(args, &state, cli.json),
        Command::Approval(command) => approval::run(command, &state, cli.json),
        Command::Key(command) => key::run(command, &state, cli.json),
        Command::Ca(command) => ca::run(command, &state, cli.json),
        Command::Cert(command) => cert::run(command, &state, cli.json),
        Command::Incident(command) => incident::run(command, &state, cli.json),
        Command::Policy(command) => policy::run(command, &state, cli.json),
        Command::Crl(command) => crl::run(&command, &state, cli.json),
        Command::Doctor(args) => doctor::run(&args, &state, cli.json),
        Command::Backup(args) => backup::run(&args, &state, cli.json),
        Command::Restore(args) => restore::run(args, &state, cli.json),
        Command::Audit(args) => audit::run(&args, &state, cli.json),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("portcullis: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Why a command did not do what it was told, and the exit code that says so: 64 for a mistake in what was typed or in a
/// file, 1 for the rest.
#[derive(Debug)]
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn new(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            code: 1,
        }
    }

    fn usage(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            code: 64,
        }
    }
}

type Outcome = Result<ExitCode, Failure>;

/// A runtime for a command that is done soon.
fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(future))
        .map_err(Failure::new)
}
