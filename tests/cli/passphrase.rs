//! Sealed CA keys: the passphrase from every source, and a wrong one told apart from a damaged file.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use crate::{
    peers::program::program,
    support::{PORTCULLIS, Server},
};

const PHRASE: &str = "correct horse battery";

fn secret_file(path: &Path, contents: &str) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn serve(server: &Server, environment: &[(&str, &str)]) -> Output {
    Command::new(PORTCULLIS)
        .arg("--dir")
        .arg(server.state_dir())
        .arg("serve")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_passphrase_comes_from_a_credential_or_a_variable() {
    let credentials = tempfile::tempdir().unwrap();
    secret_file(&credentials.path().join("ca"), PHRASE);
    let directory = credentials.path().display().to_string();
    let table = [
        (
            ["--passphrase-credential", "ca"],
            ("CREDENTIALS_DIRECTORY", directory.as_str()),
            "passphrase_credential = \"ca\"",
            "CREDENTIALS_DIRECTORY is not set",
        ),
        (
            ["--passphrase-env", "CA_PHRASE"],
            ("CA_PHRASE", PHRASE),
            "passphrase_env = \"CA_PHRASE\"",
            "the environment variable CA_PHRASE is not set",
        ),
    ];
    for (arguments, (name, value), written, missing) in table {
        let mut server = Server::builder()
            .init(&arguments)
            .init_env(name, value)
            .env(name, value)
            .start();
        let config = fs::read_to_string(server.state_dir().join("portcullis.toml")).unwrap();
        assert!(config.contains(written), "{config}");
        let key = fs::read_to_string(server.state_dir().join("keys/root.key")).unwrap();
        assert!(key.contains("ENCRYPTED"));
        server.json(&["crl", "publish"]);
        server.kill();
        let output = serve(&server, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(missing), "{said}");
        assert!(!said.contains(PHRASE) && !server.log().contains(PHRASE));
    }
}

#[test]
fn whoever_sits_at_the_terminal_is_asked_and_what_they_type_is_not_shown() {
    let Some(mut script) = program("script") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let line = format!(
        "{PORTCULLIS} --dir {} init --passphrase-prompt",
        state.display()
    );
    let mut answer = |typed: &str| {
        let input = folder.path().join("typed");
        fs::write(&input, typed).unwrap();
        let output = script
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .stdin(fs::File::open(&input).unwrap())
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (made, said) = answer(&format!("{PHRASE}\nsomething else\n"));
    assert!(!made && said.contains("not the same"), "{said}");
    assert!(!state.exists());
    // A terminal of its own, so the first one's arguments don't linger.
    let Some(mut script) = program("script") else {
        return;
    };
    let input = folder.path().join("typed");
    fs::write(&input, format!("{PHRASE}\n{PHRASE}\n")).unwrap();
    let output = script
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .stdin(fs::File::open(&input).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("The passphrase of the CA keys: "), "{said}");
    let config = fs::read_to_string(state.join("portcullis.toml")).unwrap();
    assert!(
        config.contains("\npassphrase_prompt = true\n") && !config.contains(PHRASE),
        "{config}"
    );
    // Without a terminal nobody can be asked.
    let alone = Command::new("setsid")
        .args(["--wait", PORTCULLIS, "--dir"])
        .arg(&state)
        .arg("serve")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(said.contains("there is no terminal to ask at"), "{said}");
}

#[test]
fn a_wrong_passphrase_is_told_apart_from_a_damaged_key() {
    let folder = tempfile::tempdir().unwrap();
    let phrase = folder.path().join("phrase");
    secret_file(&phrase, PHRASE);
    let state = folder.path().join("state");
    let made = Command::new(PORTCULLIS)
        .arg("--dir")
        .arg(&state)
        .args(["init", "--passphrase-file"])
        .arg(&phrase)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let serve = || {
        let output = Command::new(PORTCULLIS)
            .arg("--dir")
            .arg(&state)
            .arg("serve")
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    secret_file(&phrase, "another one");
    let said = serve();
    assert!(
        said.contains("the passphrase does not open the key"),
        "{said}"
    );
    secret_file(&phrase, PHRASE);
    let key = state.join("keys/root.key");
    let good = fs::read_to_string(&key).unwrap();
    // One letter of the sealed part, far inside.
    let at = good.find("-----END").unwrap() - 40;
    let letter = if &good[at..=at] == "A" { "B" } else { "A" };
    let damaged = format!("{}{letter}{}", &good[..at], &good[at + 1..]);
    secret_file(&key, &damaged);
    let said = serve();
    assert!(
        said.contains("keys/root.key") && said.contains("damaged") && said.contains("backup"),
        "{said}"
    );
    assert!(!said.contains("passphrase does not"), "{said}");
}
