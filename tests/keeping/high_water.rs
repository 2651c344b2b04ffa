//! The high-water mark: a database that was rolled back is noticed before anything is started on it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::support::{PORTCULLIS, Server};

/// Runs `serve`, which is to refuse: one that does not is ended after a while.
pub fn serve(state: &Path) -> Output {
    Command::new("timeout")
        .args(["20", PORTCULLIS, "--dir"])
        .arg(state)
        .arg("serve")
        .output()
        .expect("timeout runs")
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The database with the log beside it, as a snapshot of the disk has them.
pub type Snapshot = [(&'static str, Option<Vec<u8>>); 2];

pub fn snapshot(state: &Path) -> Snapshot {
    ["portcullis.db", "portcullis.db-wal"].map(|name| (name, fs::read(state.join(name)).ok()))
}

pub fn put_back(state: &Path, snapshot: &Snapshot) {
    let _ = fs::remove_file(state.join("portcullis.db-shm"));
    for (name, contents) in snapshot {
        match contents {
            Some(contents) => fs::write(state.join(name), contents).expect("written"),
            None => drop(fs::remove_file(state.join(name))),
        }
    }
}

/// step-ca #606: a restored backup un-revokes. Here the disk was rolled back, and nobody told us.
#[test]
fn a_database_that_was_rolled_back_is_refused() {
    let mut server = Server::start();
    server.enrol("device:fra/sensor-42");
    server.terminate();
    let state = server.state_dir().to_owned();
    let older = snapshot(&state);
    server.restart();
    server.json(&["cert", "revoke", "device:fra/sensor-42"]);
    server.terminate();
    let newer = snapshot(&state);

    put_back(&state, &older);
    let refused = serve(&state);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    for words in ["rolled back", "restore --reconcile"] {
        assert!(said(&refused).contains(words), "{}", said(&refused));
    }

    // A mark of somebody else's, and none: whether it was rolled back can't be known.
    put_back(&state, &newer);
    let mark = state.join("high-water");
    let good = fs::read_to_string(&mark).expect("a mark");
    fs::write(&mark, good.replace("\"epoch\":", "\"epoch\":1")).expect("changed");
    let refused = serve(&state);
    assert!(
        said(&refused).contains("changed by somebody"),
        "{}",
        said(&refused)
    );
    fs::remove_file(&mark).expect("removed");
    let refused = serve(&state);
    assert!(
        said(&refused).contains("restore --override portcullis.internal"),
        "{}",
        said(&refused)
    );

    fs::write(&mark, &good).expect("the right one");
    server.restart();
}

#[test]
fn the_mark_lies_where_the_configuration_says_and_survives_a_crash_behind_the_database() {
    let elsewhere = tempfile::tempdir().expect("another disk");
    let mark = elsewhere.path().join("mark");
    let config = format!("[store]\nhigh_water_mark = \"{}\"", mark.display());
    let mut server = Server::builder().config(&config).start();
    server.enrol("device:fra/sensor-42");
    server.kill();
    assert!(mark.exists());
    assert!(!server.state_dir().join("high-water").exists());
    server.restart();
    server.terminate();
    assert!(mark.exists());
}
