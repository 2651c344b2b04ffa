//! Acceptance: the server is killed in the middle of issuing under load, again and again, and each time the power is
//! cut as well. Every certificate that a client ever received is in the store, and can be revoked; no serial was given
//! out twice.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Write},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use super::{
    load::{Client, Load},
    power::Machine,
};
use crate::support::{DEADLINE, Server};

const CLIENTS: usize = 8;
/// So many certificates are received, at least, between two deaths.
const EACH_ROUND: usize = 20;

#[test]
fn what_a_client_received_survives_kill_9() {
    received_certificates_survive(None);
}

#[test]
fn what_a_client_received_survives_a_power_cut() {
    received_certificates_survive(Some(&Machine::new()));
}

fn received_certificates_survive(machine: Option<&Machine>) {
    let rounds = if env::var_os("PORTCULLIS_SOAK").is_some() {
        50
    } else {
        8
    };
    let death = if machine.is_some() {
        "power cut"
    } else {
        "kill -9"
    };
    let mut builder = Server::builder();
    if let Some(machine) = machine {
        for (name, value) in machine.environment(&everything()) {
            builder = builder.env(&name, value);
        }
    }
    let mut server = builder.start();
    let clients: Vec<Client> = (0..CLIENTS).map(|n| client(&server, n)).collect();
    let load = Load::start(&server.directory_url(), &server.root_pem_path(), &clients);

    let mut lost_bytes = 0;
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let before = load.count();
        wait_for(&load, before + EACH_ROUND, &server);
        // Not always at the same place: anywhere in the next few milliseconds.
        thread::sleep(Duration::from_millis(7 * round % 23));
        server.kill();
        if let Some(machine) = machine {
            let files = machine.cut_power(&everything());
            assert!(!files.is_empty(), "the shim followed no file of the server");
            lost_bytes += files.iter().map(|(_, bytes)| bytes).sum::<usize>();
        }
        let received = load.count();
        let restart = server.restart();
        slowest = slowest.max(restart);
        println!(
            "{death} {}: {received} certificates received, ready again after {} ms",
            round + 1,
            restart.as_millis()
        );
    }
    // It issues after the last death, too.
    wait_for(&load, load.count() + EACH_ROUND, &server);
    let received = load.stop();
    // Past the test harness, which would swallow it.
    let _ = writeln!(
        io::stderr(),
        "{death}: {rounds} times, {} certificates received, slowest restart {} ms, {lost_bytes} unsynced bytes lost",
        received.len(),
        slowest.as_millis()
    );

    let distinct: BTreeSet<&String> = received.iter().collect();
    assert_eq!(
        distinct.len(),
        received.len(),
        "a serial was given out twice"
    );
    let listed = server.json(&["cert", "list", "--limit", "1000000"]);
    let listed: Vec<&str> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|certificate| certificate["serial"].as_str().expect("a serial"))
        .collect();
    let stored: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(stored.len(), listed.len(), "a serial is in the store twice");
    let lost: Vec<&String> = received
        .iter()
        .filter(|serial| !stored.contains(serial.as_str()))
        .collect();
    assert!(lost.is_empty(), "received, and not in the store: {lost:?}");

    for serials in received.chunks(100) {
        let mut arguments = vec!["cert", "revoke"];
        arguments.extend(serials.iter().map(String::as_str));
        let revoked = server.json(&arguments);
        assert_eq!(
            revoked["serials"].as_array().map(Vec::len),
            Some(serials.len()),
            "{revoked}"
        );
    }
}

/// A client with an invitation of its own, that vouches for its name.
fn client(server: &Server, n: usize) -> Client {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    let name = format!("load-{n}.fleet.test");
    let invitation = server.invite(
        &format!("service:load/{n}"),
        &["--dns", &name, "--uses", "1000"],
    );
    let text = |field: &str| invitation[field].as_str().expect("text").to_owned();
    Client {
        kid: text("key_id"),
        mac_key: BASE64_URL_SAFE_NO_PAD
            .decode(text("mac_key"))
            .expect("base64url"),
        name,
    }
}

/// All of the folder that temporary directories are made in: the server's own isn't known before it has started.
fn everything() -> PathBuf {
    fs::canonicalize(env::temp_dir()).expect("a directory for temporary files")
}

fn wait_for(load: &Load, count: usize, server: &Server) {
    let begun = Instant::now();
    while load.count() < count {
        assert!(
            begun.elapsed() < DEADLINE,
            "{} of {count} certificates after {DEADLINE:?}; the last failure: {}\n{}",
            load.count(),
            load.last_failure(),
            server.log()
        );
        thread::sleep(Duration::from_millis(2));
    }
}
