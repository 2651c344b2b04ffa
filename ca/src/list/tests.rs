//! Lists good and bad, and what a set of them answers.

mod draft;

use draft::{Draft, boolean, extension, point};
use rcgen::SerialNumber;
use rustls_pki_types::CertificateDer;

use super::*;
use crate::{
    chain::{
        Anchor, Anchors, ChainError, Fault, Place, Requirements, RevocationStatus, Status,
        tests::authority::{self, Authority, NOW, at},
        verify,
    },
    der,
};

const HERE: &str = "http://lists.example/1.crl";
const ELSEWHERE: &str = "http://lists.example/2.crl";

fn issuer(authority: &Authority) -> ListIssuer {
    ListIssuer::from_certificate(&authority.der).expect("readable")
}

/// A certificate of `authority` on a path.
fn certificate(authority: &Authority, serial: &str, role: CertificateRole) -> PathCertificate {
    PathCertificate {
        issuer: authority.key_id(),
        serial: authority::serial(serial),
        role,
        not_before: at(NOW - 10),
        not_after: at(NOW + 10),
        distribution_points: vec![HERE.to_owned()],
    }
}

#[test]
fn a_list_is_read_with_everything_that_it_says() {
    let ca = Authority::root("Root", |_| {});
    let draft = Draft::of(&ca)
        .entry("0a", None)
        .entry("0b", Some(1))
        .entry("00ff0102030405060708090a0b0c0d0e0f10", Some(9))
        .extension(28, true, &[&point(HERE), &boolean(1)]);
    let der = draft.sign();
    let pem = format!(
        "a remark\n-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n",
        draft::base64(&der)
    );
    for octets in [&der, pem.as_bytes()] {
        let list = RevocationList::parse(octets, &issuer(&ca)).expect("a good list");
        assert_eq!(
            (
                list.issuer(),
                list.number(),
                list.this_update(),
                list.next_update(),
                list.only,
                list.distribution_points.clone(),
            ),
            (
                ca.key_id(),
                ListNumber::from(0x0102),
                at(NOW - 100),
                at(NOW + 100),
                Some(ListScope::Leaves),
                Some(vec![HERE.to_owned()]),
            )
        );
        let reason = |serial| list.entries().reason(&authority::serial(serial));
        assert_eq!(list.entries().len(), 3);
        assert_eq!(reason("0a"), Some(RevocationReason::Unspecified));
        assert_eq!(reason("0b"), Some(RevocationReason::KeyCompromise));
        assert_eq!(
            reason("ff0102030405060708090a0b0c0d0e0f10"),
            Some(RevocationReason::PrivilegeWithdrawn)
        );
        assert_eq!(reason("0c"), None);
    }
}

/// traps.md 22 and 33.
#[test]
fn a_list_that_does_not_say_what_we_understand_is_refused() {
    let ca = Authority::root("Root", |_| {});
    let draft = || Draft::of(&ca);
    let cases = vec![
        ("version 1", draft().version(0), ListError::NotVersion2),
        (
            "no nextUpdate",
            draft().next_update(None),
            ListError::NoNextUpdate,
        ),
        (
            "nextUpdate before thisUpdate",
            draft().next_update(Some(NOW - 200)),
            ListError::NextUpdateBeforeThisUpdate,
        ),
        (
            "no extensions",
            draft().no_extensions(),
            ListError::NoNumber,
        ),
        ("no number", draft().no_number(), ListError::NoNumber),
        (
            "delta",
            draft().extension(27, true, &[&[2, 1, 1]]),
            ListError::Delta,
        ),
        (
            "unknown critical extension",
            draft().extension(99, true, &[]),
            ListError::UnknownCriticalExtension("2.5.29.99".to_owned()),
        ),
        (
            "indirect",
            draft().extension(28, true, &[&point(HERE), &boolean(4)]),
            ListError::Indirect,
        ),
        (
            "attribute certificates",
            draft().extension(28, true, &[&boolean(5)]),
            ListError::Scope("for attribute certificates only"),
        ),
        (
            "some reasons",
            draft().extension(28, true, &[&der::encode(0x83, &[&[1, 2]])]),
            ListError::Scope("for some reasons only"),
        ),
        (
            "relative name",
            draft().extension(28, true, &[&der::encode(0xa0, &[&der::encode(0xa1, &[])])]),
            ListError::Scope("a name relative to the issuer"),
        ),
        (
            "users only and CAs only",
            draft().extension(28, true, &[&boolean(1), &boolean(2)]),
            ListError::Scope("for CAs only and for users only"),
        ),
        (
            "serial 0",
            draft().entry("0a", None).entry("00", None),
            ListError::Serial {
                entry: 2,
                error: crate::serial::InvalidSerial::Zero,
            },
        ),
        (
            "reason 7",
            draft().entry("0a", Some(7)),
            ListError::Reason { entry: 1, code: 7 },
        ),
        (
            "removeFromCRL",
            draft().entry("0a", Some(8)),
            ListError::Reason { entry: 1, code: 8 },
        ),
        (
            "certificate of another issuer",
            draft().entry_with("0a", &extension(29, true, &[])),
            ListError::Indirect,
        ),
        (
            "unknown critical extension of an entry",
            draft().entry_with("0a", &extension(99, true, &[])),
            ListError::UnknownCriticalEntryExtension {
                entry: 1,
                oid: "2.5.29.99".to_owned(),
            },
        ),
    ];
    for (name, draft, expected) in cases {
        let outcome =
            RevocationList::from_der(&draft.sign(), &issuer(&ca)).map(|list| list.number());
        assert_eq!(outcome, Err(expected), "{name}");
    }
    // What is not critical may be unknown.
    let good = draft()
        .extension(99, false, &[])
        .entry_with("0a", &extension(24, false, &[]));
    assert!(RevocationList::from_der(&good.sign(), &issuer(&ca)).is_ok());
}

/// traps.md 33: wrong issuer, forged under the same name; traps.md 10.
#[test]
fn a_list_of_somebody_else_is_refused() {
    let ca = Authority::root("Root", |_| {});
    let same_name = Authority::root("Root", |_| {});
    let other_name = Authority::root("Other", |_| {});
    let may_not = Authority::root("Root", |params| {
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    });
    let identified = |authority: &Authority| {
        let facts = crate::chain::Facts::read(&authority.der).expect("readable");
        let identifier = facts.subject_key_identifier.expect("it has one");
        let (_, identifier, _) = der::split(identifier).expect("an OCTET STRING");
        der::encode(0x80, &[identifier])
    };
    let cases = [
        (
            "another name",
            Draft::of(&other_name).sign(),
            &ca,
            ListError::OtherIssuer,
        ),
        (
            "forged",
            Draft::of(&same_name).sign(),
            &ca,
            ListError::Signature(Fault::BadSignature),
        ),
        (
            "another key, honestly",
            Draft::of(&same_name)
                .extension(35, false, &[&identified(&same_name)])
                .sign(),
            &ca,
            ListError::OtherKey,
        ),
        (
            "forged with the right key identifier",
            Draft::of(&same_name)
                .extension(35, false, &[&identified(&ca)])
                .sign(),
            &ca,
            ListError::Signature(Fault::BadSignature),
        ),
        (
            "may not sign lists",
            Draft::of(&may_not).sign(),
            &may_not,
            ListError::IssuerMayNotSignLists,
        ),
    ];
    for (name, der, authority, expected) in cases {
        let outcome = RevocationList::from_der(&der, &issuer(authority)).map(|list| list.number());
        assert_eq!(outcome, Err(expected), "{name}");
    }
    let candidates = [issuer(&other_name), issuer(&same_name), issuer(&ca)];
    let list = RevocationList::from_der_of_any(&Draft::of(&ca).sign(), &candidates);
    assert_eq!(list.map(|list| list.issuer()), Ok(ca.key_id()));
}

/// traps.md 33: truncated, empty, altered.
#[test]
fn a_list_that_was_cut_off_or_altered_is_refused_with_the_place() {
    let ca = Authority::root("Root", |_| {});
    let der = Draft::of(&ca)
        .entry("0a", Some(1))
        .extension(28, true, &[&point(HERE)])
        .sign();
    for length in 0..der.len() {
        let error = RevocationList::parse(&der[..length], &issuer(&ca)).expect_err("cut off");
        let expected = matches!(error, ListError::Malformed { offset: 0, .. })
            || (length == 0 && matches!(error, ListError::NoPem(_)));
        assert!(expected, "{length}: {error}");
    }
    for index in 0..der.len() {
        let mut altered = der.clone();
        altered[index] ^= 0x01;
        assert!(
            RevocationList::from_der(&altered, &issuer(&ca)).is_err(),
            "octet {index} is not signed"
        );
    }
    let mut longer = der.clone();
    longer.push(0);
    assert_eq!(
        RevocationList::from_der(&longer, &issuer(&ca)).map(|list| list.number()),
        Err(ListError::Malformed {
            field: "end",
            offset: der.len()
        })
    );
}

#[test]
fn a_certificate_is_good_only_where_a_current_list_covers_it() {
    let ca = Authority::root("Root", |_| {});
    let other = Authority::root("Root", |_| {});
    let leaf = || certificate(&ca, "0a", CertificateRole::Leaf);
    let intermediate = || certificate(&ca, "0a", CertificateRole::Intermediate(0));
    let draft = || Draft::of(&ca);
    let scoped = |parts: &[&[u8]]| draft().extension(28, true, parts);
    let revoked = Status::Revoked(RevocationReason::Superseded);
    let cases = vec![
        ("no list", vec![], leaf(), Status::Unknown),
        ("not on it", vec![draft()], leaf(), Status::Good),
        ("on it", vec![draft().entry("0a", Some(4))], leaf(), revoked),
        (
            "another serial",
            vec![draft().entry("0b", None)],
            leaf(),
            Status::Good,
        ),
        (
            "of another issuer",
            vec![Draft::of(&other).entry("0a", Some(4))],
            leaf(),
            Status::Unknown,
        ),
        (
            "stale",
            vec![draft().times(NOW - 200, NOW)],
            leaf(),
            Status::Unknown,
        ),
        (
            "current for a second more",
            vec![draft().times(NOW - 200, NOW + 1)],
            leaf(),
            Status::Good,
        ),
        (
            "from now",
            vec![draft().times(NOW, NOW + 200)],
            leaf(),
            Status::Good,
        ),
        (
            "from the future",
            vec![draft().times(NOW + 1, NOW + 200)],
            leaf(),
            Status::Unknown,
        ),
        (
            "stale, and on it",
            vec![draft().times(NOW - 200, NOW).entry("0a", Some(4))],
            leaf(),
            revoked,
        ),
        (
            "the right shard",
            vec![scoped(&[&point(HERE)])],
            leaf(),
            Status::Good,
        ),
        (
            "the wrong shard",
            vec![scoped(&[&point(ELSEWHERE)])],
            leaf(),
            Status::Unknown,
        ),
        (
            "the wrong shard, and on it",
            vec![scoped(&[&point(ELSEWHERE)]).entry("0a", Some(4))],
            leaf(),
            revoked,
        ),
        (
            "both shards",
            vec![scoped(&[&point(ELSEWHERE)]), scoped(&[&point(HERE)])],
            leaf(),
            Status::Good,
        ),
        (
            "users only, a leaf",
            vec![scoped(&[&point(HERE), &boolean(1)])],
            leaf(),
            Status::Good,
        ),
        (
            "users only, a CA",
            vec![scoped(&[&point(HERE), &boolean(1)])],
            intermediate(),
            Status::Unknown,
        ),
        (
            "CAs only, a CA",
            vec![scoped(&[&point(HERE), &boolean(2)])],
            intermediate(),
            Status::Good,
        ),
        (
            "CAs only, a leaf",
            vec![scoped(&[&point(HERE), &boolean(2)])],
            leaf(),
            Status::Unknown,
        ),
        (
            "one has it, one has not",
            vec![draft(), draft().entry("0a", Some(4))],
            leaf(),
            revoked,
        ),
    ];
    for (name, drafts, certificate, expected) in cases {
        let issuers = [issuer(&ca), issuer(&other)];
        let set: ListSet = drafts
            .iter()
            .map(|draft| RevocationList::from_der_of_any(&draft.sign(), &issuers).expect(name))
            .collect();
        assert_eq!(set.status(&certificate, at(NOW)), expected, "{name}");
    }
    let unnamed = PathCertificate {
        distribution_points: vec![],
        ..leaf()
    };
    let set: ListSet = [RevocationList::from_der(
        &scoped(&[&point(HERE)]).sign(),
        &issuer(&ca),
    )]
    .into_iter()
    .collect::<Result<_, _>>()
    .expect("a good list");
    assert_eq!(set.status(&unnamed, at(NOW)), Status::Unknown);
}

/// traps.md 34: a list is missing for an intermediate; the intermediate is revoked.
#[test]
fn a_chain_needs_a_list_for_each_of_its_certificates() {
    let root = Authority::root("Root", |_| {});
    let intermediate = root.intermediate("Intermediate", |params| {
        params.serial_number = Some(SerialNumber::from_slice(&[7]));
    });
    let leaf = intermediate.leaf(|params| {
        params.crl_distribution_points = vec![rcgen::CrlDistributionPoint {
            uris: vec![HERE.to_owned()],
        }];
    });
    let shard = |uri: &str| Draft::of(&intermediate).extension(28, true, &[&point(uri)]);
    let of_root = || Draft::of(&root);
    let unknown = |place| {
        Err(ChainError {
            place,
            fault: Fault::RevocationStatusUnknown,
        })
    };
    let revoked = |place| {
        let fault = Fault::Revoked(RevocationReason::CaCompromise);
        Err(ChainError { place, fault })
    };
    for (name, drafts, expected) in [
        ("both", vec![of_root(), shard(HERE)], Ok(())),
        (
            "none for the intermediate",
            vec![shard(HERE)],
            unknown(Place::Presented(0)),
        ),
        ("none for the leaf", vec![of_root()], unknown(Place::Leaf)),
        (
            "the wrong shard for the leaf",
            vec![of_root(), shard(ELSEWHERE)],
            unknown(Place::Leaf),
        ),
        (
            "intermediate revoked",
            vec![of_root().entry("07", Some(2)), shard(HERE)],
            revoked(Place::Presented(0)),
        ),
        (
            "leaf revoked",
            vec![
                of_root(),
                shard(HERE).entry(authority::CLIENT_SERIAL, Some(2)),
            ],
            revoked(Place::Leaf),
        ),
    ] {
        let issuers = [issuer(&root), issuer(&intermediate)];
        let lists: ListSet = drafts
            .iter()
            .map(|draft| RevocationList::from_der_of_any(&draft.sign(), &issuers).expect(name))
            .collect();
        let outcome = verify(
            &leaf,
            std::slice::from_ref(&intermediate.der),
            &anchors(&root.der),
            &lists,
            &Requirements::default(),
            at(NOW),
        );
        assert_eq!(outcome.map(drop), expected, "{name}");
    }
}

fn anchors(root: &CertificateDer<'static>) -> Anchors {
    Anchors::new(vec![Anchor {
        id: "root".to_owned(),
        certificate: root.clone(),
    }])
    .expect("readable")
}
