//! Which of several paths is found.

use rcgen::{BasicConstraints, IsCa};

use super::{authority::valid, *};

#[test]
fn no_more_cas_follow_than_a_path_length_allows() {
    let zero = |params: &mut rcgen::CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    };
    for (constrained, expected) in [
        (false, Ok(3)),
        (true, Err(ChainError::new(Place::Chain, Fault::PathTooLong))),
    ] {
        let root = Authority::root("Root", |_| {});
        let upper = root.intermediate("Upper", |params| {
            if constrained {
                zero(params);
            }
        });
        let lower = upper.intermediate("Lower", |_| {});
        let leaf = lower.leaf(|_| {});
        let presented = [upper.der.clone(), lower.der.clone()];
        let outcome = verify_now(&leaf, &presented, &anchors(&[&root]));
        assert_eq!(outcome.map(|path| path.certificates().len()), expected);
    }
}

/// RFC 8446 section 4.4.2: any order, and needless certificates.
#[test]
fn order_repetition_and_needless_certificates_do_no_harm() {
    let root = Authority::root("Root", |_| {});
    let upper = root.intermediate("Upper", |_| {});
    let lower = upper.intermediate("Lower", |_| {});
    let other = Authority::root("Other", |_| {});
    let leaf = lower.leaf(|_| {});
    let presented = [
        root.der.clone(),
        upper.der.clone(),
        leaf.clone(),
        lower.der.clone(),
        upper.der.clone(),
        other.der.clone(),
        CertificateDer::from(&b"\x30\x00"[..]),
    ];
    let path = verify_now(&leaf, &presented, &anchors(&[&other, &root])).expect("a path");
    let roles: Vec<_> = path.certificates().iter().map(|it| it.role).collect();
    assert_eq!(
        roles,
        [
            CertificateRole::Leaf,
            CertificateRole::Intermediate(3),
            CertificateRole::Intermediate(1)
        ]
    );
    assert_eq!(&**path.anchor_id(), "root-1");
}

/// traps.md 10 (PKITS 4.5.5): two CAs of one name are told apart by their keys.
#[test]
fn of_two_roots_of_one_name_the_one_that_signed_is_found() {
    let roots = [
        Authority::root("Root", |_| {}),
        Authority::root("Root", |_| {}),
    ];
    let anchors = anchors(&[&roots[0], &roots[1]]);
    for (index, root) in roots.iter().enumerate() {
        let path = verify_now(&root.leaf(|_| {}), &[], &anchors).expect("a path");
        assert_eq!(
            (&**path.anchor_id(), path.issuer()),
            (format!("root-{index}").as_str(), root.key_id())
        );
    }
}

#[test]
fn an_unknown_or_forged_issuer_is_refused() {
    let root = Authority::root("Root", |_| {});
    let stranger = Authority::root("Stranger", |_| {});
    let forger = Authority::root("Root", |_| {});
    for (name, leaf, presented, category) in [
        (
            "stranger",
            stranger.leaf(|_| {}),
            vec![],
            Category::UnknownIssuer,
        ),
        (
            "stranger who sends his root",
            stranger.leaf(|_| {}),
            vec![stranger.der.clone()],
            Category::UnknownIssuer,
        ),
        (
            "forger",
            forger.leaf(|_| {}),
            vec![],
            Category::BadSignature,
        ),
        (
            "forger who sends his root",
            forger.leaf(|_| {}),
            vec![forger.der.clone()],
            Category::BadSignature,
        ),
    ] {
        let error = verify_now(&leaf, &presented, &anchors(&[&root])).expect_err(name);
        assert_eq!(error.category(), category, "{name}: {error}");
    }
}

#[test]
fn a_root_that_expired_does_not_stand_in_the_way_of_its_successor() {
    let old = Authority::root("Root", |params| valid(params, NOW - 1000, NOW - 1));
    let mut params = old.params.clone();
    valid(&mut params, NOW - 1000, NOW + 1000);
    let new = Authority {
        der: params.self_signed(&old.key).expect("signed").der().clone(),
        key: rcgen::KeyPair::generate().expect("a key"),
        params,
    };
    let leaf = old.leaf(|_| {});
    for roots in [[&old, &new], [&new, &old]] {
        let path = verify_now(&leaf, &[], &anchors(&roots)).expect("the new one is valid");
        assert_eq!(path.valid_until(), at(NOW + 1000));
    }
    assert!(verify_now(&leaf, &[], &anchors(&[&old])).is_err());
}

#[test]
fn an_anchor_that_no_path_may_end_at_harms_no_other_and_is_named() {
    let good = Authority::root("Good", |_| {});
    let bad = Authority::root("Bad", authority::add_unknown_critical_extension);
    let anchors = anchors(&[&bad, &good]);
    assert!(verify_now(&good.leaf(|_| {}), &[], &anchors).is_ok());
    assert!(verify_now(&bad.leaf(|_| {}), &[], &anchors).is_err());
    let faults: Vec<_> = anchors.faults().map(|(id, _)| id).collect();
    assert_eq!(faults, ["root-0"]);
}

/// traps.md 31: nine CAs of one name that all signed one another, and none of them known.
#[test]
fn a_labyrinth_of_cas_comes_to_an_end() {
    let root = Authority::root("Root", |_| {});
    let cas: Vec<_> = (0..3).map(|_| Authority::root("Maze", |_| {})).collect();
    let presented: Vec<_> = cas
        .iter()
        .flat_map(|issuer| cas.iter().map(|subject| issuer.cross_sign(subject)))
        .collect();
    let error = verify_now(&cas[0].leaf(|_| {}), &presented, &anchors(&[&root]))
        .expect_err("nobody knows them");
    assert!(
        matches!(
            error.category(),
            Category::UnknownIssuer | Category::Forbidden
        ),
        "{error}"
    );
}
