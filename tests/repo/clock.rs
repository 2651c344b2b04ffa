//! Time is handed in: nothing in `ca` and `domain` reads a clock or sleeps, and nobody else switches the lint off that
//! bans it (`.clippy.toml`), but `app` and the agent's main, which make the clock.

use super::{references::references, sources::rust_files};

/// Files and folders where a clock is made.
const CLOCK_MAKERS: &[&str] = &["src/app/", "src/agent/main.rs"];

#[test]
fn the_domain_and_the_authority_never_read_a_clock() {
    let mut wrong = Vec::new();
    for source in rust_files(&["ca/src", "src/domain"]) {
        for read in clock_reads(&source.text) {
            wrong.push(format!("{}: {read}", source.path));
        }
    }
    assert!(
        wrong.is_empty(),
        "time is an argument here:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn only_the_makers_of_the_clock_switch_its_lint_off() {
    let lint = concat!("disallowed", "_methods");
    let mut wrong = Vec::new();
    for source in rust_files(&["ca/src", "src"]) {
        let maker = CLOCK_MAKERS
            .iter()
            .any(|maker| source.path.starts_with(maker));
        for (number, line) in source.text.lines().enumerate() {
            if line.contains(lint) && !maker {
                wrong.push(format!("{}:{}: {line}", source.path, number + 1));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "ask the `Clock` instead:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_clock_is_seen_however_it_is_read() {
    let cases = [
        ("fn f() { std::time::SystemTime::now(); }", 1),
        ("use std::time::SystemTime as T; fn f() { T::now(); }", 3),
        ("use std::time::{Duration, Instant};", 1),
        ("fn f() { time::OffsetDateTime::now_utc(); }", 1),
        (
            "use x509_parser::time::ASN1Time; fn f() { ASN1Time::now(); }",
            1,
        ),
        ("fn f() { rustls_pki_types::UnixTime::now(); }", 1),
        ("fn f() { println!(\"{}\", time::UtcDateTime::now()); }", 1),
        ("fn f(since: T) { since.elapsed(); }", 1),
        ("fn f() { std::thread::sleep(d); }", 1),
        ("fn f(now: Timestamp) -> Timestamp { now + LIFE }", 0),
        ("trait Clock { fn now(&self) -> Timestamp; }", 0),
        ("use std::time::Duration;", 0),
    ];
    for (text, wanted) in cases {
        let found = clock_reads(text);
        assert_eq!(found.is_empty(), wanted == 0, "{text}: {found:?}");
    }
}

fn clock_reads(text: &str) -> Vec<String> {
    let found = references(text, &[]);
    let paths = found.paths.into_iter().filter_map(|reference| {
        let segments = &reference.segments;
        let last = segments.last().map(String::as_str);
        let kept_time = segments.iter().any(|s| s == "SystemTime" || s == "Instant");
        let read = segments.len() > 1
            && matches!(
                last,
                Some("now" | "now_utc" | "now_local" | "elapsed" | "sleep")
            );
        (kept_time || read).then(|| segments.join("::"))
    });
    let methods = found.methods.into_iter().filter(|name| name == "elapsed");
    paths
        .chain(methods.map(|name| format!(".{name}()")))
        .collect()
}
