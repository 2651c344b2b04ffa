//! Resumption never crosses trust: a resumed session gets nothing that a full handshake would not get now (nginx
//! CVE-2025-23419, Go CVE-2025-68121, HAProxy 2026-08, Apache CVE-2025-23048).

use std::{sync::Arc, time::Duration};

use super::{
    connection::{BOTH, Client, Http, VERSIONS},
    pki::Leaf,
    stage::Stage,
};

const PATH: &str = "/v1/devices/fra/a";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_and_keeps_its_identity() {
    let stage = Stage::open().await;
    let device = stage.pki.client("device/fra/a");
    for http in BOTH {
        for version in VERSIONS {
            let client = Client::with_version(&stage, Some(&device), http, version);
            for resumed in [false, true] {
                let mut connection = client.connect().await;
                assert_eq!(connection.resumed, resumed, "{http:?} {version:?}");
                let answer = connection.get(PATH).await.expect("an answer");
                assert_eq!(answer.status, 200, "{http:?} {version:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_of_a_certificate_revoked_meanwhile_gets_nothing() {
    let stage = Stage::open().await;
    for http in BOTH {
        for version in VERSIONS {
            let device = stage.pki.client("device/fra/a");
            let client = Client::with_version(&stage, Some(&device), http, version);
            let answer = client.connect().await.get(PATH).await.expect("an answer");
            assert_eq!(answer.status, 200);
            stage.upstream.take();

            stage.revoke(&device);
            let mut connection = client.connect().await;
            assert!(connection.resumed, "{http:?} {version:?}");
            let answer = connection.get(PATH).await.expect("an answer");
            assert_eq!(
                (answer.status.as_u16(), answer.problem().as_str()),
                (401, "certificate-revoked"),
                "{http:?} {version:?}"
            );
            assert!(answer.headers.contains_key("www-authenticate"));
            connection.closed().await;
            assert!(stage.upstream.take().is_empty());
        }
    }
}

/// It may ask and be told why; it may not stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_of_a_revoked_certificate_that_asks_nothing_is_closed() {
    let stage = Stage::open().await;
    for http in BOTH {
        let device = stage.pki.client("device/fra/a");
        let client = Client::new(&stage, Some(&device), http);
        let answer = client.connect().await.get(PATH).await.expect("an answer");
        assert_eq!(answer.status, 200);
        stage.revoke(&device);
        let connection = client.connect().await;
        assert!(connection.resumed);
        connection.closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_chained_past_the_end_of_its_certificate() {
    let stage = Stage::open().await;
    let mut life = time::Duration::minutes(10);
    for http in BOTH {
        for version in VERSIONS {
            let device = stage.pki.leaf(&Leaf {
                uris: &["spiffe://home.example/device/fra/a"],
                life,
                ..Leaf::default()
            });
            life += time::Duration::minutes(20);
            let client = Client::with_version(&stage, Some(&device), http, version);
            let answer = client.connect().await.get(PATH).await.expect("an answer");
            assert_eq!(answer.status, 200);
            stage.upstream.take();

            stage.advance(Duration::from_secs(1200));
            let mut connection = client.connect().await;
            assert!(connection.resumed, "{http:?} {version:?}");
            let answer = connection.get(PATH).await.expect("an answer");
            assert_eq!(
                (answer.status.as_u16(), answer.problem().as_str()),
                (401, "certificate-expired"),
                "{http:?} {version:?}"
            );
            connection.closed().await;
            assert!(stage.upstream.take().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_of_somebody_without_a_certificate_has_none() {
    let stage = Stage::open().await;
    for http in BOTH {
        for version in VERSIONS {
            let client = Client::with_version(&stage, None, http, version);
            for resumed in [false, true] {
                let mut connection = client.connect().await;
                assert_eq!(connection.resumed, resumed, "{http:?} {version:?}");
                let answer = connection.get(PATH).await.expect("an answer");
                assert_eq!(
                    (answer.status.as_u16(), answer.problem().as_str()),
                    (401, "no-credential")
                );
            }
        }
    }
    assert!(stage.upstream.take().is_empty());
}

/// A ticket of one listener is worth nothing at another, even one with the same certificate and the same anchors.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_listener_is_not_resumed_on_another() {
    let first = Stage::open().await;
    let second = Stage::open_with(Arc::clone(&first.pki)).await;
    let device = first.pki.client("device/fra/a");
    for version in VERSIONS {
        let client = Client::with_version(&first, Some(&device), Http::One, version);
        assert_eq!(client.connect().await.get(PATH).await.unwrap().status, 200);
        assert!(client.connect().await.resumed);
        let elsewhere = client.at(second.address());
        assert!(!elsewhere.connect().await.resumed, "{version:?}");
    }
}
