//! `tpm`, where the TPM is a program. What a real one says is in the server's tests.

use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SigningKey as _};

use super::{
    made::{
        Good, Maker, add_alternative_names, bytes, device_certificate, digest, directory_name,
        integer, key_authorization, object, other_name, permanent_identifier, public_key_of,
        sequence, text,
    },
    verify_now,
};
use crate::{
    attestation::{AttestationError, Roots},
    der,
    key::sha256,
};

const MAKER: [(&str, &str); 3] = [
    ("2.23.133.2.1", "id:53544d20"),
    ("2.23.133.2.2", "ST33HTPHAHD4"),
    ("2.23.133.2.3", "id:00010102"),
];
const FIXED: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 18;

/// A TPM's statement in its parts.
struct Statement {
    maker: Maker,
    attestation_key: KeyPair,
    key: KeyPair,
    names: Vec<Vec<u8>>,
    purposes: Vec<Vec<u64>>,
    with_subject: bool,
    version: &'static str,
    algorithm: i64,
    signature_hash: u16,
    magic: u32,
    kind: u16,
    extra_data: Vec<u8>,
    name_algorithm: u16,
    attributes: u32,
    name: Option<Vec<u8>>,
    behind_attest: &'static [u8],
    behind_public: &'static [u8],
}

impl Statement {
    fn good() -> Self {
        Self {
            maker: Maker::new(),
            attestation_key: KeyPair::generate().expect("a key"),
            key: KeyPair::generate().expect("a key"),
            names: vec![
                directory_name(&MAKER),
                permanent_identifier(b"TPM-0042", None),
            ],
            purposes: vec![vec![2, 23, 133, 8, 3]],
            with_subject: false,
            version: "2.0",
            algorithm: -7,
            signature_hash: 0x000b,
            magic: 0xff54_4347,
            kind: 0x8017,
            extra_data: digest().to_vec(),
            name_algorithm: 0x000b,
            attributes: FIXED,
            name: None,
            behind_attest: &[],
            behind_public: &[],
        }
    }

    fn public_area(&self) -> Vec<u8> {
        let point = &public_key_of(&self.key)[27..];
        [
            &0x0023_u16.to_be_bytes()[..],
            &self.name_algorithm.to_be_bytes(),
            &self.attributes.to_be_bytes(),
            &sized(&[7; 32]),
            // symmetric NULL, scheme ECDSA with SHA-256, P-256, kdf NULL.
            &[0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10],
            &sized(&point[..32]),
            &sized(&point[32..]),
            self.behind_public,
        ]
        .concat()
    }

    fn attest(&self) -> Vec<u8> {
        let name = self
            .name
            .clone()
            .unwrap_or_else(|| [&[0x00, 0x0b][..], &sha256(&self.public_area())].concat());
        [
            &self.magic.to_be_bytes()[..],
            &self.kind.to_be_bytes(),
            &sized(&[1; 34]),
            &sized(&self.extra_data),
            // clock, resetCount, restartCount, safe, firmwareVersion.
            &[0; 16],
            &[1],
            &[9; 8],
            &sized(&name),
            &sized(&[2; 34]),
            self.behind_attest,
        ]
        .concat()
    }

    fn object(&self) -> Vec<u8> {
        let mut params = device_certificate();
        if self.with_subject {
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, "an attestation key");
        }
        params.extended_key_usages = self
            .purposes
            .iter()
            .map(|oid| ExtendedKeyUsagePurpose::Other(oid.clone()))
            .collect();
        add_alternative_names(&mut params, &self.names);
        let signed = self.attest();
        let signature = self.attestation_key.sign(&signed).expect("signed");
        let (_, numbers, _) = der::split(&signature).expect("a SEQUENCE");
        let (_, r, rest) = der::split(numbers).expect("r");
        let (_, s, _) = der::split(rest).expect("s");
        let signature = [
            &0x0018_u16.to_be_bytes()[..],
            &self.signature_hash.to_be_bytes(),
            &sized(r),
            &sized(s),
        ]
        .concat();
        object(
            "tpm",
            &[
                ("ver", text(self.version)),
                ("alg", integer(self.algorithm)),
                ("x5c", self.maker.x5c(&params, &self.attestation_key)),
                ("sig", bytes(&signature)),
                ("certInfo", bytes(&signed)),
                ("pubArea", bytes(&self.public_area())),
            ],
            None,
        )
    }

    fn roots(&self) -> Roots {
        self.maker.roots()
    }
}

fn sized(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u16).to_be_bytes(), octets].concat()
}

pub(super) fn good() -> Good {
    let statement = Statement::good();
    Good {
        object: statement.object(),
        roots: statement.roots(),
        key: public_key_of(&statement.key),
        identities: vec!["permanent-identifier:TPM-0042"],
    }
}

#[test]
fn a_tpm_says_who_made_it() {
    let statement = Statement::good();
    let attested = verify_now(&statement.object(), &statement.roots()).expect("good");
    assert_eq!(attested.vendor.as_deref(), Some("id:53544D20"));
    assert_eq!(attested.model.as_deref(), Some("ST33HTPHAHD4"));
}

#[test]
fn identities_are_read_as_the_certificate_has_them() {
    let mut statement = Statement::good();
    let module = sequence(&[
        &super::made::oid("2.23.133.1.2"),
        &der::encode(4, &[b"HW-1"]),
    ]);
    statement.names = vec![
        directory_name(&MAKER),
        permanent_identifier(b"SN-1", Some("1.2.3.4")),
        other_name("1.3.6.1.5.5.7.8.4", &module),
        // Not one that is looked at.
        other_name("1.3.6.1.4.1.311.20.2.3", &der::encode(0x0c, &[b"a@b"])),
    ];
    let attested = verify_now(&statement.object(), &statement.roots()).expect("good");
    let values: Vec<String> = attested
        .identities
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        values,
        [
            "permanent-identifier:SN-1/1.2.3.4",
            "hardware-module:HW-1/2.23.133.1.2"
        ]
    );
}

type Change = fn(&mut Statement);

#[test]
fn each_fault_is_refused_for_what_it_is() {
    let cases: [(&str, Change, &str); 24] = [
        ("another version", |it| it.version = "1.2", "ver"),
        ("SHA-1", |it| it.algorithm = -65535, "SHA-1"),
        ("an unknown algorithm", |it| it.algorithm = -47, "-47"),
        (
            "an algorithm that is not the signature's",
            |it| it.algorithm = -257,
            "alg names another",
        ),
        (
            "a hash that is not the signature's",
            |it| it.signature_hash = 0x000c,
            "alg names another",
        ),
        (
            "a signature over SHA-1",
            |it| it.signature_hash = 0x0004,
            "another hash",
        ),
        (
            "octets from outside, signed by the TPM",
            |it| it.magic = 0xff54_4348,
            "TPM_GENERATED_VALUE",
        ),
        ("a quote", |it| it.kind = 0x8018, "TPM_ST_ATTEST_CERTIFY"),
        (
            "another challenge",
            |it| it.extra_data = vec![0; 32],
            "not about this challenge",
        ),
        (
            "the key authorization itself",
            |it| it.extra_data = key_authorization().into_bytes(),
            "not about this challenge",
        ),
        (
            "no challenge",
            |it| it.extra_data = Vec::new(),
            "not about this challenge",
        ),
        (
            "another key",
            |it| it.name = Some([&[0, 0x0b][..], &[3; 32]].concat()),
            "another key than the one in pubArea",
        ),
        (
            "a name by SHA-1",
            |it| it.name_algorithm = 0x0004,
            "its name is made with another hash",
        ),
        (
            "a key that can go to another TPM",
            |it| it.attributes = FIXED & !(1 << 1),
            "fixedTPM",
        ),
        (
            "a key that can go below another parent",
            |it| it.attributes = FIXED & !(1 << 4),
            "fixedParent",
        ),
        (
            "a key from outside",
            |it| it.attributes = FIXED & !(1 << 5),
            "sensitiveDataOrigin",
        ),
        (
            "a key that does not sign",
            |it| it.attributes = FIXED & !(1 << 18),
            "it can't sign",
        ),
        (
            "a certificate with a subject",
            |it| it.with_subject = true,
            "subject must be empty",
        ),
        (
            "a certificate for another purpose",
            |it| it.purposes = vec![vec![1, 3, 6, 1, 5, 5, 7, 3, 2]],
            "tcg-kp-AIKCertificate",
        ),
        (
            "a certificate that does not say who made the TPM",
            |it| it.names = vec![permanent_identifier(b"TPM-0042", None)],
            "tpmManufacturer",
        ),
        (
            "a certificate that names two makers",
            |it| it.names.push(directory_name(&MAKER)),
            "tpmManufacturer",
        ),
        (
            "a certificate that does not say which device it is",
            |it| it.names = vec![directory_name(&MAKER)],
            "does not say which device",
        ),
        (
            "an identity that is not plain",
            |it| it.names[1] = permanent_identifier(b"TPM/../42", None),
            "is not plain",
        ),
        (
            "something behind the structures",
            |it| it.behind_attest = &[0],
            "certInfo",
        ),
    ];
    for (name, change, reason) in cases {
        let mut statement = Statement::good();
        change(&mut statement);
        let refused = verify_now(&statement.object(), &statement.roots());
        let refused = refused.expect_err(name).to_string();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
}

#[test]
fn another_tpms_signature_and_anothers_key_are_refused() {
    let (mine, other) = (Statement::good(), Statement::good());
    let mut swapped = Statement::good();
    swapped.maker = mine.maker;
    let good = swapped.object();
    // The certificate of one attestation key, the signature of another one.
    let signature = |statement: &Statement| statement.object();
    let at = |octets: &[u8], name: &str| {
        let name = [&[0x60 | name.len() as u8], name.as_bytes()].concat();
        octets
            .windows(name.len())
            .position(|window| window == name)
            .expect("the member")
    };
    let theirs = signature(&other);
    let mixed = [&good[..at(&good, "sig")], &theirs[at(&theirs, "sig")..]].concat();
    assert_eq!(
        verify_now(&mixed, &swapped.roots()),
        Err(AttestationError::Signature(
            "the attestation key in the first certificate of x5c"
        ))
    );
    let mixed = [
        &good[..at(&good, "pubArea")],
        &theirs[at(&theirs, "pubArea")..],
    ]
    .concat();
    assert!(matches!(
        verify_now(&mixed, &swapped.roots()),
        Err(AttestationError::NotBound(_))
    ));
}

#[test]
fn something_behind_the_public_area_is_refused() {
    let mut statement = Statement::good();
    statement.behind_public = &[0];
    let refused = verify_now(&statement.object(), &statement.roots()).expect_err("refused");
    assert!(
        matches!(refused, AttestationError::Malformed { .. }),
        "{refused}"
    );
}
