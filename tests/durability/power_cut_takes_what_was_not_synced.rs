//! The power cut tested by itself, on the very SQLite that the store uses: what a database without syncing committed is
//! gone after it, and what one with full syncing committed is there.

use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
};

use rusqlite::Connection;

use super::power::Machine;

const ROWS: u32 = 200;

/// What is committed, and killed at once, when the environment names a database: the program of the tests below.
#[test]
fn a_program_commits_rows_and_waits_for_its_end() {
    let Ok(path) = env::var("DURABILITY_DATABASE") else {
        return;
    };
    let connection = Connection::open(path).unwrap();
    for pragma in env::var("DURABILITY_PRAGMAS").unwrap().split(';') {
        connection
            .execute_batch(&format!("PRAGMA {pragma}"))
            .unwrap();
    }
    connection
        .execute_batch("CREATE TABLE certificate (serial INTEGER)")
        .unwrap();
    for row in 0..ROWS {
        // Each in its own transaction.
        connection
            .execute("INSERT INTO certificate VALUES (?1)", [row])
            .unwrap();
    }
    println!("\ncommitted {ROWS}");
    loop {
        std::thread::park();
    }
}

#[test]
fn what_was_committed_stays_exactly_where_it_was_synced() {
    // How SQLite syncs, and how many of the rows may be there after `kill -9` and after a power cut. Where nothing is
    // synced not even the table is there.
    let all = Some(ROWS);
    let cases = [
        ("journal_mode=WAL;synchronous=FULL", all, all),
        ("journal_mode=WAL;synchronous=EXTRA", all, all),
        // Syncs only at checkpoints, and there was none.
        ("journal_mode=WAL;synchronous=NORMAL", all, None),
        ("journal_mode=WAL;synchronous=OFF", all, None),
        // With checkpoints between the commits, the log is cut and written from its beginning over and over.
        (
            "journal_mode=WAL;synchronous=FULL;wal_autocheckpoint=10",
            all,
            all,
        ),
        (
            "journal_mode=WAL;synchronous=OFF;wal_autocheckpoint=10",
            all,
            None,
        ),
        ("journal_mode=DELETE;synchronous=FULL", all, all),
        ("journal_mode=TRUNCATE;synchronous=FULL", all, all),
        ("journal_mode=DELETE;synchronous=OFF", all, None),
    ];
    for (pragmas, after_kill, after_cut) in cases {
        assert_eq!(rows_after(pragmas, false), after_kill, "{pragmas}, kill -9");
        assert_eq!(rows_after(pragmas, true), after_cut, "{pragmas}, power cut");
    }
}

#[test]
fn what_was_there_before_the_program_came_stays() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("store.db");
    let connection = Connection::open(&database).unwrap();
    connection
        .execute_batch("CREATE TABLE before (x); INSERT INTO before VALUES (1), (2), (3);")
        .unwrap();
    drop(connection);
    run_and_kill(&machine, folder.path(), "journal_mode=WAL;synchronous=OFF");
    machine.cut_power(folder.path());
    assert_eq!(count(&database, "before"), Some(3));
    assert_eq!(count(&database, "certificate"), None);
}

/// The rows that are there after the program was killed, and the power was cut where `cut` says so; none where there
/// isn't even a table.
fn rows_after(pragmas: &str, cut: bool) -> Option<u32> {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    run_and_kill(&machine, folder.path(), pragmas);
    if cut {
        let lost = machine.cut_power(folder.path());
        assert!(!lost.is_empty(), "the shim followed no file");
    }
    count(&folder.path().join("store.db"), "certificate")
}

fn run_and_kill(machine: &Machine, folder: &Path, pragmas: &str) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg(concat!(
            "durability::power_cut_takes_what_was_not_synced",
            "::a_program_commits_rows_and_waits_for_its_end"
        ))
        .env("DURABILITY_DATABASE", folder.join("store.db"))
        .env("DURABILITY_PRAGMAS", pragmas)
        .envs(machine.environment(folder))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let wanted = format!("committed {ROWS}");
    let committed = lines.map_while(Result::ok).any(|line| line == wanted);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(committed, "{pragmas}: the program ended early");
    assert_eq!(status.signal(), Some(9));
}

fn count(database: &Path, table: &str) -> Option<u32> {
    let connection = Connection::open(database).unwrap();
    let check: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    connection
        .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .ok()
}
