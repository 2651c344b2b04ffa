//! For every rule of the linter something that only this rule catches. Octets are broken by hand, or written by one draft
//! and compared with another: what was meant.

use std::{collections::BTreeSet, sync::Arc};

mod table;
use super::extensions::AUTHORITY_KEY_IDENTIFIER;
use table::table;

use super::*;
use crate::{
    certificate::Draft,
    der::{self, tag},
    key::{KeyAlgorithm, Signer, SigningKey, tests::key},
    name::GeneralName,
    profile::{
        ExtendedKeyUsage, ExtraExtension, KeyUsage, NameConstraints, Profile, ProfileKind, Subject,
    },
    serial::Serial,
};

const NOW: i64 = 1_800_000_000;
const DEVICE: &str = "spiffe://example.internal/device/fra/1";

/// What is written, what is meant, and who signs.
struct Stage {
    written: Draft,
    meant: Draft,
    issuer: Option<IssuerCertificate>,
    octets: Option<Vec<u8>>,
}

impl Stage {
    fn new(kind: ProfileKind) -> Self {
        let issuer = (kind != ProfileKind::Root).then(|| {
            issuer(
                if kind.is_ca() {
                    ProfileKind::Root
                } else {
                    ProfileKind::Intermediate
                },
                |_| {},
            )
        });
        let draft = draft(kind, key(KeyAlgorithm::P256, 2));
        Self {
            written: draft.clone(),
            meant: draft,
            issuer,
            octets: None,
        }
    }

    /// Changes what is written and meant.
    fn both(mut self, change: impl Fn(&mut Draft)) -> Self {
        change(&mut self.written);
        change(&mut self.meant);
        self
    }

    fn profile(self, change: impl Fn(&mut Profile)) -> Self {
        self.both(|draft| change(Arc::make_mut(&mut draft.profile)))
    }

    /// Changes what is written and not meant.
    fn written(mut self, change: impl FnOnce(&mut Draft)) -> Self {
        change(&mut self.written);
        self
    }

    fn written_profile(self, change: impl FnOnce(&mut Profile)) -> Self {
        self.written(|draft| change(Arc::make_mut(&mut draft.profile)))
    }

    fn issuer(mut self, change: impl FnOnce(&mut IssuerCertificate)) -> Self {
        change(self.issuer.as_mut().expect("there is one"));
        self
    }

    fn below(mut self, issuer: IssuerCertificate) -> Self {
        self.issuer = Some(issuer);
        self
    }

    fn write(&self) -> Vec<u8> {
        self.octets.clone().unwrap_or_else(|| {
            self.written
                .to_be_signed(self.issuer.as_ref())
                .expect("octets")
        })
    }

    /// Replaces an element of the TBSCertificate.
    fn element(mut self, index: usize, encoded: &[u8]) -> Self {
        self.octets = der::replace_element(&self.write(), index, encoded);
        assert!(self.octets.is_some());
        self
    }

    /// Edits the elements of the TBSCertificate.
    fn elements(mut self, edit: impl FnOnce(&mut Vec<Vec<u8>>)) -> Self {
        let mut elements = elements(&self.write());
        edit(&mut elements);
        self.octets = Some(der::encode(tag::SEQUENCE, &[&elements.concat()]));
        self
    }

    /// Edits the extensions, each a SEQUENCE.
    fn extensions(self, edit: impl FnOnce(&mut Vec<Vec<u8>>)) -> Self {
        self.elements(|all| {
            let last = all.pop().expect("extensions");
            let mut extensions = elements(der::split(&last).expect("[3]").1);
            edit(&mut extensions);
            let extensions = der::encode(tag::SEQUENCE, &[&extensions.concat()]);
            all.push(der::encode(0xa3, &[&extensions]));
        })
    }

    /// Replaces the extension with this identifier, given the contents of its DER, or takes it away.
    fn extension(self, oid: &[u8], with: Option<Vec<u8>>) -> Self {
        self.extensions(|all| {
            let at = all
                .iter()
                .position(|it| elements(it)[0][2..] == *oid)
                .expect("the extension");
            match with {
                Some(with) => all[at] = with,
                None => drop(all.remove(at)),
            }
        })
    }

    fn rules(&self) -> Vec<&'static str> {
        certificate(&self.write(), &self.meant, self.issuer.as_ref())
            .into_iter()
            .map(|finding| finding.rule)
            .collect()
    }
}

/// The elements of a SEQUENCE, each with its header.
fn elements(sequence: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = der::split(sequence).expect("a SEQUENCE").1;
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let (whole, _, after) = der::split(rest).expect("an element");
        elements.push(whole.to_vec());
        rest = after;
    }
    elements
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let oid = der::encode(tag::OBJECT_IDENTIFIER, &[oid]);
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    let value = der::encode(4, &[value]);
    der::encode(tag::SEQUENCE, &[&oid, critical, &value])
}

fn draft(kind: ProfileKind, key: &SigningKey) -> Draft {
    let profile = Profile::default_for(kind);
    let validity = profile.validity(NOW, NOW + 1000 * 86_400);
    let mut draft = Draft::new(
        profile.into(),
        // With its sign bit set, so that DER puts a zero before it.
        "f0e1d2c3b4a5968778695a4b3c2d1e0f"
            .parse()
            .expect("a serial"),
        key.public_key().clone(),
        validity,
    );
    draft.subject = Subject::CommonName(format!("Test {kind}"));
    draft.names = match kind {
        ProfileKind::Server => vec![dns("a.example")],
        ProfileKind::Device | ProfileKind::Service => vec![GeneralName::Uri(DEVICE.to_owned())],
        ProfileKind::Root
        | ProfileKind::CrossRoot
        | ProfileKind::Intermediate
        | ProfileKind::OcspResponder => vec![],
    };
    draft.revocation_list =
        (!kind.is_never_checked()).then(|| "http://127.0.0.1/crl/1/0.crl".to_owned());
    draft.issuer_certificate =
        (kind != ProfileKind::Root).then(|| "http://127.0.0.1/issuer/1.crt".to_owned());
    draft.ocsp = kind
        .is_enrolled()
        .then(|| "http://127.0.0.1/ocsp".to_owned());
    draft
}

fn issuer(kind: ProfileKind, change: impl FnOnce(&mut Profile)) -> IssuerCertificate {
    let root_key = key(KeyAlgorithm::P256, 0);
    let sign = |draft: Draft, issuer: Option<&IssuerCertificate>| {
        let octets = draft.to_be_signed(issuer).expect("octets");
        let signature = crate::key::tests::sign(root_key, &octets);
        let bits = der::encode(tag::BIT_STRING, &[&[0], &signature]);
        let algorithm = KeyAlgorithm::P256.signature_algorithm_identifier();
        let der = der::encode(tag::SEQUENCE, &[&octets, algorithm, &bits]);
        IssuerCertificate::from_der(&der).expect("an issuer")
    };
    let root = sign(draft(ProfileKind::Root, root_key), None);
    if kind == ProfileKind::Root {
        return root;
    }
    let mut below = draft(ProfileKind::Intermediate, key(KeyAlgorithm::P256, 1));
    change(Arc::make_mut(&mut below.profile));
    below.subject = Subject::CommonName("Test issuer".to_owned());
    sign(below, Some(&root))
}

fn dns(name: &str) -> GeneralName {
    GeneralName::Dns(name.parse().expect("a name"))
}

fn extra(value: u8) -> ExtraExtension {
    let oid = "1.3.6.1.4.1.55738.1".parse().expect("an OID");
    ExtraExtension::new(oid, false, vec![2, 1, value]).expect("an extension")
}

fn constraints(name: &str) -> NameConstraints {
    NameConstraints {
        permitted_dns: vec![name.parse().expect("a subtree")],
        ..NameConstraints::default()
    }
}

impl Stage {
    /// The authority key identifier of the issuer that was put in after the octets were written.
    fn aki_of_root(self) -> Self {
        let identifier = self
            .issuer
            .as_ref()
            .expect("there is one")
            .key_identifier()
            .to_vec();
        let value = der::encode(tag::SEQUENCE, &[&der::encode(0x80, &[&identifier])]);
        self.extension(
            AUTHORITY_KEY_IDENTIFIER,
            Some(extension(AUTHORITY_KEY_IDENTIFIER, false, &value)),
        )
    }
}

#[test]
fn every_rule_catches_what_no_other_does() {
    for kind in ProfileKind::ALL {
        let stage = Stage::new(kind);
        assert_eq!(stage.rules(), [""; 0], "{kind} is clean");
    }
    let wrong: Vec<_> = table()
        .into_iter()
        .map(|(rule, stage)| (rule, stage.rules()))
        .filter(|(rule, found)| *found != [*rule])
        .collect();
    assert_eq!(wrong, []);
}

/// Every text of the linter's sources that stands alone on its line is a rule, and stands in the table.
#[test]
fn the_table_has_every_rule() {
    let sources = [
        include_str!("../lint.rs"),
        include_str!("authority.rs"),
        include_str!("extensions.rs"),
        include_str!("fields.rs"),
        include_str!("names.rs"),
        include_str!("revocation.rs"),
        include_str!("subject.rs"),
        include_str!("usages.rs"),
        include_str!("validity.rs"),
    ];
    let tested: BTreeSet<&str> = table().iter().map(|(rule, _)| *rule).collect();
    let rules: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .collect();
    assert!(rules.len() > 45);
    let untested: Vec<&&str> = rules.difference(&tested).collect();
    assert_eq!(untested, Vec::<&&str>::new());
}
