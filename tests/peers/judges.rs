//! openssl, GnuTLS and Python's `cryptography` verify every kind of chain and list, and read every kind of answer. A
//! sample here; every kind of key by every other in `scripts/soak`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_ca::{
    crl::{ListScope, RevokedEntry},
    key::KeyAlgorithm,
    profile::ProfileKind,
    revocation::RevocationReason,
    serial::Serial,
};
use serde_json::Value;

use super::{
    judged::{Judged, list},
    openssl::serial,
    pkilint::python,
    program::{fails, program, succeeds},
};
use crate::support::objects::{Ca, Hierarchy, Object, URL};

use KeyAlgorithm as K;

/// OpenSSL before 3.5 and GnuTLS before 3.8.9 don't know ML-DSA; what these are shown has none of it.
const CLASSIC: [K; 6] = [
    K::P256,
    K::P384,
    K::Ed25519,
    K::Rsa2048,
    K::Rsa3072,
    K::Rsa4096,
];

fn sample(folder: &Path) -> Judged {
    if env::var_os("PORTCULLIS_SOAK").is_some() {
        Judged::make(folder, &CLASSIC, &CLASSIC)
    } else {
        Judged::make(
            folder,
            &[K::P384, K::Ed25519, K::Rsa2048],
            &[K::P256, K::Rsa3072],
        )
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn certificates<'a>(der: impl IntoIterator<Item = &'a [u8]>) -> String {
    der.into_iter().map(|der| pem("CERTIFICATE", der)).collect()
}

/// A folder with what a verifier needs of one hierarchy.
struct Files<'a> {
    folder: PathBuf,
    hierarchy: &'a Hierarchy,
    now: i64,
}

impl<'a> Files<'a> {
    fn new(parent: &Path, hierarchy: &'a Hierarchy, now: i64) -> Self {
        let by = hierarchy.root.certificate.public_key().algorithm();
        let files = Self {
            folder: parent.join(by.name()),
            hierarchy,
            now,
        };
        fs::create_dir_all(&files.folder).unwrap();
        files
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn root(&self) -> PathBuf {
        let root = certificates([self.hierarchy.root.certificate.der()]);
        self.write("root.pem", &root)
    }

    fn chain(&self, object: &Object) -> PathBuf {
        let chain = std::iter::once(&object.der).chain(&object.above);
        let chain = certificates(chain.map(Vec::as_slice));
        self.write(&format!("{}.pem", object.name), &chain)
    }

    fn between(&self) -> PathBuf {
        let cas = [&self.hierarchy.intermediate, &self.hierarchy.constrained];
        let between = certificates(cas.map(|ca| ca.certificate.der()));
        self.write("between.pem", &between)
    }

    /// The list of every distribution point that these certificates name, that of leaves being of a shard (they name 3);
    /// leaves with these serials are revoked.
    fn lists(&self, name: &str, shard: u32, revoked: &[Serial]) -> PathBuf {
        let Hierarchy {
            root,
            intermediate,
            constrained,
            ..
        } = self.hierarchy;
        let mut lists = Vec::new();
        for ca in [root, intermediate, constrained] {
            let place = ca.certificate.revocation_list().expect("a place");
            lists.push(list(root, ListScope::Authorities, place, self.now, vec![]));
        }
        for ca in [intermediate, constrained] {
            lists.push(self.leaves(ca, shard, revoked));
        }
        let text: String = lists.iter().map(|der| pem("X509 CRL", der)).collect();
        self.write(name, &text)
    }

    fn leaves(&self, ca: &Ca, shard: u32, revoked: &[Serial]) -> Vec<u8> {
        let entry = |serial: &Serial| RevokedEntry {
            serial: *serial,
            revoked_at: self.now,
            reason: RevocationReason::KeyCompromise,
        };
        let place = format!("{URL}/crl/leaves/{shard}.crl");
        let entries = revoked.iter().map(entry).collect();
        list(ca, ListScope::Leaves, &place, self.now, entries)
    }

    fn leaf(&self, what: &str) -> &Object {
        let is = |object: &&Object| object.name.ends_with(what);
        self.hierarchy.objects.iter().find(is).expect(what)
    }
}

fn openssl(purpose: &str, root: &Path, untrusted: &Path) -> Option<Command> {
    let mut openssl = program("openssl")?;
    openssl.args(["verify", "-x509_strict", "-purpose", purpose]);
    openssl.args(["-no-CAfile", "-no-CApath", "-no-CAstore"]);
    openssl.arg("-CAfile").arg(root);
    openssl.arg("-untrusted").arg(untrusted);
    Some(openssl)
}

/// What openssl and GnuTLS call what a kind of certificate is for.
fn purposes(kind: ProfileKind) -> (&'static [&'static str], &'static str) {
    match kind {
        ProfileKind::Server => (&["sslserver"], "1.3.6.1.5.5.7.3.1"),
        ProfileKind::Device => (&["sslclient"], "1.3.6.1.5.5.7.3.2"),
        ProfileKind::Service => (&["sslclient", "sslserver"], "1.3.6.1.5.5.7.3.2"),
        ProfileKind::OcspResponder => (&["ocsphelper"], "1.3.6.1.5.5.7.3.9"),
        ProfileKind::Root | ProfileKind::CrossRoot | ProfileKind::Intermediate => {
            (&["any"], "2.5.29.37.0")
        }
    }
}

#[test]
fn openssl_verifies_every_chain_with_its_lists_and_refuses_what_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let judged = sample(folder.path());
    for hierarchy in &judged.hierarchies {
        let files = Files::new(folder.path(), hierarchy, judged.now);
        let (root, between) = (files.root(), files.between());
        let lists = files.lists("lists.pem", 3, &[]);
        for object in &hierarchy.objects {
            if matches!(object.kind, ProfileKind::Root | ProfileKind::CrossRoot) {
                continue;
            }
            let file = files.chain(object);
            for purpose in purposes(object.kind).0 {
                let Some(mut verify) = openssl(purpose, &root, &between) else {
                    return;
                };
                // These two say that nobody should look for a list.
                let unlisted = object.kind.is_never_checked() || object.name.contains("no-rev");
                if !unlisted {
                    verify.args(["-crl_check_all", "-CRLfile"]).arg(&lists);
                }
                let said = succeeds(verify.arg(&file));
                assert!(said.ends_with(": OK\n"), "{}: {said}", object.name);
            }
        }
        // The path over the other root's certificate for this one.
        let other = certificates([files.leaf("-other-root").der.as_slice()]);
        let other = files.write("other.pem", &other);
        let cross = fs::read_to_string(&between).unwrap()
            + &certificates([files.leaf("-cross-root-2").der.as_slice()]);
        let cross = files.write("cross.pem", &cross);
        let device = files.chain(files.leaf("-device"));
        let mut verify = openssl("sslclient", &other, &cross).expect("openssl");
        assert!(succeeds(verify.arg(&device)).ends_with(": OK\n"));
        let mut verify = openssl("sslclient", &other, &between).expect("openssl");
        fails(verify.arg(&device));

        let leaf = hex::decode(serial(&device).expect("openssl")).unwrap();
        let leaf = Serial::from_der_integer(&leaf).unwrap();
        let revoked = files.lists("revoked.pem", 3, &[leaf]);
        let check = |lists: &Path| {
            let mut verify = openssl("sslclient", &root, &between).expect("openssl");
            verify.args(["-crl_check_all", "-CRLfile"]).arg(lists);
            fails(verify.arg(&device))
        };
        let said = check(&revoked);
        assert!(said.contains("certificate revoked"), "{said}");
        // A list of another shard says nothing about it.
        let said = check(&files.lists("shard.pem", 4, &[])).to_lowercase();
        assert!(said.contains("different crl scope"), "{said}");
    }
}

#[test]
fn gnutls_verifies_every_chain_and_every_list() {
    let folder = tempfile::tempdir().unwrap();
    let judged = sample(folder.path());
    for hierarchy in &judged.hierarchies {
        let files = Files::new(folder.path(), hierarchy, judged.now);
        let root = files.root();
        for object in &hierarchy.objects {
            if matches!(object.kind, ProfileKind::Root | ProfileKind::CrossRoot) {
                continue;
            }
            let Some(mut certtool) = program("certtool") else {
                return;
            };
            certtool.arg("--verify").arg("--load-ca-certificate");
            certtool.arg(&root).arg("--infile").arg(files.chain(object));
            if !object.kind.is_ca() {
                certtool.arg(format!("--verify-purpose={}", purposes(object.kind).1));
            }
            let said = succeeds(&mut certtool);
            assert!(
                said.contains("Chain verification output: Verified."),
                "{}: {said}",
                object.name
            );
        }
        // The path over the other root's certificate for this one.
        let device = files.leaf("-device");
        let chain = [
            &device.der,
            &device.above[0],
            &files.leaf("-cross-root-2").der,
        ];
        let chain = files.write("cross.pem", &certificates(chain.map(Vec::as_slice)));
        let other = certificates([files.leaf("-other-root").der.as_slice()]);
        let other = files.write("other.pem", &other);
        let mut certtool = program("certtool").expect("certtool");
        certtool.arg("--verify").arg("--load-ca-certificate");
        let said = succeeds(certtool.arg(&other).arg("--infile").arg(&chain));
        assert!(said.contains("Verified."), "{said}");
    }
    for file in fs::read_dir(folder.path().join("lists")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|it| it == "issuer") {
            continue;
        }
        let read = |path: &Path| fs::read(path).unwrap();
        let pem_file = file.with_extension("pem");
        fs::write(&pem_file, pem("X509 CRL", &read(&file))).unwrap();
        let issuer = file.with_extension("issuer-pem");
        fs::write(
            &issuer,
            pem("CERTIFICATE", &read(&file.with_extension("issuer"))),
        )
        .unwrap();
        let mut certtool = program("certtool").expect("certtool");
        certtool.arg("--verify-crl").arg("--load-ca-certificate");
        let said = succeeds(certtool.arg(&issuer).arg("--infile").arg(&pem_file));
        assert!(
            said.contains("Verification output: Verified."),
            "{}: {said}",
            file.display()
        );
        let mut certtool = program("certtool").expect("certtool");
        let said = succeeds(certtool.args(["--crl-info", "--infile"]).arg(&pem_file));
        assert!(said.contains("CRL Number (not critical): 1267"), "{said}");
    }
}

#[test]
fn pythons_cryptography_reads_and_verifies_everything() {
    let folder = tempfile::tempdir().unwrap();
    // It knows ML-DSA.
    let judged = if env::var_os("PORTCULLIS_SOAK").is_some() {
        Judged::make(folder.path(), &K::ALL, &K::ALL)
    } else {
        Judged::make(
            folder.path(),
            &[K::P256, K::MlDsa65],
            &[K::P384, K::Ed25519, K::Rsa2048, K::MlDsa44],
        )
    };
    let Some(mut python) = python("parse_folder.py") else {
        return;
    };
    let said = succeeds(python.arg(folder.path()));
    let told: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(told["read"], judged.count(), "{told}");
    assert_eq!(told["unknown"], Value::Array(vec![]), "{told}");
    assert_eq!(told["verified"], judged.count(), "{told}");
    assert!(told["paths"].as_u64().unwrap() > 0, "{told}");
}
