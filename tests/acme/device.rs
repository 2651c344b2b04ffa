//! Makers of devices, and devices that say what they are told to say: `apple` statements, whose certificates are made here.

use aws_lc_rs::digest::{SHA256, digest};
use portcullis::domain::{
    ProfileName,
    attestation::{AttestationRule, AttestationRules, DeviceList, Makers, Proof, VerifiedBoot},
};
use portcullis_ca::{
    attestation::{AttestationFormat, Roots, SecurityLevel},
    profile::ProfileKind,
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, PublicKeyData,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::client::{Client, Reply, encode};

/// A maker: a root of its own.
pub struct Maker {
    params: CertificateParams,
    key: KeyPair,
    pub root: rustls_pki_types::CertificateDer<'static>,
}

impl Maker {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = certificate();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { params, key, root }
    }

    pub fn roots(&self) -> Roots {
        Roots::new(vec![self.root.clone()]).unwrap()
    }

    pub fn issue(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Vec<u8> {
        params
            .signed_by(key, &Issuer::from_params(&self.params, &self.key))
            .unwrap()
            .der()
            .to_vec()
    }

    /// What a device of these names says about a key, for the challenge with this token.
    pub fn statement(&self, names: &[&str], key: &KeyPair, token: &str) -> Vec<u8> {
        let mut params = certificate();
        let mut add = |oid: &[u64], value: &[u8]| {
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(oid, value.to_vec()));
        };
        for (number, name) in (1..).zip(names) {
            add(&[1, 2, 840, 113_635, 100, 8, 9, number], name.as_bytes());
        }
        add(
            &[1, 2, 840, 113_635, 100, 8, 11, 1],
            digest(&SHA256, token.as_bytes()).as_ref(),
        );
        let leaf = self.issue(&params, key);
        object("apple", &[("x5c", array(&[bytes(&leaf)]))])
    }

    /// A rule that lets these devices be `device:factory/ID`.
    pub fn rule(&self, devices: &[&str]) -> AttestationRule {
        AttestationRule {
            proves: Some(Proof {
                principal: "device:factory/{id}".parse().unwrap(),
                may_prove: vec!["device:factory/**".parse().unwrap()],
                profile: ProfileName::from(ProfileKind::Device),
            }),
            ..self.rule_for_invited(devices)
        }
    }

    /// A rule that lets these devices prove which device they are, and nothing else.
    pub fn rule_for_invited(&self, devices: &[&str]) -> AttestationRule {
        AttestationRule {
            name: "of-the-test".to_owned(),
            format: AttestationFormat::Apple,
            roots: self.roots(),
            devices: DeviceList::new(devices.iter().copied()).unwrap(),
            makers: Makers::default(),
            security_level: SecurityLevel::TrustedEnvironment,
            verified_boot: VerifiedBoot::Required,
            proves: None,
        }
    }

    /// That rule alone.
    pub fn rules(&self, devices: &[&str]) -> AttestationRules {
        AttestationRules::new(vec![self.rule(devices)])
    }
}

/// Valid around the test's clock, and no CA.
pub fn certificate() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = IsCa::ExplicitNoCa;
    params.not_before = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
    params
}

// CBOR, as far as statements need it.

fn head(major: u8, argument: usize) -> Vec<u8> {
    match argument {
        0..24 => vec![major << 5 | argument as u8],
        24..0x100 => vec![major << 5 | 24, argument as u8],
        _ => vec![major << 5 | 25, (argument >> 8) as u8, argument as u8],
    }
}

pub fn bytes(octets: &[u8]) -> Vec<u8> {
    [head(2, octets.len()), octets.to_vec()].concat()
}

pub fn text(text: &str) -> Vec<u8> {
    [head(3, text.len()), text.as_bytes().to_vec()].concat()
}

/// A number below zero.
pub fn negative(number: i64) -> Vec<u8> {
    head(1, usize::try_from(-1 - number).unwrap())
}

pub fn array(values: &[Vec<u8>]) -> Vec<u8> {
    [head(4, values.len()), values.concat()].concat()
}

pub fn map(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut octets = head(5, members.len());
    for (name, value) in members {
        octets.extend([text(name), value.clone()].concat());
    }
    octets
}

/// An attestation object.
pub fn object(format: &str, members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    map(&[("fmt", text(format)), ("attStmt", map(members))])
}

// Over the wire.

/// Places an order of such identifiers.
pub async fn order(client: &Client, identifiers: &[(&str, &str)]) -> Reply {
    let identifiers: Vec<Value> = identifiers
        .iter()
        .map(|(kind, value)| json!({"type": kind, "value": value}))
        .collect();
    client
        .post(
            &client.url("new-order"),
            json!({"identifiers": identifiers}),
        )
        .await
}

/// The challenge device-attest-01 of an authorization: its URL and its token.
pub async fn challenge(client: &Client, authorization: &Value) -> (String, String) {
    let object = client
        .get(authorization.as_str().unwrap())
        .await
        .ok()
        .json();
    let challenges = object["challenges"].as_array().unwrap();
    assert_eq!(challenges.len(), 1, "{object}");
    assert_eq!(challenges[0]["type"], "device-attest-01");
    let member = |name: &str| challenges[0][name].as_str().unwrap().to_owned();
    (member("url"), member("token"))
}

/// Sends a statement.
pub async fn send(client: &Client, url: &str, statement: &[u8]) -> Reply {
    client
        .post(url, json!({ "attObj": encode(statement) }))
        .await
}
