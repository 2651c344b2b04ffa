//! Taking in a CA that exists already: what is refused, and that its name stays as it is, to the byte.

use std::{fs, path::Path, process::Command};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};
use x509_parser::{pem::parse_x509_pem, prelude::X509Certificate};

use crate::support::Server;

/// A CA of somebody's, in files.
struct Ca {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Ca {
    fn root(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = params(name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { params, key, pem }
    }

    fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(name);
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let pem = params
            .signed_by(&key, &issuer)
            .expect("a certificate")
            .pem();
        Self { params, key, pem }
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CountryName, "DE");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Somebody");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = OffsetDateTime::now_utc() - Duration::days(2);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(400);
    params
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

fn subject(pem: &str) -> Vec<u8> {
    let (_, block) = parse_x509_pem(pem.as_bytes()).expect("PEM");
    let certificate: X509Certificate<'_> = block.parse_x509().expect("a certificate");
    certificate.subject().as_raw().to_vec()
}

#[test]
fn an_import_that_can_not_issue_is_refused_with_the_reason() {
    let server = Server::start();
    let files = server.scratch("files");
    let root = Ca::root("Their Root");
    let good = root.below("Their Issuing CA", |_| {});
    let other = KeyPair::generate().expect("a key").serialize_pem();
    let leaf = root.below("a leaf", |params| params.is_ca = IsCa::ExplicitNoCa);
    let expired = root.below("Their Old CA", |params| {
        params.not_before = OffsetDateTime::now_utc() - Duration::days(9);
        params.not_after = OffsetDateTime::now_utc() - Duration::days(1);
    });
    let young = root.below("Their Next CA", |params| {
        params.not_before = OffsetDateTime::now_utc() + Duration::days(1);
    });
    let no_usage = root.below("Their Half CA", |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    });
    let with_root = |ca: &Ca| format!("{}{}", ca.pem, root.pem);
    let stranger = Ca::root("A Stranger's Root");
    let cases: &[(&str, String, &str, &str)] = &[
        (
            "no CA",
            with_root(&leaf),
            &leaf.key.serialize_pem(),
            "not a CA",
        ),
        (
            "expired",
            with_root(&expired),
            &expired.key.serialize_pem(),
            "expired",
        ),
        (
            "not yet valid",
            with_root(&young),
            &young.key.serialize_pem(),
            "not valid yet",
        ),
        (
            "no cRLSign",
            with_root(&no_usage),
            &no_usage.key.serialize_pem(),
            "cRLSign",
        ),
        (
            "another key",
            with_root(&good),
            &other,
            "not the certificate's",
        ),
        (
            "chain too short",
            good.pem.clone(),
            &good.key.serialize_pem(),
            "append what is above it",
        ),
        (
            "another root above it",
            format!("{}{}", good.pem, stranger.pem),
            &good.key.serialize_pem(),
            "did not issue it",
        ),
        (
            "no PEM",
            "hello".to_owned(),
            &good.key.serialize_pem(),
            "holds no certificate",
        ),
        (
            "no key",
            with_root(&good),
            "hello",
            "no PEM block of a private key",
        ),
    ];
    let before = server.json(&["ca", "list"]);
    for (what, chain, key, reason) in cases {
        let chain = write(&files, "chain.pem", chain);
        let key = write(&files, "key.pem", key);
        let output = server.cli(&[
            "ca",
            "import",
            "theirs",
            "--certificate",
            &chain,
            "--key",
            &key,
        ]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(reason),
            "{what}: {said}"
        );
    }
    assert_eq!(
        server.json(&["ca", "list"]),
        before,
        "a refused import leaves nothing behind"
    );
    let keys = fs::read_dir(server.state_dir().join("keys")).expect("a directory");
    assert_eq!(keys.count(), 3, "root, intermediate and seed");

    let chain = write(&files, "chain.pem", &with_root(&good));
    let key = write(&files, "key.pem", &good.key.serialize_pem());
    let import =
        |name: &str| server.cli(&["ca", "import", name, "--certificate", &chain, "--key", &key]);
    assert!(
        String::from_utf8_lossy(&import("intermediate").stderr)
            .contains("an issuer named intermediate exists")
    );
    assert!(import("theirs").status.success());
    assert!(String::from_utf8_lossy(&import("again").stderr).contains("has this key already"));
    // PKITS 4.5.5: the same name with another key makes lists and chains pick the wrong one.
    let twin = root.below("Their Issuing CA", |_| {});
    let chain = write(&files, "chain.pem", &with_root(&twin));
    let key = write(&files, "key.pem", &twin.key.serialize_pem());
    let twin = server.cli(&[
        "ca",
        "import",
        "twin",
        "--certificate",
        &chain,
        "--key",
        &key,
    ]);
    assert!(String::from_utf8_lossy(&twin.stderr).contains("has this subject with another key"));
}

#[test]
fn a_wrong_passphrase_is_told_apart_from_a_damaged_key() {
    let server = Server::start();
    let files = server.scratch("files");
    let root = Ca::root("Their Root");
    let chain = write(&files, "chain.pem", &root.pem);
    let plain = write(&files, "plain.pem", &root.key.serialize_pem());
    let sealed = files.join("sealed.pem").display().to_string();
    let phrase = write(&files, "phrase", "correct horse\n");
    let wrong = write(&files, "wrong", "wrong\n");
    for file in [&phrase, &wrong] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("set");
    }
    let made = Command::new("openssl")
        .args([
            "pkcs8", "-topk8", "-scrypt", "-in", &plain, "-out", &sealed, "-passout",
        ])
        .arg(format!("file:{phrase}"))
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{made:?}");
    let text = fs::read_to_string(&sealed).expect("a file");
    let damaged = write(&files, "damaged.pem", &text.replacen("MI", "!!", 1));
    let import = |key: &str, phrase: &str| {
        let output = server.cli(&[
            "ca",
            "import",
            "theirs",
            "--certificate",
            &chain,
            "--key",
            key,
            "--passphrase-file",
            phrase,
        ]);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (done, said) = import(&sealed, &wrong);
    assert!(!done && said.contains("passphrase does not open"), "{said}");
    let (done, said) = import(&damaged, &phrase);
    assert!(!done && said.contains("no PEM block"), "{said}");
    assert!(import(&sealed, &phrase).0);
}

#[test]
fn an_imported_ca_keeps_its_name_to_the_byte_and_issues_when_it_is_activated() {
    let server = Server::start();
    let files = server.scratch("files");
    let root = Ca::root("Their Root");
    let theirs = root.below("Their Issuing CA", |_| {});
    let chain = write(&files, "chain.pem", &format!("{}{}", theirs.pem, root.pem));
    let key = write(&files, "key.pem", &theirs.key.serialize_pem());
    let taken = server.json(&[
        "ca",
        "import",
        "theirs",
        "--certificate",
        &chain,
        "--key",
        &key,
    ]);
    assert_eq!(taken[0]["state"], "prepared");
    server.json(&["ca", "activate", "theirs", "--instead-of", "intermediate"]);
    let device = server.enrol("device:fra/sensor-42");
    let issued = fs::read_to_string(device.join("current/chain.pem"))
        .or_else(|_| fs::read_to_string(device.join("current/fullchain.pem")))
        .expect("a chain");
    let above = issued
        .split_inclusive("-----END CERTIFICATE-----\n")
        .find(|pem| subject(pem) == subject(&theirs.pem))
        .expect("their certificate is in the chain");
    assert_eq!(above.trim(), theirs.pem.replace("\r\n", "\n").trim());
    // A root comes in without its key, and is trusted from then on.
    let stranger = Ca::root("A Stranger's Root");
    let chain = write(&files, "stranger.pem", &stranger.pem);
    let taken = server.json(&["ca", "import", "stranger", "--certificate", &chain]);
    assert_eq!(
        (&taken[0]["role"], &taken[0]["key"]),
        (&"root".into(), &"offline".into())
    );
    let bundle = server.json(&["ca", "bundle"])["pem"]
        .as_str()
        .expect("PEM")
        .to_owned();
    assert_eq!(
        bundle.matches("BEGIN CERTIFICATE").count(),
        3,
        "ours, theirs, the stranger's"
    );
}

/// UCM #264, openbao #60: an intermediate whose extended key usages lack clientAuth makes client certificates that nobody
/// accepts.
#[test]
fn a_ca_for_servers_only_issues_to_servers_only() {
    let server = Server::start();
    let files = server.scratch("files");
    let root = Ca::root("Their Root");
    let theirs = root.below("Their Server CA", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let chain = write(&files, "chain.pem", &format!("{}{}", theirs.pem, root.pem));
    let key = write(&files, "key.pem", &theirs.key.serialize_pem());
    let import = [
        "ca",
        "import",
        "theirs",
        "--certificate",
        &chain,
        "--key",
        &key,
    ];
    server.json(&import);
    let refused = server.cli(&["ca", "activate", "theirs", "--instead-of", "intermediate"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success()
            && said.contains("can't issue the profile device")
            && said.contains("lack 1.3.6.1.5.5.7.3.2"),
        "{said}"
    );
}

/// A certificate of somebody's own making says where their lists are, or nothing: that is no reason not to start.
#[test]
fn a_server_starts_again_with_an_imported_ca_below_an_imported_root() {
    let mut server = Server::start();
    let files = server.scratch("files");
    let root = Ca::root("Their Root");
    let theirs = root.below("Their Issuing CA", |_| {});
    let chain = write(&files, "root.pem", &root.pem);
    server.json(&["ca", "import", "their-root", "--certificate", &chain]);
    let chain = write(&files, "chain.pem", &format!("{}{}", theirs.pem, root.pem));
    let key = write(&files, "key.pem", &theirs.key.serialize_pem());
    server.json(&[
        "ca",
        "import",
        "theirs",
        "--certificate",
        &chain,
        "--key",
        &key,
    ]);
    server.restart();
    server.json(&["ca", "activate", "theirs", "--instead-of", "intermediate"]);
    server.enrol("device:fra/sensor-42");
    server.restart();
}
