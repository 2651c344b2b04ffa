//! Where passphrases and PINs come from: a file, a systemd credential, an environment variable, or the terminal. What
//! they open is not known here.
//!
//! A secret is the first line of what is found. It is never in an argument, a log or an error.

use std::{
    env, fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// A passphrase or a PIN, wiped when it is dropped.
pub type Passphrase = Zeroizing<Vec<u8>>;

/// Where a passphrase or a PIN comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseSource {
    /// The first line of a file that is closed to everybody else.
    File(PathBuf),
    /// A credential that systemd hands to the service (`LoadCredential=` or `LoadCredentialEncrypted=` of the unit).
    Credential(String),
    /// An environment variable. Portcullis' server starts no process that could inherit it.
    Environment(String),
    /// Whoever sits at the terminal is asked.
    Prompt,
}

impl PassphraseSource {
    /// Fetches it. `what` is the passphrase's name in the prompt, as in "passphrase of the CA keys".
    ///
    /// # Errors
    /// [`PassphraseError`] says which source failed, and what would be right.
    pub fn read(&self, what: &str) -> Result<Passphrase, PassphraseError> {
        match self {
            Self::File(path) => first_line_of(path),
            Self::Credential(name) => first_line_of(&credential(name)?),
            Self::Environment(name) => {
                let value = match env::var(name) {
                    Ok(value) => Zeroizing::new(value),
                    Err(env::VarError::NotPresent) => {
                        return Err(PassphraseError::NoVariable(name.clone()));
                    }
                    Err(env::VarError::NotUnicode(_)) => {
                        return Err(PassphraseError::NotText(self.to_string()));
                    }
                };
                first_line(&value, self)
            }
            Self::Prompt => first_line(&ask(&format!("The {what}: "))?, self),
        }
    }

    /// The same for a passphrase that is yet to seal something: the terminal asks twice.
    ///
    /// # Errors
    /// [`PassphraseError`], also when the two differ.
    pub fn read_new(&self, what: &str) -> Result<Passphrase, PassphraseError> {
        let chosen = self.read(what)?;
        match self {
            Self::File(_) | Self::Credential(_) | Self::Environment(_) => {}
            Self::Prompt => {
                let again = ask(&format!("The {what}, again: "))?;
                if again.as_bytes() != chosen.as_slice() {
                    return Err(PassphraseError::Differ);
                }
            }
        }
        Ok(chosen)
    }
}

impl fmt::Display for PassphraseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Credential(name) => write!(f, "the credential {name}"),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::Prompt => f.write_str("the terminal"),
        }
    }
}

/// Where systemd has put a credential (systemd.exec(5), "Credentials").
fn credential(name: &str) -> Result<PathBuf, PassphraseError> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(PassphraseError::BadCredential(name.to_owned()));
    }
    match env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) => Ok(Path::new(&directory).join(name)),
        None => Err(PassphraseError::NoCredentials(name.to_owned())),
    }
}

fn first_line_of(path: &Path) -> Result<Passphrase, PassphraseError> {
    let failed = |error| PassphraseError::Io {
        path: path.to_owned(),
        error,
    };
    let mode = fs::metadata(path).map_err(failed)?.mode();
    if mode & 0o007 != 0 {
        return Err(PassphraseError::Open {
            path: path.to_owned(),
            mode: mode & 0o777,
        });
    }
    let source = PassphraseSource::File(path.to_owned());
    let octets = Zeroizing::new(fs::read(path).map_err(failed)?);
    match std::str::from_utf8(&octets) {
        Ok(text) => first_line(text, &source),
        Err(_) => Err(PassphraseError::NotText(source.to_string())),
    }
}

fn first_line(text: &str, source: &PassphraseSource) -> Result<Passphrase, PassphraseError> {
    match text.lines().next() {
        None | Some("") => Err(PassphraseError::Empty(source.to_string())),
        Some(line) => Ok(Zeroizing::new(line.as_bytes().to_vec())),
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, PassphraseError> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(PassphraseError::NoTerminal)
}

/// Why there is no passphrase. No variant carries anything of one.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file can't be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Everybody may read the file.
    #[error("{} is open to everybody (mode {mode:o}); what opens a key is for its owner only: chmod 600 {}", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is nothing in the first line.
    #[error("{0} is empty; its first line is what is needed")]
    Empty(String),
    /// It isn't UTF-8.
    #[error("{0} is no text (UTF-8)")]
    NotText(String),
    /// The variable isn't there.
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    /// It can't be the name of a credential.
    #[error(
        "{0:?} is no name of a credential; it is one file name, as in LoadCredential=NAME:PATH"
    )]
    BadCredential(String),
    /// This process wasn't handed any credentials.
    #[error(
        "no credential {0}: CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with LoadCredential={0}:PATH"
    )]
    NoCredentials(String),
    /// Nobody can be asked.
    #[error(
        "there is no terminal to ask at ({0}); a service takes it from a file, a credential or a variable"
    )]
    NoTerminal(io::Error),
    /// What was typed the second time was something else.
    #[error("the two are not the same; nothing was done")]
    Differ,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_read_to_its_first_line_and_must_be_closed_to_everybody() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("phrase");
        let read = |contents: &[u8], mode: u32| {
            fs::write(&path, contents).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            PassphraseSource::File(path.clone())
                .read("passphrase")
                .map(|phrase| String::from_utf8(phrase.to_vec()).expect("text"))
                .map_err(|error| error.to_string().replace(&path.display().to_string(), "F"))
        };
        let open = |mode| {
            Err(format!(
                "F is open to everybody (mode {mode}); what opens a key is for its owner only: chmod 600 F"
            ))
        };
        for (contents, mode, wanted) in [
            (
                &b"correct horse\n"[..],
                0o600,
                Ok("correct horse".to_owned()),
            ),
            (b"correct horse", 0o400, Ok("correct horse".to_owned())),
            (b"one\r\ntwo\n", 0o640, Ok("one".to_owned())),
            (b" spaces stay ", 0o600, Ok(" spaces stay ".to_owned())),
            (b"horse", 0o644, open("644")),
            (b"horse", 0o602, open("602")),
            (
                b"\nhorse",
                0o600,
                Err("F is empty; its first line is what is needed".to_owned()),
            ),
            (
                b"",
                0o600,
                Err("F is empty; its first line is what is needed".to_owned()),
            ),
            (b"\xff\xfe", 0o600, Err("F is no text (UTF-8)".to_owned())),
        ] {
            assert_eq!(read(contents, mode), wanted, "{contents:?} {mode:o}");
        }
    }

    #[test]
    fn a_credential_never_leaves_its_directory() {
        for name in ["", ".", "..", "../shadow", "/etc/shadow", "a/b"] {
            let error = PassphraseSource::Credential(name.to_owned())
                .read("passphrase")
                .expect_err(name);
            assert!(
                matches!(error, PassphraseError::BadCredential(_)),
                "{name:?}: {error}"
            );
        }
    }
}
