//! What statements are made of.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, PublicKeyData as _};

use super::{android, apple, packed, step, tpm};
use crate::{
    attestation::{AttestationFormat, Roots},
    chain::tests::authority::{Authority, NOW, valid},
    der::{self, tag},
    key::sha256,
};

pub(super) const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

pub(super) fn key_authorization() -> String {
    format!("{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI")
}

pub(super) fn digest() -> [u8; 32] {
    sha256(key_authorization().as_bytes())
}

/// A statement that is right, and what it says.
pub(super) struct Good {
    pub(super) object: Vec<u8>,
    pub(super) roots: Roots,
    /// The SubjectPublicKeyInfo.
    pub(super) key: Vec<u8>,
    pub(super) identities: Vec<&'static str>,
}

pub(super) fn good(format: AttestationFormat) -> Good {
    match format {
        AttestationFormat::Tpm => tpm::good(),
        AttestationFormat::AndroidKey => android::good(),
        AttestationFormat::Apple => apple::good(),
        AttestationFormat::Packed => packed::good(),
        AttestationFormat::Step => step::good(),
    }
}

/// The same statement under another format's name. `fmt` is written first.
pub(super) fn with_format(good: &Good, format: &str) -> Vec<u8> {
    let (count, rest) = good.object.split_first().expect("a map");
    let rest = rest.strip_prefix(&text("fmt")[..]).expect("fmt");
    let length = usize::from(rest[0] & 0x1f);
    [
        &[*count],
        &text("fmt")[..],
        &text(format),
        &rest[1 + length..],
    ]
    .concat()
}

/// A maker: a root, and an intermediate that issues.
pub(super) struct Maker {
    pub(super) root: Authority,
    pub(super) issuer: Authority,
}

impl Maker {
    pub(super) fn new() -> Self {
        let root = Authority::root("Maker Root", |_| {});
        let issuer = root.intermediate("Maker Issuing CA", |_| {});
        Self { root, issuer }
    }

    pub(super) fn roots(&self) -> Roots {
        Roots::new(vec![self.root.der.clone()]).expect("a root")
    }

    /// `x5c`, with a certificate for `key` first.
    pub(super) fn x5c(&self, params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
        let leaf = self.issuer.issue(params, key);
        array(&[bytes(&leaf), bytes(&self.issuer.der)])
    }
}

/// A device's certificate with nothing in it yet.
pub(super) fn device_certificate() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    valid(&mut params, NOW - 1000, NOW + 100_000);
    params
}

pub(super) fn add_extension(params: &mut CertificateParams, oid: &[u64], value: Vec<u8>) {
    params
        .custom_extensions
        .push(CustomExtension::from_oid_content(oid, value));
}

pub(super) fn public_key_of(key: &KeyPair) -> Vec<u8> {
    key.subject_public_key_info()
}

pub(super) fn object(format: &str, members: &[(&str, Vec<u8>)], data: Option<&[u8]>) -> Vec<u8> {
    let mut all = vec![("fmt", text(format)), ("attStmt", map(members))];
    if let Some(data) = data {
        all.push(("authData", bytes(data)));
    }
    map(&all)
}

// CBOR.

fn head(major: u8, argument: u64) -> Vec<u8> {
    let major = major << 5;
    let octets = argument.to_be_bytes();
    match argument {
        0..24 => vec![major | argument as u8],
        24..0x100 => vec![major | 24, argument as u8],
        0x100..0x1_0000 => [&[major | 25], &octets[6..]].concat(),
        _ => [&[major | 26], &octets[4..]].concat(),
    }
}

pub(super) fn integer(number: i64) -> Vec<u8> {
    if number < 0 {
        head(1, (-1 - number) as u64)
    } else {
        head(0, number as u64)
    }
}

pub(super) fn bytes(octets: &[u8]) -> Vec<u8> {
    [head(2, octets.len() as u64), octets.to_vec()].concat()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
}

pub(super) fn array(values: &[Vec<u8>]) -> Vec<u8> {
    [head(4, values.len() as u64), values.concat()].concat()
}

pub(super) fn map(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| (text(name), value.clone()))
        .collect();
    raw_map(&members)
}

pub(super) fn raw_map(members: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let contents: Vec<u8> = members
        .iter()
        .flat_map(|(key, value)| [key.as_slice(), value].concat())
        .collect();
    [head(5, members.len() as u64), contents].concat()
}

// DER.

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    der::encode(tag::SEQUENCE, parts)
}

pub(super) fn oid(text: &str) -> Vec<u8> {
    text.parse::<crate::oid::Oid>().expect("an OID").to_der()
}

/// An otherName with a permanentIdentifier (RFC 4043).
pub(super) fn permanent_identifier(value: &[u8], assigner: Option<&str>) -> Vec<u8> {
    let value = der::encode(0x0c, &[value]);
    let assigner = assigner.map(oid).unwrap_or_default();
    other_name("1.3.6.1.5.5.7.8.3", &sequence(&[&value, &assigner]))
}

pub(super) fn other_name(kind: &str, value: &[u8]) -> Vec<u8> {
    der::encode(0xa0, &[&oid(kind), &der::encode(0xa0, &[value])])
}

/// A directoryName with these attributes, each of its own RDN.
pub(super) fn directory_name(attributes: &[(&str, &str)]) -> Vec<u8> {
    let sets: Vec<u8> = attributes
        .iter()
        .flat_map(|(kind, value)| {
            let value = der::encode(0x0c, &[value.as_bytes()]);
            der::encode(0x31, &[&sequence(&[&oid(kind), &value])])
        })
        .collect();
    der::encode(0xa4, &[&sequence(&[&sets])])
}

/// A subjectAltName extension of these GeneralNames.
pub(super) fn add_alternative_names(params: &mut CertificateParams, names: &[Vec<u8>]) {
    add_extension(params, &[2, 5, 29, 17], sequence(&[&names.concat()]));
}
