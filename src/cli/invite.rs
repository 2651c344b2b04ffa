//! `portcullis invite`.

use std::{
    fs::OpenOptions,
    io::Write,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{Failure, Outcome, client::Client, output};
use crate::{
    api::invitation::{CreateInvitation, InvitationCreated},
    app::StateDir,
    domain::{Principal, duration::WrittenDuration},
};

/// Who is invited, to what.
#[derive(Debug, clap::Args)]
pub(super) struct InviteArgs {
    /// Who may enrol: device:PATH or service:PATH, for example device:fra/sensor-42
    principal: Principal,
    /// A DNS name that its certificates may carry; may be given several times
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// An address that its certificates may carry; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// How many times it may be used
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    uses: u32,
    /// How long it is good for
    #[arg(long, default_value = "24h", value_name = "DURATION")]
    expires: WrittenDuration,
    /// Write the token into this new file, readable by its owner only, instead of printing it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(args: InviteArgs, state: &StateDir, as_json: bool) -> Outcome {
    let created: InvitationCreated = Client::new(state)?.post(
        "/v1/invitations",
        &CreateInvitation {
            principal: args.principal,
            dns: args.dns,
            ip: args.ip,
            uses: args.uses,
            life_seconds: args.expires.0.as_secs(),
        },
    )?;
    if as_json {
        output::json(&created)?;
        return Ok(ExitCode::SUCCESS);
    }
    let times = match created.uses {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    println!(
        "{} may enrol {times} until {}.",
        created.principal, created.expires_at
    );
    println!();
    if let Some(file) = &args.token_file {
        write_token(file, &created.token)?;
        println!(
            "The token is in {}. Take it to the device, and there:",
            file.display()
        );
        println!("  portcullis-agent enroll --token-file {}", file.display());
        return Ok(ExitCode::SUCCESS);
    }
    println!("On the device run this, and give it the token on its standard input:");
    println!("  portcullis-agent enroll -");
    println!();
    println!("{}", created.token);
    println!();
    println!("Or with any ACME client that does external account binding:");
    println!("  directory    {}", created.directory);
    println!("  key id       {}", created.key_id);
    println!("  HMAC key     {}", created.mac_key);
    for identifier in &created.identifiers {
        println!(
            "  may order    {} {}",
            identifier.kind(),
            identifier.value()
        );
    }
    println!();
    println!("Token and HMAC key are shown once. Hand them over as you would a password.");
    Ok(ExitCode::SUCCESS)
}

fn write_token(file: &Path, token: &str) -> Result<(), Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut opened| opened.write_all(format!("{token}\n").as_bytes()))
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}
