//! The command line of `portcullis-agent`.

use std::{fs, io::Read, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use zeroize::Zeroizing;

use super::{enroll::EnrollOptions, error::AgentError, hook::Hook, key::KeyType, run::RunOptions};

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do
  1  something else failed (the hook, the operating system, an answer that can't be read)
  2  wrong usage, or a token that can't be read
  3  the server can't be reached or is busy: try again later
  4  the server refuses: ask for a new invitation
  5  the server is not the one that the invitation names, or this device's clock is wrong
  6  the state directory can't be used, or this device is not enrolled";

const LAYOUT: &str = "\
The state directory (mode 0700):
  current/cert.pem   the certificate and its issuers: `curl --cert`, `ssl_certificate`
  current/key.pem    its key (mode 0600), made on this device: `curl --key`
  current/chain.pem  the issuers alone
  root.pem           the roots that the server is trusted by: `curl --cacert`. There are two while the authority
                     replaces its root; `run` keeps them up to date
  account.json       the ACME account (mode 0600)
`current` is a link that is moved in one step, so key and certificate always belong together.";

/// Gets this device a certificate and keeps it fresh.
///
/// An operator runs `portcullis invite device:fra/sensor-42` and hands you one line, the invitation token. Then:
///
///   portcullis-agent enroll TOKEN
///   portcullis-agent run --hook 'systemctl reload my-service'
#[derive(Debug, Parser)]
#[command(name = "portcullis-agent", version, after_help = EXIT_CODES, verbatim_doc_comment)]
pub struct Arguments {
    /// How the log on standard error is written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "PORTCULLIS_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// What the agent can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enrol this device with an invitation token, and fetch its first certificate
    ///
    /// The key is made here and never leaves the device. The server is known by the SHA-256 of its root certificate,
    /// which is in the token. Running it again with the same token is harmless: it completes what was begun.
    Enroll(Box<EnrollArguments>),
    /// Renew the certificate, again and again, at about two thirds of its lifetime, and keep root.pem up to date
    ///
    /// It fetches the authority's roots after every renewal, at least every four hours, and with --once each time. It
    /// survives the server being away, and never gives up. SIGHUP renews now, SIGTERM ends it.
    #[command(after_help = EXIT_CODES)]
    Run(RunArguments),
    /// Show what this device has: principal, validity, next renewal, files, roots, and what failed the last time
    ///
    /// Exit code 0: all is well; 1: the certificate is not valid, or its last renewal or the last look for new roots
    /// failed; 6: this device is not enrolled.
    Status(StatusArguments),
}

/// Where everything is kept.
#[derive(Debug, Args)]
pub struct StateArguments {
    /// The directory that holds key, certificate and account
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTCULLIS_STATE_DIR",
        default_value = "/var/lib/portcullis-agent"
    )]
    pub state_dir: PathBuf,
}

/// The arguments of `enroll`.
#[derive(Debug, Args)]
#[command(after_help = format!("{LAYOUT}\n\n{EXIT_CODES}"))]
pub struct EnrollArguments {
    /// The invitation token, one line that begins with "pcinv_"; "-" reads it from standard input. Other users of this
    /// machine can see a command line: --token-file or the variable are better where there are any
    #[arg(
        value_name = "TOKEN",
        env = "PORTCULLIS_TOKEN",
        hide_env_values = true,
        required_unless_present_any = ["token_option", "token_file"],
        conflicts_with_all = ["token_option", "token_file"]
    )]
    pub token: Option<Secret>,
    /// The same as TOKEN
    #[arg(long = "token", value_name = "TOKEN", conflicts_with = "token_file")]
    pub token_option: Option<Secret>,
    /// A file that holds the invitation token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The URL of the ACME directory, where it is another than the invitation says
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The server's root certificate in PEM, where the server does not send it. It must be the one that the invitation
    /// names
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// What kind of keys to make: p256, p384 or ed25519
    #[arg(long, value_name = "TYPE", default_value_t = KeyType::P256)]
    pub key_type: KeyType,
    /// How many seconds to go on trying while the server can't be reached or is busy
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wait: u64,
    /// Enrol here though the directory holds the enrolment of another principal, which this device then gives up
    #[arg(long)]
    pub replace: bool,
    /// Print what the device has now as JSON
    #[arg(long)]
    pub json: bool,
    /// Where everything is kept.
    #[command(flatten)]
    pub state: StateArguments,
}

/// The arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// A shell command to run when there is a new certificate or another root, with the files in PORTCULLIS_CERT,
    /// PORTCULLIS_KEY, PORTCULLIS_CHAIN and PORTCULLIS_ROOT, and in PORTCULLIS_CHANGED what is new: "certificate",
    /// "trust", or both with a space between. It is also run at the start if it has not yet succeeded for what is in use,
    /// and tried again when it fails
    #[arg(long, value_name = "CMD", env = "PORTCULLIS_HOOK")]
    pub hook: Option<String>,
    /// After how many seconds a hook that hangs is ended
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub hook_timeout: u64,
    /// Do what is due now, and end: for cron and systemd timers
    #[arg(long)]
    pub once: bool,
    /// Renew now, due or not
    #[arg(long)]
    pub renew_now: bool,
    /// Renew with the key in use; without this, every certificate gets a new key
    #[arg(long)]
    pub reuse_key: bool,
    /// Where everything is kept.
    #[command(flatten)]
    pub state: StateArguments,
}

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Where everything is kept.
    #[command(flatten)]
    pub state: StateArguments,
}

/// A text that must not be shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl EnrollArguments {
    /// Reads the token, and puts everything together.
    ///
    /// # Errors
    /// The token can't be read.
    pub fn options(&self) -> Result<EnrollOptions, AgentError> {
        let token = match (
            &self.token_file,
            self.token_option.as_ref().or(self.token.as_ref()),
        ) {
            (Some(file), _) => Zeroizing::new(fs::read_to_string(file).map_err(|error| {
                AgentError::Usage(format!("--token-file {}: {error}", file.display()))
            })?),
            (None, Some(Secret(text))) if text.as_str() == "-" => {
                let mut text = Zeroizing::new(String::new());
                std::io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|error| AgentError::Usage(format!("standard input: {error}")))?;
                text
            }
            (None, Some(Secret(text))) => text.clone(),
            (None, None) => return Err(AgentError::Usage("there is no invitation token".into())),
        };
        Ok(EnrollOptions {
            token: token.parse()?,
            server: self.server.clone(),
            ca: self.ca.clone(),
            state_dir: self.state.state_dir.clone(),
            key_type: self.key_type,
            wait: Duration::from_secs(self.wait),
            replace: self.replace,
        })
    }
}

impl From<RunArguments> for RunOptions {
    fn from(arguments: RunArguments) -> Self {
        Self {
            state_dir: arguments.state.state_dir,
            hook: arguments.hook.map(|command| Hook {
                command,
                timeout: Duration::from_secs(arguments.hook_timeout),
            }),
            once: arguments.once,
            renew_now: arguments.renew_now,
            reuse_key: arguments.reuse_key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_its_help_lists_the_exit_codes_and_the_files() {
        Arguments::command().debug_assert();
        for name in ["enroll", "run"] {
            let mut command = Arguments::command();
            let help = command
                .find_subcommand_mut(name)
                .unwrap()
                .render_long_help()
                .to_string();
            assert!(help.contains("4  the server refuses"), "{help}");
        }
    }

    #[test]
    fn a_token_given_on_the_command_line_is_not_in_the_debug_output() {
        for arguments in [
            ["portcullis-agent", "enroll", "pcinv_s3cret"].as_slice(),
            &["portcullis-agent", "enroll", "--token", "pcinv_s3cret"],
        ] {
            let parsed = Arguments::try_parse_from(arguments).unwrap();
            assert!(!format!("{parsed:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_token_must_be_given_once() {
        for arguments in [
            ["portcullis-agent", "enroll"].as_slice(),
            &[
                "portcullis-agent",
                "enroll",
                "pcinv_a",
                "--token",
                "pcinv_b",
            ],
            &[
                "portcullis-agent",
                "enroll",
                "--token",
                "a",
                "--token-file",
                "b",
            ],
        ] {
            assert!(
                Arguments::try_parse_from(arguments).is_err(),
                "{arguments:?}"
            );
        }
    }
}
