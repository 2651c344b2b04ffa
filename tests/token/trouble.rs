//! The module of `trouble.c`: SoftHSM2 with something wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::softhsm::SoftHsm;
use crate::support::{Server, eventually};

/// SoftHSM2 behind the shim.
pub struct Trouble {
    folder: PathBuf,
    pub hsm: SoftHsm,
}

impl Trouble {
    /// None where SoftHSM2 isn't installed.
    pub fn new() -> Option<Self> {
        let hsm = SoftHsm::new()?;
        let trouble = Self {
            folder: hsm.path().join("trouble"),
            hsm,
        };
        fs::create_dir(&trouble.folder).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/token/trouble.c");
        let built = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"])
            .arg("-o")
            .arg(trouble.module())
            .arg(source)
            .arg("-ldl")
            .output()
            .expect("a C compiler named cc");
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        Some(trouble)
    }

    pub fn module(&self) -> PathBuf {
        self.folder.join("trouble.so")
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("TROUBLE_MODULE", SoftHsm::module()),
            ("TROUBLE_FOLDER", self.folder.clone()),
        ]
        .map(|(name, path)| (name.to_owned(), path.display().to_string()))
        .to_vec()
    }

    /// A server on it that has signed all that it signs by itself, so that the next signature is the test's.
    pub fn server(&self) -> Server {
        let server = self.hsm.server(&self.module(), &self.environment()).start();
        eventually("the OCSP responder has its certificate", || {
            server
                .log()
                .contains("an OCSP responder got its certificate")
        });
        server
    }

    /// Brings something about.
    pub fn make(&self, name: &str, contents: &str) {
        fs::write(self.folder.join(name), contents).unwrap();
    }

    /// Whether it has happened.
    pub fn has_happened(&self, name: &str) -> bool {
        !self.folder.join(name).exists()
    }

    /// Ends it.
    pub fn end(&self, name: &str) {
        fs::remove_file(self.folder.join(name)).unwrap();
    }

    /// How often somebody logged in.
    pub fn logins(&self) -> usize {
        fs::read(self.folder.join("logins")).map_or(0, |letters| letters.len())
    }
}
