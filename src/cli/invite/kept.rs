//! `portcullis invite list|show|revoke`: invitations that were made before.

use std::process::ExitCode;

use crate::{
    api::invitation::{
        InvitationInFull, InvitationPage, InvitationRevoked, RevokeInvitation, ShownInvitation,
    },
    cli::{
        Failure, Outcome,
        client::{Client, query},
        output,
    },
    domain::{DirectoryName, Principal, ProfileName, enrolment::EnrolmentState},
};

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Those of a principal
    #[arg(long = "of", value_name = "PRINCIPAL")]
    principal: Option<Principal>,
    /// Those that are open, used-up, expired or revoked
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
    /// What follows: the cursor that the page before gave
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The invitation's id
    id: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// The invitation's id
    id: String,
    /// End the accounts that were opened with it too. Without this they go on renewing, and only new ones are refused
    #[arg(long)]
    stop_accounts: bool,
}

pub(super) fn list(client: &Client, args: ListArgs, as_json: bool) -> Outcome {
    let query = query(&[
        ("principal", args.principal.map(|it| it.to_string())),
        ("status", args.status),
        ("limit", Some(args.limit.to_string())),
        ("cursor", args.cursor),
    ]);
    let page: InvitationPage = client.get(&format!("/v1/invitations?{query}"))?;
    if as_json {
        output::json(&page)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = page
        .invitations
        .iter()
        .map(|invitation| {
            vec![
                invitation.id.to_string(),
                invitation.principal.to_string(),
                invitation.status.to_string(),
                invitation.needs.to_string(),
                format!("{} of {}", invitation.used, invitation.uses),
                invitation.expires_at.to_string(),
            ]
        })
        .collect();
    output::table(
        &["ID", "PRINCIPAL", "STATUS", "NEEDS", "USED", "EXPIRES"],
        &rows,
    );
    if let Some(next) = page.next {
        eprintln!("There are more: --cursor {next}");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(client: &Client, args: &ShowArgs, as_json: bool) -> Outcome {
    let shown: InvitationInFull = client.get(&format!("/v1/invitations/{}", checked(&args.id)?))?;
    if as_json {
        output::json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    tell(&shown.invitation);
    if shown.enrolments.is_empty() {
        say!("enrolled     nobody yet");
        return Ok(ExitCode::SUCCESS);
    }
    say!("");
    let rows: Vec<Vec<String>> = shown
        .enrolments
        .iter()
        .map(|enrolment| {
            vec![
                enrolment.id.clone(),
                enrolment.account.clone(),
                enrolment.account_status.clone(),
                enrolment
                    .directory
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
                enrolment.began_at.to_string(),
                in_words(&enrolment.state),
            ]
        })
        .collect();
    output::table(
        &[
            "ENROLMENT",
            "ACCOUNT",
            "ACCOUNT IS",
            "DIRECTORY",
            "BEGAN",
            "STATE",
        ],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}

fn tell(invitation: &ShownInvitation) {
    say!("id           {}", invitation.id);
    say!("principal    {}", invitation.principal);
    match invitation.revoked_at {
        Some(at) => say!("status       {}, at {at}", invitation.status),
        None => say!("status       {}", invitation.status),
    }
    say!("used         {} of {}", invitation.used, invitation.uses);
    say!("made         {}", invitation.created_at);
    say!("expires      {}", invitation.expires_at);
    say!("needs        {}", invitation.needs);
    let profiles: Vec<&str> = invitation
        .profiles
        .iter()
        .map(ProfileName::as_str)
        .collect();
    say!("profiles     {}", profiles.join(", "));
    let directories: Vec<&str> = invitation
        .directories
        .iter()
        .map(DirectoryName::as_str)
        .collect();
    match &directories[..] {
        [] => say!("directories  all"),
        names => say!("directories  {}", names.join(", ")),
    }
    for identifier in &invitation.identifiers {
        say!("may order    {identifier}");
    }
    for pattern in &invitation.patterns {
        say!("may order    {pattern}");
    }
}

fn in_words(state: &EnrolmentState) -> String {
    match state {
        EnrolmentState::Active => "active".to_owned(),
        EnrolmentState::AwaitingApproval { reason, .. } => {
            format!("waits for approval: {reason}")
        }
        EnrolmentState::Ended { at, reason } => format!("ended at {at}: {reason}"),
    }
}

pub(super) fn revoke(client: &Client, args: &RevokeArgs, as_json: bool) -> Outcome {
    let revoked: InvitationRevoked = client.post(
        &format!("/v1/invitations/{}/revoke", checked(&args.id)?),
        &RevokeInvitation {
            stop_accounts: args.stop_accounts,
        },
    )?;
    if as_json {
        output::json(&revoked)?;
        return Ok(ExitCode::SUCCESS);
    }
    let principal = &revoked.invitation.principal;
    say!("Nobody enrols with invitation {} any more.", args.id);
    if args.stop_accounts {
        say!(
            "Accounts ended: {}; they get no more certificates.",
            revoked.accounts_stopped
        );
    } else if revoked.invitation.used > 0 {
        say!(
            "Accounts that were opened with it go on; to end them: portcullis invite revoke {} --stop-accounts",
            args.id
        );
    }
    if revoked.invitation.used > 0 {
        say!(
            "Certificates that they have stay good; to revoke them: portcullis cert revoke --principal {principal}"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// It goes into a path.
fn checked(id: &str) -> Result<&str, Failure> {
    if !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(id);
    }
    Err(Failure::usage(format!(
        "{id:?} is no invitation's id; it has 12 letters and digits: portcullis invite list shows them"
    )))
}
