//! Backups, and what stands between a restored one and letting somebody in again.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use super::high_water::{put_back, said, serve, snapshot};
use crate::support::{PORTCULLIS, Server};

const DEVICE: &str = "device:fra/sensor-42";
const LATER: &str = "device:fra/sensor-77";

fn portcullis(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(PORTCULLIS)
        .arg("--dir")
        .arg(dir)
        .args(arguments)
        .output()
        .expect("portcullis runs")
}

fn backup(server: &Server, to: &Path) {
    let made = server.cli(&["backup", &to.display().to_string()]);
    assert!(made.status.success(), "{made:?}");
}

/// Every list that is published, as a mirror would have it.
fn mirror(server: &Server, to: &Path) {
    for list in server.json(&["crl", "list"]).as_array().expect("lists") {
        let issuer: String = list["issuer"]
            .as_str()
            .expect("one")
            .chars()
            .take(16)
            .collect();
        let shard = &list["shard"];
        let url = format!("{}/crl/{issuer}/{shard}.crl", server.status_url());
        let to = to.join(format!("{issuer}-{shard}.crl"));
        let fetched = Command::new("curl")
            .args(["-sS", "--fail", "-o"])
            .arg(&to)
            .arg(&url)
            .status()
            .expect("curl runs");
        assert!(fetched.success(), "{url}");
    }
}

fn serial_of(server: &Server, principal: &str) -> String {
    server.json(&["cert", "list", "--principal", principal])[0]["serial"]
        .as_str()
        .expect("a serial")
        .to_owned()
}

/// Whether the gate answers a device at all: one that is revoked doesn't get as far as a request.
fn gets_an_answer(server: &Server, device: &Path) -> bool {
    Command::new("curl")
        .args(["-sS", "--max-time", "20", "-o", "/dev/null", "--cacert"])
        .arg(device.join("root.pem"))
        .arg("--cert")
        .arg(device.join("current/cert.pem"))
        .arg("--key")
        .arg(device.join("current/key.pem"))
        .arg(format!("https://localhost:{}/", server.gate_addr().port()))
        .status()
        .expect("curl runs")
        .success()
}

fn numbers(server: &Server) -> Vec<(String, u64, u64)> {
    let mut numbers: Vec<_> = server
        .json(&["crl", "list"])
        .as_array()
        .expect("lists")
        .iter()
        .map(|list| {
            let issuer = list["issuer"].as_str().expect("one").to_owned();
            let number = |name: &str| list[name].as_u64().expect("a number");
            (issuer, number("shard"), number("number"))
        })
        .collect();
    numbers.sort();
    numbers
}

/// What happened: a backup, then a device enrolled and was revoked, and another one was, and the disk is gone.
struct Lost {
    server: Server,
    backup: PathBuf,
    lists: PathBuf,
    mark: PathBuf,
    known: String,
    unseen: String,
    numbers: Vec<(String, u64, u64)>,
    /// The agents' directories: one that is good, and the two that were revoked.
    devices: Vec<PathBuf>,
}

fn lost() -> Lost {
    let mut server = Server::start();
    let mut devices = vec![server.enrol("device:fra/sensor-1"), server.enrol(DEVICE)];
    let known = serial_of(&server, DEVICE);
    let copies = server.scratch("copies");
    backup(&server, &copies.join("backup"));
    devices.push(server.enrol(LATER));
    let unseen = serial_of(&server, LATER);
    server.json(&["cert", "revoke", DEVICE, "--reason", "keyCompromise"]);
    server.json(&["cert", "revoke", LATER]);
    server.json(&["crl", "publish"]);
    let (lists, mark) = (copies.join("lists"), copies.join("mark"));
    fs::create_dir(&lists).expect("a directory");
    mirror(&server, &lists);
    let numbers = numbers(&server);
    server.terminate();
    fs::copy(server.state_dir().join("high-water"), &mark).expect("kept elsewhere");
    Lost {
        backup: copies.join("backup"),
        server,
        lists,
        mark,
        known,
        unseen,
        numbers,
        devices,
    }
}

/// Puts the backup where the authority was: the same ports, the same directory.
fn restore_in_place(lost: &Lost) {
    let state = lost.server.state_dir();
    fs::remove_dir_all(state).expect("the disk is gone");
    let restored = portcullis(state, &["restore", &lost.backup.display().to_string()]);
    assert!(restored.status.success(), "{restored:?}");
}

/// step-ca #606: a restored backup un-revokes. Ours does not start until it knows what was published since.
#[test]
fn a_restored_backup_lets_nobody_in_who_was_revoked_since() {
    let mut lost = lost();
    restore_in_place(&lost);
    let state = lost.server.state_dir().to_owned();
    let refused = serve(&state);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    for words in ["was restored from a backup", "restore --reconcile"] {
        assert!(said(&refused).contains(words), "{}", said(&refused));
    }

    // Nobody serves the lists, and there are no copies: nothing is taken on trust.
    let nothing = portcullis(&state, &["restore", "--reconcile"]);
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    for words in [
        "nothing was changed",
        "restore --override portcullis.internal",
    ] {
        assert!(said(&nothing).contains(words), "{}", said(&nothing));
    }
    assert_eq!(serve(&state).status.code(), Some(1));

    let lists = lost.lists.display().to_string();
    let mark = lost.mark.display().to_string();
    let output = portcullis(
        &state,
        &[
            "--json",
            "restore",
            "--reconcile",
            "--lists",
            &lists,
            "--mark",
            &mark,
        ],
    );
    assert!(output.status.success(), "{}", said(&output));
    let done: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(done["revoked"], serde_json::json!([lost.known]));
    assert_eq!(done["revoked_unseen"], serde_json::json!([lost.unseen]));
    assert_eq!(done["lists_missing"], serde_json::json!([]));
    assert_eq!(done["enrolments_ended"], 1);

    lost.server.restart();
    let let_in: Vec<bool> = lost
        .devices
        .iter()
        .map(|device| gets_an_answer(&lost.server, device))
        .collect();
    assert_eq!(let_in, [true, false, false]);
    let shown = lost.server.json(&["cert", "show", &lost.known]);
    assert_eq!(
        (&shown["status"], &shown["revocation_reason"]),
        (&"revoked".into(), &"keyCompromise".into())
    );
    lost.server.json(&["crl", "publish"]);
    for ((issuer, shard, before), (_, _, after)) in lost.numbers.iter().zip(numbers(&lost.server)) {
        assert!(after > *before, "{issuer}/{shard}: {after} after {before}");
    }
    let again = lost.server.scratch("again");
    mirror(&lost.server, &again);
    let everything: String = fs::read_dir(&again)
        .expect("lists")
        .map(|entry| {
            let output = Command::new("openssl")
                .args(["crl", "-noout", "-text", "-inform", "DER", "-in"])
                .arg(entry.expect("a list").path())
                .output()
                .expect("openssl runs");
            String::from_utf8_lossy(&output.stdout).to_ascii_lowercase()
        })
        .collect();
    for serial in [&lost.known, &lost.unseen] {
        assert!(everything.contains(&**serial), "{serial} is on no list");
    }
    let audit = lost.server.json(&["audit", "list", "--action", "restore."]);
    assert_eq!(audit[0]["action"], "restore.reconcile");
    assert_eq!(lost.server.json(&["audit", "verify"])["sound"], true);

    // Once is enough.
    lost.server.terminate();
    let again = portcullis(&state, &["restore", "--reconcile", "--lists", &lists]);
    assert_eq!(again.status.code(), Some(64), "{again:?}");
}

#[test]
fn lists_are_fetched_from_where_certificates_say_and_a_stale_copy_is_not_enough() {
    let lost = lost();
    let old = lost.server.scratch("old");
    restore_in_place(&lost);
    let state = lost.server.state_dir().to_owned();
    // One list is missing, and one is forged.
    for entry in fs::read_dir(&lost.lists).expect("lists") {
        let path = entry.expect("a list").path();
        fs::copy(&path, old.join(path.file_name().expect("a name"))).expect("copied");
    }
    let first = fs::read_dir(&old)
        .expect("lists")
        .next()
        .expect("one")
        .expect("one")
        .path();
    let mut forged = fs::read(&first).expect("a list");
    let last = forged.len() - 1;
    forged[last] ^= 1;
    fs::write(&first, forged).expect("forged");
    let refused = portcullis(&state, &["restore", "--lists", &old.display().to_string()]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(said(&refused).contains("found: none"), "{}", said(&refused));

    // A mirror that has all of them, at the address that the certificates carry.
    let address = lost.server.status_url().replace("http://", "");
    let web = lost.server.scratch("web");
    for (issuer, shard, _) in &lost.numbers {
        let short: String = issuer.chars().take(16).collect();
        let dir = web.join("crl").join(&short);
        fs::create_dir_all(&dir).expect("a directory");
        fs::copy(
            lost.lists.join(format!("{short}-{shard}.crl")),
            dir.join(format!("{shard}.crl")),
        )
        .expect("copied");
    }
    let (host, port) = address.rsplit_once(':').expect("a port");
    let mut mirror = Command::new("python3")
        .args(["-m", "http.server", port, "--bind", host, "--directory"])
        .arg(&web)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("python runs");
    crate::support::eventually("the mirror answers", || {
        std::net::TcpStream::connect(&address).is_ok()
    });
    let output = portcullis(
        &state,
        &["--json", "restore", "--reconcile", "--epoch", "70"],
    );
    let _ = mirror.kill();
    let _ = mirror.wait();
    assert!(output.status.success(), "{}", said(&output));
    let done: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(done["epoch"], 71);
    assert_eq!(done["revoked"], serde_json::json!([lost.known]));
}

#[test]
fn somebody_may_take_it_on_themselves_by_name_and_it_is_written_down() {
    let mut lost = lost();
    restore_in_place(&lost);
    let state = lost.server.state_dir().to_owned();
    let wrong = portcullis(&state, &["restore", "--override", "another.internal"]);
    assert_eq!(wrong.status.code(), Some(64), "{wrong:?}");
    let done = portcullis(&state, &["restore", "--override", "portcullis.internal"]);
    assert!(done.status.success(), "{done:?}");
    assert!(
        String::from_utf8_lossy(&done.stdout).contains("MISSING"),
        "{done:?}"
    );
    lost.server.restart();
    let audit = lost.server.json(&["audit", "list", "--action", "restore."]);
    assert_eq!(audit[0]["action"], "restore.override");
    lost.server.json(&["crl", "publish"]);
    // Nobody knows how far numbers had come, so they jump.
    assert!(
        numbers(&lost.server)
            .iter()
            .all(|(_, _, number)| *number > 1_000_000)
    );
}

#[test]
fn a_disk_that_was_rolled_back_is_reconciled_where_it_is() {
    let mut server = Server::start();
    server.enrol(DEVICE);
    server.terminate();
    let state = server.state_dir().to_owned();
    let older = snapshot(&state);
    server.restart();
    let known = serial_of(&server, DEVICE);
    server.json(&["cert", "revoke", DEVICE]);
    server.json(&["crl", "publish"]);
    let lists = server.scratch("lists");
    mirror(&server, &lists);
    let running = server.cli(&["restore", "--lists", &lists.display().to_string()]);
    assert!(
        said(&running).contains("end it first"),
        "{}",
        said(&running)
    );
    server.terminate();
    put_back(&state, &older);
    assert_eq!(serve(&state).status.code(), Some(1));
    let lists = lists.display().to_string();
    let done = portcullis(&state, &["restore", "--reconcile", "--lists", &lists]);
    assert!(done.status.success(), "{}", said(&done));
    server.restart();
    assert_eq!(server.json(&["cert", "show", &known])["status"], "revoked");
}

#[test]
fn a_backup_is_whole_private_and_never_overwrites_and_one_that_was_changed_is_refused() {
    let server = Server::start();
    server.enrol(DEVICE);
    let copies = server.scratch("copies");
    let to = copies.join("backup");
    backup(&server, &to);
    assert_eq!(fs::metadata(&to).expect("there").mode() & 0o777, 0o700);
    for (name, mode) in [
        ("portcullis.db", 0o600),
        ("keys/seed", 0o600),
        ("keys/intermediate.key", 0o600),
        ("high-water", 0o600),
        ("manifest.json", 0o600),
        ("portcullis.toml", 0o644),
        ("policy.toml", 0o644),
        ("root.pem", 0o644),
    ] {
        let found = fs::metadata(to.join(name)).expect(name).mode() & 0o777;
        assert_eq!(found & 0o077 & !mode, 0, "{name}: {found:o}");
    }
    let again = server.cli(&["backup", &to.display().to_string()]);
    assert_eq!(again.status.code(), Some(64), "{again:?}");
    let inside = server.state_dir().join("backup");
    let inside = server.cli(&["backup", &inside.display().to_string()]);
    assert!(!inside.status.success(), "{inside:?}");
    let occupied = server.cli(&["restore", &to.display().to_string()]);
    assert_eq!(occupied.status.code(), Some(64), "{occupied:?}");

    for (number, (name, words)) in [
        ("portcullis.db", "not as it was"),
        ("keys/seed", "not as it was"),
        ("more", "was not in it"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = to.join(name);
        let good = fs::read(&path).ok();
        let mut bad = good.clone().unwrap_or_default();
        bad.push(b'0');
        fs::write(&path, bad).expect("changed");
        let new = copies.join(format!("new-{number}"));
        let refused = portcullis(&new, &["restore", &to.display().to_string()]);
        assert!(said(&refused).contains(words), "{name}: {}", said(&refused));
        assert!(!new.exists());
        match good {
            Some(good) => fs::write(&path, good).expect("mended"),
            None => fs::remove_file(&path).expect("removed"),
        }
    }
    let new = copies.join("new");
    let restored = portcullis(&new, &["restore", &to.display().to_string()]);
    assert!(restored.status.success(), "{restored:?}");
}
