//! Each thing that one certificate of an otherwise good chain may have wrong.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
    SerialNumber,
};
use rustls_pki_types::pem::PemObject;

use super::{
    authority::{UNKNOWN_EXTENSION, add_unknown_critical_extension, client, uri, valid},
    *,
};

type Change = fn(&mut CertificateParams);

const AS_IT_IS: Change = |_| {};

/// A chain of root, intermediate and leaf, each changed as told.
fn chain(root: Change, intermediate: Change, leaf: Change) -> Result<VerifiedPath, ChainError> {
    let root = Authority::root("Root", root);
    let intermediate = root.intermediate("Intermediate", intermediate);
    let leaf = intermediate.leaf(leaf);
    verify_now(
        &leaf,
        std::slice::from_ref(&intermediate.der),
        &anchors(&[&root]),
    )
}

fn assert_refused(cases: &[(&str, [Change; 3], Place, Fault)]) {
    for (name, [root, intermediate, leaf], place, fault) in cases {
        let outcome = chain(*root, *intermediate, *leaf).map(|path| path.certificates().len());
        let expected = Err(ChainError::new(place.clone(), fault.clone()));
        assert_eq!(outcome, expected, "{name}");
    }
}

const EXPIRED: Change = |params| valid(params, NOW - 1000, NOW - 1);
const NOT_YET_VALID: Change = |params| valid(params, NOW + 1, NOW + 1000);
const SERVER_ONLY: Change =
    |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];

fn expired() -> Fault {
    Fault::Expired {
        not_after: at(NOW - 1),
    }
}

fn not_yet_valid() -> Fault {
    Fault::NotYetValid {
        not_before: at(NOW + 1),
    }
}

fn unknown_extension() -> Fault {
    Fault::UnknownCriticalExtension(Some(UNKNOWN_EXTENSION.to_owned()))
}

#[test]
fn a_good_chain_is_accepted_and_says_whose_it_is() {
    let root = Authority::root("Root", |params| valid(params, NOW - 50, NOW + 500));
    let intermediate = root.intermediate("Intermediate", |params| {
        params.serial_number = Some(SerialNumber::from_slice(&[7]));
        valid(params, NOW - 40, NOW + 600);
    });
    let leaf = intermediate.leaf(|params| {
        valid(params, NOW - 60, NOW + 700);
        params.subject_alt_names = vec![
            uri("spiffe://example.internal/device/fra/1"),
            SanType::DnsName("A.example".to_owned().try_into().expect("ASCII")),
            SanType::IpAddress("192.0.2.1".parse().expect("an address")),
            SanType::Rfc822Name("a@example.com".to_owned().try_into().expect("ASCII")),
        ];
    });
    let path = verify_now(
        &leaf,
        std::slice::from_ref(&intermediate.der),
        &anchors(&[&root]),
    )
    .expect("a good chain");
    let facts = Facts::read(&leaf).expect("readable");
    let key = IssuerKeyId::of(facts.subject_public_key_info());
    assert_eq!(
        path,
        VerifiedPath {
            leaf: Leaf {
                serial: authority::serial(authority::CLIENT_SERIAL),
                names: SubjectAltNames {
                    dns: vec!["A.example".to_owned()],
                    ip: vec!["192.0.2.1".parse().expect("an address")],
                    uri: vec!["spiffe://example.internal/device/fra/1".to_owned()],
                    others: 1,
                },
                not_before: at(NOW - 60),
                not_after: at(NOW + 700),
                thumbprint: crate::key::sha256(&leaf),
                public_key_sha256: key.0,
            },
            certificates: vec![
                PathCertificate {
                    issuer: intermediate.key_id(),
                    serial: authority::serial(authority::CLIENT_SERIAL),
                    role: CertificateRole::Leaf,
                    not_before: at(NOW - 60),
                    not_after: at(NOW + 700),
                    distribution_points: vec![],
                },
                PathCertificate {
                    issuer: root.key_id(),
                    serial: authority::serial("07"),
                    role: CertificateRole::Intermediate(0),
                    not_before: at(NOW - 40),
                    not_after: at(NOW + 600),
                    distribution_points: vec![],
                },
            ],
            anchor: path::PathAnchor {
                id: "root-0".into(),
                key: root.key_id(),
                not_before: at(NOW - 50),
                not_after: at(NOW + 500),
            },
            // The latest beginning and the earliest end of the three.
            valid_from: at(NOW - 40),
            valid_until: at(NOW + 500),
        }
    );
    assert_eq!(path.issuer(), intermediate.key_id());
}

/// traps.md 34: what rustls and webpki do not look at. webpki alone accepts each of these.
#[test]
fn a_root_that_may_not_be_one_is_refused() {
    let anchor = || Place::Anchor("root-0".to_owned());
    assert_refused(&[
        (
            "expired",
            [EXPIRED, AS_IT_IS, AS_IT_IS],
            anchor(),
            expired(),
        ),
        (
            "not yet valid",
            [NOT_YET_VALID, AS_IT_IS, AS_IT_IS],
            anchor(),
            not_yet_valid(),
        ),
        (
            "unknown critical extension",
            [add_unknown_critical_extension, AS_IT_IS, AS_IT_IS],
            anchor(),
            unknown_extension(),
        ),
        (
            "no CA",
            [|it| it.is_ca = IsCa::ExplicitNoCa, AS_IT_IS, AS_IT_IS],
            anchor(),
            Fault::NotACa,
        ),
        (
            "no keyCertSign",
            [
                |it| it.key_usages = vec![KeyUsagePurpose::CrlSign],
                AS_IT_IS,
                AS_IT_IS,
            ],
            anchor(),
            Fault::KeyUsageWithoutCertSign,
        ),
        (
            "only for servers",
            [SERVER_ONLY, AS_IT_IS, AS_IT_IS],
            anchor(),
            Fault::NotForClientAuthentication,
        ),
        (
            "path length 0 and an intermediate",
            [
                |it| it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)),
                AS_IT_IS,
                AS_IT_IS,
            ],
            anchor(),
            Fault::PathTooLong,
        ),
    ]);
}

#[test]
fn an_intermediate_that_may_not_be_one_is_refused() {
    let first = || Place::Presented(0);
    assert_refused(&[
        // traps.md 34; webpki alone accepts it.
        (
            "no keyCertSign",
            [
                AS_IT_IS,
                |it| it.key_usages = vec![KeyUsagePurpose::DigitalSignature],
                AS_IT_IS,
            ],
            first(),
            Fault::KeyUsageWithoutCertSign,
        ),
        ("expired", [AS_IT_IS, EXPIRED, AS_IT_IS], first(), expired()),
        (
            "not yet valid",
            [AS_IT_IS, NOT_YET_VALID, AS_IT_IS],
            first(),
            not_yet_valid(),
        ),
        // traps.md 9 (UCM #264, openbao #60).
        (
            "only for servers",
            [AS_IT_IS, SERVER_ONLY, AS_IT_IS],
            Place::Chain,
            Fault::NotForClientAuthentication,
        ),
        (
            "no CA",
            [AS_IT_IS, |it| it.is_ca = IsCa::ExplicitNoCa, AS_IT_IS],
            Place::Chain,
            Fault::NotACa,
        ),
        (
            "unknown critical extension",
            [AS_IT_IS, add_unknown_critical_extension, AS_IT_IS],
            Place::Chain,
            Fault::UnknownCriticalExtension(None),
        ),
        (
            "serial 0",
            [
                AS_IT_IS,
                |it| it.serial_number = Some(SerialNumber::from_slice(&[0])),
                AS_IT_IS,
            ],
            first(),
            Fault::InvalidSerial(crate::serial::InvalidSerial::Zero),
        ),
    ]);
    let any_purpose: Change = |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    let no_key_usage: Change = |it| it.key_usages = vec![];
    for good in [any_purpose, no_key_usage] {
        assert_eq!(
            chain(AS_IT_IS, good, AS_IT_IS).map(|path| path.certificates().len()),
            Ok(2)
        );
    }
}

/// traps.md 34 and 28 (Envoy CVE-2022-21657); 27 for the names.
#[test]
fn a_leaf_that_is_no_clients_is_refused() {
    let name = |text: &str| Fault::InvalidName(format!("{text:?} is no absolute URI"));
    let invalid = |text: &'static str| Fault::InvalidName(format!("{text:?} is no DNS name"));
    let cases: Vec<(&str, Change, Fault)> = vec![
        ("expired", EXPIRED, expired()),
        ("not yet valid", NOT_YET_VALID, not_yet_valid()),
        (
            "no extended key usage",
            |it| it.extended_key_usages = vec![],
            Fault::NoExtendedKeyUsage,
        ),
        (
            "anyExtendedKeyUsage",
            |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any],
            Fault::NotForClientAuthentication,
        ),
        ("serverAuth", SERVER_ONLY, Fault::NotForClientAuthentication),
        (
            "a CA",
            |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Fault::CaAsClient,
        ),
        (
            "keyCertSign",
            |it| {
                it.key_usages = vec![
                    KeyUsagePurpose::DigitalSignature,
                    KeyUsagePurpose::KeyCertSign,
                ];
            },
            Fault::CaAsClient,
        ),
        (
            "no digitalSignature",
            |it| it.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
            Fault::KeyUsageWithoutDigitalSignature,
        ),
        (
            "unknown critical extension",
            add_unknown_critical_extension,
            unknown_extension(),
        ),
        (
            "serial 0",
            |it| it.serial_number = Some(SerialNumber::from_slice(&[0])),
            Fault::InvalidSerial(crate::serial::InvalidSerial::Zero),
        ),
        (
            "serial of 21 octets",
            |it| it.serial_number = Some(SerialNumber::from_slice(&[1; 21])),
            Fault::InvalidSerial(crate::serial::InvalidSerial::TooLong(21)),
        ),
        (
            "a URI with a line break",
            |it| it.subject_alt_names = vec![uri("spiffe://a/\r\nx")],
            name("spiffe://a/\r\nx"),
        ),
        (
            "a URI with a quote",
            |it| it.subject_alt_names = vec![uri("spiffe://a/\"x")],
            name("spiffe://a/\"x"),
        ),
        (
            "a URI without a scheme",
            |it| it.subject_alt_names = vec![uri("device/fra/1")],
            name("device/fra/1"),
        ),
        (
            "a DNS name with a NUL",
            |it| {
                it.subject_alt_names = vec![SanType::DnsName(
                    "a\0.example".to_owned().try_into().expect("ASCII"),
                )];
            },
            invalid("a\0.example"),
        ),
        (
            "a DNS name that is a URI",
            |it| {
                it.subject_alt_names = vec![SanType::DnsName(
                    "spiffe://a/b".to_owned().try_into().expect("ASCII"),
                )];
            },
            invalid("spiffe://a/b"),
        ),
    ];
    for (name, leaf, fault) in cases {
        let outcome = chain(AS_IT_IS, AS_IT_IS, leaf).map(|path| path.leaf().names.clone());
        assert_eq!(outcome, Err(ChainError::new(Place::Leaf, fault)), "{name}");
    }
    assert!(chain(AS_IT_IS, AS_IT_IS, |it| it.key_usages = vec![]).is_ok());
}

/// As octets, -0x75f4f4 and 0x8a0b0c are one serial; a list could not tell them apart.
#[test]
fn a_negative_serial_is_refused() {
    let root = Authority::root("Root", |_| {});
    let leaf = root.leaf(|_| {});
    let negative = root.alter(&leaf, &[2, 3, 10, 11, 12], &[2, 3, 0x8a, 11, 12]);
    let outcome = verify_now(&negative, &[], &anchors(&[&root])).map(drop);
    let fault = Fault::Malformed("its serial number is negative".to_owned());
    assert_eq!(outcome, Err(ChainError::new(Place::Leaf, fault)));
}

#[test]
fn a_leaf_with_the_key_of_a_ca_above_it_is_refused() {
    let root = Authority::root("Root", |_| {});
    let own = root.issue(&client(), &root.key);
    let mut self_signed = client();
    self_signed.distinguished_name = root.params.distinguished_name.clone();
    let self_signed = self_signed
        .self_signed(&root.key)
        .expect("signed")
        .der()
        .clone();
    let as_anchor = Anchors::new(vec![Anchor {
        id: "itself".to_owned(),
        certificate: self_signed.clone(),
    }])
    .expect("readable");
    let refused = Err(ChainError::new(Place::Leaf, Fault::SelfSigned));
    for leaf in [&own, &self_signed] {
        let outcome = verify_now(leaf, &[], &anchors(&[&root])).map(drop);
        assert_eq!(outcome, refused.clone());
    }
    assert_eq!(
        verify_now(&self_signed, &[], &as_anchor).map(drop),
        Err(ChainError::new(
            Place::Anchor("itself".to_owned()),
            Fault::NotACa
        ))
    );
}

/// dependencies.md: x509-parser accepts SHA-1 and RSA-1024 signatures; webpki does not look at a leaf's key.
#[test]
fn weak_algorithms_are_refused_wherever_they_stand() {
    macro_rules! pem {
        ($name:literal) => {
            CertificateDer::from_pem_slice(include_bytes!(concat!("weak/", $name, ".pem")))
                .expect("a certificate")
        };
    }
    let anchors = Anchors::new(vec![
        Anchor {
            id: "weak".to_owned(),
            certificate: pem!("root"),
        },
        Anchor {
            id: "weaker".to_owned(),
            certificate: pem!("root-rsa-1024"),
        },
    ])
    .expect("readable");
    let refused = |place| Err(ChainError::new(place, Fault::UnsupportedAlgorithm));
    for (name, leaf, expected) in [
        ("RSA 2048", pem!("rsa-2048"), Ok(())),
        ("RSA 1024", pem!("rsa-1024"), refused(Place::Leaf)),
        ("secp256k1", pem!("secp256k1"), refused(Place::Leaf)),
        ("SHA-1", pem!("sha-1"), refused(Place::Chain)),
        (
            "below RSA 1024",
            pem!("below-rsa-1024"),
            Err(ChainError::new(Place::Chain, Fault::BadSignature)),
        ),
    ] {
        let outcome = verify_now(&leaf, &[], &anchors).map(drop);
        assert_eq!(outcome, expected, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_a_reason_and_without_a_panic() {
    let root = Authority::root("Root", |_| {});
    let intermediate = root.intermediate("Intermediate", |_| {});
    let leaf = intermediate.leaf(|_| {});
    let anchors = anchors(&[&root]);
    for length in 0..leaf.len() {
        let cut = CertificateDer::from(&leaf[..length]);
        let error = verify_now(&cut, &[], &anchors).expect_err("it is cut off");
        assert_eq!(error.category(), Category::Malformed, "{length}: {error}");
    }
    for index in 0..leaf.len() {
        let mut changed = leaf.to_vec();
        changed[index] ^= 0x04;
        let chain = std::slice::from_ref(&intermediate.der);
        let outcome = verify_now(&CertificateDer::from(changed), chain, &anchors);
        assert!(outcome.is_err(), "octet {index} is not signed");
    }
    assert_eq!(Anchors::new(vec![]).err(), Some(InvalidAnchor::None));
    let broken = Anchors::new(vec![Anchor {
        id: "broken".to_owned(),
        certificate: CertificateDer::from(&b"\x30\x03\x02\x01"[..]),
    }]);
    assert!(matches!(broken, Err(InvalidAnchor::Unreadable { id, .. }) if id == "broken"));
}

/// traps.md 31: 64 KiB chains, twenty intermediates.
#[test]
fn more_than_a_handshake_may_bring_is_refused_before_it_is_read() {
    let root = Authority::root("Root", |_| {});
    let leaf = root.leaf(|_| {});
    let anchors = anchors(&[&root]);
    let junk = |octets: usize| CertificateDer::from(vec![0; octets]);
    let twenty = vec![root.der.clone(); 20];
    let cases = [
        (
            twenty,
            Place::Chain,
            Fault::TooManyCertificates {
                presented: 21,
                limit: 10,
            },
        ),
        (
            vec![root.der.clone(), junk(16 * 1024 + 1)],
            Place::Presented(1),
            Fault::TooLarge {
                octets: 16 * 1024 + 1,
                limit: 16 * 1024,
            },
        ),
        (
            vec![junk(16 * 1024); 4],
            Place::Chain,
            Fault::TooLarge {
                octets: 64 * 1024 + leaf.len(),
                limit: 64 * 1024,
            },
        ),
    ];
    for (presented, place, fault) in cases {
        assert_eq!(
            verify_now(&leaf, &presented, &anchors).map(drop),
            Err(ChainError::new(place, fault))
        );
    }
}
