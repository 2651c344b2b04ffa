//! Certificate requests (RFC 2986). What is accepted was signed, to the byte, by the key in it.

use std::collections::HashSet;

use portcullis_ca::{csr::CertificateRequest, name::GeneralName};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::{
    Target, Verdict,
    signer::{Signer, signed_part},
};
use crate::fuzz::{
    corpus::{self, Entry},
    mutate::der,
    random::Random,
};

pub struct CsrTarget {
    corpus: Vec<Entry>,
    /// What was signed, of all the corpus.
    signed: HashSet<Vec<u8>>,
    own: Signer,
    own_key: Vec<u8>,
    /// Requests of `own`, to be changed and signed again.
    own_requests: Vec<Vec<u8>>,
}

impl CsrTarget {
    pub fn open() -> Self {
        let corpus = corpus::read("csr");
        let own = Signer::new(2);
        let requests = requests();
        let own_requests: Vec<Vec<u8>> = requests
            .iter()
            .map(|params| {
                params
                    .serialize_request(&own.rcgen())
                    .unwrap()
                    .der()
                    .to_vec()
            })
            .collect();
        Self {
            signed: corpus
                .iter()
                .filter_map(|entry| signed_part(&entry.octets))
                .collect(),
            corpus,
            own_key: rcgen::PublicKeyData::subject_public_key_info(&own.rcgen()),
            own,
            own_requests,
        }
    }
}

impl Target for CsrTarget {
    fn name(&self) -> &'static str {
        "csr"
    }

    fn corpus(&self) -> &[Entry] {
        &self.corpus
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let other = &random.pick(&self.corpus).octets;
        if random.once_in(3) {
            let info = signed_part(random.pick::<Vec<u8>>(&self.own_requests)).expect("a request");
            return self.own.sealed(&der::mutate(&info, other, random));
        }
        der::mutate(&random.pick(&self.corpus).octets, other, random)
    }

    fn check(&self, input: &[u8]) -> Verdict {
        let Ok(request) = CertificateRequest::from_der(input) else {
            return Verdict::Refused;
        };
        let is_own = request.public_key().subject_public_key_info() == self.own_key;
        let info = signed_part(input).expect("what was accepted is DER");
        assert!(is_own || self.signed.contains(&info), "it was never signed");
        assert!(request.names().is_sorted());
        for name in request.names() {
            match name {
                GeneralName::Dns(name) => {
                    assert_eq!(name.as_str().parse().as_ref(), Ok(name));
                }
                GeneralName::Ip(_) => {}
                GeneralName::Uri(uri) => assert!(uri.is_ascii(), "{uri:?}"),
            }
        }
        Verdict::Accepted
    }
}

fn requests() -> Vec<CertificateParams> {
    let mut named =
        CertificateParams::new(vec!["a.example".to_owned(), "*.b.example".to_owned()]).unwrap();
    named
        .distinguished_name
        .push(DnType::CommonName, "a.example");
    named
        .distinguished_name
        .push(DnType::OrganizationName, "Ünïcode");
    let addresses =
        CertificateParams::new(vec!["10.0.0.1".to_owned(), "2001:db8::1".to_owned()]).unwrap();
    let mut device = CertificateParams::default();
    device.subject_alt_names = vec![SanType::URI(
        "spiffe://ca.test/device/fra/1".try_into().unwrap(),
    )];
    let mut asking = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    asking.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    asking.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    asking.subject_alt_names.push(SanType::OtherName((
        vec![1, 3, 6, 1, 5, 5, 7, 8, 3],
        rcgen::OtherNameValue::Utf8String("x".to_owned()),
    )));
    let mut many = CertificateParams::new(
        (0..40)
            .map(|n| format!("host-{n}.example"))
            .collect::<Vec<_>>(),
    )
    .unwrap();
    many.distinguished_name = rcgen::DistinguishedName::new();
    vec![named, addresses, device, many, asking]
}

/// Requests of several kinds, each by a key of another kind; the last asks for what nobody gets.
pub fn valid() -> Vec<(String, Vec<u8>)> {
    let keys = [
        (
            "p256",
            KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        ),
        (
            "p384",
            KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        ),
        ("ed25519", KeyPair::generate_for(&rcgen::PKCS_ED25519)),
        (
            "rsa2048",
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
        ),
    ];
    let mut all = Vec::new();
    let requests = requests();
    let (asking, good) = requests.split_last().unwrap();
    for ((name, key), params) in keys.into_iter().zip(good) {
        let key = key.unwrap();
        let request = params.serialize_request(&key).unwrap().der().to_vec();
        all.push((format!("valid-{name}"), request));
        if name == "p256" {
            let request = asking.serialize_request(&key).unwrap().der().to_vec();
            all.push(("bad-other-name".to_owned(), request));
        }
    }
    all
}
