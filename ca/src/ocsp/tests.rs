//! Requests from anybody, and answers held to what must never be signed.

use std::{future::Future, pin::pin, task::Context};

use proptest::prelude::*;

use super::*;
use crate::{
    certificate::{Draft, IssuerCertificate},
    der::{self, reader::Reader},
    key::{KeyAlgorithm, Signer, SigningKey},
    lint::Findings,
    profile::{Profile, ProfileKind, Subject},
    revocation::RevocationReason,
    serial::Serial,
};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

/// Signers in memory are ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it should be ready"),
    }
}

struct Fixture {
    issuer: IssuerCertificate,
    issuer_key: SigningKey,
    responder: Responder,
    responder_key: SigningKey,
}

fn draft(kind: ProfileKind, name: &str, key: &SigningKey, not_after: i64) -> Draft {
    let profile = Profile::default_for(kind);
    let not_after = not_after.min(profile.validity(NOW, i64::MAX).1);
    Draft {
        subject: Subject::CommonName(name.to_owned()),
        revocation_list: (kind == ProfileKind::Root)
            .then(|| "http://127.0.0.1/crl/1/0.crl".to_owned()),
        ..Draft::new(
            profile.into(),
            Serial::random().expect("randomness"),
            key.public_key().clone(),
            (NOW - 60, not_after),
        )
    }
}

fn fixture() -> Fixture {
    let issuer_key = SigningKey::generate(KeyAlgorithm::P384).expect("a key");
    let issuer = draft(ProfileKind::Root, "Test CA", &issuer_key, i64::MAX);
    let issuer = now(issuer.check(None).expect("clean").sign(&issuer_key)).expect("signed");
    let issuer = IssuerCertificate::from_der(issuer.der()).expect("an issuer");
    let (responder, responder_key) = responder(&issuer, &issuer_key);
    Fixture {
        issuer,
        issuer_key,
        responder,
        responder_key,
    }
}

fn responder(issuer: &IssuerCertificate, issuer_key: &SigningKey) -> (Responder, SigningKey) {
    let key = SigningKey::generate(KeyAlgorithm::P256).expect("a key");
    let der = draft(ProfileKind::OcspResponder, "OCSP", &key, i64::MAX);
    let der = now(der.check(Some(issuer)).expect("clean").sign(issuer_key)).expect("signed");
    let responder = Responder::from_der(der.der(), issuer).expect("a responder");
    (responder, key)
}

fn serial(text: &str) -> Serial {
    text.parse().expect("a serial")
}

fn answer(cert_id: CertId) -> SingleResponse {
    SingleResponse {
        cert_id,
        status: CertStatus::Good,
        this_update: NOW,
        next_update: NOW + HOUR,
    }
}

fn request(cert_ids: &[&[u8]], extensions: &[Vec<u8>]) -> Vec<u8> {
    let requests: Vec<u8> = cert_ids
        .iter()
        .flat_map(|id| der::encode(tag::SEQUENCE, &[id]))
        .collect();
    let list = der::encode(tag::SEQUENCE, &[&requests]);
    let extensions = if extensions.is_empty() {
        vec![]
    } else {
        let all = extensions.concat();
        der::encode(tag::EXPLICIT_2, &[&der::encode(tag::SEQUENCE, &[&all])])
    };
    der::encode(
        tag::SEQUENCE,
        &[&der::encode(tag::SEQUENCE, &[&list, &extensions])],
    )
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let boolean: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der::encode(
        tag::SEQUENCE,
        &[
            &der::encode(tag::OBJECT_IDENTIFIER, &[oid]),
            boolean,
            &der::encode(tag::OCTET_STRING, &[value]),
        ],
    )
}

fn nonce(octets: &[u8]) -> Vec<u8> {
    extension(OID_NONCE, false, &der::encode(tag::OCTET_STRING, &[octets]))
}

#[test]
fn a_request_names_its_issuer_by_sha_1_or_sha_256() {
    let fixture = fixture();
    let other = self::fixture();
    for algorithm in HashAlgorithm::ALL {
        for number in ["01", "7f", "80", "ff00000000000000000000000000000000000001"] {
            let id = CertId::new(algorithm, &fixture.issuer, serial(number));
            let read = Request::from_der(&request(&[id.to_der()], &[nonce(&[7; 16])]));
            assert_eq!(
                read,
                Ok(Request {
                    cert_ids: vec![id.clone()],
                    nonce: Nonce::new(&[7; 16]),
                }),
                "{algorithm:?} {number}"
            );
            assert_eq!(id.serial(), Some(serial(number)));
            assert!(fixture.responder.answers_for(&id));
            assert!(!other.responder.answers_for(&id));
        }
    }
}

/// RFC 9654 section 2.1: a nonce of 0 octets or of more than 128 is answered with malformedRequest.
#[test]
fn a_nonce_has_1_to_128_octets() {
    let fixture = fixture();
    let id = CertId::new(HashAlgorithm::Sha1, &fixture.issuer, serial("01"));
    for length in [0, 1, 15, 16, 32, 128, 129, 4096] {
        let octets = vec![9; length];
        let read = Request::from_der(&request(&[id.to_der()], &[nonce(&octets)]));
        let wanted = Nonce::new(&octets).ok_or(RequestError::NonceLength(length));
        assert_eq!(wanted.is_ok(), (1..=128).contains(&length), "{length}");
        assert_eq!(read.map(|read| read.nonce), wanted.map(Some), "{length}");
    }
}

#[test]
fn hostile_requests_are_malformed_and_harmless_ones_are_not() {
    let fixture = fixture();
    let id = CertId::new(HashAlgorithm::Sha256, &fixture.issuer, serial("01"));
    let id = id.to_der();
    let good = request(&[id], &[]);
    let malformed = |what| Err(RequestError::Malformed(what));
    let seq = |parts: &[&[u8]]| der::encode(tag::SEQUENCE, parts);
    let one = seq(&[id]);
    let list = seq(&[&one]);
    let explicit = |tag, contents: &[u8]| der::encode(tag, &[contents]);
    let version = |number| explicit(tag::EXPLICIT_0, &[tag::INTEGER, 1, number]);
    let strange: &[u8] = &[0x2a, 3];
    let sha_512 = {
        let identifier = seq(&[&[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3]]);
        seq(&[&identifier, &[4, 1, 1], &[4, 1, 1], &[2, 1, 1]])
    };
    let with_serial = |integer: &[u8]| {
        let mut fields = Reader::new(id).within(tag::SEQUENCE).expect("a CertID");
        let parts: Vec<&[u8]> = (0..3)
            .map(|_| fields.element().expect("a field").encoded)
            .collect();
        seq(&[&parts.concat(), &der::encode(tag::INTEGER, &[integer])])
    };
    let table: Vec<(&str, Vec<u8>, Result<usize, RequestError>)> = vec![
        ("one", good.clone(), Ok(1)),
        ("nothing", vec![], malformed("it is no OCSPRequest")),
        (
            "cut short",
            good[..good.len() - 1].to_vec(),
            malformed("it is no OCSPRequest"),
        ),
        (
            "trailing data",
            [&good[..], &[0]].concat(),
            malformed("data follows the request"),
        ),
        (
            "a signature, which is not looked at",
            seq(&[&seq(&[&list]), &explicit(tag::EXPLICIT_0, &seq(&[]))]),
            Ok(1),
        ),
        (
            "more than a signature",
            seq(&[&seq(&[&list]), &[5, 0]]),
            malformed("what follows the TBSRequest is no signature"),
        ),
        (
            "version 1, written",
            seq(&[&seq(&[&version(0), &list])]),
            Ok(1),
        ),
        (
            "version 2",
            seq(&[&seq(&[&version(1), &list])]),
            malformed("it is of another version than 1"),
        ),
        (
            "a requestor's name",
            seq(&[&seq(&[&explicit(tag::EXPLICIT_1, &[0x82, 1, b'a']), &list])]),
            Ok(1),
        ),
        (
            "no list",
            seq(&[&seq(&[])]),
            malformed("it has no list of requests"),
        ),
        (
            "an empty list",
            request(&[], &[]),
            malformed("it asks about no certificate"),
        ),
        ("sixteen", request(&[id; 16], &[]), Ok(16)),
        (
            "seventeen",
            request(&[id; 17], &[]),
            Err(RequestError::TooManyCertIds),
        ),
        (
            "a thousand",
            request(&[id; 1000], &[]),
            Err(RequestError::TooManyCertIds),
        ),
        ("another hash", request(&[&sha_512], &[]), Ok(1)),
        (
            "no CertID",
            request(&[&seq(&[&[2, 1, 1]])], &[]),
            malformed("a CertID"),
        ),
        (
            "a serial that is not the shortest",
            request(&[&with_serial(&[0, 1])], &[]),
            malformed("a CertID"),
        ),
        (
            "an empty serial",
            request(&[&with_serial(&[])], &[]),
            malformed("a CertID"),
        ),
        ("zero", request(&[&with_serial(&[0])], &[]), Ok(1)),
        ("minus one", request(&[&with_serial(&[0xff])], &[]), Ok(1)),
        ("too long", request(&[&with_serial(&[1; 21])], &[]), Ok(1)),
        (
            "an unknown extension",
            request(&[id], &[extension(strange, false, &[])]),
            Ok(1),
        ),
        (
            "an unknown critical extension",
            request(&[id], &[extension(strange, true, &[])]),
            Err(RequestError::CriticalExtension("2a03".to_owned())),
        ),
        (
            "an unknown critical extension of one certificate",
            {
                let extensions = seq(&[&extension(strange, true, &[])]);
                let one = seq(&[id, &explicit(tag::EXPLICIT_0, &extensions)]);
                seq(&[&seq(&[&seq(&[&one])])])
            },
            Err(RequestError::CriticalExtension("2a03".to_owned())),
        ),
        (
            "a critical nonce, which is known",
            request(&[id], &[extension(OID_NONCE, true, &[4, 1, 1])]),
            Ok(1),
        ),
        (
            "two nonces",
            request(&[id], &[nonce(&[1]), nonce(&[1])]),
            malformed("two nonces"),
        ),
        (
            "a bare nonce",
            request(&[id], &[extension(OID_NONCE, false, &[1; 16])]),
            malformed("the nonce is no OCTET STRING"),
        ),
        (
            "no extension",
            seq(&[&seq(&[&list, &explicit(tag::EXPLICIT_2, &seq(&[]))])]),
            malformed("the extensions"),
        ),
        (
            "something at the end",
            seq(&[&seq(&[&list, &[5, 0]])]),
            malformed("what follows the list of requests"),
        ),
    ];
    let wrong: Vec<_> = table
        .into_iter()
        .filter_map(|(what, octets, wanted)| {
            let read = Request::from_der(&octets).map(|read| read.cert_ids.len());
            (read != wanted).then(|| format!("{what}: {read:?}, not {wanted:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

proptest! {
    #[test]
    fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::from_der(&octets);
    }

    #[test]
    fn no_flipped_octet_makes_the_reader_panic(at in 0_usize..120, to in any::<u8>(), cut in 0_usize..120) {
        let id = der::encode(tag::SEQUENCE, &[
            &der::encode(tag::SEQUENCE, &[&[6, 5, 0x2b, 0x0e, 3, 2, 0x1a], &[5, 0]]),
            &der::encode(4, &[&[1; 20]]),
            &der::encode(4, &[&[2; 20]]),
            &[2, 1, 1],
        ]);
        let mut octets = request(&[&id], &[nonce(&[1; 16])]);
        let length = octets.len();
        octets[at % length] = to;
        let _ = Request::from_der(&octets);
        let _ = Request::from_der(&octets[..cut % length]);
    }
}

#[test]
fn an_answer_is_signed_by_its_responder_alone() {
    let fixture = fixture();
    let id = CertId::new(HashAlgorithm::Sha1, &fixture.issuer, serial("01"));
    let draft = ResponseDraft {
        produced_at: NOW,
        responses: vec![answer(id)],
        nonce: Nonce::new(&[1; 32]),
    };
    let check = || draft.check(&fixture.responder).expect("clean");
    let signed = now(check().sign(&fixture.responder_key)).expect("signed");
    assert_eq!(
        signed[signed.len() - fixture.responder.der().len()..],
        *fixture.responder.der()
    );
    let by_the_ca = now(check().sign(&fixture.issuer_key));
    assert!(by_the_ca.is_err(), "{by_the_ca:?}");
    let leaf = draft_of_a_leaf(&fixture);
    assert!(Responder::from_der(&leaf, &fixture.issuer).is_err());
    let other = self::fixture();
    assert!(Responder::from_der(other.responder.der(), &fixture.issuer).is_err());
}

fn draft_of_a_leaf(fixture: &Fixture) -> Vec<u8> {
    let key = SigningKey::generate(KeyAlgorithm::P256).expect("a key");
    let mut leaf = draft(ProfileKind::Server, "a.example", &key, i64::MAX);
    leaf.names = vec![crate::name::GeneralName::Dns(
        "a.example".parse().expect("a name"),
    )];
    leaf.revocation_list = Some("http://127.0.0.1/crl/1/0.crl".to_owned());
    let leaf = leaf.check(Some(&fixture.issuer)).expect("clean");
    now(leaf.sign(&fixture.issuer_key))
        .expect("signed")
        .into_der()
}

#[test]
fn an_answer_without_a_signature_is_five_octets() {
    for (status, code) in [
        (ResponseStatus::MalformedRequest, 1),
        (ResponseStatus::InternalError, 2),
        (ResponseStatus::TryLater, 3),
        (ResponseStatus::SigRequired, 5),
        (ResponseStatus::Unauthorized, 6),
    ] {
        assert_eq!(status.to_der(), [0x30, 3, 0x0a, 1, code]);
    }
}

/// Each rule of the linter finds what it is for: octets that say one thing, and a draft that means another.
#[test]
fn the_linter_finds_every_difference_between_what_was_meant_and_what_is_signed() {
    let fixture = fixture();
    let other = self::fixture();
    let (second, _) = responder(&fixture.issuer, &fixture.issuer_key);
    let id = |algorithm| CertId::new(algorithm, &fixture.issuer, serial("0badc0de"));
    let meant = ResponseDraft {
        produced_at: NOW,
        responses: vec![SingleResponse {
            status: CertStatus::Revoked {
                at: NOW - HOUR,
                reason: RevocationReason::KeyCompromise,
            },
            ..answer(id(HashAlgorithm::Sha1))
        }],
        nonce: Nonce::new(&[3; 16]),
    };
    let negative = {
        let mut octets = meant.responses[0].cert_id.to_der().to_vec();
        let at = octets.len() - 4;
        octets[at] = 0x8b;
        CertId::read(&mut Reader::new(&octets)).expect("a CertID")
    };
    assert_eq!(negative.serial(), None);

    // What is written and what is meant, told apart by the draft.
    type Change<'a> = Box<dyn Fn(&mut ResponseDraft) + 'a>;
    let drafts: Vec<(&str, Change<'_>, bool)> = vec![
        ("producedAt is", Box::new(|d| d.produced_at += 1), false),
        (
            "valid when the answer is signed",
            Box::new(|d| {
                d.produced_at = fixture.responder.not_after() + 1;
            }),
            true,
        ),
        (
            "valid when the answer is signed",
            Box::new(|d| d.produced_at = fixture.responder.not_before() - 1),
            true,
        ),
        (
            "every CertID of the request",
            Box::new(|d| d.responses.push(d.responses[0].clone())),
            false,
        ),
        (
            "every CertID of the request",
            Box::new(|d| d.responses.clear()),
            true,
        ),
        (
            "the nonce of the request",
            Box::new(|d| d.nonce = None),
            false,
        ),
        (
            "the nonce of the request",
            Box::new(|d| d.nonce = Nonce::new(&[4; 16])),
            false,
        ),
        (
            "certID is the request's",
            Box::new(|d| d.responses[0].cert_id = id(HashAlgorithm::Sha256)),
            false,
        ),
        (
            "its own issuer only",
            Box::new(|d| {
                d.responses[0].cert_id =
                    CertId::new(HashAlgorithm::Sha1, &other.issuer, serial("01"));
            }),
            true,
        ),
        (
            "the status is the store's",
            Box::new(|d| d.responses[0].status = CertStatus::Good),
            false,
        ),
        (
            "the status is the store's",
            Box::new(|d| {
                d.responses[0].status = CertStatus::Revoked {
                    at: NOW - HOUR,
                    reason: RevocationReason::Unspecified,
                };
            }),
            false,
        ),
        (
            "can't be a certificate of ours",
            Box::new(|d| d.responses[0].cert_id = negative.clone()),
            true,
        ),
        (
            "thisUpdate, producedAt, then nextUpdate",
            Box::new(|d| d.responses[0].this_update = NOW + 1),
            true,
        ),
        (
            "thisUpdate, producedAt, then nextUpdate",
            Box::new(|d| d.responses[0].next_update = NOW),
            true,
        ),
        (
            "outlasts the answer",
            Box::new(|d| d.responses[0].next_update = fixture.responder.not_after() + 1),
            true,
        ),
    ];
    let findings = |octets: &[u8], draft: &ResponseDraft, responder: &Responder| {
        let mut findings = Findings(Vec::new());
        lint::response(&mut findings, octets, draft, responder);
        findings
            .0
            .iter()
            .map(|finding| finding.rule)
            .collect::<Vec<_>>()
    };
    let octets = meant.to_be_signed(&fixture.responder).expect("encoded");
    assert_eq!(findings(&octets, &meant, &fixture.responder), [""; 0]);
    let mut wrong = Vec::new();
    let mut expect = |rule: &str, found: Vec<&str>| {
        if !found.iter().any(|found| found.contains(rule)) {
            wrong.push(format!("{rule}: {found:?}"));
        }
    };
    for (rule, change, written_too) in drafts {
        let mut changed = meant.clone();
        change(&mut changed);
        let octets = if written_too { &changed } else { &meant };
        let octets = octets.to_be_signed(&fixture.responder).expect("encoded");
        expect(rule, findings(&octets, &changed, &fixture.responder));
    }

    // What no draft can say, in the octets themselves.
    let mut fields = Reader::new(&octets).within(tag::SEQUENCE).expect("fields");
    let fields: Vec<&[u8]> = (0..4)
        .map(|_| fields.element().expect("a field").encoded)
        .collect();
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut fields: Vec<Vec<u8>> = fields.iter().map(|field| field.to_vec()).collect();
        change(&mut fields);
        der::encode(tag::SEQUENCE, &[&fields.concat()])
    };
    let single = |extra: &[u8]| {
        let mut list = Reader::new(fields[2])
            .within(tag::SEQUENCE)
            .expect("a list");
        let single = list
            .expect(tag::SEQUENCE)
            .expect("a SingleResponse")
            .contents;
        let single = der::encode(tag::SEQUENCE, &[single, extra]);
        der::encode(tag::SEQUENCE, &[&single])
    };
    let fraction = der::encode(tag::GENERALIZED_TIME, &[b"20270115080000.5Z"]);
    for (rule, octets) in [
        ("it is a ResponseData", octets[..octets.len() - 1].to_vec()),
        ("it is a ResponseData", with(&|f| f.push(vec![5, 0]))),
        (
            "version 1, which DER leaves out",
            with(&|f| f.insert(0, vec![tag::EXPLICIT_0, 3, tag::INTEGER, 1, 0])),
        ),
        ("producedAt is", with(&|f| f[1].clone_from(&fraction))),
        (
            "responderID is the SHA-1",
            with(&|f| f[0] = der::encode(tag::EXPLICIT_1, &[&[0x30, 0]])),
        ),
        (
            "no other extension",
            with(&|f| {
                let nonce = nonce(&[3; 16]);
                let all = [nonce.clone(), nonce].concat();
                f[3] = der::encode(tag::EXPLICIT_1, &[&der::encode(tag::SEQUENCE, &[&all])]);
            }),
        ),
        (
            "a SingleResponse has no extensions",
            with(&|f| f[2] = single(&[tag::EXPLICIT_1, 2, 0x30, 0])),
        ),
    ] {
        expect(rule, findings(&octets, &meant, &fixture.responder));
    }
    expect(
        "responderID is the SHA-1",
        findings(&octets, &meant, &second),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
