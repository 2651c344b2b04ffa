//! The audit trail: reading it with filters, and finding everything that was done to it.

use std::{fs, path::Path};

use portcullis::{
    app::{StateDir, verify_audit},
    domain::audit::TrailFault,
};
use serde_json::Value;

use super::faults::{Random, inject};
use crate::support::{Server, eventually};

/// An authority with a little history, ended cleanly.
fn history() -> Server {
    let mut server = Server::start();
    for round in 0..3 {
        for device in 0..2 {
            server.enrol(&format!("device:fra/sensor-{round}-{device}"));
        }
        server.json(&["cert", "revoke", &format!("device:fra/sensor-{round}-0")]);
        server.terminate();
        if round < 2 {
            server.restart();
        }
    }
    server
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_dir(&path, &target);
        } else if path.is_file() {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// step-ca and its like keep no trail that can be verified. A thousand faults, each on a fresh copy, each found.
#[test]
fn a_thousand_random_faults_are_all_found() {
    let server = history();
    let dir = server.scratch("faults");
    copy_dir(server.state_dir(), &dir);
    let state = StateDir::new(&dir);
    let (path, sound) = (state.file("portcullis.db"), dir.join("sound.db"));
    let db = rusqlite::Connection::open(&path).expect("the database");
    db.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
        .expect("no log beside it");
    let checkpoints: i64 = db
        .query_row("SELECT count(*) FROM audit_checkpoints", [], |row| {
            row.get(0)
        })
        .expect("checkpoints");
    assert!(checkpoints >= 3, "{checkpoints}");
    drop(db);
    fs::copy(&path, &sound).expect("copied");
    let verdict = |state: &StateDir| {
        verify_audit(state, None, None)
            .expect("it can be read")
            .verdict
    };
    let summary = verdict(&state).expect("sound");
    assert_eq!(summary.checkpoints as i64, checkpoints);

    let seed = u64::from(std::process::id()) ^ 0x9e37_79b9_7f4a_7c15;
    let mut random = Random::new(seed);
    let mut done = 0;
    while done < 1000 {
        fs::copy(&sound, &path).expect("copied");
        let db = rusqlite::Connection::open(&path).expect("the database");
        db.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; BEGIN")
            .expect("quick");
        let Some(fault) = inject(&db, &mut random) else {
            continue;
        };
        db.execute_batch("COMMIT").expect("done");
        drop(db);
        match verdict(&state) {
            Ok(_) => panic!("not found, seed {seed}: {}", fault.what),
            Err(found) => {
                if let Some(number) = fault.first_bad {
                    assert_eq!(
                        found.number(),
                        Some(number),
                        "seed {seed}: {}, found as: {found}",
                        fault.what
                    );
                }
            }
        }
        done += 1;
    }
}

#[test]
fn the_trail_is_verified_with_the_server_running_and_stopped_and_a_fault_gives_exit_code_2() {
    let mut server = Server::start();
    server.enrol("device:fra/sensor-42");
    eventually("the mark has followed", || {
        server.cli(&["audit", "verify"]).status.success()
    });
    let key = server.json(&["audit", "key"])["key"]
        .as_str()
        .expect("a key")
        .to_owned();
    assert_eq!(server.json(&["audit", "verify"])["sound"], true);
    server.terminate();
    let stopped = server.json(&["audit", "verify", "--key", &key]);
    assert_eq!(stopped["sound"], true);
    assert!(stopped["checkpoints"].as_u64() > Some(0), "{stopped}");
    let other = "00".repeat(32);
    let wrong_key = server.cli(&["audit", "verify", "--key", &other]);
    assert_eq!(wrong_key.status.code(), Some(2), "{wrong_key:?}");

    let db = rusqlite::Connection::open(server.state_dir().join("portcullis.db")).expect("a db");
    db.execute("UPDATE audit SET actor = 'nobody' WHERE number = 5", [])
        .expect("changed");
    drop(db);
    let found = server.cli(&["audit", "verify"]);
    assert_eq!(found.status.code(), Some(2));
    let text = String::from_utf8_lossy(&found.stdout);
    assert!(text.contains("entry 5 is not as it was written"), "{text}");

    fs::remove_file(server.state_dir().join("high-water")).expect("removed");
    let found = server.json_of_code(&["audit", "verify"], 2);
    assert_eq!(found["first_bad"], 5);
}

#[test]
fn without_a_mark_a_sound_trail_is_not_called_whole() {
    let mut server = Server::start();
    server.terminate();
    fs::remove_file(server.state_dir().join("high-water")).expect("removed");
    let verdict = verify_audit(&StateDir::new(server.state_dir()), None, None)
        .expect("it can be read")
        .verdict;
    assert!(matches!(verdict, Err(TrailFault::NoMark(_))), "{verdict:?}");
}

#[test]
fn the_trail_is_read_with_filters_newest_first_and_page_by_page() {
    let server = Server::start();
    server.enrol("device:fra/sensor-42");
    let all = server.json(&["audit", "list", "--limit", "1000"]);
    let all: Vec<Value> = all.as_array().expect("entries").clone();
    let number = |entry: &Value| entry["number"].as_u64().expect("a number");
    assert!(all.len() > 5);
    assert!(
        all.windows(2)
            .all(|two| number(&two[0]) == number(&two[1]) + 1)
    );

    let page = |arguments: &[&str]| -> Vec<Value> {
        let page = server.json(&[&["audit", "list"], arguments].concat());
        page.as_array().expect("entries").clone()
    };
    let mut paged = page(&["--limit", "3"]);
    loop {
        let before = number(paged.last().expect("entries")).to_string();
        let next = page(&["--limit", "3", "--before", &before]);
        if next.is_empty() {
            break;
        }
        paged.extend(next);
    }
    assert_eq!(paged, all);
    let oldest = page(&["--after", "0", "--limit", "2"]);
    assert_eq!(
        oldest,
        [all[all.len() - 1].clone(), all[all.len() - 2].clone()]
    );

    let by = |filter: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        all.iter().filter(|entry| filter(entry)).cloned().collect()
    };
    let issued = by(&|entry| entry["action"] == "certificate.issue");
    assert_eq!(page(&["--action", "certificate.issue"]), issued);
    assert_eq!(
        page(&["--action", "certificate."]),
        by(&|entry| entry["action"]
            .as_str()
            .is_some_and(|a| a.starts_with("certificate.")))
    );
    assert_eq!(
        page(&["--actor", "authority"]),
        by(&|entry| entry["actor"] == "authority")
    );
    let subject = issued[0]["subject"].as_str().expect("a subject");
    assert_eq!(
        page(&["--subject", subject]),
        by(&|entry| entry["subject"] == subject)
    );
    assert_eq!(page(&["--since", "1h"]), all);
    assert_eq!(page(&["--until", "1h"]), Vec::<Value>::new());
    let at = all[2]["at"].as_str().expect("a time");
    assert_eq!(
        page(&["--since", at]),
        by(&|entry| entry["at"]
            .as_str()
            .is_some_and(
                |t| t.parse::<portcullis::domain::Timestamp>().unwrap() >= at.parse().unwrap()
            ))
    );
    let wrong = server.cli(&["audit", "list", "--since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(64), "{wrong:?}");
}
