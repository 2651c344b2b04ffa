//! The files in `corpus/TARGET/`: `valid-…` are accepted, `bad-…` are refused, and of `found-…` it only matters that they do
//! no harm any more.

use std::{fs, path::PathBuf};

/// One file.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    pub octets: Vec<u8>,
}

/// Where a target's files lie.
pub fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target)
}

/// A target's files, in the order of their names.
pub fn read(target: &str) -> Vec<Entry> {
    let folder = folder(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<Entry> = files
        .map(|file| {
            let path = file.unwrap().path();
            Entry {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                octets: fs::read(&path).unwrap(),
            }
        })
        .collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(!entries.is_empty(), "no file in {}", folder.display());
    entries
}

/// Keeps an input.
pub fn write(target: &str, name: &str, octets: &[u8]) {
    let folder = folder(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), octets).unwrap();
}
