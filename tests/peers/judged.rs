//! What other programs are to judge: certificates of every profile and kind of key, revocation lists and OCSP answers of
//! every kind of CA key, as files.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use portcullis_ca::{
    crl::{ListDraft, ListScope, RevokedEntry},
    key::KeyAlgorithm,
    ocsp::{CertId, CertStatus, HashAlgorithm, Nonce, Responder, ResponseDraft, SingleResponse},
    revocation::RevocationReason,
    serial::Serial,
};

use crate::support::objects::{Ca, Hierarchy, LeafKeys, URL, at_once};

const DAY: i64 = 24 * 3600;

/// A folder of files in DER: `certificates`, `lists`, `answers`.
pub struct Judged {
    folder: PathBuf,
    /// The CAs and their certificates.
    pub hierarchies: Vec<Hierarchy>,
    /// When they were made, in seconds since the epoch: now, for not every program can be told another time.
    pub now: i64,
    count: usize,
}

impl Judged {
    /// Makes everything for these kinds of CA keys and leaf keys.
    pub fn make(folder: &Path, by: &[KeyAlgorithm], leaves: &[KeyAlgorithm]) -> Self {
        for kind in ["certificates", "lists", "answers"] {
            fs::create_dir_all(folder.join(kind)).unwrap();
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        let now = i64::try_from(now).expect("a few billions");
        let leaf_keys = LeafKeys::generate(leaves);
        let mut judged = Self {
            folder: folder.to_owned(),
            hierarchies: Vec::new(),
            now,
            count: 0,
        };
        for by in by {
            let hierarchy = Hierarchy::make(*by, &leaf_keys, now);
            judged.certificates(&hierarchy);
            judged.lists(&hierarchy, *by);
            judged.answers(&hierarchy, *by);
            judged.hierarchies.push(hierarchy);
        }
        judged
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    fn write(&mut self, name: &str, der: &[u8]) {
        let path = self.folder.join(name);
        assert!(!path.exists(), "{name} is there twice");
        fs::write(path, der).unwrap();
        self.count += 1;
    }

    fn certificates(&mut self, hierarchy: &Hierarchy) {
        for object in &hierarchy.objects {
            self.write(&format!("certificates/{}.der", object.name), &object.der);
            for (height, issuer) in object.above.iter().enumerate() {
                let height = if height == 0 {
                    String::new()
                } else {
                    format!("-{height}")
                };
                let name = format!("certificates/{}.issuer{height}", object.name);
                fs::write(self.folder.join(name), issuer).unwrap();
            }
        }
    }

    fn lists(&mut self, hierarchy: &Hierarchy, by: KeyAlgorithm) {
        let tables: [(&str, Vec<RevokedEntry>); 4] = [
            ("empty", Vec::new()),
            ("every-reason", every_reason(self.now)),
            ("one", every_reason(self.now).split_off(8)),
            ("many", many(self.now, 1000)),
        ];
        for (name, entries) in tables {
            for (issuer, scope, ending) in [
                (&hierarchy.root, ListScope::Authorities, "arl"),
                (&hierarchy.intermediate, ListScope::Leaves, "crl"),
                (&hierarchy.constrained, ListScope::Leaves, "crl"),
            ] {
                let id = hex::encode(&issuer.certificate.public_key().fingerprint()[..4]);
                let place = format!("{URL}/crl/leaves/3.crl");
                let der = list(issuer, scope, &place, self.now, entries.clone());
                self.write(&format!("lists/{by}-{id}-{name}.{ending}"), &der);
                let above = format!("lists/{by}-{id}-{name}.issuer");
                fs::write(self.folder.join(above), issuer.certificate.der()).unwrap();
            }
        }
    }

    fn answers(&mut self, hierarchy: &Hierarchy, by: KeyAlgorithm) {
        let issuer = &hierarchy.intermediate.certificate;
        let responder = Responder::from_der(&hierarchy.responder.der, issuer).expect("a responder");
        let revoked = RevocationReason::ALL.map(|reason| CertStatus::Revoked {
            at: self.now - DAY,
            reason,
        });
        let statuses = [CertStatus::Good, CertStatus::Unknown]
            .into_iter()
            .chain(revoked);
        for (number, status) in statuses.enumerate() {
            for hash in HashAlgorithm::ALL {
                for nonce in [None, Nonce::new(&[7; 32])] {
                    let name = format!(
                        "answers/{by}-{number}-{hash:?}{}.ocsp",
                        if nonce.is_some() { "-nonce" } else { "" }
                    );
                    // Two certificates in one answer, as a client may ask.
                    let responses = [1, 2].map(|serial| SingleResponse {
                        cert_id: CertId::new(hash, issuer, serial_number(serial)),
                        status,
                        this_update: self.now,
                        next_update: self.now + 3600,
                    });
                    let draft = ResponseDraft {
                        produced_at: self.now,
                        responses: responses.to_vec(),
                        nonce,
                    };
                    let checked = draft.check(&responder).expect("clean");
                    let der =
                        at_once(checked.sign(&*hierarchy.responder.private_key)).expect("signed");
                    self.write(&name, &der);
                    let above = Path::new(&name).with_extension("issuer");
                    fs::write(self.folder.join(above), issuer.der()).unwrap();
                }
            }
        }
    }
}

/// A list of a CA's, published at a place.
pub fn list(
    issuer: &Ca,
    scope: ListScope,
    place: &str,
    now: i64,
    entries: Vec<RevokedEntry>,
) -> Vec<u8> {
    let draft = ListDraft {
        number: 4711,
        this_update: now,
        next_update: now + DAY,
        scope,
        distribution_point: place.to_owned(),
        entries,
    };
    let checked = draft.check(&issuer.certificate).expect("clean");
    at_once(checked.sign(&*issuer.key)).expect("signed")
}

fn every_reason(now: i64) -> Vec<RevokedEntry> {
    let entry = |(number, reason): (usize, RevocationReason)| RevokedEntry {
        serial: serial_number(number as u64 + 1),
        revoked_at: now - DAY,
        reason,
    };
    RevocationReason::ALL
        .into_iter()
        .enumerate()
        .map(entry)
        .collect()
}

fn many(now: i64, count: u64) -> Vec<RevokedEntry> {
    let entry = |number| RevokedEntry {
        serial: serial_number(number + 1),
        revoked_at: now - i64::try_from(number).expect("small"),
        reason: RevocationReason::Superseded,
    };
    (0..count).map(entry).collect()
}

/// Serials in ascending order, as long as ours are.
fn serial_number(number: u64) -> Serial {
    let mut octets = [0x55; 16];
    octets[8..].copy_from_slice(&number.to_be_bytes());
    Serial::from_der_integer(&octets).expect("a serial")
}
