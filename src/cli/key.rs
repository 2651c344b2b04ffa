//! `portcullis key create|list|revoke`.

use std::process::ExitCode;

use clap::Subcommand;
use ipnet::IpNet;

use super::{Failure, Outcome, client::Client, output};
use crate::{
    api::api_key::{ApiKeyCreated, ApiKeyRevoked, CreateApiKey, ShownApiKey},
    app::StateDir,
    domain::{ApiKeyKind, Principal, Scope, duration::WrittenDuration},
};

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Mint a key for a principal. It may do what its principal may do, or with --only that much of it
    Create(CreateArgs),
    /// List all keys
    List,
    /// Revoke a key; it opens nothing any more when this returns
    Revoke {
        /// The key's id
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Whom it proves, for example service:billing/etl
    principal: Principal,
    /// What it is called
    #[arg(long, default_value = "", value_name = "NAME")]
    name: String,
    /// Allow nothing beyond this scope; may be given several times
    #[arg(long, value_name = "SCOPE")]
    only: Vec<Scope>,
    /// Allow it from this network only; may be given several times
    #[arg(long, value_name = "NETWORK")]
    cidr: Vec<IpNet>,
    /// How long it is good for; without, until it is revoked
    #[arg(long, value_name = "DURATION")]
    expires: Option<WrittenDuration>,
    /// Make a temporary key: good for at most 24 hours (and for 1 hour unless --expires says otherwise)
    #[arg(long)]
    temporary: bool,
    /// Good only together with the certificate with this SHA-256 fingerprint
    #[arg(long, value_name = "SHA256")]
    bind: Option<String>,
}

pub(super) fn run(command: KeyCommand, state: &StateDir, as_json: bool) -> Outcome {
    let client = Client::new(state)?;
    match command {
        KeyCommand::Create(args) => create(&client, args, as_json),
        KeyCommand::List => list(&client, as_json),
        KeyCommand::Revoke { id } => {
            if !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(Failure::usage(format!(
                    "{id:?} is no key's id; it has 12 letters and digits: portcullis key list shows them"
                )));
            }
            let revoked: ApiKeyRevoked =
                client.post(&format!("/v1/api-keys/{id}/revoke"), &serde_json::json!({}))?;
            if as_json {
                output::json(&revoked)?;
            } else {
                say!("Revoked key {} (epoch {})", revoked.id, revoked.epoch);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn create(client: &Client, args: CreateArgs, as_json: bool) -> Outcome {
    let (kind, life) = match (args.temporary, args.only.is_empty(), args.expires) {
        (true, _, life) => (
            ApiKeyKind::Temporary,
            Some(life.map_or(3600, |life| life.0.as_secs())),
        ),
        (false, true, life) => (ApiKeyKind::Standard, life.map(|life| life.0.as_secs())),
        (false, false, life) => (ApiKeyKind::Restricted, life.map(|life| life.0.as_secs())),
    };
    let created: ApiKeyCreated = client.post(
        "/v1/api-keys",
        &CreateApiKey {
            principal: args.principal,
            kind,
            name: args.name,
            only: (!args.only.is_empty()).then_some(args.only),
            cidrs: args.cidr,
            life_seconds: life,
            bound_certificate: args.bind,
        },
    )?;
    if as_json {
        output::json(&created)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("{}", created.token);
    eprintln!();
    eprintln!(
        "Key {} of {}. It is shown once; keep it as you would a password.",
        created.key.id, created.key.principal
    );
    eprintln!("Use it as: Authorization: Bearer KEY");
    Ok(ExitCode::SUCCESS)
}

fn list(client: &Client, as_json: bool) -> Outcome {
    let keys: Vec<ShownApiKey> = client.get("/v1/api-keys")?;
    if as_json {
        output::json(&keys)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            vec![
                key.id.to_string(),
                key.kind.to_string(),
                key.principal.to_string(),
                key.status.clone(),
                key.expires_at
                    .map_or_else(|| "never".to_owned(), |end| end.to_string()),
                key.name.clone(),
            ]
        })
        .collect();
    output::table(
        &["ID", "KIND", "PRINCIPAL", "STATUS", "EXPIRES", "NAME"],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}
