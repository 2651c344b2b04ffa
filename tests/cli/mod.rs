//! The command line with bad input: what is wrong, where, what would be right, and nothing lost.

mod invitation;
mod passphrase;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use crate::support::{PORTCULLIS, Server};

fn portcullis(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(PORTCULLIS)
        .arg("--dir")
        .arg(dir)
        .args(arguments)
        .output()
        .expect("portcullis runs")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Every file of a directory with its contents.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if path.is_file() {
            all.push((path.display().to_string(), fs::read(&path).expect("a file")));
        }
    }
    all.sort();
    all
}

#[test]
fn init_never_overwrites() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    assert!(portcullis(&state, &["init"]).status.success());
    let before = contents(&state);
    let again = portcullis(&state, &["init"]);
    assert_eq!(again.status.code(), Some(64));
    assert!(
        said(&again).contains("init never overwrites"),
        "{}",
        said(&again)
    );
    assert_eq!(contents(&state), before);
}

#[test]
fn what_init_writes_is_for_its_owner_only() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    assert!(portcullis(&state, &["init"]).status.success());
    for (name, mode) in [
        ("", 0o700),
        ("keys", 0o700),
        ("keys/root.key", 0o600),
        ("keys/intermediate.key", 0o600),
        ("keys/seed", 0o600),
    ] {
        let found = fs::metadata(state.join(name)).expect(name).mode() & 0o777;
        assert_eq!(found, mode, "{name}: {found:o}");
    }
}

#[test]
fn serve_on_a_bad_file_stops_with_64_and_the_line_at_fault() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    assert!(portcullis(&state, &["init"]).status.success());
    let table: [(&str, &str, &[&str]); 6] = [
        (
            "portcullis.toml",
            "[gate]\nlistne = \"127.0.0.1:1\"\n",
            &["portcullis.toml, line 2", "did you mean `listen`?"],
        ),
        (
            "portcullis.toml",
            "trust_domain = 7\n",
            &["line 1", "string"],
        ),
        (
            "portcullis.toml",
            "[server]\nlisten = \"nowhere\"\n",
            &["line 2", "127.0.0.1:8444"],
        ),
        (
            "portcullis.toml",
            "[acme.validation]\nallow_networks = [\"10.0.0.0/99\"]\n",
            &["line 2", "10.0.0.0/99"],
        ),
        (
            "policy.toml",
            "[[role]]\nname = \"r\"\nallow = [\"orders:\"]\n",
            &["policy.toml", "line 3"],
        ),
        (
            "policy.toml",
            "[[bind]]\nrole = \"nobody\"\nto = \"device:**\"\n",
            &["policy.toml", "line 2", "nobody"],
        ),
    ];
    for (file, text, words) in table {
        let path = state.join(file);
        let good = fs::read(&path).expect("a file");
        fs::write(&path, text).expect("written");
        let output = portcullis(&state, &["serve"]);
        assert_eq!(output.status.code(), Some(64), "{text}: {}", said(&output));
        for word in words {
            assert!(
                said(&output).contains(word),
                "{word:?} is missing: {}",
                said(&output)
            );
        }
        fs::write(&path, good).expect("written");
    }
}

#[test]
fn a_missing_directory_a_wrong_passphrase_and_an_open_key_say_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let missing = portcullis(&dir.path().join("nowhere"), &["serve"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        said(&missing).contains("portcullis init"),
        "{}",
        said(&missing)
    );

    let (state, phrase) = (dir.path().join("state"), dir.path().join("phrase"));
    fs::write(&phrase, "correct horse\n").expect("written");
    let open = portcullis(
        &state,
        &["init", "--passphrase-file", &phrase.display().to_string()],
    );
    assert_eq!(open.status.code(), Some(1));
    assert!(
        said(&open).contains("is open to everybody (mode 644)"),
        "{}",
        said(&open)
    );
    assert!(!state.exists());
    fs::set_permissions(&phrase, fs::Permissions::from_mode(0o600)).expect("set");
    let phrase_name = phrase.display().to_string();
    let made = portcullis(&state, &["init", "--passphrase-file", &phrase_name]);
    assert!(made.status.success(), "{}", said(&made));
    assert!(
        fs::read_to_string(state.join("keys/root.key"))
            .expect("a key")
            .contains("ENCRYPTED")
    );
    fs::write(&phrase, "wrong\n").expect("written");
    let before = contents(&state);
    let wrong = portcullis(&state, &["serve"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        said(&wrong).contains("the passphrase does not open the key"),
        "{}",
        said(&wrong)
    );
    assert!(!said(&wrong).contains("wrong\n") && !said(&wrong).contains("horse"));
    assert_eq!(contents(&state), before);

    fs::write(&phrase, "correct horse\n").expect("written");
    let key = state.join("keys/root.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("set");
    let open = portcullis(&state, &["serve"]);
    assert!(said(&open).contains("chmod 600"), "{}", said(&open));
}

#[test]
fn an_authority_without_its_store_or_with_another_public_url_does_not_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    assert!(portcullis(&state, &["init"]).status.success());
    let (config, store) = (state.join("portcullis.toml"), state.join("portcullis.db"));
    let good = fs::read_to_string(&config).expect("a file");
    fs::write(&config, "public_url = \"http://127.0.0.1:1\"\n").expect("written");
    let moved = portcullis(&state, &["serve"]);
    assert_eq!(moved.status.code(), Some(64));
    assert!(
        said(&moved).contains("the certificate of intermediate"),
        "{}",
        said(&moved)
    );
    fs::write(&config, good).expect("written");
    let key = state.join("keys/intermediate.key");
    fs::rename(&key, dir.path().join("away")).expect("moved");
    let keyless = portcullis(&state, &["serve"]);
    assert_eq!(keyless.status.code(), Some(1));
    assert!(said(&keyless).contains("restore it"), "{}", said(&keyless));
    fs::rename(dir.path().join("away"), &key).expect("moved");
    fs::remove_file(&store).expect("removed");
    let lost = portcullis(&state, &["serve"]);
    assert_eq!(lost.status.code(), Some(1));
    assert!(said(&lost).contains("every revocation"), "{}", said(&lost));
    assert!(!store.exists());
}

#[test]
fn an_invitation_is_not_made_where_its_token_could_not_be_kept() {
    let server = Server::start();
    let taken = server.scratch("tokens").join("taken");
    fs::write(&taken, "something of somebody's").expect("written");
    let name = taken.display().to_string();
    let refused = server.cli(&["invite", "device:a", "--token-file", &name]);
    assert_eq!(refused.status.code(), Some(64), "{}", said(&refused));
    let audit = server.json(&["audit"]).to_string();
    assert!(!audit.contains("invitation.create"));
    let fresh = server.scratch("tokens").join("fresh");
    let name = fresh.display().to_string();
    let made = server.json(&["invite", "device:a", "--token-file", &name]);
    assert!(made.get("token").is_none() && made.get("mac_key").is_none());
    assert!(
        fs::read_to_string(&fresh)
            .expect("a token")
            .starts_with("pcinv_")
    );
}

#[test]
fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    assert!(portcullis(&state, &["init"]).status.success());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    fs::write(
        state.join("portcullis.toml"),
        format!("[server]\nlisten = \"{address}\"\n"),
    )
    .expect("written");
    let output = portcullis(&state, &["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains(&address.to_string()),
        "{}",
        said(&output)
    );
}

#[test]
fn commands_without_a_server_say_what_to_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    assert!(portcullis(&state, &["init"]).status.success());
    let output = portcullis(&state, &["cert", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("portcullis serve"),
        "{}",
        said(&output)
    );
}

#[test]
fn what_is_asked_wrongly_is_told_rightly() {
    let server = Server::start();
    let table: [(&[&str], &str); 12] = [
        (&["invite", "sensor-42"], "device"),
        (&["invite", "device:fra/*"], "device:fra/*"),
        (&["invite", "user:ops/ada"], "devices and services enrol"),
        (&["invite", "device:a", "--dns", "a_b"], "a_b"),
        (&["invite", "device:a", "--uses", "0"], "at least one use"),
        (&["invite", "device:a", "--expires", "1 day"], "24h"),
        (&["key", "create", "device:a", "--only", "orders"], "orders"),
        (
            &[
                "key",
                "create",
                "device:a",
                "--temporary",
                "--expires",
                "25h",
            ],
            "24 hours",
        ),
        (&["key", "revoke", "aaaaaaaaaaaa"], "key list"),
        (&["cert", "revoke", "1234"], "cert list"),
        (&["cert", "revoke", "device:nobody"], "no valid certificate"),
        (
            &["cert", "revoke", "1234", "--reason", "boredom"],
            "keyCompromise",
        ),
    ];
    for (arguments, words) in table {
        let output = server.cli(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            said(&output).contains(words),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_bad_policy_is_refused_whole_and_the_old_one_stays() {
    let server = Server::start();
    let before = server.json(&["policy", "show"]);
    let file = server.scratch("policy").join("bad.toml");
    fs::write(
        &file,
        "[[role]]\nname = \"r\"\nallow = [\"a:b\"]\n[[bind]]\nrole = \"q\"\nto = \"device:**\"\n",
    )
    .expect("written");
    let name = file.display().to_string();
    for command in ["check", "apply"] {
        let output = server.cli(&["policy", command, &name]);
        assert_eq!(output.status.code(), Some(64));
        assert!(
            said(&output).contains("bad.toml: line 5"),
            "{}",
            said(&output)
        );
    }
    assert_eq!(server.json(&["policy", "show"]), before);
    fs::write(
        &file,
        "[[role]]\nname = \"r\"\nallow = [\"a:b\"]\n[[bind]]\nrole = \"r\"\nto = \"device:**\"\n",
    )
    .expect("written");
    assert_eq!(server.json(&["policy", "apply", &name])["revision"], 2);
}

#[test]
fn every_change_is_in_the_audit_trail_and_an_edit_shows() {
    use portcullis::domain::audit::{AuditEntry, BEFORE_THE_FIRST};
    let server = Server::start();
    server.enrol("device:fra/sensor-42");
    let key = server.json(&["key", "create", "device:fra/sensor-42"]);
    server.json(&["key", "revoke", key["id"].as_str().expect("an id")]);
    server.json(&["cert", "revoke", "device:fra/sensor-42"]);
    let entries: Vec<AuditEntry> =
        serde_json::from_value(server.json(&["audit", "list", "--after", "0", "--limit", "1000"]))
            .expect("entries");
    for action in [
        "policy.apply",
        "crl.publish",
        "certificate.issue",
        "invitation.create",
        "account.create",
        "order.place",
        "api-key.mint",
        "api-key.revoke",
        "certificate.revoke",
    ] {
        assert!(
            entries.iter().any(|entry| entry.action == action),
            "{action} is missing"
        );
    }
    let verify = |entries: &[AuditEntry]| {
        let mut previous = BEFORE_THE_FIRST;
        entries.iter().enumerate().all(|(index, entry)| {
            let sound =
                entry.number == index as u64 + 1 && entry.hash_after(&previous) == entry.hash;
            previous = entry.hash;
            sound
        })
    };
    assert!(verify(&entries));
    let mut edited = entries.clone();
    edited[3].actor = "nobody".to_owned();
    assert!(!verify(&edited));
    let mut cut = entries;
    cut.remove(3);
    assert!(!verify(&cut));
    let text = serde_json::to_string(&cut).expect("JSON");
    assert!(
        !text.contains(key["token"].as_str().expect("a token")),
        "a secret is in the audit trail"
    );
}
