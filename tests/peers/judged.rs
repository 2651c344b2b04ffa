//! What other programs are to judge: certificates of every profile and kind of key, revocation lists and OCSP answers of
//! every kind of CA key, as files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use portcullis_ca::{
    crl::{ListDraft, ListScope, RevokedEntry},
    key::KeyAlgorithm,
    ocsp::{CertId, CertStatus, HashAlgorithm, Nonce, Responder, ResponseDraft, SingleResponse},
    revocation::RevocationReason,
    serial::Serial,
};

use crate::support::objects::{Ca, Hierarchy, LeafKeys, URL, at_once};

/// 2027-01-15T08:00:00Z.
pub const NOW: i64 = 1_800_000_000;

const DAY: i64 = 24 * 3600;

/// A folder of files in DER: `certificates`, `lists`, `answers`.
pub struct Judged {
    folder: PathBuf,
    /// The CAs and their certificates.
    pub hierarchies: Vec<Hierarchy>,
    count: usize,
}

impl Judged {
    /// Makes everything for these kinds of CA keys and leaf keys.
    pub fn make(folder: &Path, by: &[KeyAlgorithm], leaves: &[KeyAlgorithm]) -> Self {
        for kind in ["certificates", "lists", "answers"] {
            fs::create_dir_all(folder.join(kind)).unwrap();
        }
        let leaf_keys = LeafKeys::generate(leaves);
        let mut judged = Self {
            folder: folder.to_owned(),
            hierarchies: Vec::new(),
            count: 0,
        };
        for by in by {
            let hierarchy = Hierarchy::make(*by, &leaf_keys, NOW);
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
            if let Some(issuer) = object.above.first() {
                let name = format!("certificates/{}.issuer", object.name);
                fs::write(self.folder.join(name), issuer).unwrap();
            }
        }
    }

    fn lists(&mut self, hierarchy: &Hierarchy, by: KeyAlgorithm) {
        let tables: [(&str, Vec<RevokedEntry>); 4] = [
            ("empty", Vec::new()),
            ("every-reason", every_reason()),
            ("one", every_reason().split_off(8)),
            ("many", many(1000)),
        ];
        for (name, entries) in tables {
            for (issuer, scope, ending) in [
                (&hierarchy.root, ListScope::Authorities, "arl"),
                (&hierarchy.intermediate, ListScope::Leaves, "crl"),
                (&hierarchy.constrained, ListScope::Leaves, "crl"),
            ] {
                let id = hex::encode(&issuer.certificate.public_key().fingerprint()[..4]);
                let der = list(issuer, scope, entries.clone());
                self.write(&format!("lists/{by}-{id}-{name}.{ending}"), &der);
            }
        }
    }

    fn answers(&mut self, hierarchy: &Hierarchy, by: KeyAlgorithm) {
        let issuer = &hierarchy.intermediate.certificate;
        let responder = Responder::from_der(&hierarchy.responder.der, issuer).expect("a responder");
        let revoked = RevocationReason::ALL.map(|reason| CertStatus::Revoked {
            at: NOW - DAY,
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
                        this_update: NOW,
                        next_update: NOW + 3600,
                    });
                    let draft = ResponseDraft {
                        produced_at: NOW,
                        responses: responses.to_vec(),
                        nonce,
                    };
                    let checked = draft.check(&responder).expect("clean");
                    let der =
                        at_once(checked.sign(&*hierarchy.responder.private_key)).expect("signed");
                    self.write(&name, &der);
                }
            }
        }
    }
}

/// A list of a CA's.
pub fn list(issuer: &Ca, scope: ListScope, entries: Vec<RevokedEntry>) -> Vec<u8> {
    let draft = ListDraft {
        number: 4711,
        this_update: NOW,
        next_update: NOW + DAY,
        scope,
        distribution_point: format!("{URL}/crl/leaves/3.crl"),
        entries,
    };
    let checked = draft.check(&issuer.certificate).expect("clean");
    at_once(checked.sign(&*issuer.key)).expect("signed")
}

fn every_reason() -> Vec<RevokedEntry> {
    let entry = |(number, reason): (usize, RevocationReason)| RevokedEntry {
        serial: serial_number(number as u64 + 1),
        revoked_at: NOW - DAY,
        reason,
    };
    RevocationReason::ALL
        .into_iter()
        .enumerate()
        .map(entry)
        .collect()
}

fn many(count: u64) -> Vec<RevokedEntry> {
    let entry = |number| RevokedEntry {
        serial: serial_number(number + 1),
        revoked_at: NOW - i64::try_from(number).expect("small"),
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
