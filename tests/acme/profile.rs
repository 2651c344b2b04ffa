//! What a profile lets stand in a certificate, as a client of the ACME server meets it.

use portcullis::{acme::AcmeConfig, authority::Profiles, domain::ProfileName};
use portcullis_ca::{
    key::{KeyAlgorithm, SigningKey},
    profile::{CommonNameRule, Profile, ProfileKind},
};
use serde_json::json;
use x509_parser::{
    certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer as _,
};

use super::{
    client::{Client, encode},
    order::{finalized, order, ready, settled},
    server::Server,
};
use crate::support::objects::RcgenKey;

async fn server(profile: Profile) -> Server {
    let name: ProfileName = profile.name.parse().unwrap();
    let profiles = Profiles::new([(name, profile)]);
    Server::with_profiles(AcmeConfig::default(), profiles).await
}

/// A CSR for a DNS name under a new key of this algorithm.
fn csr_for(name: &str, algorithm: KeyAlgorithm) -> String {
    let key = SigningKey::generate(algorithm).unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    encode(params.serialize_request(&RcgenKey(&key)).unwrap().der())
}

#[tokio::test]
async fn a_key_that_the_profile_does_not_certify_leaves_the_order_ready() {
    let server = server(Profile {
        keys: vec![
            KeyAlgorithm::P384,
            KeyAlgorithm::Rsa2048,
            KeyAlgorithm::MlDsa44,
        ],
        ..Profile::default_for(ProfileKind::Server)
    })
    .await;
    let client = Client::registered(&server.base).await;
    for accepted in [KeyAlgorithm::Rsa2048, KeyAlgorithm::MlDsa44] {
        let (location, placed) = ready(&server, &client, &["a.example"]).await;
        for refused in [
            KeyAlgorithm::P256,
            KeyAlgorithm::Ed25519,
            KeyAlgorithm::MlDsa65,
        ] {
            let reply = finalized(&client, &placed, &csr_for("a.example", refused)).await;
            assert_eq!(reply.problem(), (400, "badCSR".to_owned()), "{refused}");
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(
                detail.contains(&format!(
                    "the CSR's key is {refused}, and the profile server certifies p384, rsa2048, mldsa44"
                )),
                "{detail}"
            );
            assert_eq!(settled(&client, &location).await["status"], "ready");
        }
        let done = finalized(&client, &placed, &csr_for("a.example", accepted)).await;
        assert_eq!(done.ok().json()["status"], "valid", "{accepted}");
    }
    assert_eq!(server.certificates().await.len(), 2);
}

#[tokio::test]
async fn ml_dsa_is_refused_unless_a_profile_names_it() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (_, placed) = ready(&server, &client, &["a.example"]).await;
    let refused = finalized(
        &client,
        &placed,
        &csr_for("a.example", KeyAlgorithm::MlDsa65),
    )
    .await;
    assert_eq!(refused.problem(), (400, "badCSR".to_owned()));
    let rsa = finalized(
        &client,
        &placed,
        &csr_for("a.example", KeyAlgorithm::Rsa3072),
    )
    .await;
    assert_eq!(rsa.ok().json()["status"], "valid");
}

#[tokio::test]
async fn a_name_that_the_profile_denies_is_refused_when_it_is_ordered() {
    let mut profile = Profile::default_for(ProfileKind::Server);
    profile.names.allow_dns = vec!["*.example".parse().unwrap()];
    profile.names.deny_dns = vec!["vault.example".parse().unwrap()];
    profile.names.deny_ip = vec!["127.0.0.0/8".parse().unwrap()];
    let server = server(profile).await;
    let client = Client::registered(&server.base).await;
    for (kind, value, reason) in [
        ("dns", "vault.example", "it denies vault.example"),
        ("dns", "a.b.example", "it allows *.example"),
        ("dns", "example", "it allows *.example"),
        ("ip", "127.0.0.1", "it denies 127.0.0.0/8"),
    ] {
        let identifiers = json!({"identifiers": [{"type": kind, "value": value}]});
        let reply = client.post(&client.url("new-order"), identifiers).await;
        assert_eq!(
            reply.problem(),
            (403, "rejectedIdentifier".to_owned()),
            "{value}"
        );
        let said = reply.json().to_string();
        assert!(said.contains(reason), "{value}: {said}");
    }
    assert_eq!(
        order(&client, &["a.example"]).await.ok().json()["status"],
        "pending"
    );
}

#[tokio::test]
async fn subject_and_revocation_are_the_profiles() {
    let mut profile = Profile::default_for(ProfileKind::Server);
    profile.subject.organization = Some("Example".to_owned());
    profile.subject.country = Some("DE".to_owned());
    profile.subject.common_name = CommonNameRule::None;
    profile.lifetime = std::time::Duration::from_secs(1800);
    profile.no_revocation_below = Some(std::time::Duration::from_secs(3600));
    let server = server(profile).await;
    let client = Client::registered(&server.base).await;
    let (_, placed) = ready(&server, &client, &["a.example"]).await;
    finalized(&client, &placed, &csr_for("a.example", KeyAlgorithm::P256))
        .await
        .ok();
    let der = server.certificates().await[0].der.clone();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.subject().to_string(), "C=DE, O=Example");
    let extensions: Vec<String> = certificate
        .extensions()
        .iter()
        .map(|extension| extension.oid.to_id_string())
        .collect();
    // noRevAvail, and no distribution point (2.5.29.31).
    assert!(extensions.contains(&"2.5.29.56".to_owned()));
    assert!(!extensions.contains(&"2.5.29.31".to_owned()));
    let access = certificate
        .extensions()
        .iter()
        .find_map(|extension| {
            if let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() {
                Some(access)
            } else {
                None
            }
        })
        .unwrap();
    let methods: Vec<String> = access
        .accessdescs
        .iter()
        .map(|description| description.access_method.to_id_string())
        .collect();
    assert_eq!(methods, ["1.3.6.1.5.5.7.48.2"]);
}

/// A CSR's CA:TRUE, key usages and unknown extensions were copied into leaves elsewhere: the key and the names are all that
/// is taken.
#[tokio::test]
async fn nothing_of_a_csr_but_its_key_and_names_gets_into_the_certificate() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (_, placed) = ready(&server, &client, &["a.example"]).await;
    let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "Somebody Else");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(
        &[1, 3, 6, 1, 4, 1, 55738, 66],
        vec![5, 0],
    )];
    let csr = encode(params.serialize_request(&RcgenKey(&key)).unwrap().der());
    finalized(&client, &placed, &csr).await.ok();
    let der = server.certificates().await[0].der.clone();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let mut oids: Vec<String> = certificate
        .extensions()
        .iter()
        .map(|extension| extension.oid.to_id_string())
        .collect();
    oids.sort();
    assert_eq!(
        oids,
        [
            "1.3.6.1.5.5.7.1.1",
            "2.5.29.14",
            "2.5.29.15",
            "2.5.29.17",
            "2.5.29.19",
            "2.5.29.31",
            "2.5.29.35",
            "2.5.29.37"
        ]
    );
    assert!(!certificate.is_ca());
    let usage = certificate.key_usage().unwrap().unwrap().value;
    let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
    assert_eq!(
        (usage.flags, purposes.server_auth, purposes.client_auth),
        (1, true, false)
    );
    assert_eq!(certificate.subject().to_string(), "CN=a.example");
}
