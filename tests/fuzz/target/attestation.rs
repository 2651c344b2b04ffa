//! Devices' statements about their keys (draft-ietf-acme-device-attest). One that holds says, whatever was done to it, what
//! one of the corpus says: the same key, the same device, the same maker.

use std::time::Duration;

use portcullis_ca::{
    attestation::{AttestationChallenge, AttestationObject, Attested, Roots, verify},
    pki_types::{CertificateDer, UnixTime},
};

use super::{Target, Verdict};
use crate::fuzz::{
    corpus::{self, Entry},
    mutate::cbor,
    random::Random,
};

/// What the statements of the corpus answer.
const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const KEY_AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

pub struct AttestationTarget {
    corpus: Vec<Entry>,
    roots: Roots,
    /// What the statements of the corpus say.
    said: Vec<Attested>,
}

impl AttestationTarget {
    pub fn open() -> Self {
        let corpus = corpus::read("attestation");
        let roots = corpus::read("attestation-roots")
            .into_iter()
            .map(|entry| CertificateDer::from(entry.octets))
            .collect();
        let roots = Roots::new(roots).unwrap();
        let valid = corpus
            .iter()
            .filter(|entry| entry.name.starts_with("valid"));
        let said = valid
            .map(|entry| judge(&entry.octets, &roots).expect("a statement that holds"))
            .collect();
        Self {
            corpus,
            roots,
            said,
        }
    }
}

fn judge(octets: &[u8], roots: &Roots) -> Option<Attested> {
    let challenge = AttestationChallenge {
        token: TOKEN,
        key_authorization: KEY_AUTHORIZATION,
    };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    let object = AttestationObject::from_cbor(octets).ok()?;
    verify(&object, &challenge, roots, at).ok()
}

impl Target for AttestationTarget {
    fn name(&self) -> &'static str {
        "attestation"
    }

    fn corpus(&self) -> &[Entry] {
        &self.corpus
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let (seed, other) = (random.pick(&self.corpus), random.pick(&self.corpus));
        cbor::mutate(&seed.octets, &other.octets, random)
    }

    fn check(&self, input: &[u8]) -> Verdict {
        let Some(attested) = judge(input, &self.roots) else {
            return Verdict::Refused;
        };
        assert!(
            self.said.contains(&attested),
            "nobody signed that: {attested:?}"
        );
        Verdict::Accepted
    }
}

/// None: what makes statements of all formats is with the tests of `ca::attestation`, and these came from there.
pub fn valid() -> Vec<(String, Vec<u8>)> {
    Vec::new()
}
