//! Lists, and what the linter must never let through.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use x509_parser::{
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    prelude::FromDer,
    revocation_list::CertificateRevocationList,
};

use super::*;
use crate::{
    certificate::Draft,
    der::encode,
    key::{KeyAlgorithm, SigningKey},
    profile::{Profile, ProfileKind, Subject},
};

const NOW: i64 = 1_800_000_000;
const URI: &str = "http://127.0.0.1/crl/1/7.crl";

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the signer keeps its key in memory"),
    }
}

fn issuer(key: &SigningKey) -> IssuerCertificate {
    let profile = Profile::default_for(ProfileKind::Root);
    let validity = profile.validity(NOW - 1000, i64::MAX);
    let root = Draft {
        subject: Subject::CommonName("Lists".to_owned()),
        revocation_list: Some(URI.to_owned()),
        ..Draft::new(
            Arc::new(profile),
            Serial::random().expect("randomness"),
            key.public_key().clone(),
            validity,
        )
    };
    let root = now(root.check(None).expect("clean").sign(key)).expect("signed");
    IssuerCertificate::from_der(root.der()).expect("an issuer")
}

fn key() -> SigningKey {
    SigningKey::generate(KeyAlgorithm::P256).expect("a key")
}

fn entry(serial: &str, revoked_at: i64, reason: RevocationReason) -> RevokedEntry {
    RevokedEntry {
        serial: serial.parse().expect("a serial"),
        revoked_at,
        reason,
    }
}

fn draft() -> ListDraft {
    ListDraft {
        number: 300,
        this_update: NOW,
        next_update: NOW + 86_400,
        scope: ListScope::Leaves,
        distribution_point: URI.to_owned(),
        entries: vec![
            entry("0a", NOW - 10, RevocationReason::Unspecified),
            entry("80", NOW - 20, RevocationReason::KeyCompromise),
            entry(
                "ff000000000000000000000000000001",
                NOW - 30,
                RevocationReason::Superseded,
            ),
        ],
    }
}

/// Another parser than ours reads what was meant, with every kind of serial, reason, time, number and scope.
#[test]
fn another_parser_reads_what_was_meant() {
    for (scope, number, this_update) in [
        (ListScope::Leaves, 1, NOW),
        (ListScope::Authorities, 0x80, NOW),
        (ListScope::Leaves, u64::MAX, 2_524_607_999), // 2049-12-31T23:59:59Z
        (ListScope::Leaves, 0x7fff, 2_524_608_000),   // 2050-01-01T00:00:00Z
    ] {
        let key = key();
        let issuer = issuer(&key);
        let draft = ListDraft {
            number,
            this_update,
            next_update: this_update + 60,
            scope,
            entries: (RevocationReason::ALL.into_iter().zip(0_i64..))
                .map(|(reason, index)| RevokedEntry {
                    serial: Serial::from_der_integer(&[0x7f + index as u8, 1]).expect("not zero"),
                    revoked_at: this_update - index,
                    reason,
                })
                .collect(),
            ..draft()
        };
        let checked = draft.check(&issuer).expect("clean");
        let der = now(checked.sign(&key)).expect("signed");
        assert_eq!(draft.check_signed(&der, &issuer), Ok(()));
        let (rest, list) = CertificateRevocationList::from_der(&der).expect("a list");
        assert!(rest.is_empty());
        assert_eq!(list.issuer().as_raw(), issuer.subject);
        assert_eq!(list.last_update().timestamp(), draft.this_update);
        assert_eq!(
            list.next_update().map(|time| time.timestamp()),
            Some(draft.next_update)
        );
        assert_eq!(
            list.crl_number().map(ToString::to_string),
            Some(number.to_string())
        );
        let read: Vec<RevokedEntry> = list
            .iter_revoked_certificates()
            .map(|entry| RevokedEntry {
                serial: Serial::from_der_integer(entry.raw_serial()).expect("a serial"),
                revoked_at: entry.revocation_date.timestamp(),
                reason: entry
                    .reason_code()
                    .map_or(RevocationReason::Unspecified, |(_, code)| {
                        RevocationReason::from_code(code.0).expect("a reason")
                    }),
            })
            .collect();
        assert_eq!(read, draft.entries);
        let point = list.extensions().iter().find_map(|extension| {
            if let ParsedExtension::IssuingDistributionPoint(point) = extension.parsed_extension()
                && extension.critical
            {
                Some(point)
            } else {
                None
            }
        });
        let point = point.expect("a critical issuing distribution point");
        assert_eq!(
            (point.only_contains_user_certs, point.only_contains_ca_certs),
            (scope == ListScope::Leaves, scope == ListScope::Authorities)
        );
        assert_eq!(
            point.distribution_point,
            Some(DistributionPointName::FullName(vec![GeneralName::URI(URI)]))
        );
        assert_eq!(
            crate::list::serials_on(&der),
            Ok(draft.entries.iter().map(|entry| entry.serial).collect())
        );
    }
}

/// A TBSCertList in its parts, by default those of [`draft`].
struct Parts {
    version: Vec<u8>,
    algorithm: Vec<u8>,
    issuer: Vec<u8>,
    this_update: Vec<u8>,
    next_update: Vec<u8>,
    /// Serial's contents, date, extensions.
    entries: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    empty_entries: bool,
    extensions: Vec<Vec<u8>>,
    after: Vec<u8>,
}

const REASON: &[u8] = &[0x55, 0x1d, 21];

fn utc_time(seconds: i64) -> Vec<u8> {
    write::Time::at(seconds).expect("a time").encoded().to_vec()
}

fn extension(oid: &[u8], critical: &[u8], value: &[u8]) -> Vec<u8> {
    encode(0x30, &[&encode(6, &[oid]), critical, &encode(4, &[value])])
}

fn reason(oid: &[u8], critical: &[u8], code: u8) -> Vec<u8> {
    encode(0x30, &[&extension(oid, critical, &[10, 1, code])])
}

const CRITICAL: &[u8] = &[1, 1, 0xff];

fn key_identifier(identifier: &[u8]) -> Vec<u8> {
    let value = encode(0x30, &[&encode(0x80, &[identifier])]);
    extension(&[0x55, 0x1d, 35], &[], &value)
}

fn number(contents: &[u8]) -> Vec<u8> {
    extension(&[0x55, 0x1d, 20], &[], &encode(2, &[contents]))
}

fn point(critical: &[u8], uris: &[&str], flags: &[u8]) -> Vec<u8> {
    let uris: Vec<u8> = uris
        .iter()
        .flat_map(|uri| encode(0x86, &[uri.as_bytes()]))
        .collect();
    let value = encode(0x30, &[&encode(0xa0, &[&encode(0xa0, &[&uris])]), flags]);
    extension(&[0x55, 0x1d, 28], critical, &value)
}

impl Parts {
    fn of(draft: &ListDraft, issuer: &IssuerCertificate) -> Self {
        Self {
            version: vec![2, 1, 1],
            algorithm: issuer
                .public_key()
                .algorithm()
                .signature_algorithm_identifier()
                .to_vec(),
            issuer: issuer.subject.clone(),
            this_update: utc_time(draft.this_update),
            next_update: utc_time(draft.next_update),
            entries: vec![
                (vec![0x0a], utc_time(NOW - 10), vec![]),
                (vec![0, 0x80], utc_time(NOW - 20), reason(REASON, &[], 1)),
                (
                    hex::decode("00ff000000000000000000000000000001").expect("hexadecimal"),
                    utc_time(NOW - 30),
                    reason(REASON, &[], 4),
                ),
            ],
            empty_entries: false,
            extensions: vec![
                key_identifier(&issuer.key_identifier),
                number(&[1, 44]),
                point(CRITICAL, &[URI], &[0x81, 1, 0xff]),
            ],
            after: vec![],
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let entries: Vec<u8> = self
            .entries
            .iter()
            .flat_map(|(serial, date, extensions)| {
                encode(0x30, &[&encode(2, &[serial]), date, extensions])
            })
            .collect();
        let entries = if entries.is_empty() && !self.empty_entries {
            vec![]
        } else {
            encode(0x30, &[&entries])
        };
        let extensions = encode(0xa0, &[&encode(0x30, &[&self.extensions.concat()])]);
        encode(
            0x30,
            &[
                &self.version,
                &self.algorithm,
                &self.issuer,
                &self.this_update,
                &self.next_update,
                &entries,
                &extensions,
                &self.after,
            ],
        )
    }
}

#[test]
fn the_parts_make_the_very_octets_that_are_written() {
    let issuer = issuer(&key());
    let (draft, parts) = (draft(), Parts::of(&draft(), &issuer));
    assert_eq!(write::to_be_signed(&draft, &issuer), Ok(parts.encoded()));
    assert_eq!(lint::list(&parts.encoded(), &draft, &issuer), []);
}

/// Each rule on a list that breaks it and, where that can be, no other.
#[test]
fn each_rule_finds_the_list_that_breaks_it() {
    type Spoil = fn(&mut Parts, &mut ListDraft);
    let table: &[(&str, Spoil)] = &[
        ("5.1: it is a TBSCertList in DER", |parts, _| {
            parts.after = vec![5, 0]
        }),
        ("5.1: it is a TBSCertList in DER", |parts, _| {
            // A length that is not the shortest.
            parts.version = vec![2, 0x81, 1, 1];
        }),
        ("5.1.2.1: version 2", |parts, _| {
            parts.version = vec![2, 1, 0]
        }),
        ("5.1.2.1: version 2", |parts, _| parts.version = vec![]),
        ("5.1.2.2: the signature's algorithm", |parts, _| {
            *parts.algorithm.last_mut().expect("octets") ^= 1;
        }),
        ("5.1.2.3: the issuer is", |parts, _| {
            // The same name with another string type.
            let at = parts.issuer.iter().position(|octet| *octet == 0x0c);
            parts.issuer[at.expect("a UTF8String")] = 0x13;
        }),
        ("5.1.2.4: thisUpdate", |parts, _| {
            parts.this_update = utc_time(NOW + 1)
        }),
        ("5.1.2.4: thisUpdate", |parts, _| {
            parts.this_update = encode(0x18, &[b"20270115080000Z"]);
        }),
        ("5.1.2.5: nextUpdate", |parts, _| parts.next_update = vec![]),
        ("5.1.2.5: nextUpdate", |parts, _| {
            parts.next_update = utc_time(NOW + 5)
        }),
        ("5.1.2.5: nextUpdate", |parts, draft| {
            draft.next_update = NOW;
            parts.next_update = utc_time(NOW);
        }),
        ("5.1.2.6: revokedCertificates is absent", |parts, draft| {
            draft.entries.clear();
            parts.entries.clear();
            parts.empty_entries = true;
        }),
        ("5.1.2.6: each serial", |parts, _| {
            parts.entries[0].0 = vec![0x0b]
        }),
        ("5.1.2.6: each serial", |parts, _| {
            // Minus 128, where 128 was meant.
            parts.entries[1].0 = vec![0x80];
        }),
        ("5.1.2.6: each serial", |parts, _| {
            parts.entries[0].0 = vec![0, 0x0a]
        }),
        ("5.1.2.6: serials ascend", |parts, draft| {
            draft.entries.swap(0, 1);
            parts.entries.swap(0, 1);
        }),
        ("5.1.2.6: serials ascend", |parts, draft| {
            draft.entries.insert(1, draft.entries[0]);
            parts.entries.insert(1, parts.entries[0].clone());
        }),
        ("5.1.2.6: each revocation date", |parts, _| {
            parts.entries[0].1 = utc_time(NOW)
        }),
        ("5.1.2.6: each revocation date", |parts, _| {
            parts.entries[0].1 = encode(0x18, &[b"20270115075950Z"]);
        }),
        ("5.1.2.6: each revocation date", |parts, _| {
            parts.entries[0].1 = encode(0x17, &[b"2701150759Z"]);
        }),
        ("5.1.2.6: every revoked certificate", |parts, _| {
            parts.entries.pop();
        }),
        ("5.1.2.6: each serial", |parts, draft| {
            // One more than was meant.
            draft.entries.pop();
            let _ = parts;
        }),
        ("5.3.1: the reason", |parts, _| {
            parts.entries[1].2 = reason(REASON, &[], 2)
        }),
        ("5.3.1: the reason", |parts, _| parts.entries[1].2 = vec![]),
        ("5.3.1: the reason", |parts, _| {
            parts.entries[0].2 = reason(REASON, &[], 0)
        }),
        ("5.3: an entry has no other", |parts, _| {
            parts.entries[1].2 = reason(REASON, CRITICAL, 1);
        }),
        ("5.3: an entry has no other", |parts, _| {
            // invalidityDate
            parts.entries[0].2 = reason(&[0x55, 0x1d, 24], &[], 1);
        }),
        ("5.3: an entry has no other", |parts, _| {
            parts.entries[0].2 = encode(0x30, &[]);
        }),
        ("5.2: authority key identifier, number", |parts, _| {
            parts.extensions.remove(0);
        }),
        ("5.2: authority key identifier, number", |parts, _| {
            parts.extensions.remove(1);
        }),
        ("5.2: authority key identifier, number", |parts, _| {
            parts.extensions.remove(2);
        }),
        ("5.2: authority key identifier, number", |parts, _| {
            // Not critical.
            parts.extensions[2] = point(&[], &[URI], &[0x81, 1, 0xff]);
        }),
        ("5.2: authority key identifier, number", |parts, _| {
            // deltaCRLIndicator
            parts
                .extensions
                .push(extension(&[0x55, 0x1d, 27], CRITICAL, &[2, 1, 1]));
        }),
        ("5.2: authority key identifier, number", |parts, _| {
            parts.extensions.push(parts.extensions[1].clone());
        }),
        ("5.2.1: the authority key identifier", |parts, _| {
            parts.extensions[0] = key_identifier(&[1; 20]);
        }),
        ("5.2.3: the number", |parts, _| {
            parts.extensions[1] = number(&[1, 45])
        }),
        ("5.2.3: the number", |parts, _| {
            parts.extensions[1] = number(&[0, 1, 44])
        }),
        ("5.2.3: the number", |parts, draft| {
            draft.number = 0;
            parts.extensions[1] = number(&[0]);
        }),
        ("5.2.5: the distribution point", |parts, _| {
            parts.extensions[2] = point(
                CRITICAL,
                &["http://127.0.0.1/crl/1/8.crl"],
                &[0x81, 1, 0xff],
            );
        }),
        ("5.2.5: the distribution point", |parts, _| {
            parts.extensions[2] = point(CRITICAL, &[URI, URI], &[0x81, 1, 0xff]);
        }),
        ("5.2.5: the distribution point", |parts, draft| {
            draft.distribution_point = "https://127.0.0.1/7.crl".to_owned();
            parts.extensions[2] = point(CRITICAL, &["https://127.0.0.1/7.crl"], &[0x81, 1, 0xff]);
        }),
        ("5.2.5: its scope", |parts, _| {
            parts.extensions[2] = point(CRITICAL, &[URI], &[0x82, 1, 0xff]);
        }),
        ("5.2.5: its scope", |parts, _| {
            parts.extensions[2] = point(CRITICAL, &[URI], &[]);
        }),
        ("5.2.5: its scope", |parts, _| {
            // indirectCRL
            parts.extensions[2] = point(CRITICAL, &[URI], &[0x81, 1, 0xff, 0x84, 1, 0xff]);
        }),
    ];
    let issuer = issuer(&key());
    for (index, (rule, spoil)) in table.iter().enumerate() {
        let mut draft = draft();
        let mut parts = Parts::of(&draft, &issuer);
        spoil(&mut parts, &mut draft);
        let findings = lint::list(&parts.encoded(), &draft, &issuer);
        assert!(
            findings
                .iter()
                .any(|it| it.rule.starts_with(&format!("RFC 5280 {rule}"))),
            "{index} {rule}: {findings:?}"
        );
    }
}

#[test]
fn a_list_with_a_fault_in_every_entry_is_told_of_in_few_words() {
    let issuer = issuer(&key());
    let mut draft = draft();
    draft.entries = (1..=5000_u32)
        .map(|index| RevokedEntry {
            serial: Serial::from_der_integer(&(6000 - index).to_be_bytes()).expect("not zero"),
            ..draft.entries[0]
        })
        .collect();
    let Refused(findings) = draft.check(&issuer).expect_err("descending");
    assert!((1..40).contains(&findings.len()), "{}", findings.len());
}

/// A list that is signed elsewhere is held to the same rules, and to its signature.
#[test]
fn a_list_that_was_signed_elsewhere_must_say_what_was_meant() {
    let (key, other) = (key(), key());
    let (issuer, another) = (issuer(&key), issuer(&other));
    let der = now(draft().check(&issuer).expect("clean").sign(&key)).expect("signed");
    assert_eq!(draft().check_signed(&der, &issuer), Ok(()));
    let rule = |draft: &ListDraft, der: &[u8], issuer| {
        let Refused(findings) = draft.check_signed(der, issuer).expect_err("refused");
        findings[0].rule
    };
    let mut flipped = der.clone();
    *flipped.last_mut().expect("octets") ^= 1;
    assert!(rule(&draft(), &flipped, &issuer).contains("5.1.1.3"));
    assert!(rule(&draft(), &der, &another).contains("5.1.1.3"));
    assert!(rule(&draft(), &der[..der.len() - 1], &issuer).contains("5.1: it is"));
    let mut more = draft();
    more.entries.pop();
    assert!(rule(&more, &der, &issuer).contains("5.1.2.6"));
    let later = ListDraft {
        number: 301,
        ..draft()
    };
    assert!(rule(&later, &der, &issuer).contains("5.2.3"));
}
