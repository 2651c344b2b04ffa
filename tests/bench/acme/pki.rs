//! A root, an intermediate and a server's certificate, for the servers that bring none of their own.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Writes `root.pem`, `intermediate.pem` and `.key`, `server.pem` (with the intermediate) and `.key`.
pub fn write(dir: &Path) {
    let root_key = KeyPair::generate().expect("a key");
    let root = ca("bench root");
    let root_pem = root.self_signed(&root_key).expect("signed").pem();
    let root = Issuer::new(root, root_key);

    let key = KeyPair::generate().expect("a key");
    let intermediate = ca("bench intermediate");
    let intermediate_pem = intermediate.signed_by(&key, &root).expect("signed").pem();
    put(dir, "root.pem", &root_pem);
    put(dir, "intermediate.pem", &intermediate_pem);
    put(dir, "intermediate.key", &key.serialize_pem());
    let intermediate = Issuer::new(intermediate, key);

    let key = KeyPair::generate().expect("a key");
    let mut server = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server = server.signed_by(&key, &intermediate).expect("signed").pem();
    put(dir, "server.pem", &format!("{server}{intermediate_pem}"));
    put(dir, "server.key", &key.serialize_pem());
}

fn ca(name: &str) -> CertificateParams {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, name);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca
}

fn put(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("written");
}
