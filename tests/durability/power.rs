//! A machine whose power can be cut: a program that runs on it loses, at the cut, every write to a database file that
//! it hadn't synced (`unsynced.c` says how).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// The machine. The shim is built for it and goes with it.
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Builds the shim with the C compiler that built SQLite, too.
    pub fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/durability/unsynced.c");
        let built = Command::new("cc")
            .args([
                "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o",
            ])
            .arg(machine.library())
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .output()
            .expect("a C compiler named cc");
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        fs::create_dir(machine.shadows()).unwrap();
        machine
    }

    /// The environment that puts a program on this machine, its database files being those below `files`.
    pub fn environment(&self, files: &Path) -> Vec<(String, String)> {
        [
            ("LD_PRELOAD", self.library()),
            ("UNSYNCED_FILES", files.to_path_buf()),
            ("UNSYNCED_SHADOWS", self.shadows()),
        ]
        .map(|(name, path)| (name.to_owned(), path.to_str().unwrap().to_owned()))
        .to_vec()
    }

    /// Cuts the power, after the program has ended: every database file below `files` that it opened holds what had
    /// been synced, and SQLite's shared-memory index, which never is, is gone. Tells how many bytes of each file were
    /// lost by it.
    pub fn cut_power(&self, files: &Path) -> Vec<(String, usize)> {
        let files = files.canonicalize().unwrap();
        let mut lost = Vec::new();
        for entry in fs::read_dir(self.shadows()).unwrap() {
            let shadow = entry.unwrap().path();
            let name = shadow.file_name().unwrap().to_str().unwrap().to_owned();
            let file = files.join(name.replace('%', "/"));
            let written = fs::read(&file).unwrap_or_default();
            let synced = fs::read(&shadow).unwrap();
            fs::write(&file, &synced).unwrap();
            fs::remove_file(&shadow).unwrap();
            let index = PathBuf::from(format!("{}-shm", file.display()));
            if index.exists() {
                fs::remove_file(index).unwrap();
            }
            let same = written.iter().zip(&synced).filter(|(a, b)| a == b).count();
            lost.push((name, written.len().max(synced.len()) - same));
        }
        lost.sort();
        lost
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("unsynced.so")
    }

    fn shadows(&self) -> PathBuf {
        self.folder.path().join("shadows")
    }
}
