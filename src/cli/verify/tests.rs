//! The command on real files, with every word that it prints.

use clap::Parser;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber,
};
use tempfile::TempDir;

use super::*;

const NOW: i64 = 1_800_000_000;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: VerifyArgs,
}

/// A folder with a root, an intermediate (serial 07), a leaf (0a0b0c), and lists.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let params = |name: &str, serial: &[u8]| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params.serial_number = Some(SerialNumber::from_slice(serial));
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.not_before = date(NOW - 100);
            params.not_after = date(NOW + 100);
            params
        };
        let root = Issuer::new(params("Root", &[1]), KeyPair::generate().expect("a key"));
        let own = params("Root", &[1])
            .self_signed(root.key())
            .expect("signed");
        folder.write("root.pem", &own.pem());
        let key = KeyPair::generate().expect("a key");
        let intermediate = params("Intermediate", &[7])
            .signed_by(&key, &root)
            .expect("signed");
        let issuer = Issuer::new(params("Intermediate", &[7]), key);
        let mut leaf = params("a client", &[10, 11, 12]);
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        leaf.subject_alt_names = vec![rcgen::SanType::DnsName(
            "a.example".try_into().expect("ASCII"),
        )];
        let leaf = leaf
            .signed_by(&KeyPair::generate().expect("a key"), &issuer)
            .expect("signed");
        folder.write("intermediate.pem", &intermediate.pem());
        folder.write("leaf.pem", &leaf.pem());
        folder.write(
            "chain.pem",
            &format!("{}{}", leaf.pem(), intermediate.pem()),
        );
        fs::write(folder.path("leaf.der"), leaf.der()).expect("written");
        folder.write("root.crl", &list(&root, &[]));
        folder.write("issuer.crl", &list(&issuer, &[]));
        folder.write("revoked.crl", &list(&issuer, &[10, 11, 12]));
        folder.write("empty.pem", "");
        folder.write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// Runs the command in this folder; paths come out as bare names.
    fn run(&self, line: &str) -> (Verdict, String) {
        // `--json` belongs to the whole command line, which hands it on.
        let json = line.starts_with("--json ");
        let line = line.trim_start_matches("--json ");
        let words = line.split_whitespace().map(|word| {
            if word.contains('.') {
                self.path(word).display().to_string()
            } else {
                word.to_owned()
            }
        });
        let mut command =
            Command::try_parse_from(std::iter::once("verify".to_owned()).chain(words))
                .expect("a command");
        command.args.json = json;
        let mut out = Vec::new();
        let verdict = run(&command.args, Timestamp::from_unix_seconds(NOW), &mut out)
            .expect("a Vec can be written to");
        let text = String::from_utf8(out).expect("text");
        let folder = format!("{}/", self.0.path().display());
        (verdict, text.replace(&folder, ""))
    }
}

fn date(seconds: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(seconds).expect("a date")
}

fn list(issuer: &Issuer<'_, KeyPair>, revoked: &[u8]) -> String {
    let revoked_certs = match revoked {
        [] => vec![],
        serial => vec![RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date(NOW - 50),
            reason_code: Some(rcgen::RevocationReason::KeyCompromise),
            invalidity_date: None,
        }],
    };
    CertificateRevocationListParams {
        this_update: date(NOW - 50),
        next_update: date(NOW + 50),
        crl_number: 1_u64.into(),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    }
    .signed_by(issuer)
    .and_then(|list| list.pem())
    .expect("signed")
}

#[test]
fn the_outcome_names_the_file_and_the_reason() {
    let folder = Folder::new();
    for (line, outcome) in [
        (
            "--anchor root.pem leaf.pem",
            "leaf.pem: refused: leaf.pem: no path leads from it to a trust anchor [unknown-issuer]",
        ),
        (
            "--anchor root.pem --untrusted intermediate.pem --at 1800000101 leaf.pem",
            "leaf.pem: refused: leaf.pem: it expired at 2027-01-15T08:01:40Z [expired]",
        ),
        (
            "--anchor root.pem --crl issuer.crl chain.pem",
            "chain.pem: refused: chain.pem (block 2): its revocation status is unknown: no valid list covers it \
             [revocation-status-unknown]",
        ),
        (
            "--anchor root.pem --crl root.crl --crl revoked.crl chain.pem",
            "chain.pem: refused: chain.pem: it was revoked (keyCompromise) [revoked]",
        ),
        (
            "--anchor root.pem --crl issuer.crl leaf.pem",
            "leaf.pem: refused: issuer.crl: the list is of another issuer: its name is not the subject of the \
             certificate at hand [input]",
        ),
        (
            "--anchor root.pem nowhere.pem",
            "nowhere.pem: refused: nowhere.pem: No such file or directory (os error 2) [input]",
        ),
        (
            "--anchor empty.pem leaf.pem",
            "leaf.pem: refused: empty.pem: there is nothing of the kind in it that is wanted here, neither as PEM nor \
             as DER [input]",
        ),
        (
            "--anchor root.pem root.crl",
            "root.crl: refused: root.crl: there is nothing of the kind in it that is wanted here, neither as PEM nor \
             as DER [input]",
        ),
        (
            "--anchor root.pem root.pem",
            "root.pem: refused: root.pem: it is a CA certificate; a client needs a certificate of its own \
             [unsuitable-purpose]",
        ),
    ] {
        let expected = (Verdict::Refused, format!("{outcome}\n"));
        assert_eq!(folder.run(line), expected, "{line}");
    }
    let (verdict, text) = folder.run("--anchor root.pem cut.pem");
    assert_eq!(verdict, Verdict::Refused);
    assert!(text.starts_with("cut.pem: refused: cut.pem: "), "{text}");
}

#[test]
fn a_good_chain_is_accepted_from_pem_and_der_with_and_without_lists() {
    let folder = Folder::new();
    for line in [
        "--anchor root.pem chain.pem",
        "--anchor root.pem --untrusted intermediate.pem leaf.der",
        "--anchor root.pem --crl root.crl --crl issuer.crl chain.pem",
        "--anchor intermediate.pem --crl issuer.crl leaf.pem",
    ] {
        let (verdict, text) = folder.run(line);
        assert_eq!(verdict, Verdict::Accepted, "{line}: {text}");
        assert!(
            text.contains("\n  names   dns:a.example\n  serial  0a0b0c\n"),
            "{text}"
        );
    }
}

#[test]
fn json_says_the_same() {
    let folder = Folder::new();
    let run = |line: &str| {
        let (verdict, text) = folder.run(line);
        let json: Value = serde_json::from_str(&text).expect("JSON");
        (verdict, json)
    };
    let (verdict, mut json) = run("--json --anchor root.pem chain.pem");
    assert_eq!(verdict, Verdict::Accepted);
    let object = json.as_object_mut().expect("an object");
    for hash in ["issuer", "thumbprint_sha256"] {
        let value = object.remove(hash);
        assert!(value.is_some_and(|it| it.as_str().is_some_and(|it| it.len() == 64)));
    }
    let (from, until) = ("2027-01-15T07:58:20Z", "2027-01-15T08:01:40Z");
    assert_eq!(
        json,
        json!({
            "accepted": true,
            "anchor": folder.path("root.pem").display().to_string().rsplit('/').next(),
            "serial": "0a0b0c",
            "names": ["dns:a.example"],
            "not_before": from,
            "not_after": until,
            "valid_from": from,
            "valid_until": until,
        })
    );
    assert_eq!(
        run("--json --anchor root.pem --crl root.crl --crl revoked.crl chain.pem"),
        (
            Verdict::Refused,
            json!({
                "accepted": false,
                "category": "revoked",
                "certificate": "chain.pem",
                "reason": "it was revoked (keyCompromise)",
            })
        )
    );
}
