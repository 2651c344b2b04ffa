//! Profiles as they are written.

use std::{path::Path, time::Duration};

use portcullis_ca::profile::Subject;

use super::*;
use crate::app::config::Settings;

fn read(text: &str) -> Result<Settings, String> {
    Settings::from_toml(text, Path::new("portcullis.toml"), Path::new("state"))
        .map_err(|error| error.to_string())
}

#[test]
fn a_profile_is_read_in_full() {
    let settings = read(
        r#"
[profiles.camera]
kind = "device"
lifetime = "30m"
backdate = "30s"
keys = ["p256", "rsa3072", "mldsa65"]
key_usages = ["digital_signature", "key_encipherment"]
extended_key_usages = ["1.3.6.1.4.1.311.20.2.2"]
common_name = "principal"
organization = "Example"
organizational_unit = "Cameras"
country = "DE"
allow_dns = ["**.cam.example.internal"]
deny_dns = ["vault.cam.example.internal"]
allow_ip = ["10.20.0.0/16", "fd00::1"]
deny_ip = ["10.20.9.0/24"]
no_revocation_below = "1h"

[[profiles.camera.extensions]]
oid = "1.3.6.1.4.1.55738.1"
hex = "0c026869"

[[profiles.camera.extensions]]
oid = "1.3.6.1.4.1.55738.2"
critical = true
base64 = "DAJoaQ=="

[profiles.intermediate]
max_path_length = 1
[profiles.intermediate.name_constraints]
permit_dns = ["example.internal"]
exclude_ip = ["0.0.0.0/0", "::/0"]

[profiles.root]
max_path_length = "none"
"#,
    )
    .expect("a configuration");
    let camera = settings
        .profiles
        .get(&"camera".parse().expect("a name"))
        .expect("it is there");
    let list = |texts: &[&str]| -> Vec<DnsPattern> {
        texts
            .iter()
            .map(|text| text.parse().expect("a pattern"))
            .collect()
    };
    let networks = |texts: &[&str]| -> Vec<IpNet> {
        texts
            .iter()
            .map(|text| text.parse().expect("a network"))
            .collect()
    };
    let extension = |oid: &str, critical| {
        let value = vec![0x0c, 2, b'h', b'i'];
        ExtraExtension::new(oid.parse().expect("an OID"), critical, value).expect("an extension")
    };
    let expected = Profile {
        name: "camera".to_owned(),
        kind: ProfileKind::Device,
        lifetime: Duration::from_secs(1800),
        backdate: Duration::from_secs(30),
        key_usages: vec![KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment],
        extended_key_usages: vec![
            ExtendedKeyUsage::ClientAuth,
            ExtendedKeyUsage::Other("1.3.6.1.4.1.311.20.2.2".parse().expect("an OID")),
        ],
        keys: vec![
            KeyAlgorithm::P256,
            KeyAlgorithm::Rsa3072,
            KeyAlgorithm::MlDsa65,
        ],
        subject: SubjectRule {
            common_name: CommonNameRule::Principal,
            country: Some("DE".to_owned()),
            organization: Some("Example".to_owned()),
            organizational_unit: Some("Cameras".to_owned()),
        },
        names: NameRules {
            allow_dns: list(&["**.cam.example.internal"]),
            deny_dns: list(&["vault.cam.example.internal"]),
            allow_ip: networks(&["10.20.0.0/16", "fd00::1/128"]),
            deny_ip: networks(&["10.20.9.0/24"]),
        },
        extensions: vec![
            extension("1.3.6.1.4.1.55738.1", false),
            extension("1.3.6.1.4.1.55738.2", true),
        ],
        no_revocation_below: Some(Duration::from_secs(3600)),
        path_length: None,
        name_constraints: NameConstraints::default(),
    };
    assert_eq!(**camera, expected);
    assert_eq!(
        camera.subject.subject(None),
        Subject::Attributes(portcullis_ca::profile::SubjectAttributes {
            country: Some("DE".to_owned()),
            organization: Some("Example".to_owned()),
            organizational_unit: Some("Cameras".to_owned()),
            common_name: None,
        })
    );
    let intermediate = settings.profiles.of_kind(ProfileKind::Intermediate);
    assert_eq!(intermediate.path_length, Some(1));
    assert_eq!(
        intermediate.name_constraints,
        NameConstraints {
            permitted_dns: vec!["example.internal".parse().expect("a subtree")],
            excluded_ip: networks(&["0.0.0.0/0", "::/0"]),
            ..NameConstraints::default()
        }
    );
    assert_eq!(
        settings.profiles.of_kind(ProfileKind::Root).path_length,
        None
    );
}

#[test]
fn a_profile_that_contradicts_itself_is_refused_with_its_line() {
    for (lines, place, words) in [
        (
            "lifetime = \"30s\"\nbackdate = \"1m\"",
            "line 4, column 1",
            "longer than backdate",
        ),
        ("lifetime = \"5s\"", "line 4, column 1", "at least 10 s"),
        ("keys = []", "line 4, column 1", "no key would be certified"),
        ("keys = [\"rsa1024\"]", "line 4, column 1", "one of p256"),
        (
            "keys = [\"p256\", \"ed25519\"]\nkey_usages = [\"digital_signature\", \"key_encipherment\"]",
            "line 5, column 1",
            "no key of the profile (p256, ed25519) can be used for key_encipherment",
        ),
        (
            "keys = [\"rsa2048\"]\nkey_usages = [\"digital_signature\", \"key_agreement\"]",
            "line 5, column 1",
            "it takes p256 or p384",
        ),
        (
            "key_usages = []",
            "line 4, column 1",
            "needs digital_signature",
        ),
        (
            "key_usages = [\"digital_signature\", \"key_cert_sign\"]",
            "line 4, column 1",
            "no usage of what is device",
        ),
        (
            "key_usages = [\"sign\"]",
            "line 4, column 1",
            "is no key usage",
        ),
        (
            "extended_key_usages = [\"2.5.29.37.0\"]",
            "line 4, column 1",
            "good for everything",
        ),
        (
            "extended_key_usages = [\"1.3.6.1.5.5.7.3.9\"]",
            "line 4, column 1",
            "answer for the issuer",
        ),
        (
            "extended_key_usages = [\"client\"]",
            "line 4, column 1",
            "is no object identifier",
        ),
        (
            "extended_key_usages = [\"1.3.6.1.5.5.7.3.2\"]",
            "line 4, column 1",
            "stands there twice",
        ),
        (
            "common_name = \"host\"",
            "line 4, column 1",
            "names, principal, none",
        ),
        (
            "organization = \"\"",
            "line 4, column 1",
            "1 to 64 characters",
        ),
        (
            "country = \"de\"",
            "line 4, column 1",
            "two capital letters",
        ),
        (
            "allow_dns = [\"a.example\", \"*.b.example\"]\ndeny_dns = [\"**.b.example\"]",
            "line 4, column 1",
            "*.b.example is allowed and all of it is denied",
        ),
        (
            "allow_ip = [\"10.1.0.0/16\"]\ndeny_ip = [\"10.0.0.0/8\"]",
            "line 4, column 1",
            "all of it is denied",
        ),
        ("allow_dns = [\"*\"]", "line 4, column 1", "is no pattern"),
        (
            "deny_ip = [\"10.0.0.0/33\"]",
            "line 4, column 1",
            "is no network",
        ),
        (
            "max_path_length = 0",
            "line 4, column 1",
            "only CAs have one",
        ),
        (
            "[profiles.camera.name_constraints]\npermit_dns = [\"example\"]",
            "line 4, column 18",
            "only CAs have them",
        ),
        (
            "extensions = [{ oid = \"1.2.3\", hex = \"30\" }]",
            "line 4, column 1",
            "not one DER value",
        ),
        (
            "extensions = [{ oid = \"1.2.3\", hex = \"zz\" }]",
            "line 4, column 1",
            "is no hexadecimal",
        ),
        (
            "extensions = [{ oid = \"1.2.3\" }]",
            "line 4, column 1",
            "as hex or as base64",
        ),
        (
            "extensions = [{ oid = \"2.5.29.19\", hex = \"30030101ff\" }]",
            "line 4, column 1",
            "2.5.29.19: 2.5.29.19 is written by the authority itself",
        ),
        (
            "extensions = [{ oid = \"1.2.3\", hex = \"0500\" }, { oid = \"1.2.3\", hex = \"0500\" }]",
            "line 4, column 1",
            "1.2.3 stands there twice",
        ),
        (
            "alow_dns = []",
            "line 4, column 1",
            "did you mean `allow_dns`?",
        ),
    ] {
        let text = format!("\n[profiles.camera]\nkind = \"device\"\n{lines}\n");
        let error = read(&text).expect_err(lines);
        assert!(
            error.starts_with("portcullis.toml, line")
                && error.contains(place)
                && error.contains(words),
            "{lines}: {error}"
        );
    }
    for (text, words) in [
        (
            "[profiles.camera]\n",
            "line 1, column 11: profiles.camera: say what it is for",
        ),
        ("[profiles.devcie]\n", "did you mean [profiles.device]?"),
        (
            "[profiles.camera]\nkind = \"root\"",
            "\"device\", \"service\" or \"server\"",
        ),
        ("[profiles.device]\nkind = \"service\"", "is built in"),
        (
            "[profiles.Camera]\nkind = \"device\"",
            "is no name of a profile",
        ),
        (
            "[profiles.intermediate]\nno_revocation_below = \"1h\"",
            "RFC 9608 section 4",
        ),
        ("[profiles.root]\nmax_path_length = \"all\"", "or \"none\""),
        (
            "[profiles.server]\nextended_key_usages = [\"1.3.6.1.5.5.7.3.2\"]",
            "a server proves no principal",
        ),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
    }
}
