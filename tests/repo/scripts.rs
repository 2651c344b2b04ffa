//! The scripts: what there is, that it can be run, and that CI runs it.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::sources::root;

const SCRIPTS: &[&str] = &[
    ".ci/run",
    "scripts/bench",
    "scripts/check",
    "scripts/demo",
    "scripts/soak",
    "scripts/test",
];

#[test]
fn every_script_can_be_run_and_stops_at_a_fault() {
    for script in all_scripts() {
        let path = root().join(&script);
        let mode = fs::metadata(&path)
            .unwrap_or_else(|e| panic!("{script}: {e}"))
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{script} is not executable: {mode:o}");
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("#!/usr/bin/env bash\n# "),
            "{script}: no shebang, or not a line on what it does"
        );
        assert!(
            text.contains("\nset -euo pipefail\n"),
            "{script} goes on after a fault"
        );
        let syntax = Command::new("bash")
            .arg("-n")
            .arg(&path)
            .output()
            .expect("bash");
        assert!(
            syntax.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&syntax.stderr)
        );
    }
}

#[test]
fn every_script_that_the_readme_promises_is_there() {
    assert_eq!(all_scripts(), SCRIPTS);
}

#[test]
fn ci_runs_the_check_and_the_tests() {
    let text = fs::read_to_string(root().join(".ci/run")).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for wanted in ["run scripts/check", "run scripts/test"] {
        assert!(lines.contains(&wanted), ".ci/run doesn't call: {wanted}");
    }
    let check = fs::read_to_string(root().join("scripts/check")).unwrap();
    for gate in [
        "cargo fmt --all --check",
        "cargo clippy --workspace --all-targets --locked -- -D warnings",
        "cargo deny --locked check bans licenses sources",
        "cargo doc --workspace",
    ] {
        assert!(check.contains(gate), "scripts/check doesn't hold: {gate}");
    }
}

fn all_scripts() -> Vec<String> {
    let mut found = vec![".ci/run".to_owned()];
    for entry in fs::read_dir(root().join("scripts")).unwrap() {
        found.push(format!(
            "scripts/{}",
            entry.unwrap().file_name().to_str().unwrap()
        ));
    }
    found.sort();
    found
}
