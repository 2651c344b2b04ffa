//! The programs of others that these tests run.

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    process::{Command, Output},
};

/// The program `name`, from the path. Where it isn't installed there is none, and the test that asked says so and does
/// nothing; in CI (`CI=true`) a missing program is a failure instead.
pub fn program(name: &str) -> Option<Command> {
    let found = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    let Some(path) = found else {
        let ci = env::var("CI").is_ok_and(|value| value == "true");
        assert!(!ci, "{name} is not installed; scripts/test installs it");
        // Past the test harness, which would swallow it.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: {name} is not installed; scripts/test installs it"
        );
        return None;
    };
    let mut command = Command::new(path);
    // What a developer has set for such programs must not change what they do here.
    for name in [
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
    Some(command)
}

/// Runs it to its end, and hands over what it printed on both streams; it must succeed.
pub fn succeeds(command: &mut Command) -> String {
    let (output, text) = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}",
        output.status
    );
    text
}

/// The same for one that must fail.
pub fn fails(command: &mut Command) -> String {
    let (output, text) = run(command);
    assert!(!output.status.success(), "{command:?} succeeded:\n{text}");
    text
}

fn run(command: &mut Command) -> (Output, String) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output, text)
}
