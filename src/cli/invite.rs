//! `portcullis invite PRINCIPAL`, and `portcullis invite list|show|revoke`.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Subcommand, ValueEnum};

use super::{Failure, Outcome, client::Client, output};
use crate::{
    api::invitation::{CreateInvitation, InvitationCreated, ShownInvitation},
    app::StateDir,
    domain::{DirectoryName, Principal, ProfileName, duration::WrittenDuration, invitation::Needs},
};

mod kept;

/// Who is invited, to what.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  portcullis invite device:fra/sensor-42\n  portcullis invite service:web/shop --dns shop.example --needs challenge\n  portcullis invite service:ci/runner --allow-dns '*.ci.example' --uses 20 --expires 30d"
)]
pub(super) struct InviteArgs {
    #[command(subcommand)]
    command: Option<InviteCommand>,
    /// Who may enrol: device:PATH or service:PATH, for example device:fra/sensor-42
    #[arg(required = true)]
    principal: Option<Principal>,
    /// A DNS name that its certificates may carry; may be given several times. The agent asks for all of them
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// An address that its certificates may carry; may be given several times. The agent asks for all of them
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// More DNS names that an ACME client may ask for: *.dev.example for one label, **.dev.example for one or more; may be
    /// given several times
    #[arg(long, value_name = "PATTERN")]
    allow_dns: Vec<String>,
    /// More addresses that an ACME client may ask for: a network, 10.20.0.0/16; may be given several times
    #[arg(long, value_name = "NETWORK")]
    allow_ip: Vec<String>,
    /// A permanent identifier that may be ordered beside the principal's own path, such as a serial number; may be given
    /// several times
    #[arg(long, value_name = "ID")]
    permanent_identifier: Vec<String>,
    /// What it takes beside the key until a certificate is there
    #[arg(long, value_enum, default_value = "nothing", value_name = "WHAT")]
    needs: WhatItNeeds,
    /// The profile of its certificates, [profiles.NAME] in portcullis.toml; the default is device or service. Given several
    /// times: those that may be ordered, the first one where an order names none
    #[arg(long, value_name = "NAME")]
    profile: Vec<ProfileName>,
    /// The directory that it is for, [acme.directories.NAME] in portcullis.toml; without this, all of them. May be given
    /// several times
    #[arg(long, value_name = "NAME")]
    directory: Vec<DirectoryName>,
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

#[derive(Debug, Subcommand)]
enum InviteCommand {
    /// List invitations, newest first
    List(kept::ListArgs),
    /// Show an invitation, and who enrolled with it. Its key is never shown again
    Show(kept::ShowArgs),
    /// Take an invitation back: nobody enrols with it any more
    Revoke(kept::RevokeArgs),
}

/// The words of `--needs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WhatItNeeds {
    /// The key is enough: it vouches for the names above
    Nothing,
    /// Each name is proved by a challenge too, as http-01
    Challenge,
    /// You approve first: portcullis approval list
    Approval,
}

impl From<WhatItNeeds> for Needs {
    fn from(needs: WhatItNeeds) -> Self {
        match needs {
            WhatItNeeds::Nothing => Self::Nothing,
            WhatItNeeds::Challenge => Self::Challenge,
            WhatItNeeds::Approval => Self::Approval,
        }
    }
}

pub(super) fn run(mut args: InviteArgs, state: &StateDir, as_json: bool) -> Outcome {
    let client = Client::new(state)?;
    match (args.command.take(), args.principal.take()) {
        (Some(InviteCommand::List(args)), _) => kept::list(&client, args, as_json),
        (Some(InviteCommand::Show(args)), _) => kept::show(&client, &args, as_json),
        (Some(InviteCommand::Revoke(args)), _) => kept::revoke(&client, &args, as_json),
        (None, Some(principal)) => invite(&client, principal, args, as_json),
        (None, None) => Err(Failure::usage(
            "say who may enrol: portcullis invite device:fra/sensor-42",
        )),
    }
}

fn invite(client: &Client, principal: Principal, args: InviteArgs, as_json: bool) -> Outcome {
    let needs = Needs::from(args.needs);
    if needs == Needs::Challenge && args.token_file.is_some() {
        return Err(Failure::usage(
            "--token-file is for the agent, which answers no challenges; leave it out, and give key id and HMAC key to an ACME \
             client that does, or invite with --needs nothing or approval",
        ));
    }
    // Before anything is created: an invitation whose token is lost is of use to nobody.
    let mut token_file = args
        .token_file
        .as_deref()
        .map(|file| open_new(file).map(|opened| (file, opened)))
        .transpose()?;
    let created = client.post(
        "/v1/invitations",
        &CreateInvitation {
            principal,
            dns: args.dns,
            ip: args.ip,
            allow_dns: args.allow_dns,
            allow_ip: args.allow_ip,
            permanent_identifiers: args.permanent_identifier,
            profiles: args.profile,
            directories: args.directory,
            needs,
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
    tell(&created, args.token_file.as_deref());
    Ok(ExitCode::SUCCESS)
}

fn tell(created: &InvitationCreated, token_file: Option<&Path>) {
    let invitation = &created.invitation;
    let times = match invitation.uses {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    say!(
        "{} may enrol {times} until {}.",
        invitation.principal,
        invitation.expires_at
    );
    match invitation.needs {
        Needs::Nothing => {}
        Needs::Challenge => say!("Each name that it orders has to be proved by a challenge too."),
        Needs::Approval => {
            say!("Then it waits until you approve: portcullis approval list");
        }
    }
    say!("");
    if let Some(file) = token_file {
        say!(
            "The token is in {}. Take it to the device, and there:",
            file.display()
        );
        say!("  portcullis-agent enroll --token-file {}", file.display());
        return;
    }
    if invitation.needs == Needs::Challenge {
        say!("With any ACME client that does external account binding:");
    } else {
        say!("On the device run this, and give it the token on its standard input:");
        say!("  portcullis-agent enroll -");
        say!("");
        say!("{}", created.token);
        say!("");
        say!("Or with any ACME client that does external account binding:");
    }
    say!("  directory    {}", created.directory);
    say!("  key id       {}", created.key_id);
    say!("  HMAC key     {}", created.mac_key);
    tell_what_may_be_ordered(invitation);
    say!("");
    say!("Token and HMAC key are shown once. Hand them over as you would a password.");
}

fn tell_what_may_be_ordered(invitation: &ShownInvitation) {
    for identifier in &invitation.identifiers {
        say!(
            "  may order    {} {}",
            identifier.kind(),
            identifier.value()
        );
    }
    for pattern in &invitation.patterns {
        let pattern = pattern.to_string();
        say!("  may order    {}", pattern.replacen(':', " ", 1));
    }
}

fn open_new(file: &Path) -> Result<fs::File, Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(|error| Failure::usage(format!("--token-file {}: {error}", file.display())))
}
