//! tls-alpn-01 (RFC 8737, RFC 8738) against real TLS servers on loopback: rustls, and openssl for what rustls is too new
//! for.

use std::{process::Stdio, time::Duration};

use portcullis::{
    acme::{
        AcmeConfig,
        validation::{Attempt, Validator, config::ValidationConfig},
    },
    domain::{
        challenge::{ChallengeKind, ValidationFailure, ValidationFailureKind},
        identifier::Identifier,
    },
};
use rcgen::{CustomExtension, KeyPair};
use rustls::version::{TLS12, TLS13};
use serde_json::json;

use super::{
    client::Client,
    name_server::NameServer,
    order::{csr, finalized, settled},
    server::Server,
    tls_server::{Shown, TlsServer, certificate, digest, name, right},
};

const KEY_AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";

/// id-pe-acmeIdentifier (RFC 8737 section 6.1), and where drafts had it.
const OID: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 31];
const OLD_OID: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 30, 1];

struct Scene {
    names: NameServer,
    server: TlsServer,
    validator: Validator,
}

impl Scene {
    async fn new() -> Self {
        let server = TlsServer::start("127.0.0.1:0").await;
        let (names, validator) = validator(server.address.port()).await;
        names.set("a.example", &["127.0.0.1"]);
        Self {
            names,
            server,
            validator,
        }
    }

    async fn validate(&self, kind: &str, value: &str) -> Result<(), ValidationFailure> {
        validate(&self.validator, kind, value).await
    }
}

async fn validator(port: u16) -> (NameServer, Validator) {
    let names = NameServer::start().await;
    let config = ValidationConfig {
        tls_alpn_port: port,
        resolvers: vec![names.address.to_string()],
        allow_networks: vec!["127.0.0.1/32".to_owned(), "::1/128".to_owned()],
        ..ValidationConfig::default()
    };
    let validator = Validator::new(&config.check().unwrap()).unwrap();
    (names, validator)
}

async fn validate(validator: &Validator, kind: &str, value: &str) -> Result<(), ValidationFailure> {
    validator
        .validate(&Attempt {
            kind: ChallengeKind::TlsAlpn01,
            identifier: &Identifier::parse(kind, value).unwrap(),
            token: "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
            key_authorization: KEY_AUTHORIZATION,
            account_url: "https://ca.example/acme/account/1",
        })
        .await
}

fn extension(oid: &[u64], critical: bool, value: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, value.to_vec());
    extension.set_criticality(critical);
    extension
}

/// SHA-256 of the key authorization as an octet string.
fn octets() -> Vec<u8> {
    [&[0x04, 0x20][..], &digest(KEY_AUTHORIZATION)].concat()
}

#[tokio::test]
async fn a_name_and_an_address_are_validated_by_their_certificate() {
    let scene = Scene::new().await;
    // RFC 8737 section 3: the name, without regard to case, and only the protocol; RFC 8738 section 6: the reverse name.
    for (kind, value, shown, server_name) in [
        ("dns", "a.example", "a.example", "a.example"),
        ("dns", "a.example", "A.Example", "a.example"),
        ("ip", "127.0.0.1", "127.0.0.1", "1.0.0.127.in-addr.arpa"),
    ] {
        scene.server.show(right(shown, KEY_AUTHORIZATION));
        assert_eq!(scene.validate(kind, value).await, Ok(()), "{shown}");
        assert_eq!(
            scene.server.hellos().pop(),
            Some((Some(server_name.to_owned()), vec!["acme-tls/1".to_owned()]))
        );
    }
}

#[tokio::test]
async fn an_ipv6_address_is_asked_for_by_its_reverse_name() {
    let server = TlsServer::start("[::1]:0").await;
    let (_names, validator) = validator(server.address.port()).await;
    server.show(right("::1", KEY_AUTHORIZATION));
    assert_eq!(validate(&validator, "ip", "::1").await, Ok(()));
    let zeros = "0.".repeat(31);
    assert_eq!(
        server.hellos().pop().unwrap().0,
        Some(format!("1.{zeros}ip6.arpa"))
    );
}

#[tokio::test]
async fn any_key_and_tls_from_1_2_on_will_do() {
    let scene = Scene::new().await;
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let extension = CustomExtension::new_acme_identifier(&digest(KEY_AUTHORIZATION));
        for version in [&TLS12, &TLS13] {
            scene.server.show(Shown {
                certificate: certificate(vec![name("a.example")], vec![extension.clone()], &key),
                key: key.serialize_der(),
                protocols: &["acme-tls/1", "h2"],
                versions: vec![version],
            });
            let outcome = scene.validate("dns", "a.example").await;
            assert_eq!(outcome, Ok(()), "{algorithm:?} {version:?}");
        }
    }
}

// RFC 8737 section 3; trap 11: Let's Encrypt took the old OID (2022).
#[tokio::test]
async fn only_the_certificate_of_the_challenge_is_taken() {
    use ValidationFailureKind::{IncorrectResponse, Tls};
    let scene = Scene::new().await;
    let key = KeyPair::generate().unwrap();
    let good = || extension(OID, true, &octets());
    let longer = [&[0x04, 0x81, 0x20][..], &digest(KEY_AUTHORIZATION)].concat();
    let other = [&[0x04, 0x20][..], &digest("another.challenge")].concat();
    let trailing = [octets(), vec![0]].concat();
    let names = |texts: &[&str]| texts.iter().map(|text| name(text)).collect::<Vec<_>>();
    let one = || names(&["a.example"]);
    let uri = rcgen::SanType::URI("https://a.example".try_into().unwrap());
    for (names, extensions, part) in [
        (vec![], vec![good()], "has no subject alternative name"),
        (
            names(&["b.example"]),
            vec![good()],
            "has 1 subject alternative names (DNSName(b.example)); its only subject alternative name must be dns:a.example",
        ),
        (
            names(&["a.example", "b.example"]),
            vec![good()],
            "has 2 subject alternative names",
        ),
        (
            names(&["a.example", "a.example"]),
            vec![good()],
            "has 2 subject alternative names",
        ),
        (
            names(&["a.example", "127.0.0.1"]),
            vec![good()],
            "has 2 subject alternative names",
        ),
        (
            vec![name("a.example"), uri],
            vec![good()],
            "has 2 subject alternative names",
        ),
        (
            names(&["127.0.0.1"]),
            vec![good()],
            "has 1 subject alternative names",
        ),
        (
            names(&["*.example"]),
            vec![good()],
            "has 1 subject alternative names",
        ),
        (one(), vec![], "has no acmeIdentifier"),
        (
            one(),
            vec![extension(OID, false, &octets())],
            "not critical",
        ),
        (
            one(),
            vec![extension(OLD_OID, true, &octets())],
            "as a draft numbered it",
        ),
        (one(), vec![good(), good()], "twice"),
        (
            one(),
            vec![extension(OID, true, &other)],
            "is it that of another challenge?",
        ),
        (
            one(),
            vec![extension(OID, true, &octets()[2..])],
            "with something else in it",
        ),
        (
            one(),
            vec![extension(OID, true, &longer)],
            "with something else in it",
        ),
        (
            one(),
            vec![extension(OID, true, &trailing)],
            "with something else in it",
        ),
        (
            one(),
            vec![extension(OID, true, &octets()[..33])],
            "with something else in it",
        ),
        (
            one(),
            vec![extension(OID, true, &[])],
            "with something else in it",
        ),
    ] {
        scene.server.show(Shown {
            certificate: certificate(names, extensions, &key),
            ..keyed(&key)
        });
        let failure = scene.validate("dns", "a.example").await.unwrap_err();
        assert_eq!(failure.kind, IncorrectResponse, "{}", failure.detail);
        assert!(failure.detail.contains(part), "{part}: {}", failure.detail);
        assert!(
            failure.detail.starts_with("127.0.0.1:"),
            "{}",
            failure.detail
        );
    }
    // An address is not its reverse name, nor the name of another one.
    for shown in ["1.0.0.127.in-addr.arpa", "127.0.0.2", "::ffff:127.0.0.1"] {
        scene.server.show(right(shown, KEY_AUTHORIZATION));
        let failure = scene.validate("ip", "127.0.0.1").await.unwrap_err();
        assert_eq!(failure.kind, IncorrectResponse, "{}", failure.detail);
    }
    // The protocol must have been negotiated, whatever the certificate says.
    for (protocols, part) in [
        (&[][..], "did not negotiate the protocol \"acme-tls/1\""),
        (
            &["h2", "http/1.1"],
            "the TLS handshake for \"acme-tls/1\" failed",
        ),
    ] {
        scene.server.show(Shown {
            protocols,
            ..right("a.example", KEY_AUTHORIZATION)
        });
        let failure = scene.validate("dns", "a.example").await.unwrap_err();
        assert_eq!(failure.kind, Tls, "{}", failure.detail);
        assert!(failure.detail.contains(part), "{}", failure.detail);
    }
    scene.server.show(right("a.example", KEY_AUTHORIZATION));
    assert_eq!(scene.validate("dns", "a.example").await, Ok(()));
}

fn keyed(key: &KeyPair) -> Shown {
    Shown {
        certificate: Vec::new(),
        key: key.serialize_der(),
        protocols: &["acme-tls/1"],
        versions: rustls::ALL_VERSIONS.to_vec(),
    }
}

#[tokio::test]
async fn the_server_must_have_the_key_of_its_certificate() {
    let scene = Scene::new().await;
    for version in [&TLS12, &TLS13] {
        scene.server.show(Shown {
            key: KeyPair::generate().unwrap().serialize_der(),
            versions: vec![version],
            ..right("a.example", KEY_AUTHORIZATION)
        });
        let failure = scene.validate("dns", "a.example").await.unwrap_err();
        assert_eq!(failure.kind, ValidationFailureKind::Tls);
    }
}

#[tokio::test]
async fn what_is_no_tls_server_or_none_at_all_is_told_apart() {
    use ValidationFailureKind::{Connection, Dns, Tls, Unauthorized};
    let scene = Scene::new().await;
    let port = scene.server.address.port();
    scene.names.set("inside.example", &["127.0.0.2"]);
    scene.names.set_alias("alias.example", "inside.example");
    for (name, kind, part) in [
        ("a.example", Tls, "failed"),
        ("b.example", Dns, "NXDOMAIN"),
        ("inside.example", Unauthorized, "a loopback address"),
        ("alias.example", Unauthorized, "a loopback address"),
    ] {
        let failure = scene.validate("dns", name).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{}", failure.detail);
        assert!(failure.detail.contains(part), "{}", failure.detail);
    }
    let nobody = TlsServer::start("127.0.0.1:0").await.address.port();
    assert_ne!(nobody, port);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_names, validator) = validator(listener.local_addr().unwrap().port()).await;
    drop(listener);
    let failure = validate(&validator, "ip", "127.0.0.1").await.unwrap_err();
    assert_eq!(failure.kind, Connection, "{}", failure.detail);
}

// Trap 11: Let's Encrypt took TLS below 1.2 (2022).
#[tokio::test]
async fn tls_below_1_2_is_refused() {
    for (version, outcome) in [
        ("-tls1_2", Ok(())),
        ("-tls1_1", Err(ValidationFailureKind::Tls)),
        ("-tls1", Err(ValidationFailureKind::Tls)),
    ] {
        let Some(server) = OpensslServer::start(version).await else {
            return;
        };
        let (names, validator) = validator(server.port).await;
        names.set("a.example", &["127.0.0.1"]);
        let validated = validate(&validator, "dns", "a.example").await;
        assert_eq!(
            validated.map_err(|failure| failure.kind),
            outcome,
            "{version}"
        );
    }
}

/// `openssl s_server` with the right certificate; it ends with this value.
struct OpensslServer {
    port: u16,
    child: tokio::process::Child,
    _folder: tempfile::TempDir,
}

impl OpensslServer {
    /// Nothing, where openssl is not installed and needn't be.
    async fn start(version: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let extension = CustomExtension::new_acme_identifier(&digest(KEY_AUTHORIZATION));
        let certificate = certificate(vec![name("a.example")], vec![extension], &key);
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(folder.path().join("cert.der"), certificate).unwrap();
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let spawned = tokio::process::Command::new("openssl")
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), version])
            .args([
                "-cipher",
                "ALL:@SECLEVEL=0",
                "-alpn",
                "acme-tls/1",
                "-quiet",
            ])
            .args(["-certform", "DER", "-cert", "cert.der", "-key", "key.pem"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "openssl: {error}");
                return None;
            }
        };
        let mut server = Self {
            port,
            child,
            _folder: folder,
        };
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            assert_eq!(server.child.try_wait().unwrap(), None, "openssl ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(server)
    }
}

#[tokio::test]
async fn a_name_and_an_address_are_ordered_with_tls_alpn_01() {
    let tls = TlsServer::start("127.0.0.1:0").await;
    let server = Server::with(AcmeConfig {
        validation: Some(ValidationConfig {
            tls_alpn_port: tls.address.port(),
            ..ValidationConfig::default()
        }),
        ..AcmeConfig::default()
    })
    .await;
    let client = Client::registered(&server.base).await;
    server.names.set("a.example", &["127.0.0.1"]);
    for (kind, value) in [("dns", "a.example"), ("ip", "127.0.0.1")] {
        let identifiers = json!({"identifiers": [{"type": kind, "value": value}]});
        let placed = client
            .post(&client.url("new-order"), identifiers)
            .await
            .ok();
        let authorization = placed.json()["authorizations"][0]
            .as_str()
            .unwrap()
            .to_owned();
        let shown = client.get(&authorization).await.json();
        let challenge = shown["challenges"]
            .as_array()
            .unwrap()
            .iter()
            .find(|challenge| challenge["type"] == "tls-alpn-01")
            .unwrap();
        let token = challenge["token"].as_str().unwrap();
        let key_authorization = format!("{token}.{}", client.key.thumbprint());
        tls.show(right(value, &key_authorization));
        let url = challenge["url"].as_str().unwrap();
        client.post(url, json!({})).await.ok();
        let valid = settled(&client, &authorization).await;
        assert_eq!(valid["status"], "valid", "{valid}");
        // RFC 8555 section 7.1.4: only the challenge that was validated is left.
        assert_eq!(valid["challenges"].as_array().unwrap().len(), 1);
        let order = settled(&client, &placed.location()).await;
        let (csr, _) = csr(&[value]);
        let done = finalized(&client, &order, &csr).await.ok();
        assert_eq!(done.json()["status"], "valid");
    }
}
