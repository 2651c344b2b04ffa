//! The repository's own files, as the tests of this room read them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A Rust file: its path from the repository's root, with `/`, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below the folders `under`, in order. A folder without any is a mistake of the caller.
pub fn rust_files(under: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in under {
        let before = sources.len();
        for path in files_below(&root().join(folder)) {
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(read(&path));
            }
        }
        assert!(sources.len() > before, "no Rust file below {folder}/");
    }
    sources
}

/// Every file that the project writes by hand: the tree without build output and version control.
pub fn text_files() -> Vec<Source> {
    let mut sources = Vec::new();
    for path in files_below(root()) {
        if let Ok(text) = fs::read_to_string(&path) {
            sources.push(Source {
                path: relative(&path),
                text,
            });
        }
    }
    sources
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Source {
        path: relative(path),
        text,
    }
}

fn relative(path: &Path) -> String {
    let inside = path.strip_prefix(root()).expect("below the root");
    inside.to_str().expect("UTF-8 path").replace('\\', "/")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            if name == ".git" || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
