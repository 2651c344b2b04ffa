//! Revocation on a path, and looking at a verified path again.

use super::{authority::valid, *};
use crate::{revocation::RevocationReason, serial::Serial};
use rcgen::SerialNumber;

const REVOKED: Status = Status::Revoked(RevocationReason::KeyCompromise);

struct Scene {
    anchors: Anchors,
    chain: Vec<CertificateDer<'static>>,
    leaf: (IssuerKeyId, Serial),
    intermediate: (IssuerKeyId, Serial),
}

/// Root, intermediate 07, leaf 0a0b0c.
fn scene() -> Scene {
    let root = Authority::root("Root", |params| valid(params, NOW - 50, NOW + 500));
    let intermediate = root.intermediate("Intermediate", |params| {
        params.serial_number = Some(SerialNumber::from_slice(&[7]));
        valid(params, NOW - 50, NOW + 400);
    });
    let leaf = intermediate.leaf(|params| valid(params, NOW - 50, NOW + 300));
    Scene {
        anchors: anchors(&[&root]),
        chain: vec![leaf, intermediate.der.clone()],
        leaf: (
            intermediate.key_id(),
            authority::serial(authority::CLIENT_SERIAL),
        ),
        intermediate: (root.key_id(), authority::serial("07")),
    }
}

/// traps.md 34: intermediate revoked, no list for the intermediate.
#[test]
fn the_status_of_every_certificate_but_the_anchor_is_asked() {
    let scene = scene();
    let first = Place::Presented(0);
    let revoked = Fault::Revoked(RevocationReason::KeyCompromise);
    let (leaf, intermediate) = (scene.leaf, scene.intermediate);
    let elsewhere = (intermediate.0, leaf.1);
    let deny = UnknownStatus::Deny;
    let allow = UnknownStatus::Allow;
    for (name, (issuer, serial), status, others, unknown, expected) in [
        ("good", leaf, Status::Good, Status::Good, deny, Ok(())),
        (
            "leaf",
            leaf,
            REVOKED,
            Status::Good,
            deny,
            Err((Place::Leaf, revoked.clone())),
        ),
        (
            "leaf, all else allowed",
            leaf,
            REVOKED,
            Status::Unknown,
            allow,
            Err((Place::Leaf, revoked.clone())),
        ),
        (
            "intermediate",
            intermediate,
            REVOKED,
            Status::Good,
            deny,
            Err((first.clone(), revoked)),
        ),
        (
            "no list for the intermediate",
            intermediate,
            Status::Unknown,
            Status::Good,
            deny,
            Err((first, Fault::RevocationStatusUnknown)),
        ),
        (
            "no list for the leaf",
            leaf,
            Status::Unknown,
            Status::Good,
            deny,
            Err((Place::Leaf, Fault::RevocationStatusUnknown)),
        ),
        (
            "no list, allowed",
            leaf,
            Status::Unknown,
            Status::Unknown,
            allow,
            Ok(()),
        ),
        (
            "the same serial of another issuer",
            elsewhere,
            REVOKED,
            Status::Good,
            deny,
            Ok(()),
        ),
    ] {
        let outcome = verify(
            &scene.chain[0],
            &scene.chain[1..],
            &scene.anchors,
            &Known(vec![(issuer, serial, status)], others),
            &Requirements {
                unknown_status: unknown,
                ..Requirements::default()
            },
            at(NOW),
        );
        let expected = expected.map_err(|(place, fault)| ChainError::new(place, fault));
        assert_eq!(outcome.map(drop), expected, "{name}");
    }
    assert_eq!(UnknownStatus::default(), UnknownStatus::Deny);
}

#[test]
fn where_one_intermediate_is_revoked_its_twin_is_found() {
    let root = Authority::root("Root", |_| {});
    let numbered = |number: u8| {
        move |params: &mut rcgen::CertificateParams| {
            params.serial_number = Some(SerialNumber::from_slice(&[number]));
        }
    };
    let old = root.intermediate("Intermediate", numbered(1));
    let mut params = old.params.clone();
    numbered(2)(&mut params);
    let new = root.issue(&params, &old.key);
    let leaf = old.leaf(|_| {});
    let revocation = Known(
        vec![(root.key_id(), authority::serial("01"), REVOKED)],
        Status::Good,
    );
    for presented in [[old.der.clone(), new.clone()], [new, old.der.clone()]] {
        let path = verify(
            &leaf,
            &presented,
            &anchors(&[&root]),
            &revocation,
            &Requirements::default(),
            at(NOW),
        )
        .expect("the twin's path");
        assert_eq!(path.certificates()[1].serial, authority::serial("02"));
    }
}

/// traps.md 39: a cached verdict must not outlive what it was based on.
#[test]
fn a_verified_path_that_is_looked_at_again_is_refused_once_it_ended_or_was_revoked() {
    let scene = scene();
    let path = verify_now(&scene.chain[0], &scene.chain[1..], &scene.anchors).expect("good");
    let again =
        |revocation: &Known, seconds| path.recheck(revocation, UnknownStatus::Deny, at(seconds));
    let revoked = |(issuer, serial)| Known(vec![(issuer, serial, REVOKED)], Status::Good);
    let fault = || Fault::Revoked(RevocationReason::KeyCompromise);
    let cases = [
        (NONE_REVOKED, NOW, Ok(())),
        (NONE_REVOKED, NOW + 300, Ok(())),
        (
            NONE_REVOKED,
            NOW + 301,
            Err(ChainError::new(
                Place::Leaf,
                Fault::Expired {
                    not_after: at(NOW + 300),
                },
            )),
        ),
        (
            NONE_REVOKED,
            NOW - 51,
            Err(ChainError::new(
                Place::Leaf,
                Fault::NotYetValid {
                    not_before: at(NOW - 50),
                },
            )),
        ),
        (
            revoked(scene.leaf),
            NOW,
            Err(ChainError::new(Place::Leaf, fault())),
        ),
        (
            revoked(scene.intermediate),
            NOW,
            Err(ChainError::new(Place::Presented(0), fault())),
        ),
        (
            Known(vec![], Status::Unknown),
            NOW,
            Err(ChainError::new(Place::Leaf, Fault::RevocationStatusUnknown)),
        ),
    ];
    for (revocation, seconds, expected) in cases {
        assert_eq!(again(&revocation, seconds), expected, "{seconds}");
    }
}

#[test]
fn a_path_begins_and_ends_with_its_root_even_if_the_leaf_goes_on() {
    let root = Authority::root("Root", |params| valid(params, NOW - 20, NOW + 10));
    let leaf = root.leaf(|params| valid(params, NOW - 50, NOW + 1000));
    let path = verify_now(&leaf, &[], &anchors(&[&root])).expect("good");
    assert_eq!(
        (path.valid_from(), path.valid_until()),
        (at(NOW - 20), at(NOW + 10))
    );
    assert_eq!(
        path.recheck(&NONE_REVOKED, UnknownStatus::Deny, at(NOW + 11)),
        Err(ChainError::new(
            Place::Anchor("root-0".to_owned()),
            Fault::Expired {
                not_after: at(NOW + 10)
            }
        ))
    );
}
