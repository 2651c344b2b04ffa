//! The sample that every run of the tests takes: of each target the whole corpus, and so many inputs of one seed.

use super::{run, target::Kind};

/// Inputs of all targets together.
const SAMPLE: u64 = 20_000;

fn sample(name: &str) {
    let kind = Kind::named(name).unwrap();
    let target = (kind.open)();
    run::corpus(&*target);
    let tally = run::range(&*target, 1, 0..kind.of(SAMPLE));
    println!("{name}: {tally}");
    assert_eq!(tally.harmful, Vec::<String>::new());
    // A target that refuses everything, or takes everything, tests nothing.
    assert!(tally.accepted > 0 && tally.refused > 0, "{tally}");
}

#[test]
fn no_signed_request_does_harm() {
    sample("jws");
}

#[test]
fn no_json_key_does_harm() {
    sample("jwk");
}

#[test]
fn no_external_account_binding_does_harm() {
    sample("binding");
}

#[test]
fn no_payload_of_any_endpoint_does_harm() {
    sample("payload");
}

#[test]
fn no_certificate_request_does_harm() {
    sample("csr");
}

#[test]
fn no_client_certificate_does_harm() {
    sample("certificate");
}

#[test]
fn no_revocation_list_does_harm() {
    sample("crl");
}

#[test]
fn no_ocsp_request_does_harm() {
    sample("ocsp");
}

#[test]
fn no_device_s_statement_does_harm() {
    sample("attestation");
}
