//! `packed`.

use rcgen::{CertificateParams, DnType, KeyPair, SigningKey as _};

use super::{
    made::{
        Good, Maker, add_extension, bytes, device_certificate, digest, integer, object,
        public_key_of, raw_map,
    },
    verify_now,
};
use crate::der;

const MODEL: [u8; 16] = *b"model-of-a-token";
const AAGUID: [u64; 10] = [1, 3, 6, 1, 4, 1, 45_724, 1, 1, 4];

fn certificate() -> CertificateParams {
    let mut params = device_certificate();
    for (kind, value) in [
        (DnType::CountryName, "SE"),
        (DnType::OrganizationName, "Maker AB"),
        (DnType::OrganizationalUnitName, "Authenticator Attestation"),
        (DnType::CommonName, "Maker Token 7"),
        (DnType::CustomDnType(vec![2, 5, 4, 5]), "TOKEN-7"),
    ] {
        params.distinguished_name.push(kind, value);
    }
    let model = der::encode(4, &[&MODEL]);
    add_extension(&mut params, &AAGUID, model);
    params
}

fn cose(key: &KeyPair) -> Vec<u8> {
    let point = public_key_of(key)[27..].to_vec();
    raw_map(&[
        (integer(1), integer(2)),
        (integer(3), integer(-7)),
        (integer(-1), integer(1)),
        (integer(-2), bytes(&point[..32])),
        (integer(-3), bytes(&point[32..])),
    ])
}

/// Authenticator data; `flags` 0x40 says that a credential is in it.
fn data(flags: u8, model: [u8; 16], key: &[u8]) -> Vec<u8> {
    [
        &[7; 32][..],
        &[flags],
        &[0, 0, 0, 1],
        &model,
        &[0, 2],
        b"id",
        key,
    ]
    .concat()
}

struct Statement {
    maker: Maker,
    token: KeyPair,
    key: KeyPair,
    params: CertificateParams,
    data: Option<Vec<u8>>,
    signed: Option<Vec<u8>>,
    with_certificate: bool,
}

impl Statement {
    fn good() -> Self {
        let key = KeyPair::generate().expect("a key");
        Self {
            maker: Maker::new(),
            token: KeyPair::generate().expect("a key"),
            params: certificate(),
            data: Some(data(0x41, MODEL, &cose(&key))),
            key,
            signed: None,
            with_certificate: true,
        }
    }

    fn object(&self) -> Vec<u8> {
        let signed = self
            .signed
            .clone()
            .unwrap_or_else(|| [self.data.clone().unwrap_or_default(), digest().to_vec()].concat());
        let signature = self.token.sign(&signed).expect("signed");
        let mut members = vec![("alg", integer(-7)), ("sig", bytes(&signature))];
        if self.with_certificate {
            members.push(("x5c", self.maker.x5c(&self.params, &self.token)));
        }
        object("packed", &members, self.data.as_deref())
    }
}

pub(super) fn good() -> Good {
    let statement = Statement::good();
    Good {
        object: statement.object(),
        roots: statement.maker.roots(),
        key: public_key_of(&statement.key),
        identities: vec!["permanent-identifier:TOKEN-7"],
    }
}

#[test]
fn a_token_says_which_model_it_is_and_who_made_it() {
    let statement = Statement::good();
    let attested = verify_now(&statement.object(), &statement.maker.roots()).expect("good");
    assert_eq!(attested.aaguid, Some(MODEL));
    assert_eq!(attested.vendor.as_deref(), Some("Maker AB"));
}

#[test]
fn each_fault_is_refused_for_what_it_is() {
    type Change = fn(&mut Statement);
    let cases: [(&str, Change, &str); 13] = [
        // Self attestation proves nothing about a device.
        (
            "no certificate",
            |it| it.with_certificate = false,
            "x5c is missing",
        ),
        ("no authData", |it| it.data = None, "authData is missing"),
        (
            "authData that end early",
            |it| it.data = Some(vec![0; 40]),
            "authData can't be read",
        ),
        (
            "no attested key",
            |it| it.data = Some(data(0x01, MODEL, &cose(&it.key))),
            "its flags say",
        ),
        (
            "something behind the key",
            |it| it.data = Some(data(0x41, MODEL, &[cose(&it.key), vec![0]].concat())),
            "something else follows",
        ),
        (
            "extensions that are none",
            |it| it.data = Some(data(0xc1, MODEL, &cose(&it.key))),
            "something else follows",
        ),
        (
            "a key that is none",
            |it| it.data = Some(data(0x41, MODEL, &raw_map(&[]))),
            "the attested key",
        ),
        (
            "another model than the maker certified",
            |it| it.data = Some(data(0x41, *b"a-better-token..", &cose(&it.key))),
            "AAGUID",
        ),
        (
            "a signature over another challenge",
            |it| it.signed = Some([it.data.clone().unwrap_or_default(), vec![0; 32]].concat()),
            "signature does not verify",
        ),
        (
            "a signature over the challenge alone",
            |it| it.signed = Some(digest().to_vec()),
            "signature does not verify",
        ),
        (
            "a certificate for something else",
            |it| {
                it.params
                    .distinguished_name
                    .remove(DnType::OrganizationalUnitName);
            },
            "Authenticator Attestation",
        ),
        (
            "a certificate that does not say that it is no CA",
            |it| it.params.is_ca = rcgen::IsCa::NoCa,
            "no CA",
        ),
        (
            "no device",
            |it| {
                it.params
                    .distinguished_name
                    .remove(DnType::CustomDnType(vec![2, 5, 4, 5]));
            },
            "does not say which device",
        ),
    ];
    for (name, change, reason) in cases {
        let mut statement = Statement::good();
        change(&mut statement);
        let refused = verify_now(&statement.object(), &statement.maker.roots());
        let refused = refused.expect_err(name).to_string();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
}
