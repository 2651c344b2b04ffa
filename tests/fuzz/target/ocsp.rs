//! OCSP requests (RFC 6960 section 4.1), which anybody may send: read within their limits.

use portcullis_ca::ocsp::Request;

use super::{Target, Verdict};
use crate::fuzz::{
    corpus::{self, Entry},
    mutate::der::{self, encode},
    random::Random,
};

pub struct OcspTarget {
    corpus: Vec<Entry>,
}

impl OcspTarget {
    pub fn open() -> Self {
        Self {
            corpus: corpus::read("ocsp"),
        }
    }
}

impl Target for OcspTarget {
    fn name(&self) -> &'static str {
        "ocsp"
    }

    fn corpus(&self) -> &[Entry] {
        &self.corpus
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let (seed, other) = (random.pick(&self.corpus), random.pick(&self.corpus));
        der::mutate(&seed.octets, &other.octets, random)
    }

    fn check(&self, input: &[u8]) -> Verdict {
        let Ok(request) = Request::from_der(input) else {
            return Verdict::Refused;
        };
        assert!((1..=Request::MAX_CERT_IDS).contains(&request.cert_ids.len()));
        assert_eq!(Request::from_der(input), Ok(request));
        Verdict::Accepted
    }
}

/// About one certificate and about several, with a nonce and without.
pub fn valid() -> Vec<(String, Vec<u8>)> {
    // id-sha1 and id-sha256, each with NULL.
    const SHA1: [u8; 11] = [
        0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00,
    ];
    const SHA256: [u8; 15] = [
        0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    ];
    let about = |algorithm: &[u8], length: usize, serial: u8| {
        let hash = encode(0x04, &vec![serial; length]);
        let serial = encode(0x02, &[0x11, serial]);
        encode(
            0x30,
            &encode(0x30, &[algorithm, &hash, &hash, &serial].concat()),
        )
    };
    // id-pkix-ocsp-nonce (RFC 9654).
    let id = encode(
        0x06,
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02],
    );
    let value = encode(0x04, &encode(0x04, &[9; 16]));
    let nonce = encode(0xa2, &encode(0x30, &encode(0x30, &[id, value].concat())));
    let request = |list: &[Vec<u8>], extensions: &[u8]| {
        let list = encode(0x30, &list.concat());
        encode(0x30, &encode(0x30, &[&list, extensions].concat()))
    };
    let one = about(&SHA1, 20, 1);
    vec![
        (
            "valid-sha1".to_owned(),
            request(std::slice::from_ref(&one), &[]),
        ),
        (
            "valid-nonce".to_owned(),
            request(std::slice::from_ref(&one), &nonce),
        ),
        (
            "valid-sha256".to_owned(),
            request(&[about(&SHA256, 32, 2)], &nonce),
        ),
        (
            "valid-sixteen".to_owned(),
            request(&vec![one.clone(); 16], &[]),
        ),
        ("bad-seventeen".to_owned(), request(&vec![one; 17], &[])),
    ]
}
