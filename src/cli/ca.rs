//! `portcullis ca …`: the CAs of the authority.

mod root;
mod sign;

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Subcommand;
use portcullis_ca::key::KeyAlgorithm;
use zeroize::Zeroize;

use super::{Failure, Outcome, client::Client, output, passphrase::PassphraseArgs};
use crate::{
    api::issuer::{Install, NewIssuer, Retire, Rotate, ShownBundle, ShownIssuer, Start, TakeIn},
    app::StateDir,
    domain::issuer::{IssuerRole, IssuerState},
};

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Rotate the intermediate:  portcullis ca rotate intermediate\n\
                  Rotate the root:          portcullis ca rotate root\n\
                  \x20                         portcullis ca readiness        until the devices have the new bundle\n\
                  \x20                         portcullis ca activate root-2\n\
                  \x20                         portcullis ca retire root      when the old leaves have run out"
)]
pub(super) enum CaCommand {
    /// List the CAs: requested, prepared, active, retiring, retired
    List,
    /// Show a CA with its certificates, or the request that waits to be signed
    Show {
        /// Its name, or its id
        name: String,
    },
    /// Make a CA with a new key and a new name; it issues nothing until it is activated
    Create(CreateArgs),
    /// Take in a CA that exists already, as it is
    Import(ImportArgs),
    /// Make a key and a request that somebody else's root is to sign
    Request(CreateArgs),
    /// Give a requested CA the certificate that somebody else signed
    Install {
        /// Its name
        name: String,
        /// The certificate, then those above it up to the root (PEM)
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
    },
    /// Replace an active CA by a successor. An intermediate's issues at once; a root's is prepared, cross-signed both
    /// ways, and issues after `ca activate`
    Rotate {
        /// Its name
        name: String,
        /// The algorithm of the new key [default: as before]
        #[arg(long, value_name = "ALGORITHM")]
        key_type: Option<KeyAlgorithm>,
        /// Put the new key into the token [default: where the old one is]
        #[arg(long)]
        token: bool,
    },
    /// Make a prepared CA issue; a root takes its intermediates along, and the root before begins to retire
    Activate {
        /// Its name
        name: String,
        /// The CA whose place it takes
        #[arg(long, value_name = "NAME")]
        instead_of: Option<String>,
        /// How many percent of the devices must have fetched the trust bundle before a root is activated
        #[arg(long, default_value_t = 95, value_parser = clap::value_parser!(u8).range(0..=100), value_name = "PERCENT")]
        threshold: u8,
        /// Go ahead below the threshold
        #[arg(long)]
        force: bool,
    },
    /// End a CA: whatever it issued is refused when this returns, and live connections end
    Retire {
        /// Its name
        name: String,
        /// Although certificates that it issued are still good
        #[arg(long)]
        yes: bool,
    },
    /// Take a root's key offline, and make its lists then
    #[command(subcommand)]
    Root(root::RootCommand),
    /// Sign a request with a root whose key is not on the server; it needs no server
    Sign(sign::SignArgs),
    /// Print the trust bundle: every root that devices and gates are to trust (PEM)
    Bundle,
    /// Tell which devices and services have not yet fetched the trust bundle
    Readiness,
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// What to call it: lower-case letters, digits and hyphens
    name: String,
    /// Make a root instead of an intermediate
    #[arg(long)]
    root: bool,
    /// The root that signs it [default: the one that issues]
    #[arg(long, value_name = "NAME", conflicts_with = "root")]
    parent: Option<String>,
    /// The algorithm of its key
    #[arg(long, default_value = "p256", value_name = "ALGORITHM")]
    key_type: KeyAlgorithm,
    /// Put its key into the token ([ca.token] in portcullis.toml)
    #[arg(long)]
    token: bool,
    /// Issue this profile only; may be given several times [default: all that no other CA names]
    #[arg(long, value_name = "PROFILE")]
    profile: Vec<String>,
    /// Over how many revocation lists its certificates are spread [default: lists.shards]
    #[arg(long, value_name = "COUNT")]
    list_shards: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// What to call it: lower-case letters, digits and hyphens
    name: String,
    /// Its certificate, then those above it up to the root (PEM)
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its private key (PKCS#8 in PEM); a root can do without
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Issue this profile only; may be given several times
    #[arg(long, value_name = "PROFILE")]
    profile: Vec<String>,
    /// Over how many revocation lists its certificates are spread [default: lists.shards]
    #[arg(long, value_name = "COUNT")]
    list_shards: Option<u32>,
}

pub(super) fn run(command: CaCommand, state: &StateDir, as_json: bool) -> Outcome {
    let client = || Client::new(state);
    match command {
        CaCommand::Sign(args) => sign::run(&args),
        CaCommand::Root(command) => root::run(command, client, as_json),
        CaCommand::List => list(&client()?, as_json),
        CaCommand::Show { name } => show(&client()?, &name, as_json),
        CaCommand::Create(args) => {
            let made: ShownIssuer = client()?.post("/v1/issuers", &new_issuer(args)?)?;
            tell(&[made], as_json)
        }
        CaCommand::Import(args) => import(&client()?, args, as_json),
        CaCommand::Request(args) => {
            let made: ShownIssuer = client()?.post("/v1/issuer-requests", &new_issuer(args)?)?;
            if as_json {
                output::json(&made)?;
            } else {
                say!("{}", made.request.unwrap_or_default().trim_end());
                eprintln!(
                    "Have this request signed, then: portcullis ca install {} --certificate FILE",
                    made.name
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        CaCommand::Install { name, certificate } => {
            let chain = read(&certificate)?;
            let path = path(&name, "install")?;
            let installed: ShownIssuer = client()?.post(&path, &Install { chain })?;
            tell(&[installed], as_json)
        }
        CaCommand::Rotate {
            name,
            key_type,
            token,
        } => {
            let rotate = Rotate {
                key_type: key_type.map(|it| it.name().to_owned()),
                token: token.then_some(true),
            };
            let made: Vec<ShownIssuer> = client()?.post(&path(&name, "rotate")?, &rotate)?;
            tell(&made, as_json)
        }
        CaCommand::Activate {
            name,
            instead_of,
            threshold,
            force,
        } => {
            let start = Start {
                instead_of,
                threshold: Some(f64::from(threshold) / 100.0),
                force,
            };
            let changed: Vec<ShownIssuer> = client()?.post(&path(&name, "activate")?, &start)?;
            tell(&changed, as_json)
        }
        CaCommand::Retire { name, yes } => {
            let changed: Vec<ShownIssuer> =
                client()?.post(&path(&name, "retire")?, &Retire { yes })?;
            tell(&changed, as_json)
        }
        CaCommand::Bundle => {
            let bundle: ShownBundle = client()?.get("/v1/bundle")?;
            if as_json {
                output::json(&bundle)?;
            } else {
                say!("{}", bundle.pem.trim_end());
            }
            Ok(ExitCode::SUCCESS)
        }
        CaCommand::Readiness => readiness(&client()?, as_json),
    }
}

/// The path of an issuer's route. Names have no characters that a path would mind.
fn path(name: &str, what: &str) -> Result<String, Failure> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Failure::usage(format!(
            "{name:?} is no CA's name: portcullis ca list shows them"
        )));
    }
    Ok(format!("/v1/issuers/{name}/{what}"))
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

fn new_issuer(args: CreateArgs) -> Result<NewIssuer, Failure> {
    Ok(NewIssuer {
        name: args.name,
        role: args.root.then_some(IssuerRole::Root),
        parent: args.parent,
        key_type: Some(args.key_type.name().to_owned()),
        token: args.token,
        profiles: args.profile,
        list_shards: args.list_shards,
    })
}

fn import(client: &Client, args: ImportArgs, as_json: bool) -> Outcome {
    let passphrase = args
        .passphrase
        .read("passphrase of the CA key")?
        .map(|phrase| {
            let mut octets = phrase.to_vec();
            let text = String::from_utf8(octets.clone());
            octets.zeroize();
            text.map_err(|_| Failure::usage("the passphrase is not UTF-8"))
        })
        .transpose()?;
    let taken = TakeIn {
        name: args.name,
        chain: read(&args.certificate)?,
        key: args.key.as_ref().map(read).transpose()?,
        passphrase,
        profiles: args.profile,
        list_shards: args.list_shards,
    };
    let made: ShownIssuer = client.post("/v1/issuer-imports", &taken)?;
    tell(&[made], as_json)
}

fn list(client: &Client, as_json: bool) -> Outcome {
    let issuers: Vec<ShownIssuer> = client.get("/v1/issuers")?;
    if as_json {
        output::json(&issuers)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = issuers
        .into_iter()
        .map(|issuer| {
            vec![
                issuer.name.to_string(),
                issuer.role.to_string(),
                issuer.state.to_string(),
                issuer.parent.unwrap_or_default(),
                issuer.key_algorithm.unwrap_or_default(),
                issuer.key,
                issuer
                    .not_after
                    .map_or_else(String::new, |at| at.to_string()),
                issuer.id.chars().take(16).collect(),
            ]
        })
        .collect();
    output::table(
        &[
            "NAME",
            "ROLE",
            "STATE",
            "BELOW",
            "KEY",
            "KEPT IN",
            "NOT AFTER",
            "ID",
        ],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}

fn show(client: &Client, name: &str, as_json: bool) -> Outcome {
    let path = path(name, "")?;
    let issuer: ShownIssuer = client.get(path.trim_end_matches('/'))?;
    if as_json {
        output::json(&issuer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |name: &str, value: &str| say!("{name:<13} {value}");
    row("name", issuer.name.as_str());
    row("id", &issuer.id);
    row("role", &issuer.role.to_string());
    row(
        "state",
        &format!("{}, since {}", issuer.state, issuer.state_since),
    );
    if let Some(subject) = &issuer.subject {
        row("subject", subject);
    }
    if let Some(parent) = &issuer.parent {
        row("below", parent);
    }
    for cross in &issuer.cross_signed_by {
        row("cross-signed", &format!("by {cross}"));
    }
    if let Some(algorithm) = &issuer.key_algorithm {
        row("key", &format!("{algorithm}, {}", issuer.key));
    }
    if let (Some(from), Some(to)) = (issuer.not_before, issuer.not_after) {
        row("valid", &format!("{from} to {to}"));
    }
    row("profiles", &profiles(&issuer));
    row("lists", &issuer.list_shards.to_string());
    for text in [&issuer.request, &issuer.pem].into_iter().flatten() {
        say!("{}", text.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn profiles(issuer: &ShownIssuer) -> String {
    match (issuer.role, issuer.profiles.is_empty()) {
        (IssuerRole::Root, _) => "none: it signs CAs".to_owned(),
        (IssuerRole::Intermediate, true) => "all that no other CA names".to_owned(),
        (IssuerRole::Intermediate, false) => issuer.profiles.join(", "),
    }
}

fn readiness(client: &Client, as_json: bool) -> Outcome {
    let bundle: ShownBundle = client.get("/v1/bundle")?;
    if as_json {
        output::json(&bundle)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "{} of {} devices and services have fetched the trust bundle {}",
        bundle.all - bundle.missing,
        bundle.all,
        &bundle.id[..16.min(bundle.id.len())]
    );
    say!(
        "This node's gate follows it by itself (epoch {})",
        bundle.gate_epoch
    );
    for principal in &bundle.first_missing {
        say!("  missing: {principal}");
    }
    let named = u64::try_from(bundle.first_missing.len()).unwrap_or(u64::MAX);
    if bundle.missing > named {
        say!("  and {} more", bundle.missing - named);
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of some CAs, and what comes next.
fn tell(issuers: &[ShownIssuer], as_json: bool) -> Outcome {
    if as_json {
        output::json(&issuers)?;
        return Ok(ExitCode::SUCCESS);
    }
    for issuer in issuers {
        say!("{} ({}) is {}", issuer.name, issuer.role, issuer.state);
    }
    let prepared = issuers
        .iter()
        .find(|issuer| issuer.state == IssuerState::Prepared);
    if let Some(issuer) = prepared {
        if issuer.role == IssuerRole::Root {
            say!(
                "It is in the trust bundle now. When devices have fetched it (portcullis ca readiness):"
            );
        }
        say!("  portcullis ca activate {}", issuer.name);
    }
    Ok(ExitCode::SUCCESS)
}
