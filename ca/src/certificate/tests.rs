//! Drafts, the linter and signing, held to what must never be signed.

use super::*;
use crate::{
    chain::{self, Facts},
    crl::{ListDraft, ListScope, RevokedEntry},
    key::{KeyAlgorithm, SigningKey},
    profile::ProfileKind,
    revocation::RevocationReason,
};
use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// The signers here answer at once.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the signer keeps its key in memory"),
    }
}

const NOW: i64 = 1_800_000_000;

fn draft(kind: ProfileKind, key: &SigningKey) -> Draft {
    draft_by(Profile::default_for(kind), key)
}

fn draft_by(profile: Profile, key: &SigningKey) -> Draft {
    let kind = profile.kind;
    let validity = profile.validity(NOW, i64::MAX);
    Draft {
        subject: Subject::CommonName(format!(
            "Test {kind} {}",
            hex::encode(&key.public_key().fingerprint()[..4])
        )),
        names: match kind {
            ProfileKind::Root
            | ProfileKind::CrossRoot
            | ProfileKind::Intermediate
            | ProfileKind::OcspResponder => vec![],
            ProfileKind::Server => vec![GeneralName::Dns("a.example".parse().expect("a name"))],
            ProfileKind::Device | ProfileKind::Service => {
                vec![GeneralName::Uri(
                    "spiffe://example.internal/device/fra/1".to_owned(),
                )]
            }
        },
        revocation_list: (kind != ProfileKind::OcspResponder)
            .then(|| "http://127.0.0.1/crl/1/0.crl".to_owned()),
        ocsp: match kind {
            ProfileKind::Server | ProfileKind::Device | ProfileKind::Service => {
                Some("http://127.0.0.1/ocsp".to_owned())
            }
            ProfileKind::Root
            | ProfileKind::CrossRoot
            | ProfileKind::Intermediate
            | ProfileKind::OcspResponder => None,
        },
        issuer_certificate: (kind != ProfileKind::Root)
            .then(|| "http://127.0.0.1/issuer/1.crt".to_owned()),
        ..Draft::new(
            Arc::new(profile),
            Serial::random().expect("randomness"),
            key.public_key().clone(),
            validity,
        )
    }
}

fn key(algorithm: KeyAlgorithm) -> SigningKey {
    SigningKey::generate(algorithm).expect("a key")
}

/// Of any algorithm.
fn root(key: &SigningKey) -> IssuerCertificate {
    let profile = Profile {
        keys: vec![key.public_key().algorithm()],
        ..Profile::default_for(ProfileKind::Root)
    };
    let root = now(draft_by(profile, key).check(None).expect("clean").sign(key)).expect("signed");
    IssuerCertificate::from_der(root.der()).expect("an issuer")
}

/// rcgen's DN is a map, the CSR's OID is not the key's: both were faults of a naive use. Here every algorithm signs every
/// other, and a second implementation (webpki, in the chain's tests; x509-parser's verifier here) agrees.
#[test]
fn every_algorithm_issues_to_every_other() {
    use crate::key::tests::key;
    for ours in KeyAlgorithm::ALL {
        let (root_key, issuer_key) = (key(ours, 0), key(ours, 1));
        let root = root(root_key);
        let any_key = |kind| Profile {
            keys: KeyAlgorithm::ALL.to_vec(),
            ..Profile::default_for(kind)
        };
        let intermediate = now(draft_by(any_key(ProfileKind::Intermediate), issuer_key)
            .check(Some(&root))
            .expect("clean")
            .sign(root_key))
        .expect("signed");
        let intermediate = IssuerCertificate::from_der(intermediate.der()).expect("an issuer");
        for theirs in KeyAlgorithm::ALL {
            let leaf_key = key(theirs, 2);
            for kind in [
                ProfileKind::Server,
                ProfileKind::Device,
                ProfileKind::Service,
                ProfileKind::OcspResponder,
            ] {
                let leaf = now(draft_by(any_key(kind), leaf_key)
                    .check(Some(&intermediate))
                    .expect("clean")
                    .sign(issuer_key))
                .expect("signed");
                let (_, parsed) = X509Certificate::from_der(leaf.der()).expect("a certificate");
                let facts = Facts::read(leaf.der()).expect("facts");
                assert_eq!(parsed.issuer().as_raw(), intermediate.subject());
                // The identifier in the certificate and what webpki makes of it, not our own memory of the key.
                chain::verify_signature(
                    intermediate.public_key().subject_public_key_info(),
                    &ours.signature_algorithm_identifier()[2..],
                    parsed.tbs_certificate.as_ref(),
                    &parsed.signature_value.data,
                )
                .unwrap_or_else(|fault| panic!("{ours} signs {theirs}: {fault:?}"));
                assert_eq!(
                    facts.subject_public_key_info(),
                    leaf_key.public_key().subject_public_key_info()
                );
            }
        }
    }
}

#[test]
fn nobody_gets_ml_dsa_who_does_not_ask_for_it() {
    use crate::key::tests::key;
    let root_key = key(KeyAlgorithm::P256, 0);
    let root = root(root_key);
    for algorithm in KeyAlgorithm::ALL {
        for kind in [ProfileKind::Device, ProfileKind::Intermediate] {
            let rules: Vec<&str> = match draft(kind, key(algorithm, 1)).check(Some(&root)) {
                Ok(_) => vec![],
                Err(Refused(findings)) => findings.iter().map(|it| it.rule).collect(),
            };
            let wanted: &[&str] = if algorithm.is_opt_in() {
                &["the key is of a kind that the profile certifies"]
            } else {
                &[]
            };
            assert_eq!(rules, wanted, "{algorithm}");
        }
    }
}

#[test]
fn the_linter_refuses_what_we_never_sign() {
    let (root_key, issuer_key, leaf_key) = (
        key(KeyAlgorithm::P256),
        key(KeyAlgorithm::P256),
        key(KeyAlgorithm::P256),
    );
    let root = root(&root_key);
    let mut short = draft(ProfileKind::Intermediate, &issuer_key);
    short.not_after = NOW + 3600;
    let intermediate =
        now(short.check(Some(&root)).expect("clean").sign(&root_key)).expect("signed");
    let issuer = IssuerCertificate::from_der(intermediate.der()).expect("an issuer");
    type Spoil = fn(&mut Draft);
    let table: [(&str, ProfileKind, Spoil); 20] = [
        ("beyond the issuer's", ProfileKind::Device, |_| {}),
        ("lifetime is not exceeded", ProfileKind::Device, |d| {
            d.not_after = d.not_before + 86_400
        }),
        ("validity is not empty", ProfileKind::Device, |d| {
            d.not_after = d.not_before - 1
        }),
        ("exactly one URI", ProfileKind::Device, |d| {
            d.names
                .push(GeneralName::Uri("spiffe://x/device/2".to_owned()))
        }),
        ("exactly one URI", ProfileKind::Server, |d| {
            d.names
                .push(GeneralName::Uri("spiffe://x/device/2".to_owned()))
        }),
        ("exactly one URI", ProfileKind::Device, |d| {
            d.names = vec![GeneralName::Dns("a.example".parse().expect("a name"))]
        }),
        ("exactly one URI", ProfileKind::Device, |d| {
            d.names = vec![GeneralName::Uri("spiffe://x/device/*".to_owned())]
        }),
        ("has subject alternative names", ProfileKind::Server, |d| {
            d.names.clear()
        }),
        (
            "can be looked up names its list",
            ProfileKind::Device,
            |d| d.revocation_list = None,
        ),
        ("the list is where was meant", ProfileKind::Device, |d| {
            d.revocation_list = Some("ldap://x".to_owned())
        }),
        ("have 1 to 64", ProfileKind::Device, |d| {
            d.subject = Subject::CommonName("x".repeat(65))
        }),
        (
            "a CA and a responder have none",
            ProfileKind::Intermediate,
            |d| d.names = vec![GeneralName::Dns("a.example".parse().expect("a name"))],
        ),
        ("a CA has a subject", ProfileKind::Intermediate, |d| {
            d.subject = Subject::Empty
        }),
        ("a responder have none", ProfileKind::OcspResponder, |d| {
            d.names = vec![GeneralName::Dns("a.example".parse().expect("a name"))]
        }),
        ("RFC 5280 4.2.1.13", ProfileKind::OcspResponder, |d| {
            d.revocation_list = Some("http://127.0.0.1/crl/1/0.crl".to_owned())
        }),
        (
            "names no responder for itself",
            ProfileKind::OcspResponder,
            |d| d.ocsp = Some("http://127.0.0.1/ocsp".to_owned()),
        ),
        ("RFC 5280 4.2.2.1", ProfileKind::Device, |d| {
            d.ocsp = Some("https://127.0.0.1/ocsp".to_owned())
        }),
        ("RFC 5280 4.2.2.1", ProfileKind::Device, |d| {
            d.issuer_certificate = Some("ldap://127.0.0.1".to_owned())
        }),
        ("have 1 to 64", ProfileKind::OcspResponder, |d| {
            d.subject = Subject::CommonName("x".repeat(65))
        }),
        ("128 random bits", ProfileKind::Device, |d| {
            d.serial = "01".parse().expect("a serial")
        }),
    ];
    for (rule, kind, spoil) in table {
        let mut draft = draft(kind, &leaf_key);
        if rule != "beyond the issuer's" {
            draft.not_after = NOW + 60;
        }
        spoil(&mut draft);
        let Refused(findings) = draft.check(Some(&issuer)).expect_err(rule);
        assert!(
            findings.iter().any(|finding| finding.rule.contains(rule)),
            "{rule}: {findings:?}"
        );
    }
    let about_the_issuer = draft(ProfileKind::Device, &issuer_key);
    assert!(about_the_issuer.check(Some(&issuer)).is_err());
    let mut same_name = draft(ProfileKind::Intermediate, &leaf_key);
    same_name.not_after = NOW + 60;
    let (_, parsed) = X509Certificate::from_der(issuer.der()).expect("a certificate");
    let name = parsed.subject().iter_common_name().next().expect("a name");
    same_name.subject = Subject::CommonName(name.as_str().expect("text").to_owned());
    let Refused(findings) = same_name.check(Some(&issuer)).expect_err("PKITS 4.5.5");
    // And a path length of 0 has no room.
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[test]
fn a_signer_with_another_key_is_noticed() {
    let (root_key, other) = (key(KeyAlgorithm::P256), key(KeyAlgorithm::P256));
    let draft = draft(ProfileKind::Root, &root_key)
        .check(None)
        .expect("clean");
    assert_eq!(
        now(draft.sign(&other)),
        Err(SignerError(
            "it is another key than the issuer's".to_owned()
        ))
    );
}

/// During a root's rotation the old root signs the new one and the new one the old one; a verifier that knows either goes
/// on from there. A root with a path length could not take part.
#[test]
fn roots_sign_each_other_with_subject_and_key_to_the_byte() {
    let (old_key, new_key) = (key(KeyAlgorithm::P256), key(KeyAlgorithm::P384));
    let (old, new) = (root(&old_key), root(&new_key));
    assert_eq!(old.path_length(), None);
    for (subject, signer, signer_key) in [(&new, &old, &old_key), (&old, &new, &new_key)] {
        let cross = Draft {
            revocation_list: Some("http://127.0.0.1/crl/1/0.crl".to_owned()),
            issuer_certificate: Some("http://127.0.0.1/issuer/1.crt".to_owned()),
            ..Draft::cross_certificate(
                Profile::default_for(ProfileKind::CrossRoot).into(),
                Serial::random().expect("randomness"),
                subject,
                (NOW, NOW + 1000),
            )
        };
        let cross =
            now(cross.check(Some(signer)).expect("clean").sign(signer_key)).expect("signed");
        let read = IssuerCertificate::from_der(cross.der()).expect("an issuer");
        assert_eq!(
            (read.subject(), read.public_key(), read.key_identifier()),
            (
                subject.subject(),
                subject.public_key(),
                subject.key_identifier()
            )
        );
        let (_, parsed) = X509Certificate::from_der(cross.der()).expect("a certificate");
        assert_eq!(parsed.issuer().as_raw(), signer.subject());
        assert!(parsed.extended_key_usage().expect("unique").is_none());
    }
}

#[test]
fn an_empty_subject_makes_the_names_critical() {
    let (root_key, leaf_key) = (key(KeyAlgorithm::P256), key(KeyAlgorithm::P256));
    let root = root(&root_key);
    let mut nameless = draft(ProfileKind::Device, &leaf_key);
    nameless.subject = Subject::Empty;
    let leaf = now(nameless.check(Some(&root)).expect("clean").sign(&root_key)).expect("signed");
    let (_, leaf) = X509Certificate::from_der(leaf.der()).expect("a certificate");
    let san = leaf
        .subject_alternative_name()
        .expect("parsed")
        .expect("there");
    assert!(san.critical);
}

#[test]
fn a_list_carries_number_reasons_and_distribution_point() {
    let root_key = key(KeyAlgorithm::P384);
    let root = root(&root_key);
    let mut entries: Vec<RevokedEntry> = RevocationReason::ALL
        .into_iter()
        .map(|reason| RevokedEntry {
            serial: Serial::random().expect("randomness"),
            revoked_at: NOW - 60,
            reason,
        })
        .collect();
    entries.sort_by_key(|entry| entry.serial);
    let list = ListDraft {
        number: 7,
        this_update: NOW,
        next_update: NOW + 3600,
        scope: ListScope::Authorities,
        distribution_point: "http://127.0.0.1/crl/1/0.crl".to_owned(),
        entries: entries.clone(),
    };
    let der = now(list.check(&root).expect("clean").sign(&root_key)).expect("signed");
    let (_, parsed) =
        x509_parser::revocation_list::CertificateRevocationList::from_der(&der).expect("a list");
    let (_, issuer) = X509Certificate::from_der(root.der()).expect("a certificate");
    parsed
        .verify_signature(issuer.public_key())
        .expect("its issuer's signature");
    assert_eq!(parsed.iter_revoked_certificates().count(), entries.len());
    let empty = ListDraft {
        entries: vec![],
        ..list.clone()
    };
    assert!(empty.check(&root).is_ok());
    let twice = ListDraft {
        entries: vec![entries[0], entries[0]],
        ..list.clone()
    };
    assert!(twice.check(&root).is_err());
    let backwards = ListDraft {
        next_update: NOW,
        ..list
    };
    assert!(backwards.check(&root).is_err());
}
