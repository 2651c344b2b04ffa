//! A SoftHSM2 of a test's own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    peers::program::{program, succeeds},
    support::{Builder, Server},
};

/// The label of its token.
pub const LABEL: &str = "ca of the test";
/// The PIN of its user.
/// Not a number: the serials and ids of a log have those in them by chance.
pub const PIN: &str = "open-sesame-4711";

/// A token directory with one token. It goes with its owner.
pub struct SoftHsm {
    folder: TempDir,
}

impl SoftHsm {
    /// None where SoftHSM2 isn't installed.
    pub fn new() -> Option<Self> {
        let hsm = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(hsm.tokens()).unwrap();
        fs::write(
            hsm.folder.path().join("softhsm2.conf"),
            format!("directories.tokendir = {}\n", hsm.tokens().display()),
        )
        .unwrap();
        hsm.set_pin_file(PIN);
        hsm.add_token(LABEL)?;
        Some(hsm)
    }

    /// Makes another token.
    pub fn add_token(&self, label: &str) -> Option<()> {
        let mut util = program("softhsm2-util")?;
        util.args(["--init-token", "--free", "--label", label])
            .args(["--pin", PIN, "--so-pin", "security-officer"])
            .envs(self.environment());
        succeeds(&mut util);
        Some(())
    }

    /// What a process needs to find it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let conf = self.folder.path().join("softhsm2.conf");
        vec![("SOFTHSM2_CONF".to_owned(), conf.display().to_string())]
    }

    /// The module.
    pub fn module() -> PathBuf {
        first_of(&[
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib64/softhsm/libsofthsm2.so",
            "/usr/lib/libsofthsm2.so",
            "/usr/local/lib/softhsm/libsofthsm2.so",
        ])
    }

    /// Where the tokens lie.
    pub fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// A folder that goes with it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The file with the PIN.
    pub fn pin_file(&self) -> PathBuf {
        self.folder.path().join("pin")
    }

    /// Writes another PIN to the file; the token keeps its own.
    pub fn set_pin_file(&self, pin: &str) {
        fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        fs::set_permissions(self.pin_file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Arguments of `portcullis init` and `portcullis demo`.
    pub fn arguments(&self, module: &Path) -> Vec<String> {
        [
            "--token-module",
            &module.display().to_string(),
            "--token-label",
            LABEL,
            "--pin-file",
            &self.pin_file().display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// A server whose intermediate's key is in the token, by way of a module.
    pub fn server(&self, module: &Path, more: &[(String, String)]) -> Builder {
        let arguments = self.arguments(module);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut builder = Server::builder().init(&arguments);
        for (name, value) in self.environment().iter().chain(more) {
            builder = builder.init_env(name, value).env(name, value);
        }
        builder
    }
}

/// The first of these files that is there, or else the first.
pub fn first_of(paths: &[&str]) -> PathBuf {
    let found = paths.iter().find(|path| Path::new(path).exists());
    PathBuf::from(found.unwrap_or(&paths[0]))
}
