//! The options that say where a passphrase or a PIN comes from, the same for every command. None takes the secret itself:
//! everybody on the machine can read a command line.

use std::path::{self, PathBuf};

use zeroize::Zeroizing;

use super::Failure;
use crate::app::PassphraseSource;

/// Where the passphrase of CA keys comes from. At most one may be given.
#[derive(Debug, Default, clap::Args)]
pub(super) struct PassphraseArgs {
    /// The passphrase of the CA keys is the first line of this file
    #[arg(long, value_name = "FILE", group = "passphrase")]
    passphrase_file: Option<PathBuf>,
    /// Take it from this systemd credential instead
    #[arg(long, value_name = "NAME", group = "passphrase")]
    passphrase_credential: Option<String>,
    /// Take it from this environment variable instead
    #[arg(long, value_name = "VARIABLE", group = "passphrase")]
    passphrase_env: Option<String>,
    /// Ask for it at the terminal instead
    #[arg(long, group = "passphrase")]
    passphrase_prompt: bool,
}

/// Where the PIN of a token comes from. At most one may be given.
#[derive(Debug, Default, clap::Args)]
pub(super) struct PinArgs {
    /// The PIN of the token is the first line of this file
    #[arg(long, value_name = "FILE", group = "pin")]
    pin_file: Option<PathBuf>,
    /// Take it from this systemd credential instead
    #[arg(long, value_name = "NAME", group = "pin")]
    pin_credential: Option<String>,
    /// Take it from this environment variable instead
    #[arg(long, value_name = "VARIABLE", group = "pin")]
    pin_env: Option<String>,
    /// Ask for it at the terminal instead
    #[arg(long, group = "pin")]
    pin_prompt: bool,
}

impl PassphraseArgs {
    /// The source that was chosen, its file by its full path, so that it can go into the configuration.
    pub(super) fn source(&self) -> Result<Option<PassphraseSource>, Failure> {
        chosen(
            self.passphrase_file.as_ref(),
            self.passphrase_credential.as_ref(),
            self.passphrase_env.as_ref(),
            self.passphrase_prompt,
        )
    }

    /// The same for a new passphrase: one that is typed is typed twice.
    pub(super) fn read_new(&self, what: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        self.source()?
            .map(|source| source.read_new(what).map_err(Failure::new))
            .transpose()
    }

    /// The passphrase, where a source was chosen; `what` is what it opens or seals.
    pub(super) fn read(&self, what: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        self.source()?
            .map(|source| source.read(what).map_err(Failure::new))
            .transpose()
    }
}

impl PinArgs {
    /// The source that was chosen, its file by its full path, so that it can go into the configuration.
    pub(super) fn source(&self) -> Result<Option<PassphraseSource>, Failure> {
        chosen(
            self.pin_file.as_ref(),
            self.pin_credential.as_ref(),
            self.pin_env.as_ref(),
            self.pin_prompt,
        )
    }
}

fn chosen(
    file: Option<&PathBuf>,
    credential: Option<&String>,
    variable: Option<&String>,
    prompt: bool,
) -> Result<Option<PassphraseSource>, Failure> {
    if let Some(file) = file {
        let path = path::absolute(file).map_err(Failure::new)?;
        return Ok(Some(PassphraseSource::File(path)));
    }
    let credential = credential.map(|name| PassphraseSource::Credential(name.clone()));
    let variable = variable.map(|name| PassphraseSource::Environment(name.clone()));
    Ok(credential
        .or(variable)
        .or(prompt.then_some(PassphraseSource::Prompt)))
}
