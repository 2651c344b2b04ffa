//! The directions of `src/ARCHITECTURE.md`, held by reading every path that a file names:
//! `cli, app > listen, acme, status, api, gate > authority > store > domain > ca`.

use super::{
    references::{Reference, references},
    sources::rust_files,
};

/// A room and what of this crate it may name besides itself. A room that isn't here may not exist.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("authority", &["store", "domain"]),
    ("listen", &["domain"]),
    ("acme", &["listen", "authority", "store", "domain"]),
    (
        "api",
        // An invitation token is written here and read by the agent: one type for both.
        &[
            "agent::token",
            "agent::identifier",
            "listen",
            "authority",
            "store",
            "domain",
        ],
    ),
    ("gate", &["listen", "authority", "store", "domain"]),
    ("status", &["listen", "authority", "store", "domain"]),
    ("metrics", &["authority", "domain"]),
    (
        "app",
        &[
            "acme",
            "api",
            "authority",
            "domain",
            "gate",
            "listen",
            "metrics",
            "status",
            "store",
            "token",
        ],
    ),
    (
        "cli",
        &[
            "acme",
            "agent::token",
            "agent::identifier",
            "api",
            "app",
            "authority",
            "domain",
            "gate",
            "listen",
            "status",
            "store",
        ],
    ),
    // Keys in a token: nothing but the library's idea of a key. Only `app` knows of it.
    ("token", &[]),
    // The device: no server code, and a clock of its own.
    ("agent", &[]),
    // The two programs.
    ("main", &["cli"]),
    ("agent/main", &["agent"]),
];

/// What may be named only in some rooms (`ca` is the library): a crate or a path, and the rooms.
const RESERVED: &[(&str, &[&str])] = &[
    // Only `app` names a backend of the store.
    ("crate::store::sqlite", &["store", "app"]),
    ("rusqlite", &["store"]),
    // The gate's and the servers' sockets and protocols; `ca` and `domain` have none.
    ("tokio", OUTSIDE),
    ("tokio_rustls", OUTSIDE),
    ("hyper", OUTSIDE),
    ("hyper_util", OUTSIDE),
    ("hyper_rustls", OUTSIDE),
    ("axum", OUTSIDE),
    ("tower", OUTSIDE),
    ("socket2", OUTSIDE),
    ("hickory_resolver", OUTSIDE),
    ("std::net::TcpListener", OUTSIDE),
    ("std::net::TcpStream", OUTSIDE),
    ("std::net::UdpSocket", OUTSIDE),
    ("std::os::unix::net", OUTSIDE),
    ("std::fs", OUTSIDE),
    ("std::env", OUTSIDE),
    ("std::process", OUTSIDE),
    // The server starts no process, so nothing inherits the variable that a passphrase may come from.
    ("std::process::Command", &["agent", "cli"]),
    ("tokio::process", &["agent"]),
    // A C library behind a lock of its own.
    ("cryptoki", &["token"]),
    // The device's side of ACME.
    ("instant_acme", &["agent", "agent/main"]),
];

const OUTSIDE: &[&str] = &[
    "store",
    "authority",
    "listen",
    "acme",
    "api",
    "gate",
    "status",
    "metrics",
    "token",
    "app",
    "cli",
    "agent",
    "main",
    "agent/main",
];

#[test]
fn every_file_names_only_what_its_room_may_name() {
    let mut wrong = Vec::new();
    for source in rust_files(&["src", "ca/src"]) {
        wrong.extend(violations(&source.path, &source.text));
    }
    assert!(
        wrong.is_empty(),
        "against the directions:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_name_against_the_directions_is_seen() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "src/gate/admit.rs",
            "use crate::acme::Order;",
            &["src/gate/admit.rs: `gate` may not name `crate::acme::Order`"],
        ),
        (
            "src/acme/order.rs",
            "fn f() { super::super::gate::admit(); }",
            &["src/acme/order.rs: `acme` may not name `crate::gate::admit`"],
        ),
        (
            "src/domain/order.rs",
            "use crate::store::Orders;",
            &["src/domain/order.rs: `domain` may not name `crate::store::Orders`"],
        ),
        (
            "src/domain/order.rs",
            "use crate::*;",
            &["src/domain/order.rs: `domain` may not name `crate::*`"],
        ),
        (
            "src/listen/tls.rs",
            "use crate::authority::Standing;",
            &["src/listen/tls.rs: `listen` may not name `crate::authority::Standing`"],
        ),
        (
            "src/agent/renew.rs",
            "use crate::domain::order::Order;",
            &["src/agent/renew.rs: `agent` may not name `crate::domain::order::Order`"],
        ),
        (
            "src/authority/issue.rs",
            "use crate::store; fn f() { store::sqlite::open(); }",
            &[
                "src/authority/issue.rs: `authority` may not name `crate::store::sqlite::open`: only store, app may",
            ],
        ),
        (
            "src/app/serve.rs",
            "use crate::cli::Arguments;",
            &["src/app/serve.rs: `app` may not name `crate::cli::Arguments`"],
        ),
        (
            "src/agent/main.rs",
            "use portcullis::app::Configuration;",
            &["src/agent/main.rs: `agent/main` may not name `crate::app::Configuration`"],
        ),
        (
            "src/kitchen/mod.rs",
            "",
            &[
                "src/kitchen/mod.rs: `kitchen` is no room of this house: give it a line in tests/repo/layering.rs",
            ],
        ),
        (
            "ca/src/key.rs",
            "fn f() { tokio::spawn(async {}); }",
            &["ca/src/key.rs: `ca` may not name `tokio::spawn`: only outside of ca and domain"],
        ),
        (
            "src/api/list.rs",
            "use rusqlite::Connection;",
            &["src/api/list.rs: `api` may not name `rusqlite::Connection`: only store may"],
        ),
        // And what is allowed.
        ("src/app/serve.rs", "use crate::store::sqlite::Store;", &[]),
        (
            "src/gate/admit.rs",
            "use crate::{authority::Standing, listen::Peer};",
            &[],
        ),
        ("src/agent/main.rs", "use portcullis::agent::run;", &[]),
        (
            "src/cli/invite.rs",
            "use crate::agent::token::InvitationToken;",
            &[],
        ),
        (
            "src/authority/issue.rs",
            "#[cfg(test)] mod tests { use crate::store::sqlite::Store; }",
            &[],
        ),
        ("ca/src/key/tests.rs", "use std::fs;", &[]),
        ("ca/src/key.rs", "use std::net::IpAddr;", &[]),
    ];
    for (path, text, wanted) in cases {
        assert_eq!(violations(path, text), *wanted, "{path}: {text}");
    }
}

fn violations(path: &str, text: &str) -> Vec<String> {
    let place = place(path);
    let allowed = match ROOMS.iter().find(|(room, _)| *room == place.room) {
        Some((_, allowed)) => allowed,
        None if place.room == "ca" || place.room == "lib" => &[][..],
        None => {
            return vec![format!(
                "{path}: `{}` is no room of this house: give it a line in tests/repo/layering.rs",
                place.room
            )];
        }
    };
    let mut wrong = Vec::new();
    for mut reference in references(text, &place.module).paths {
        // A module of tests may have a file of its own.
        reference.in_test |= path.ends_with("/tests.rs");
        if place.program && reference.segments[0] == "portcullis" {
            reference.segments[0] = "crate".to_owned();
        }
        if let Some(fault) = fault(&place.room, allowed, &reference) {
            wrong.push(format!("{path}: {fault}"));
        }
    }
    wrong.dedup();
    wrong
}

fn fault(room: &str, allowed: &[&str], reference: &Reference) -> Option<String> {
    let name = reference.segments.join("::");
    let starts_with = |path: &str| name == path || name.starts_with(&format!("{path}::"));
    let inside = name.strip_prefix("crate::");
    if let (Some(inside), false) = (inside, room == "ca" || room == "lib") {
        let first = inside.split("::").next().unwrap_or_default();
        let own = first == room.trim_end_matches("/main") || room == "main" && first == "main";
        let may = own
            || allowed
                .iter()
                .any(|path| starts_with(&format!("crate::{path}")));
        if !may {
            return Some(format!("`{room}` may not name `{name}`"));
        }
    }
    // A test may make itself a store, or read a file.
    if reference.in_test {
        return None;
    }
    for (reserved, rooms) in RESERVED {
        if starts_with(reserved) && !rooms.contains(&room) {
            let who = if *rooms == OUTSIDE {
                "outside of ca and domain".to_owned()
            } else {
                format!("{} may", rooms.join(", "))
            };
            return Some(format!("`{room}` may not name `{name}`: only {who}"));
        }
    }
    None
}

struct Place {
    room: String,
    /// The module that the file stands for.
    module: Vec<String>,
    /// It's the root of a program, to which the library is another crate.
    program: bool,
}

fn place(path: &str) -> Place {
    let (room, inside) = match path.strip_prefix("ca/src/") {
        Some(inside) => ("ca".to_owned(), inside),
        None => {
            let inside = path.strip_prefix("src/").expect("a file of src or ca/src");
            let room = match inside {
                "agent/main.rs" => "agent/main",
                _ => inside.split(['/', '.']).next().unwrap_or_default(),
            };
            (room.to_owned(), inside)
        }
    };
    let program = room == "main" || room == "agent/main";
    let stem = inside.strip_suffix(".rs").expect("a Rust file");
    let mut module: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if program {
        module.clear();
    } else if matches!(
        module.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        module.pop();
    }
    Place {
        room,
        module,
        program,
    }
}
