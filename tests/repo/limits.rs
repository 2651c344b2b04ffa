//! The limits that `docs/acme.md` names are those of the code.

use std::fs;

use portcullis::{
    acme::{
        LimitsConfig, MAX_JSON_DEPTH,
        account::MAX_CONTACTS,
        jws::MAX_BODY_BYTES,
        nonce::{NONCE_LIFE, NONCE_WINDOW},
    },
    authority::MOST_LIMITED_KEYS,
    domain::{order::MAX_IDENTIFIERS, rate_limit::Limit},
    listen::Limits,
};

use super::sources::root;

#[test]
fn the_document_names_every_limit_with_its_number() {
    let text = fs::read_to_string(root().join("docs/acme.md")).expect("docs/acme.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    let of_clients = LimitsConfig::default();
    let limits = Limits::default();
    let seconds = |time: std::time::Duration| format!("{} s", time.as_secs());
    let mut expected: Vec<(String, String)> = Limit::ALL
        .into_iter()
        .map(|limit| {
            (
                format!("`{}`", limit.name()),
                format!("`{}`", of_clients.written(limit)),
            )
        })
        .collect();
    for (name, number) in [
        ("body of a request", format!("{MAX_BODY_BYTES} octets")),
        ("nesting of JSON", MAX_JSON_DEPTH.to_string()),
        ("identifiers of an order", MAX_IDENTIFIERS.to_string()),
        ("contacts of an account", MAX_CONTACTS.to_string()),
        ("life of a nonce", seconds(NONCE_LIFE)),
        (
            "nonces that can still be redeemed",
            NONCE_WINDOW.to_string(),
        ),
        (
            "`server.limits.head_octets`",
            format!("{} octets", limits.head_octets),
        ),
        (
            "`server.limits.handshake_seconds`",
            seconds(limits.handshake_timeout),
        ),
        ("`server.limits.head_seconds`", seconds(limits.head_timeout)),
        ("`server.limits.body_seconds`", seconds(limits.body_timeout)),
        (
            "`server.limits.http2_streams`",
            limits.http2_streams.to_string(),
        ),
        (
            "`server.limits.connections`",
            limits.connections.to_string(),
        ),
    ] {
        expected.push((name.to_owned(), number));
    }
    for (name, number) in expected {
        let row = rows
            .iter()
            .find(|row| row[2..].starts_with(&name))
            .unwrap_or_else(|| panic!("docs/acme.md has no row for {name}"));
        let told = row.split(" | ").nth(1).unwrap_or_default();
        let is_it = told == number || told.starts_with(&format!("{number} "));
        assert!(is_it, "{name} is {number}: {row}");
    }
    for part in [
        format!("at most\n{MOST_LIMITED_KEYS} keys"),
        format!("`ipv4_prefix = {}`", of_clients.ipv4_prefix),
        format!("`ipv6_prefix = {}`", of_clients.ipv6_prefix),
    ] {
        assert!(text.contains(&part), "docs/acme.md doesn't say {part:?}");
    }
    // The sample shows the same.
    let sample = fs::read_to_string(root().join("src/app/sample/portcullis.toml")).expect("it");
    for limit in Limit::ALL {
        let written = of_clients.written(limit);
        let line = match limit {
            Limit::PendingAuthorizations => format!("# {} = {written}\n", limit.name()),
            Limit::RequestsPerNetwork
            | Limit::AccountsPerNetwork
            | Limit::AccountsPerEnrolmentKey
            | Limit::OrdersPerAccount
            | Limit::CertificatesPerIdentifiers
            | Limit::CertificatesPerEnrolmentKey
            | Limit::FailedValidations => format!("# {} = \"{written}\"\n", limit.name()),
        };
        assert!(sample.contains(&line), "the sample lacks {line}");
    }
}
