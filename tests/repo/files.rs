//! Each file by itself: its size, its first line, and what never lands.

use syn::{
    Attribute, Macro,
    visit::{self, Visit},
};

use super::sources::{rust_files, text_files};

/// A file that grows past this holds two nouns.
const MOST_LINES: usize = 600;

const CODE: &[&str] = &["src", "ca/src", "tests"];

#[test]
fn no_file_is_over_600_lines() {
    let mut long = Vec::new();
    for source in rust_files(CODE) {
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            long.push(format!("{}: {lines} lines", source.path));
        }
    }
    assert!(long.is_empty(), "split these by noun:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_first_what_it_is() {
    let silent: Vec<String> = rust_files(CODE)
        .into_iter()
        .filter(|source| !source.text.trim().is_empty() && !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert!(
        silent.is_empty(),
        "no module documentation:\n{}",
        silent.join("\n")
    );
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    let mut left = Vec::new();
    for source in rust_files(CODE) {
        for what in left_undone(&source.text) {
            left.push(format!("{}: {what}", source.path));
        }
    }
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn what_is_left_undone_is_seen() {
    let cases: &[(&str, &[&str])] = &[
        ("#[test] #[ignore] fn f() {}", &["#[ignore]"]),
        ("#[test] #[ignore = \"slow\"] fn f() {}", &["#[ignore]"]),
        ("#[cfg_attr(not(soak), ignore)] fn f() {}", &["#[ignore]"]),
        ("fn f() { todo!() }", &["todo!"]),
        (
            "fn f() { if x { unimplemented!(\"later\") } }",
            &["unimplemented!"],
        ),
        ("fn f() { dbg!(1); }", &["dbg!"]),
        ("//! Says `todo!`.\nfn ignore() {}", &[]),
    ];
    for (text, wanted) in cases {
        assert_eq!(left_undone(text), *wanted, "{text}");
    }
}

#[test]
fn no_file_names_somebody_s_home() {
    // Put together here, so that this file is none of them.
    let homes = ["home", "Users", "root", "work"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for source in text_files() {
        for (number, line) in source.text.lines().enumerate() {
            // A path begins a word: `https://example.org/home/` isn't one.
            let begins = |home: &String| {
                line.match_indices(home.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || "/.-_{}*~".contains(c))
                })
            };
            if homes.iter().any(begins) {
                found.push(format!("{}:{}: {line}", source.path, number + 1));
            }
        }
    }
    assert!(
        found.is_empty(),
        "paths of one machine:\n{}",
        found.join("\n")
    );
}

fn left_undone(text: &str) -> Vec<&'static str> {
    let mut undone = Undone(Vec::new());
    undone.visit_file(&syn::parse_file(text).expect("Rust that parses"));
    undone.0
}

struct Undone(Vec<&'static str>);

impl<'ast> Visit<'ast> for Undone {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let conditional = attribute.path().is_ident("cfg_attr")
            && attribute.meta.require_list().is_ok_and(|list| {
                let tokens = list.tokens.to_string();
                tokens
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|word| word == "ignore")
            });
        if attribute.path().is_ident("ignore") || conditional {
            self.0.push("#[ignore]");
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let name = call
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string());
        let undone = match name.as_deref() {
            Some("todo") => Some("todo!"),
            Some("unimplemented") => Some("unimplemented!"),
            Some("dbg") => Some("dbg!"),
            Some(_) | None => None,
        };
        self.0.extend(undone);
        visit::visit_macro(self, call);
    }
}
