//! `portcullis init`.

use std::process::ExitCode;

use portcullis_ca::key::KeyAlgorithm;
use serde_json::json;

use super::{Failure, Outcome, block_on, output, passphrase::PassphraseArgs};
use crate::{
    app::{Init, StateDir, SystemClock, init, is_plain_http},
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
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Where everybody will fetch revocation lists; it is written into certificates
    #[arg(long, default_value = "http://127.0.0.1:8445", value_name = "URL")]
    public_url: String,
}

pub(super) fn run(args: &InitArgs, state: &StateDir, as_json: bool) -> Outcome {
    let passphrase = args
        .passphrase
        .source()?
        .map(|source| {
            let phrase = source.read_new("passphrase of the CA keys");
            phrase.map(|phrase| (source, phrase)).map_err(Failure::new)
        })
        .transpose()?;
    if !is_plain_http(&args.public_url) {
        return Err(Failure::usage(format!(
            "--public-url {}: it must be an http URL, for example http://ca.example.internal",
            args.public_url
        )));
    }
    let wanted = Init {
        trust_domain: args.trust_domain.clone(),
        key_algorithm: args.key_type,
        passphrase,
        public_url: args.public_url.clone(),
    };
    let made =
        block_on(init(state, &wanted, SystemClock::default().now()))?.map_err(
            |error| match error {
                crate::app::InitError::Exists(_) => Failure::usage(error),
                crate::app::InitError::State(_)
                | crate::app::InitError::Store(_)
                | crate::app::InitError::Mark(_)
                | crate::app::InitError::Crypto(_) => Failure::new(error),
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
    say!(
        "Made an authority in {dir}/ for the trust domain {}",
        args.trust_domain
    );
    say!("  {dir}/portcullis.toml   the configuration; everything has a default");
    say!("  {dir}/policy.toml       who may do what");
    say!(
        "  {dir}/root.pem          what clients trust, until {}",
        made.root_not_after
    );
    say!(
        "                          SHA-256 {}",
        hex::encode(made.root_sha256)
    );
    say!(
        "  {dir}/keys/             the CA keys{}; keep a copy of the directory in a safe place",
        if wanted.passphrase.is_some() {
            ", sealed"
        } else {
            ""
        }
    );
    say!("");
    say!("Next:");
    say!("  portcullis serve{flag}                          run it");
    say!("  portcullis invite device:fra/sensor-42{flag}    let a device enrol");
    Ok(ExitCode::SUCCESS)
}
