//! pkilint, a linter that isn't ours, finds nothing at WARNING or above in what we sign: certificates, lists and answers
//! of every profile and kind of key. A sample here; more than a thousand objects in `scripts/soak`.

use std::{collections::BTreeMap, env, path::Path, process::Command};

use portcullis_ca::key::KeyAlgorithm;
use serde::Deserialize;

use super::{
    judged::Judged,
    program::{program, succeeds},
};

/// What pkilint says that we don't follow: its name for it, in which files, and why.
struct Exception {
    finding: &'static str,
    file: &'static str,
    message: &'static str,
    reason: &'static str,
}

const SPIFFE: &str = "Its check of a URI (the Python package validators) knows nine schemes and no other; even ftp://x.y/a \
                      fails. RFC 3986 section 3.1 and RFC 5280 section 4.2.1.6 allow every scheme, and this is a SPIFFE ID.";

const ML_DSA: &str = "It does not know ML-DSA (RFC 9881), so it can't verify the signature, nor tell that the key is the \
                      issuer's. Everything else in the certificate is judged.";

const EXCEPTIONS: &[Exception] = &[
    Exception {
        finding: "pkix.invalid_uri_syntax",
        file: "-device",
        message: "Invalid URI syntax: \"spiffe://example.internal/device/fra/sensor-42\"",
        reason: SPIFFE,
    },
    Exception {
        finding: "pkix.invalid_uri_syntax",
        file: "-service",
        message: "Invalid URI syntax: \"spiffe://example.internal/service/web/shop\"",
        reason: SPIFFE,
    },
    Exception {
        finding: "pkix.unsupported_algorithm",
        file: "mldsa",
        message: "",
        reason: ML_DSA,
    },
    Exception {
        finding: "pkix.aki_absent_self_issued_and_unsupported_algorithm",
        file: "mldsa",
        message: "2.16.840.1.101.3.4.3.",
        reason: ML_DSA,
    },
];

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Finding {
        file: String,
        severity: String,
        finding: String,
        message: String,
    },
    Linted {
        linted: usize,
    },
}

#[test]
fn pkilint_finds_nothing_in_what_we_sign() {
    use KeyAlgorithm as K;
    let soak = env::var_os("PORTCULLIS_SOAK").is_some();
    let (by, leaves): (&[K], &[K]) = if soak {
        (&K::ALL, &K::ALL)
    } else {
        // P-256 and RSA sign for keys of every family.
        (&[K::P256, K::Rsa2048], &[K::Ed25519, K::MlDsa44])
    };
    let folder = tempfile::tempdir().unwrap();
    let judged = Judged::make(folder.path(), by, leaves);
    let least = if soak { 1000 } else { 40 };
    assert!(judged.count() >= least, "{} objects", judged.count());
    let Some(lines) = lint(folder.path()) else {
        return;
    };
    let mut linted = 0;
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let mut used = vec![0; EXCEPTIONS.len()];
    for line in lines {
        match line {
            Line::Linted { linted: count } => linted = count,
            Line::Finding {
                file,
                severity,
                finding,
                message,
            } => {
                let excepted = EXCEPTIONS.iter().position(|it| {
                    it.finding == finding && file.contains(it.file) && message.contains(it.message)
                });
                match excepted {
                    Some(at) => used[at] += 1,
                    None => found
                        .entry(format!("{severity} {finding}: {message}"))
                        .or_default()
                        .push(file),
                }
            }
        }
    }
    assert_eq!(linted, judged.count(), "everything was linted");
    let told: String = found
        .iter()
        .map(|(what, files)| format!("{what}\n    {} files, as {}\n", files.len(), files[0]))
        .collect();
    assert!(found.is_empty(), "pkilint finds:\n{told}");
    // An exception that nothing needs any more must go.
    for (exception, used) in EXCEPTIONS.iter().zip(used) {
        assert!(
            used > 0 || !soak,
            "{}: {}",
            exception.finding,
            exception.reason
        );
    }
}

/// The Python that has pkilint, and with it `cryptography`, on a script of this folder; none where it isn't installed.
pub fn python(script: &str) -> Option<Command> {
    // Its programs stand beside it.
    let lint = program("lint_pkix_cert")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/peers")
        .join(script);
    let mut python = Command::new(Path::new(lint.get_program()).with_file_name("python"));
    python.arg(script);
    Some(python)
}

fn lint(folder: &Path) -> Option<Vec<Line>> {
    let said = succeeds(python("lint_folder.py")?.arg(folder));
    Some(
        said.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{said}")))
            .collect(),
    )
}
