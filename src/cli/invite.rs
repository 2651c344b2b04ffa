//! `portcullis invite`.

use std::{
    fs::{self, OpenOptions},
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
    domain::{Principal, ProfileName, duration::WrittenDuration},
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
    /// The profile of its certificates, [profiles.NAME] in portcullis.toml; the default is device or service
    #[arg(long, value_name = "NAME")]
    profile: Option<ProfileName>,
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
    // Before anything is created: an invitation whose token is lost is of use to nobody.
    let mut token_file = args
        .token_file
        .as_deref()
        .map(|file| open_new(file).map(|opened| (file, opened)))
        .transpose()?;
    let created = Client::new(state)?.post(
        "/v1/invitations",
        &CreateInvitation {
            principal: args.principal,
            dns: args.dns,
            ip: args.ip,
            profile: args.profile,
            uses: args.uses,
            life_seconds: args.expires.0.as_secs(),
        },
    );
    let mut created: InvitationCreated = match created {
        Ok(created) => created,
        Err(failure) => {
            if let Some((file, _)) = token_file {
                let _ = fs::remove_file(file);
            }
            return Err(failure);
        }
    };
    if let Some((file, opened)) = &mut token_file {
        opened
            .write_all(format!("{}\n", created.token).as_bytes())
            .and_then(|()| opened.sync_all())
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        created.token.clear();
        created.mac_key.clear();
    }
    if as_json {
        output::json(&created)?;
        return Ok(ExitCode::SUCCESS);
    }
    let times = match created.uses {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    say!(
        "{} may enrol {times} until {}.",
        created.principal,
        created.expires_at
    );
    say!("");
    if let Some(file) = &args.token_file {
        say!(
            "The token is in {}. Take it to the device, and there:",
            file.display()
        );
        say!("  portcullis-agent enroll --token-file {}", file.display());
        return Ok(ExitCode::SUCCESS);
    }
    say!("On the device run this, and give it the token on its standard input:");
    say!("  portcullis-agent enroll -");
    say!("");
    say!("{}", created.token);
    say!("");
    say!("Or with any ACME client that does external account binding:");
    say!("  directory    {}", created.directory);
    say!("  key id       {}", created.key_id);
    say!("  HMAC key     {}", created.mac_key);
    for identifier in &created.identifiers {
        say!(
            "  may order    {} {}",
            identifier.kind(),
            identifier.value()
        );
    }
    say!("");
    say!("Token and HMAC key are shown once. Hand them over as you would a password.");
    Ok(ExitCode::SUCCESS)
}

fn open_new(file: &Path) -> Result<fs::File, Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(|error| Failure::usage(format!("--token-file {}: {error}", file.display())))
}
