//! `portcullis init`.

use std::{
    path::{self, PathBuf},
    process::ExitCode,
};

use portcullis_ca::key::KeyAlgorithm;
use serde_json::json;

use super::{
    Failure, Outcome, block_on, output,
    passphrase::{PassphraseArgs, PinArgs},
};
use crate::{
    app::{
        Init, InitError, StateDir, SystemClock, TokenChoice, TokenSettings, init, is_plain_http,
    },
    authority::CaKeyError,
    domain::{Clock, TrustDomain},
};

/// What `init` is asked. Nothing has to be said.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// The trust domain of devices and services: certificates carry spiffe://TRUST-DOMAIN/KIND/PATH
    #[arg(long, default_value = "portcullis.internal", value_name = "NAME")]
    trust_domain: TrustDomain,
    /// The algorithm of the CA keys: p256, p384, ed25519, rsa2048, rsa3072, rsa4096, or mldsa44, mldsa65, mldsa87, which
    /// few clients know yet
    #[arg(long, default_value = "p256", value_name = "ALGORITHM")]
    key_type: KeyAlgorithm,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Put the intermediate's key into a token: the PKCS#11 module, a shared library
    #[arg(long, value_name = "FILE", help_heading = "Token (PKCS#11)")]
    token_module: Option<PathBuf>,
    /// Which token, by its label
    #[arg(
        long,
        value_name = "LABEL",
        requires = "token_module",
        help_heading = "Token (PKCS#11)"
    )]
    token_label: Option<String>,
    /// Which token, by its slot
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "token_module",
        conflicts_with = "token_label",
        help_heading = "Token (PKCS#11)"
    )]
    token_slot: Option<u64>,
    #[command(flatten, next_help_heading = "Token (PKCS#11)")]
    pin: PinArgs,
    /// Where everybody will fetch revocation lists; it is written into certificates
    #[arg(long, default_value = "http://127.0.0.1:8445", value_name = "URL")]
    public_url: String,
}

/// The token that was named.
fn token(args: &InitArgs) -> Result<Option<TokenSettings>, Failure> {
    let pin = args.pin.source()?;
    let Some(module) = &args.token_module else {
        if pin.is_some() {
            return Err(Failure::usage(
                "a PIN is for a token; say which one by --token-module and --token-label",
            ));
        }
        return Ok(None);
    };
    let token = match (&args.token_label, args.token_slot) {
        (Some(label), _) => TokenChoice::Label(label.clone()),
        (None, Some(slot)) => TokenChoice::Slot(slot),
        (None, None) => {
            return Err(Failure::usage(
                "say which of the module's tokens by --token-label or --token-slot",
            ));
        }
    };
    Ok(Some(TokenSettings {
        module: path::absolute(module).map_err(Failure::new)?,
        token,
        pin,
        sessions: TokenSettings::SESSIONS,
        timeout: TokenSettings::TIMEOUT,
    }))
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
        token: token(args)?,
        public_url: args.public_url.clone(),
    };
    let made =
        block_on(init(state, &wanted, SystemClock::default().now()))?.map_err(
            |error| match error {
                InitError::Exists(_) | InitError::Token(CaKeyError::Refused(_)) => {
                    Failure::usage(error)
                }
                InitError::State(_)
                | InitError::Store(_)
                | InitError::Mark(_)
                | InitError::Token(CaKeyError::Failed(_))
                | InitError::Crypto(_) => Failure::new(error),
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
        match (&wanted.passphrase, &wanted.token) {
            (None, None) => "",
            (Some(_), None) => ", sealed",
            (None, Some(_)) => " but the intermediate's, which is in the token",
            (Some(_), Some(_)) => ", sealed, but the intermediate's, which is in the token",
        }
    );
    say!("");
    say!("Next:");
    say!("  portcullis serve{flag}                          run it");
    say!("  portcullis invite device:fra/sensor-42{flag}    let a device enrol");
    Ok(ExitCode::SUCCESS)
}
