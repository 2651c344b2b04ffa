//! Constraints on e-mail addresses, and that relabelling them opens no door.

use rcgen::{CertificateParams, DnType, GeneralSubtree, NameConstraints, SanType};

use super::*;

fn permit(names: Vec<GeneralSubtree>) -> impl Fn(&mut CertificateParams) {
    move |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: names.clone(),
            excluded_subtrees: vec![],
        });
    }
}

fn exclude(names: Vec<GeneralSubtree>) -> impl Fn(&mut CertificateParams) {
    move |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![],
            excluded_subtrees: names.clone(),
        });
    }
}

fn email(text: &str) -> GeneralSubtree {
    GeneralSubtree::Rfc822Name(text.to_owned())
}

fn address(text: &str) -> SanType {
    SanType::Rfc822Name(text.to_owned().try_into().expect("ASCII"))
}

#[test]
fn an_address_must_be_within_the_constraints_of_every_ca_above_it() {
    let outside = || Err(ChainError::new(Place::Leaf, Fault::NameConstraints));
    let free = |_: &mut CertificateParams| {};
    type Change = Box<dyn Fn(&mut CertificateParams)>;
    /// What it shows, root, intermediate, the leaf's address, and what comes out.
    type Case = (
        &'static str,
        Change,
        Change,
        &'static str,
        Result<(), ChainError>,
    );
    let cases: Vec<Case> = vec![
        (
            "none",
            Box::new(free),
            Box::new(free),
            "a@b.example",
            Ok(()),
        ),
        (
            "permitted below",
            Box::new(free),
            Box::new(permit(vec![email("b.example")])),
            "a@b.example",
            Ok(()),
        ),
        (
            "not permitted below",
            Box::new(free),
            Box::new(permit(vec![email("b.example")])),
            "a@c.example",
            outside(),
        ),
        (
            "permitted by the root",
            Box::new(permit(vec![email("b.example")])),
            Box::new(free),
            "a@b.example",
            Ok(()),
        ),
        (
            "not permitted by the root",
            Box::new(permit(vec![email("b.example")])),
            Box::new(free),
            "a@c.example",
            outside(),
        ),
        (
            "permitted by one of two",
            Box::new(permit(vec![email("b.example")])),
            Box::new(permit(vec![email("c.example")])),
            "a@c.example",
            outside(),
        ),
        (
            "excluded",
            Box::new(free),
            Box::new(exclude(vec![email("b.example")])),
            "a@b.example",
            outside(),
        ),
        (
            "not excluded",
            Box::new(free),
            Box::new(exclude(vec![email("b.example")])),
            "a@c.example",
            Ok(()),
        ),
        (
            "malformed",
            Box::new(free),
            Box::new(permit(vec![email("a@b@c")])),
            "a@c",
            Err(ChainError::new(Place::Leaf, Fault::NameConstraints)),
        ),
        // With a constraint of another kind beside it, which webpki must go on to hold.
        (
            "and a DNS name outside",
            Box::new(free),
            Box::new(permit(vec![
                email("b.example"),
                GeneralSubtree::DnsName("other.example".to_owned()),
            ])),
            "a@b.example",
            outside(),
        ),
    ];
    for (name, root, intermediate, text, expected) in cases {
        let root = Authority::root("Root", root);
        let intermediate = root.intermediate("Intermediate", intermediate);
        let leaf = intermediate.leaf(|params| {
            params.subject_alt_names = vec![
                address(text),
                SanType::DnsName("client.example".to_owned().try_into().expect("ASCII")),
            ];
        });
        let chain = std::slice::from_ref(&intermediate.der);
        let outcome = verify_now(&leaf, chain, &anchors(&[&root]));
        let outcome = outcome.map(drop).map_err(|error| ChainError {
            // webpki does not say whose name it is.
            place: Place::Leaf,
            ..error
        });
        assert_eq!(outcome, expected, "{name}");
    }
}

#[test]
fn the_address_in_a_subject_is_held_to_the_constraints_too() {
    for (text, accepted) in [("a@b.example", true), ("a@c.example", false)] {
        let root = Authority::root("Root", permit(vec![email("b.example")]));
        let leaf = root.leaf(|params| {
            params.distinguished_name.push(
                DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]),
                rcgen::DnValue::Ia5String(text.to_owned().try_into().expect("ASCII")),
            );
        });
        let outcome = verify_now(&leaf, &[], &anchors(&[&root]));
        assert_eq!(outcome.is_ok(), accepted, "{text}: {outcome:?}");
    }
}

/// Whoever presents an intermediate that looks as it does to webpki has not thereby lost its constraint.
#[test]
fn a_relabelled_intermediate_from_outside_is_not_taken_for_the_real_one() {
    let root = Authority::root("Root", |_| {});
    let real = root.intermediate("Intermediate", permit(vec![email("b.example")]));
    let leaf = real.leaf(|params| params.subject_alt_names = vec![address("a@evil.example")]);
    let forged = relabel(&real.der);
    for presented in [
        vec![forged.clone()],
        vec![real.der.clone(), forged.clone()],
        vec![forged, real.der.clone()],
    ] {
        let outcome = verify_now(&leaf, &presented, &anchors(&[&root]));
        assert!(outcome.is_err(), "{outcome:?}");
    }
}

#[test]
fn the_addresses_of_cas_are_held_to_the_constraints_above_them() {
    for (text, accepted) in [("ca@b.example", true), ("ca@c.example", false)] {
        let root = Authority::root("Root", permit(vec![email("b.example")]));
        let intermediate = root.intermediate("Intermediate", |params| {
            params.subject_alt_names = vec![address(text)];
        });
        let leaf = intermediate.leaf(|_| {});
        let chain = std::slice::from_ref(&intermediate.der);
        let outcome = verify_now(&leaf, chain, &anchors(&[&root])).map(drop);
        let expected = if accepted {
            Ok(())
        } else {
            Err(Fault::NameConstraints)
        };
        assert_eq!(outcome.map_err(|error| error.fault), expected, "{text}");
    }
}

/// A leaf that somebody altered as webpki is shown it would have another thumbprint than the one that was issued.
#[test]
fn a_relabelled_leaf_is_not_taken_for_the_real_one() {
    let root = Authority::root("Root", |_| {});
    let real = root.leaf(permit(vec![email("b.example")]));
    assert!(verify_now(&real, &[], &anchors(&[&root])).is_ok());
    let forged = relabel(&real);
    let outcome = verify_now(&forged, &[real], &anchors(&[&root]));
    assert!(outcome.is_err(), "{outcome:?}");
}

fn relabel(certificate: &CertificateDer<'_>) -> CertificateDer<'static> {
    let mut octets = certificate.to_vec();
    let start = octets
        .windows(9)
        .position(|octets| octets == b"b.example")
        .expect("the constraint");
    assert_eq!(octets[start - 2], 0x81);
    octets[start - 2] = 0x88;
    CertificateDer::from(octets)
}
