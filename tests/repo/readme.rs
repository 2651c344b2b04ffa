//! The documents: the README says how to begin, and no link of any document leads nowhere.

use std::fs;

use super::sources::{Source, root, text_files};

#[test]
fn the_readme_names_the_two_commands_and_both_programs() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    for name in [
        "scripts/demo",
        "scripts/test",
        "portcullis serve",
        "portcullis-agent",
    ] {
        assert!(readme.contains(name), "README.md doesn't name {name}");
    }
}

#[test]
fn every_link_of_every_document_leads_to_a_file_and_a_heading() {
    let documents: Vec<Source> = text_files()
        .into_iter()
        .filter(|source| source.path.ends_with(".md"))
        .collect();
    let mut broken = Vec::new();
    for document in &documents {
        for link in links(&document.text) {
            if let Some(fault) = fault(document, &link, &documents) {
                broken.push(format!("{}: ({link}): {fault}", document.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_seen() {
    let document = |path: &str, text: &str| Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let documents = [
        document(
            "README.md",
            "# Portcullis\n## A first device, in five minutes\n",
        ),
        document(
            "src/ARCHITECTURE.md",
            "# Rooms\n```\n[no](link.md)\n```\n[a](b.md \"title\") `[c](d)` [e](<f.md>)\n",
        ),
    ];
    assert_eq!(links(&documents[1].text), ["b.md", "f.md"]);
    let cases = [
        ("https://example.org/x", None),
        ("Cargo.toml", None),
        ("scripts", None),
        ("#a-first-device-in-five-minutes", None),
        ("src/ARCHITECTURE.md#rooms", None),
        ("Cargo.yaml", Some("no such file")),
        ("#a-second-device", Some("no such heading")),
        ("src/ARCHITECTURE.md#walls", Some("no such heading")),
    ];
    for (link, wanted) in cases {
        assert_eq!(fault(&documents[0], link, &documents), wanted, "{link}");
    }
}

fn fault(document: &Source, link: &str, documents: &[Source]) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link
        .split_once('#')
        .map_or((link, None), |(f, h)| (f, Some(h)));
    let path = if file.is_empty() {
        document.path.clone()
    } else {
        beside(&document.path, file)
    };
    let target = documents.iter().find(|d| d.path == path);
    if target.is_none() && !root().join(&path).exists() {
        return Some("no such file");
    }
    match (heading, target) {
        (Some(heading), Some(target)) => {
            let there = headings(&target.text).iter().any(|h| h == heading);
            (!there).then_some("no such heading")
        }
        (Some(_) | None, Some(_) | None) => None,
    }
}

/// The path `file` as seen from the document at `document`, from the repository's root.
fn beside(document: &str, file: &str) -> String {
    let mut segments: Vec<&str> = document.split('/').collect();
    segments.pop();
    for segment in file.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    segments.join("/")
}

/// The targets of `[text](target)`, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut code = false;
        let line: String = line
            .chars()
            .filter(|c| {
                code ^= *c == '`';
                !code
            })
            .collect();
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            if let Some(end) = rest.find(')') {
                let target = rest[..end].split_whitespace().next().unwrap_or_default();
                found.push(target.trim_matches(['<', '>']).to_owned());
            }
        }
    }
    found
}

/// Headings as a link names them: lower case, words joined by hyphens, nothing else but letters, digits, `-` and `_`.
fn headings(text: &str) -> Vec<String> {
    prose(text)
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}
