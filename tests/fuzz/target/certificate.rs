//! Client certificates before the gate: what leads to an anchor was signed, to the byte, by that anchor.

use std::collections::HashSet;

use portcullis_ca::{
    chain::{self, Anchor, Anchors, Limits, NoRevocationSource, Requirements, UnknownStatus},
    list::list_of,
    pki_types::{CertificateDer, UnixTime},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType,
};

use super::{
    Target, Verdict,
    signer::{Signer, signed_part},
};
use crate::fuzz::{
    corpus::{self, Entry},
    mutate::der,
    random::Random,
};

pub struct CertificateTarget {
    corpus: Vec<Entry>,
    signed: HashSet<Vec<u8>>,
    anchors: Anchors,
    own: Signer,
    own_leaves: Vec<Vec<u8>>,
}

impl CertificateTarget {
    pub fn open() -> Self {
        let corpus = corpus::read("certificate");
        let anchors = [1, 2].map(|number| Anchor {
            id: number.to_string(),
            certificate: CertificateDer::from(root(number)),
        });
        Self {
            signed: corpus
                .iter()
                .filter_map(|entry| signed_part(&entry.octets))
                .collect(),
            corpus,
            anchors: Anchors::new(anchors.into()).unwrap(),
            own: Signer::new(2),
            own_leaves: leaves(2).into_iter().map(|(_, der)| der).collect(),
        }
    }
}

impl Target for CertificateTarget {
    fn name(&self) -> &'static str {
        "certificate"
    }

    fn corpus(&self) -> &[Entry] {
        &self.corpus
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let other = &random.pick(&self.corpus).octets;
        if random.once_in(3) {
            let signed =
                signed_part(random.pick::<Vec<u8>>(&self.own_leaves)).expect("a certificate");
            return self.own.sealed(&der::mutate(&signed, other, random));
        }
        der::mutate(&random.pick(&self.corpus).octets, other, random)
    }

    fn check(&self, input: &[u8]) -> Verdict {
        let _ = list_of(input);
        let requirements = Requirements {
            limits: Limits::FILES,
            unknown_status: UnknownStatus::Allow,
        };
        let leaf = CertificateDer::from(input);
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        let verified = chain::verify(
            &leaf,
            std::slice::from_ref(&leaf),
            &self.anchors,
            &NoRevocationSource,
            &requirements,
            at,
        );
        let Ok(path) = verified else {
            return Verdict::Refused;
        };
        let signed = signed_part(input).expect("what was accepted is DER");
        assert!(
            &**path.anchor_id() == "2" || self.signed.contains(&signed),
            "it was never signed"
        );
        Verdict::Accepted
    }
}

fn root_params(number: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("fuzz root {number}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// The certificate of the CA of this number; all that matters of it is the same in every run.
pub fn root(number: u64) -> Vec<u8> {
    let key = Signer::new(number).rcgen();
    root_params(number)
        .self_signed(&key)
        .unwrap()
        .der()
        .to_vec()
}

/// The CA itself.
pub fn issuer(number: u64) -> Issuer<'static, rcgen::KeyPair> {
    Issuer::new(root_params(number), Signer::new(number).rcgen())
}

fn leaves(number: u64) -> Vec<(String, Vec<u8>)> {
    let issuer = issuer(number);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut plain =
        CertificateParams::new(vec!["a.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    plain.use_authority_key_identifier_extension = true;
    plain.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    plain.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let mut full = plain.clone();
    full.subject_alt_names.push(SanType::URI(
        "spiffe://ca.test/device/fra/1".try_into().unwrap(),
    ));
    full.subject_alt_names
        .push(SanType::Rfc822Name("a@b.example".try_into().unwrap()));
    full.crl_distribution_points = vec![rcgen::CrlDistributionPoint {
        uris: vec!["http://ca.test/crl/1".to_owned()],
    }];
    full.is_ca = IsCa::ExplicitNoCa;
    let mut server = plain.clone();
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    [
        ("valid-plain", plain),
        ("valid-full", full),
        ("bad-server", server),
    ]
    .into_iter()
    .map(|(name, params)| {
        let certificate = params.signed_by(&key, &issuer).unwrap();
        (name.to_owned(), certificate.der().to_vec())
    })
    .collect()
}

/// Leaves of the first root.
pub fn valid() -> Vec<(String, Vec<u8>)> {
    leaves(1)
}
