//! Who is let in at the handshake, and what the others are told.

use std::time::Duration;

use portcullis::domain::event::{KnownIssuers, TrustEvent};
use portcullis_ca::key::{KeyAlgorithm, SigningKey};
use rcgen::ExtendedKeyUsagePurpose;
use rustls::version::TLS13;
use time::OffsetDateTime;
use tokio::{io::AsyncReadExt, time::timeout};

use super::{
    connection::{BOTH, Client, Http, VERSIONS},
    pki::{Identity, Leaf, Pki},
    stage::{DEADLINE, HOST, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_calls_through_the_gate_over_every_version() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    for http in BOTH {
        for version in VERSIONS {
            let client = Client::with_version(&stage, Some(&device), http, version);
            let answer = client.connect().await.get("/v1/devices/fra/a?q=1").await;
            let answer = answer.expect("an answer");
            assert_eq!(
                (answer.status.as_u16(), &answer.body[..]),
                (200, &b"ok"[..])
            );
            let received = stage.upstream.take();
            assert_eq!(received.len(), 1);
            assert_eq!(received[0].method, "GET");
            assert_eq!(received[0].target, "/v1/devices/fra/a?q=1");
        }
    }
}

/// TLS 1.2 has no ML-DSA; everything else goes with both versions.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_every_kind_of_key_calls_through_the_gate() {
    let stage = Stage::open().await;
    for algorithm in KeyAlgorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let device = stage.pki.client_with_key("device/fra/a", &key);
        for version in VERSIONS {
            if algorithm.is_opt_in() && version != &TLS13 {
                continue;
            }
            let client = Client::with_version(&stage, Some(&device), Http::One, version);
            let answer = client.connect().await.get("/v1/devices/fra/a").await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status.as_u16(), 200, "{algorithm} {version:?}");
        }
    }
}

/// What the client learns of a refused certificate. In TLS 1.3 it has finished before the gate judges it, so the alert
/// comes with the first read.
async fn alert(stage: &Stage, identity: &Identity) -> String {
    let client = Client::new(stage, Some(identity), Http::One);
    let outcome = async {
        let mut stream = client.tls(HOST).await?;
        stream.read(&mut [0; 1]).await
    };
    match timeout(DEADLINE, outcome).await.expect("an alert in time") {
        Ok(octets) => format!("{octets} octets and no alert"),
        Err(error) => error.to_string(),
    }
}

/// The certificate bad at the handshake: the TLS alert that says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_is_refused_with_the_alert_that_says_why() {
    let stage = Stage::open().await;
    let uris = ["spiffe://home.example/device/fra/a"];
    let now = OffsetDateTime::now_utc();
    let stranger = Pki::named("another root", now).client("device/fra/a");
    let forger = Pki::new(now).client("device/fra/a");
    let revoked = stage.pki.client("device/fra/a");
    stage.revoke(&revoked);
    let leaf = |purposes: &[_], life| {
        stage.pki.leaf(&Leaf {
            uris: &uris,
            purposes,
            life,
        })
    };
    let day = time::Duration::hours(24);
    let client_auth = [ExtendedKeyUsagePurpose::ClientAuth];
    for (identity, expected) in [
        (stranger, "UnknownCA"),
        // The same name with another key.
        (forger, "DecryptError"),
        (revoked, "CertificateRevoked"),
        (
            leaf(&client_auth, -time::Duration::minutes(1)),
            "CertificateExpired",
        ),
        (
            leaf(&[ExtendedKeyUsagePurpose::ServerAuth], day),
            "UnsupportedCertificate",
        ),
        (
            leaf(&[ExtendedKeyUsagePurpose::Any], day),
            "UnsupportedCertificate",
        ),
        (leaf(&[], day), "UnsupportedCertificate"),
    ] {
        let told = alert(&stage, &identity).await;
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(stage.upstream.take().is_empty());
}

/// boxlite #1418: a remembered verdict outlived the revocation. That the chain was verified before is remembered; whether
/// it holds is looked at every time.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_let_in_before_is_refused_once_it_is_revoked() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    for _ in 0..2 {
        let client = Client::new(&stage, Some(&device), Http::One);
        let answer = client.connect().await.get("/v1/devices/fra/a").await;
        assert_eq!(answer.expect("an answer").status, 200);
    }
    stage.revoke(&device);
    let told = alert(&stage, &device).await;
    assert!(told.contains("CertificateRevoked"), "{told}");
}

/// Vault CVE-2022-41316: a list was loaded only after the first request.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_has_loaded_nothing_answers_nothing() {
    let stage = Stage::closed().await;
    let device = stage.pki.client("device/fra/a");
    let client = Client::new(&stage, Some(&device), Http::One);
    // Not a matter of time: nothing but loading lets the gate take a connection.
    let early = timeout(Duration::from_millis(300), client.tls(HOST)).await;
    assert!(early.is_err(), "a handshake went through: {early:?}");
    stage.load(5);
    let answer = client.connect().await.get("/v1/devices/fra/a").await;
    assert_eq!(answer.expect("an answer").status.as_u16(), 200);
}

/// Kong: a mapping without its CA matched any CA. Only the built-in authority's certificates map without a rule.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_anchor_without_a_mapping_proves_nobody() {
    let stage = Stage::open().await;
    let foreign = Pki::new(OffsetDateTime::now_utc());
    let impostor = foreign.client("device/fra/a");
    stage.gate.anchors().replace(foreign.anchors("fleet"));
    let client = Client::new(&stage, Some(&impostor), Http::One);
    let answer = client.connect().await.get("/v1/devices/fra/a").await;
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (403, "unmapped-certificate")
    );
    assert!(stage.upstream.take().is_empty());
}

/// A device whose anchor is no longer trusted gets nothing more, on the connection that it has.
#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_that_is_gone_takes_its_connections_with_it() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    let client = Client::with_version(&stage, Some(&device), Http::One, &TLS13);
    let mut connection = client.connect().await;
    assert_eq!(
        connection.get("/v1/devices/fra/a").await.unwrap().status,
        200
    );
    let other = Pki::new(OffsetDateTime::now_utc());
    stage.gate.anchors().replace(other.anchors("internal"));
    stage.suspend("device:nobody"); // any change of standing
    connection.closed().await;
}

/// A root that was brought along may have signed other CAs: what they issue is not the authority's, though it carries a
/// name of the trust domain and its path holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_of_another_ca_below_a_trusted_root_proves_nobody() {
    let stage = Stage::open().await;
    let theirs = Pki::new(OffsetDateTime::now_utc());
    let impostor = theirs.client("device/fra/a");
    stage.gate.anchors().replace(theirs.anchors("internal"));
    let client = Client::new(&stage, Some(&impostor), Http::One);
    let answer = client.connect().await.get("/v1/devices/fra/a").await;
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (403, "unmapped-certificate")
    );
    assert!(stage.upstream.take().is_empty());
}

/// A retired issuer takes the connections of its leaves with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_gone_takes_its_leaves_connections_with_it() {
    for is_retired in [false, true] {
        let stage = Stage::open().await;
        let known = KnownIssuers {
            of_leaves: if is_retired {
                vec![stage.pki.issuer_key_id]
            } else {
                Vec::new()
            },
            retired: if is_retired {
                vec![stage.pki.issuer_key_id]
            } else {
                Vec::new()
            },
        };
        let device = stage.pki.client("device/fra/a");
        let client = Client::with_version(&stage, Some(&device), Http::One, &TLS13);
        let mut connection = client.connect().await;
        assert_eq!(
            connection.get("/v1/devices/fra/a").await.unwrap().status,
            200
        );
        stage.apply(&TrustEvent::IssuersChanged(known));
        connection.closed().await;
    }
}
