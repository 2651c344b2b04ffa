//! `portcullis init`.

use std::{fs, path::PathBuf, process::ExitCode};

use portcullis_ca::key::KeyAlgorithm;
use serde_json::json;

use super::{Failure, Outcome, block_on, output};
use crate::{
    app::{Init, StateDir, SystemClock, init, read_passphrase},
    domain::{Clock, TrustDomain},
};

/// What `init` is asked. Nothing has to be said.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// The trust domain of devices and services: certificates carry spiffe://TRUST-DOMAIN/KIND/PATH
    #[arg(long, default_value = "portcullis.internal", value_name = "NAME")]
    trust_domain: TrustDomain,
    /// The algorithm of the CA keys: p256, p384 or ed25519
    #[arg(long, default_value = "p256", value_name = "ALGORITHM")]
    key_type: KeyAlgorithm,
    /// Seal the CA keys with the passphrase in the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Where everybody will fetch revocation lists; it is written into certificates
    #[arg(long, default_value = "http://127.0.0.1:8445", value_name = "URL")]
    public_url: String,
}

pub(super) fn run(args: &InitArgs, state: &StateDir, as_json: bool) -> Outcome {
    let passphrase = args
        .passphrase_file
        .as_ref()
        .map(|file| {
            let phrase = read_passphrase(file).map_err(Failure::new)?;
            let file = fs::canonicalize(file).map_err(Failure::new)?;
            Ok((file.display().to_string(), phrase))
        })
        .transpose()?;
    let mut changes = Vec::new();
    if args.public_url != "http://127.0.0.1:8445" {
        changes.push((
            "public_url = \"http://127.0.0.1:8445\"".to_owned(),
            format!(
                "public_url = {}",
                toml::Value::from(args.public_url.as_str())
            ),
        ));
    }
    let wanted = Init {
        trust_domain: args.trust_domain.clone(),
        key_algorithm: args.key_type,
        passphrase,
        changes,
        public_url: args.public_url.clone(),
    };
    let made =
        block_on(init(state, &wanted, SystemClock::default().now()))?.map_err(
            |error| match error {
                crate::app::InitError::Exists(_) => Failure::usage(error),
                crate::app::InitError::State(_) | crate::app::InitError::Crypto(_) => {
                    Failure::new(error)
                }
            },
        )?;
    let dir = state.path().display().to_string();
    if as_json {
        output::json(&json!({
            "dir": dir,
            "trust_domain": args.trust_domain.as_str(),
            "root": state.file("root.pem"),
            "root_sha256": hex::encode(made.root_sha256),
            "root_not_after": made.root_not_after,
            "intermediate_not_after": made.intermediate_not_after,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let flag = if dir == "portcullis" {
        String::new()
    } else {
        format!(" --dir {dir}")
    };
    println!(
        "Made an authority in {dir}/ for the trust domain {}",
        args.trust_domain
    );
    println!("  {dir}/portcullis.toml   the configuration; everything has a default");
    println!("  {dir}/policy.toml       who may do what");
    println!(
        "  {dir}/root.pem          what clients trust, until {}",
        made.root_not_after
    );
    println!(
        "                          SHA-256 {}",
        hex::encode(made.root_sha256)
    );
    println!(
        "  {dir}/keys/             the CA keys{}; keep a copy of the directory in a safe place",
        if wanted.passphrase.is_some() {
            ", sealed"
        } else {
            ""
        }
    );
    println!();
    println!("Next:");
    println!("  portcullis serve{flag}                          run it");
    println!("  portcullis invite device:fra/sensor-42{flag}    let a device enrol");
    Ok(ExitCode::SUCCESS)
}
