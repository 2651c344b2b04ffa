//! Revocation lists (RFC 5280 section 5), in DER and PEM. What is accepted was signed, to the byte, by its issuer.

use std::collections::HashSet;

use portcullis_ca::{
    list::{ListIssuer, RevocationList},
    pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject as _},
};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};

use super::{
    Target, Verdict,
    certificate::{issuer, root},
    signer::{Signer, signed_part},
};
use crate::fuzz::{
    corpus::{self, Entry},
    mutate::{bytes, der},
    random::Random,
};

pub struct CrlTarget {
    corpus: Vec<Entry>,
    signed: HashSet<Vec<u8>>,
    issuers: [ListIssuer; 2],
    own: Signer,
    own_lists: Vec<Vec<u8>>,
}

impl CrlTarget {
    pub fn open() -> Self {
        let corpus = corpus::read("crl");
        let der = corpus.iter().map(|entry| in_der(&entry.octets));
        Self {
            signed: der.filter_map(|der| signed_part(&der?)).collect(),
            corpus,
            issuers: [1, 2].map(|number| {
                ListIssuer::from_certificate(&CertificateDer::from(root(number))).unwrap()
            }),
            own: Signer::new(2),
            own_lists: lists(2).into_iter().map(|(_, der)| der).collect(),
        }
    }
}

fn in_der(octets: &[u8]) -> Option<Vec<u8>> {
    if octets.first() == Some(&0x30) {
        return Some(octets.to_vec());
    }
    let der = CertificateRevocationListDer::from_pem_slice(octets).ok()?;
    Some(der.to_vec())
}

impl Target for CrlTarget {
    fn name(&self) -> &'static str {
        "crl"
    }

    fn corpus(&self) -> &[Entry] {
        &self.corpus
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let seed = &random.pick(&self.corpus).octets;
        let other = &random.pick(&self.corpus).octets;
        if random.once_in(3) {
            let signed = signed_part(random.pick::<Vec<u8>>(&self.own_lists)).expect("a list");
            return self.own.sealed(&der::mutate(&signed, other, random));
        }
        if seed.first() == Some(&0x30) {
            return der::mutate(seed, other, random);
        }
        let mut text = seed.clone();
        bytes::mutate(&mut text, other, random);
        text
    }

    fn check(&self, input: &[u8]) -> Verdict {
        let [first, own] = &self.issuers;
        let accepted = match RevocationList::parse(input, first) {
            Ok(list) => {
                let signed = in_der(input).and_then(|der| signed_part(&der));
                let signed = signed.expect("what was accepted is DER");
                assert!(self.signed.contains(&signed), "it was never signed");
                Some(list)
            }
            Err(_) => RevocationList::parse(input, own).ok(),
        };
        match accepted {
            Some(list) => {
                let _ = (
                    list.number(),
                    list.this_update(),
                    list.next_update(),
                    list.entries(),
                );
                Verdict::Accepted
            }
            None => Verdict::Refused,
        }
    }
}

fn lists(number: u64) -> Vec<(String, Vec<u8>)> {
    let at = |days: i64| {
        time::OffsetDateTime::from_unix_timestamp(1_800_000_000 + days * 86_400).unwrap()
    };
    let revoked = |serial: u64, reason| RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: at(-1),
        reason_code: reason,
        invalidity_date: None,
    };
    let list = |revoked_certs| CertificateRevocationListParams {
        this_update: at(0),
        next_update: at(7),
        crl_number: SerialNumber::from(17_u64),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let kinds = [
        ("valid-empty", list(Vec::new())),
        (
            "valid-some",
            list(vec![
                revoked(1, None),
                revoked(0x7fff_ffff_ffff, Some(RevocationReason::KeyCompromise)),
                revoked(77, Some(RevocationReason::Superseded)),
            ]),
        ),
        (
            "valid-many",
            list(
                (1..200)
                    .map(|serial| revoked(serial * 7919, None))
                    .collect(),
            ),
        ),
    ];
    kinds
        .into_iter()
        .map(|(name, params)| {
            let list = params.signed_by(&issuer(number)).unwrap();
            (name.to_owned(), list.der().to_vec())
        })
        .collect()
}

/// Lists of the first root, and one of them in PEM.
pub fn valid() -> Vec<(String, Vec<u8>)> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut all = lists(1);
    let text = STANDARD.encode(&all[1].1);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let pem = format!(
        "-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n",
        lines.join("\n")
    );
    all.push(("valid-pem".to_owned(), pem.into_bytes()));
    all
}
