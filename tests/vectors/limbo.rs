//! Every case of the two files through the library, and some through the command.

use std::{
    env, fs,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use portcullis::{
    cli::verify::{self, Verdict, VerifyArgs},
    domain::clock::Timestamp,
};
use portcullis_ca::{
    chain::{self, Anchor, Anchors, Limits, NoRevocationSource, Requirements, UnknownStatus},
    list::{ListIssuer, ListSet, RevocationList},
    pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime, pem::PemObject},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    testcases: Vec<Case>,
}

/// A case. What is left out: `expected_peer_names`, since the gate takes a client's name from its certificate and has
/// none to compare it with (no case is a failure only because of its names); `max_chain_depth`, since the only cases
/// with one either succeed within it or fail anyway; `extended_key_usage`, since it is clientAuth in all of them.
#[derive(Deserialize)]
struct Case {
    id: String,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<Timestamp>,
    extended_key_usage: Vec<String>,
    expected_result: Expected,
    crls: Vec<String>,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Expected {
    Success,
    Failure,
}

/// What we accept less than the published cases do, each for a reason.
const REFUSED: [(&str, &str); 1] = [(
    "client-twin::rfc5280::eku::ee-without-eku",
    // RFC 5280 takes a certificate without extended key usage for one of any purpose. The gate does not: who is to be a
    // client must have been meant to be one.
    "the leaf certificate: it has no extended key usage; clientAuth must be named",
)];

#[test]
fn no_published_client_chain_is_accepted_unsafely_and_only_the_known_ones_are_refused() {
    let Some(cases) = load("limbo-client-core.json") else {
        return;
    };
    let outcomes = outcomes(&cases);
    let accepted = count(&outcomes, |expected, outcome| {
        expected == Expected::Success && outcome.is_ok()
    });
    println!(
        "limbo-client-core: {accepted} of 42 accepted, {} cases",
        outcomes.len()
    );
    assert_eq!(unsafe_accepts(&outcomes), Vec::<&str>::new());
    let refused: Vec<(&str, &str)> = outcomes
        .iter()
        .filter(|(_, expected, _)| *expected == Expected::Success)
        .filter_map(|(id, _, outcome)| Some((*id, outcome.as_ref().err()?.as_str())))
        .collect();
    assert_eq!(refused, REFUSED);
    assert_eq!((outcomes.len(), accepted), (112, 41));
}

#[test]
fn every_published_case_of_path_building_comes_out_as_expected() {
    let Some(cases) = load("bettertls-client-pathbuilding-81.json") else {
        return;
    };
    let outcomes = outcomes(&cases);
    let as_expected = count(&outcomes, |expected, outcome| {
        (expected == Expected::Success) == outcome.is_ok()
    });
    println!(
        "bettertls path building: {as_expected} of {} as expected",
        outcomes.len()
    );
    assert_eq!(unsafe_accepts(&outcomes), Vec::<&str>::new());
    let unexpected: Vec<_> = outcomes
        .iter()
        .filter(|(_, expected, outcome)| (*expected == Expected::Success) != outcome.is_ok())
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert_eq!(outcomes.len(), 81);
}

#[test]
fn the_command_says_the_same_as_the_library() {
    for file in [
        "limbo-client-core.json",
        "bettertls-client-pathbuilding-81.json",
    ] {
        let Some(cases) = load(file) else {
            return;
        };
        let directory = tempfile::tempdir().expect("a temporary directory");
        for case in &cases {
            let library = verify_with_library(case);
            let (verdict, text) = verify_with_command(case, directory.path());
            let as_library = match &library {
                Ok(()) => Verdict::Accepted,
                Err(_) => Verdict::Refused,
            };
            assert_eq!(verdict, as_library, "{}: {library:?} but {text}", case.id);
        }
    }
}

fn load(name: &str) -> Option<Vec<Case>> {
    let folder = env::var_os("PORTCULLIS_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
        PathBuf::from,
    );
    let path = folder.join(name);
    let Ok(text) = fs::read_to_string(&path) else {
        // To stderr itself: the test harness swallows what a passing test prints with macros.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: there is no {}; say where it is with PORTCULLIS_VECTORS",
            path.display()
        );
        return None;
    };
    let file: File = serde_json::from_str(&text).expect("x509-limbo's format");
    assert!(
        file.testcases
            .iter()
            .all(|case| case.extended_key_usage == ["clientAuth"])
    );
    Some(file.testcases)
}

type Outcome<'a> = (&'a str, Expected, Result<(), String>);

fn outcomes(cases: &[Case]) -> Vec<Outcome<'_>> {
    cases
        .iter()
        .map(|case| {
            (
                case.id.as_str(),
                case.expected_result,
                verify_with_library(case),
            )
        })
        .collect()
}

fn count(outcomes: &[Outcome<'_>], is: impl Fn(Expected, &Result<(), String>) -> bool) -> usize {
    outcomes
        .iter()
        .filter(|(_, expected, outcome)| is(*expected, outcome))
        .count()
}

fn unsafe_accepts<'a>(outcomes: &[Outcome<'a>]) -> Vec<&'a str> {
    outcomes
        .iter()
        .filter(|(_, expected, outcome)| *expected == Expected::Failure && outcome.is_ok())
        .map(|(id, ..)| *id)
        .collect()
}

fn verify_with_library(case: &Case) -> Result<(), String> {
    let certificate = |pem: &String| {
        CertificateDer::from_pem_slice(pem.as_bytes()).expect("a PEM block in the case")
    };
    let trusted: Vec<_> = case.trusted_certs.iter().map(certificate).collect();
    let presented: Vec<_> = case
        .untrusted_intermediates
        .iter()
        .map(certificate)
        .collect();
    let issuers: Vec<_> = trusted
        .iter()
        .chain(&presented)
        .filter_map(|certificate| ListIssuer::from_certificate(certificate).ok())
        .collect();
    let lists = case
        .crls
        .iter()
        .map(|pem| {
            let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).expect("PEM");
            RevocationList::from_der_of_any(&der, &issuers).map_err(|error| error.to_string())
        })
        .collect::<Result<ListSet, _>>()?;
    let anchors = trusted
        .into_iter()
        .enumerate()
        .map(|(index, certificate)| Anchor {
            id: index.to_string(),
            certificate,
        })
        .collect();
    let anchors = Anchors::new(anchors).map_err(|error| error.to_string())?;
    // As with the command: lists, once there are some, must cover everything.
    let unknown_status = if case.crls.is_empty() {
        UnknownStatus::Allow
    } else {
        UnknownStatus::Deny
    };
    let revocation: &dyn chain::RevocationStatus = if case.crls.is_empty() {
        &NoRevocationSource
    } else {
        &lists
    };
    chain::verify(
        &certificate(&case.peer_certificate),
        &presented,
        &anchors,
        revocation,
        &Requirements {
            limits: Limits::FILES,
            unknown_status,
        },
        case.validation_time.map_or_else(UnixTime::now, |time| {
            UnixTime::since_unix_epoch(Duration::from_secs(
                u64::try_from(time.unix_seconds()).expect("after 1970"),
            ))
        }),
    )
    .map(drop)
    .map_err(|error| error.to_string())
}

fn verify_with_command(case: &Case, directory: &std::path::Path) -> (Verdict, String) {
    let write = |name: &str, blocks: &[String]| {
        let path = directory.join(name);
        fs::write(&path, blocks.concat()).expect("a file");
        path
    };
    let optional = |name: &str, blocks: &[String]| match blocks {
        [] => Vec::new(),
        blocks => vec![write(name, blocks)],
    };
    let args = VerifyArgs {
        anchor: vec![write("anchors.pem", &case.trusted_certs)],
        untrusted: optional("untrusted.pem", &case.untrusted_intermediates),
        crl: optional("crls.pem", &case.crls),
        at: case.validation_time.map(Timestamp::unix_seconds),
        json: false,
        leaf: write("leaf.pem", std::slice::from_ref(&case.peer_certificate)),
    };
    let now = i64::try_from(UnixTime::now().as_secs()).expect("a time");
    let mut out = Vec::new();
    let verdict = verify::run(&args, Timestamp::from_unix_seconds(now), &mut out)
        .expect("a Vec can be written to");
    (verdict, String::from_utf8(out).expect("text"))
}
