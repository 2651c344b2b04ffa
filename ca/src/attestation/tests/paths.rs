//! From a statement's certificate to a root. `apple` stands for all formats; what only `tpm` asks is at the end.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;

use super::{
    made::{Maker, TOKEN, add_extension, array, bytes, device_certificate, object},
    verify_now,
};
use crate::{
    attestation::{AttestationError, InvalidRoot, Roots},
    chain::{
        Fault, Place,
        tests::authority::{Authority, NOW, add_unknown_critical_extension, valid},
    },
    key::sha256,
};

fn certificate() -> CertificateParams {
    let mut params = device_certificate();
    add_extension(
        &mut params,
        &[1, 2, 840, 113_635, 100, 8, 9, 1],
        b"SN-1".to_vec(),
    );
    add_extension(
        &mut params,
        &[1, 2, 840, 113_635, 100, 8, 11, 1],
        sha256(TOKEN.as_bytes()).to_vec(),
    );
    params
}

fn statement(certificates: &[&CertificateDer<'_>]) -> Vec<u8> {
    let certificates: Vec<_> = certificates.iter().map(|der| bytes(der)).collect();
    object("apple", &[("x5c", array(&certificates))], None)
}

fn judged(roots: &[&Authority], certificates: &[&CertificateDer<'_>]) -> Option<AttestationError> {
    let roots = roots.iter().map(|root| root.der.clone()).collect();
    verify_now(&statement(certificates), &Roots::new(roots).expect("roots")).err()
}

fn fault(refused: Option<AttestationError>) -> (Place, Fault) {
    match refused {
        Some(AttestationError::Certificate { place, fault }) => (place, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_path_ends_at_a_root_that_is_listed() {
    let (maker, other) = (Maker::new(), Maker::new());
    let leaf = maker
        .issuer
        .issue(&certificate(), &KeyPair::generate().expect("a key"));
    let (root, issuer) = (&maker.root, &maker.issuer.der);
    // With the root and without, and among other roots of the same name.
    assert_eq!(judged(&[root], &[&leaf, issuer]), None);
    assert_eq!(judged(&[root], &[&leaf, issuer, &root.der]), None);
    assert_eq!(judged(&[&other.root, root], &[&leaf, issuer]), None);
    // The issuing CA alone may be trusted, too.
    assert_eq!(judged(&[&maker.issuer], &[&leaf]), None);

    assert_eq!(
        fault(judged(&[&other.root], &[&leaf, issuer])).1,
        Fault::BadSignature
    );
    assert_eq!(
        judged(&[root], &[&leaf]),
        Some(AttestationError::UnknownRoot {
            issuer: "CN=Maker Issuing CA".to_owned()
        })
    );
    // Out of order, and one too many.
    let unknown = fault(judged(&[root], &[&leaf, &root.der, issuer]));
    assert_eq!(unknown, (Place::Leaf, Fault::UnknownIssuer));
    let unknown = fault(judged(&[root], &[&leaf, issuer, &other.issuer.der]));
    assert_eq!(unknown, (Place::Presented(0), Fault::UnknownIssuer));
    let many = vec![&leaf; 9];
    assert_eq!(
        fault(judged(&[root], &many)).1,
        Fault::TooManyCertificates {
            presented: 9,
            limit: 8
        }
    );
}

/// Trap 34, for makers: what a chain must say, hop by hop.
#[test]
fn each_fault_of_a_certificate_is_told_with_its_place() {
    type Change = fn(&mut CertificateParams);
    let nothing: Change = |_| {};
    let expired: Change = |it| valid(it, NOW - 2000, NOW - 1);
    let early: Change = |it| valid(it, NOW + 1, NOW + 2000);
    let no_ca: Change = |it| it.is_ca = IsCa::ExplicitNoCa;
    let only_lists: Change = |it| it.key_usages = vec![KeyUsagePurpose::CrlSign];
    let constrained: Change = |it| {
        it.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    };
    let short: Change = |it| it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let a_ca: Change = |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (leaf, issuer, root) = (
        Place::Leaf,
        Place::Presented(0),
        Place::Anchor("roots".to_owned()),
    );
    for (name, changes, place, wanted) in [
        (
            "expired leaf",
            [nothing, nothing, expired],
            &leaf,
            "expired",
        ),
        (
            "expired issuer",
            [nothing, expired, nothing],
            &issuer,
            "expired",
        ),
        (
            "expired root",
            [expired, nothing, nothing],
            &root,
            "expired",
        ),
        (
            "early leaf",
            [nothing, nothing, early],
            &leaf,
            "not valid before",
        ),
        (
            "early issuer",
            [nothing, early, nothing],
            &issuer,
            "not valid before",
        ),
        (
            "early root",
            [early, nothing, nothing],
            &root,
            "not valid before",
        ),
        (
            "no CA",
            [nothing, no_ca, nothing],
            &issuer,
            "do not say that it is a CA",
        ),
        (
            "lists only",
            [nothing, only_lists, nothing],
            &issuer,
            "keyCertSign",
        ),
        (
            "constrained",
            [nothing, constrained, nothing],
            &issuer,
            "name constraints",
        ),
        (
            "short path",
            [short, nothing, nothing],
            &root,
            "pathLenConstraint",
        ),
        (
            "a CA for a device",
            [nothing, nothing, a_ca],
            &leaf,
            "it is a CA certificate",
        ),
        (
            "unknown critical extension of the leaf",
            [nothing, nothing, add_unknown_critical_extension],
            &leaf,
            "critical extension",
        ),
        (
            "unknown critical extension of the issuer",
            [nothing, add_unknown_critical_extension, nothing],
            &issuer,
            "critical extension",
        ),
        (
            "unknown critical extension of the root",
            [add_unknown_critical_extension, nothing, nothing],
            &root,
            "critical extension",
        ),
    ] {
        let root = Authority::root("Root", changes[0]);
        let issuer = root.intermediate("Issuer", changes[1]);
        let mut params = certificate();
        changes[2](&mut params);
        let leaf = issuer.issue(&params, &KeyPair::generate().expect("a key"));
        let (at, fault) = fault(judged(&[&root], &[&leaf, &issuer.der]));
        assert_eq!(&at, place, "{name}");
        assert!(fault.to_string().contains(wanted), "{name}: {fault}");
    }
}

#[test]
fn a_device_that_shares_its_key_with_its_maker_is_refused() {
    let maker = Maker::new();
    let leaf = maker.issuer.issue(&certificate(), &maker.issuer.key);
    assert_eq!(
        fault(judged(&[&maker.root], &[&leaf, &maker.issuer.der])),
        (Place::Leaf, Fault::SelfSigned)
    );
    assert_eq!(
        fault(judged(&[&maker.issuer], &[&leaf])).1,
        Fault::SelfSigned
    );
}

#[test]
fn roots_that_could_never_be_one_are_refused_at_once() {
    assert_eq!(Roots::new(Vec::new()), Err(InvalidRoot::None));
    let root = Authority::root("Root", |_| {});
    let leaf = root.leaf(|_| {});
    assert_eq!(
        Roots::new(vec![root.der.clone(), leaf]),
        Err(InvalidRoot::Unusable {
            number: 2,
            fault: Fault::NotACa
        })
    );
    assert!(Roots::new(vec![vec![0x30, 0].into()]).is_err());
}
