//! Enrolment keys over HTTP: what an invitation allows, and what it needs beside the key.

use std::time::Duration;

use axum::http::StatusCode;
use portcullis::{
    acme::AcmeConfig,
    authority::{AuthorityError, Invite, Profiles},
    domain::{
        ProfileName,
        audit::Actor,
        enrolment::Enrolment,
        invitation::{InvitationId, Needs},
    },
};
use portcullis_ca::profile::{Profile, ProfileKind};
use serde_json::{Value, json};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    client::{Client, Key, Reply, binding, encode},
    order::{csr, finalized, ready, settled},
    server::{Invitation, Server},
};

/// An invitation of this principal that allows `*.dev.example`, for an hour.
pub fn invite(principal: &str, needs: Needs) -> Invite {
    Invite {
        patterns: vec!["dns:*.dev.example".parse().unwrap()],
        needs,
        life: Duration::from_secs(3600),
        ..Invite::of(principal.parse().unwrap())
    }
}

/// Opens an account with an invitation, below `directory` ("" for the default one).
pub async fn enrol(server: &Server, invitation: &Invitation, directory: &str) -> (Client, Reply) {
    let mut client = Client::new(&server.base, Key::new());
    let url = client.url(&format!("{directory}new-account"));
    let binding = binding(&invitation.key_id, &invitation.mac_key, &client.key, &url);
    let payload = json!({"externalAccountBinding": binding}).to_string();
    let reply = client.post_with_key(&url, &payload).await;
    if reply.status.is_success() {
        client.account = Some(reply.location());
    }
    (client, reply)
}

/// An account that was opened with a fresh invitation.
pub async fn enrolled(server: &Server, invite: Invite) -> Client {
    let invitation = server.invite_to(invite).await;
    let (client, reply) = enrol(server, &invitation, "").await;
    reply.ok();
    client
}

pub fn id_of(invitation: &Invitation) -> InvitationId {
    invitation.key_id.parse().unwrap()
}

/// The only enrolment of an invitation.
pub async fn enrolment_of(server: &Server, invitation: &Invitation) -> Enrolment {
    let mut all = server
        .authority
        .enrolments_of(id_of(invitation), 10)
        .await
        .unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

pub async fn place(client: &Client, kind: &str, value: &str) -> Reply {
    let order = json!({"identifiers": [{"type": kind, "value": value}]});
    client.post(&client.url("new-order"), order).await
}

pub fn detail(reply: &Reply) -> String {
    reply.json()["detail"].as_str().unwrap().to_owned()
}

/// Its status if it is an order, else what is wrong.
pub fn told(reply: &Reply) -> String {
    if reply.status.is_success() {
        return reply.json()["status"].as_str().unwrap().to_owned();
    }
    reply.problem().1
}

/// Orders a name that the key vouches for, and gets the certificate.
pub async fn certificate(client: &Client, name: &str) -> Value {
    let order = place(client, "dns", name).await.ok().json();
    finalized(client, &order, &csr(&[name]).0).await.ok().json()
}

#[tokio::test]
async fn a_key_allows_what_it_names_and_what_its_patterns_cover_and_nothing_else() {
    let server = Server::start().await;
    let client = enrolled(
        &server,
        Invite {
            identifiers: vec![
                portcullis::domain::identifier::Identifier::PermanentIdentifier(
                    "serial-7".to_owned(),
                ),
            ],
            patterns: ["dns:*.dev.example", "dns:**.lab.example", "ip:192.0.2.0/28"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
            ..Invite::of("service:web/shop".parse().unwrap())
        },
    )
    .await;
    for (kind, value, expected) in [
        ("dns", "a.dev.example", "ready"),
        ("dns", "*.dev.example", "ready"),
        ("dns", "a.b.dev.example", "rejectedIdentifier"),
        ("dns", "dev.example", "rejectedIdentifier"),
        ("dns", "adev.example", "rejectedIdentifier"),
        ("dns", "a.b.lab.example", "ready"),
        ("ip", "192.0.2.15", "ready"),
        ("ip", "192.0.2.16", "rejectedIdentifier"),
        ("ip", "::ffff:192.0.2.1", "rejectedIdentifier"),
        ("permanent-identifier", "web/shop", "ready"),
        ("permanent-identifier", "serial-7", "ready"),
        ("permanent-identifier", "serial-8", "rejectedIdentifier"),
        (
            "permanent-identifier",
            "a.dev.example",
            "rejectedIdentifier",
        ),
    ] {
        let reply = place(&client, kind, value).await;
        assert_eq!(told(&reply), expected, "{kind} {value}: {reply:?}");
    }
    let reply = place(&client, "dns", "dev.example").await;
    assert!(
        detail(&reply).contains("dns:**.lab.example, dns:*.dev.example, ip:192.0.2.0/28"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn what_a_certificate_proves_comes_from_the_key_whatever_its_order_says() {
    let server = Server::start().await;
    let client = enrolled(&server, invite("service:web/shop", Needs::Nothing)).await;
    let order = place(&client, "dns", "a.dev.example").await.ok().json();
    // Somebody else's URI in the CSR.
    let stolen = csr_with_uri(&["a.dev.example"], "spiffe://acme.test/device/fra/sensor-1");
    let refused = finalized(&client, &order, &stolen).await;
    assert_eq!(refused.problem(), (400, "badCSR".to_owned()));
    let own = csr_with_uri(&["a.dev.example"], "spiffe://acme.test/service/web/shop");
    finalized(&client, &order, &own).await.ok();
    let issued = &server.certificates().await[0];
    assert_eq!(
        issued.names,
        [
            "dns:a.dev.example",
            "uri:spiffe://acme.test/service/web/shop"
        ]
    );
}

/// permissions.md: an order without a binding gets a server certificate and proves no principal.
#[tokio::test]
async fn an_account_without_a_key_gets_a_server_certificate_that_proves_no_principal() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (_, order) = ready(&server, &client, &["a.example"]).await;
    let asks_for_uri = csr_with_uri(&["a.example"], "spiffe://acme.test/device/fra/sensor-1");
    let refused = finalized(&client, &order, &asks_for_uri).await;
    assert_eq!(refused.problem(), (400, "badCSR".to_owned()));
    finalized(&client, &order, &csr_for_clients("a.example"))
        .await
        .ok();
    let issued = &server.certificates().await[0];
    assert_eq!(
        (issued.principal.clone(), issued.names.clone()),
        (None, vec!["dns:a.example".to_owned()])
    );
    let (_, parsed) = X509Certificate::from_der(&issued.der).unwrap();
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
}

fn csr_with_uri(names: &[&str], uri: &str) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .subject_alt_names
        .push(rcgen::SanType::URI(uri.try_into().unwrap()));
    let key = rcgen::KeyPair::generate().unwrap();
    encode(params.serialize_request(&key).unwrap().der())
}

fn csr_for_clients(name: &str) -> String {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.extended_key_usages = vec![
        rcgen::ExtendedKeyUsagePurpose::ServerAuth,
        rcgen::ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = rcgen::KeyPair::generate().unwrap();
    encode(params.serialize_request(&key).unwrap().der())
}

#[tokio::test]
async fn a_key_that_needs_a_challenge_proves_its_names_and_no_others() {
    let server = Server::start().await;
    let client = enrolled(&server, invite("service:web/shop", Needs::Challenge)).await;
    for (kind, value, expected) in [
        ("dns", "a.dev.example", "pending"),
        ("dns", "a.other.example", "rejectedIdentifier"),
        // Nothing here could prove it.
        ("permanent-identifier", "web/shop", "rejectedIdentifier"),
    ] {
        let reply = place(&client, kind, value).await;
        assert_eq!(told(&reply), expected, "{kind} {value}: {reply:?}");
    }
    let (_, order) = ready(&server, &client, &["b.dev.example"]).await;
    finalized(&client, &order, &csr(&["b.dev.example"]).0)
        .await
        .ok();
    let issued = &server.certificates().await[0];
    assert_eq!(
        issued.names,
        [
            "dns:b.dev.example",
            "uri:spiffe://acme.test/service/web/shop"
        ]
    );
}

#[tokio::test]
async fn a_key_is_refused_in_a_directory_that_it_is_not_for() {
    let config: AcmeConfig =
        toml::from_str("[directories.factory]\nexternal_account = \"required\"").unwrap();
    let server = Server::with(config).await;
    let for_factory = Invite {
        directories: vec!["factory".parse().unwrap()],
        ..invite("device:fra/sensor-42", Needs::Nothing)
    };
    let invitation = server.invite_to(for_factory.clone()).await;
    let (_, refused) = enrol(&server, &invitation, "").await;
    assert_eq!(refused.problem(), (403, "unauthorized".to_owned()));
    assert!(
        detail(&refused)
            .contains("is for the directory factory, and not for the directory default"),
        "{refused:?}"
    );
    // It was not used up by that.
    let (_, opened) = enrol(&server, &invitation, "factory/").await;
    assert_eq!(opened.status, StatusCode::CREATED);

    let nowhere = Invite {
        directories: vec!["nowhere".parse().unwrap()],
        ..for_factory
    };
    let refused = server.authority.invite(&Actor::Authority, nowhere).await;
    let Err(AuthorityError::Invalid(reason)) = refused else {
        panic!("an invitation to nowhere")
    };
    assert!(reason.contains("one of default, factory"), "{reason}");
}

#[tokio::test]
async fn an_order_may_ask_for_any_profile_of_its_key_and_gets_the_first_one_else() {
    let name = |text: &str| text.parse::<ProfileName>().unwrap();
    let profiles = ["camera", "sensor", "robot"].map(|text| {
        let profile = Profile {
            name: text.to_owned(),
            ..Profile::default_for(ProfileKind::Device)
        };
        (name(text), profile)
    });
    let server = Server::with_profiles(AcmeConfig::default(), Profiles::new(profiles)).await;
    let client = enrolled(
        &server,
        Invite {
            profiles: vec![name("camera"), name("sensor")],
            ..invite("device:fra/camera-1", Needs::Nothing)
        },
    )
    .await;
    for (wanted, expected) in [
        (None, Ok("camera")),
        (Some("camera"), Ok("camera")),
        (Some("sensor"), Ok("sensor")),
        (Some("robot"), Err("invalidProfile")),
        (Some("server"), Err("invalidProfile")),
    ] {
        let mut order = json!({"identifiers": [{"type": "dns", "value": "a.dev.example"}]});
        if let Some(profile) = wanted {
            order["profile"] = profile.into();
        }
        let placed = client.post(&client.url("new-order"), order).await;
        match expected {
            Err(kind) => assert_eq!(placed.problem().1, kind, "{wanted:?}"),
            Ok(profile) => {
                let order = placed.ok().json();
                finalized(&client, &order, &csr(&["a.dev.example"]).0)
                    .await
                    .ok();
                let mut issued = server.certificates().await;
                issued.retain(|record| record.profile == name(profile));
                assert!(!issued.is_empty(), "{wanted:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_challenge_mode_order_that_is_not_proved_is_not_finalized() {
    let server = Server::start().await;
    let client = enrolled(&server, invite("service:web/shop", Needs::Challenge)).await;
    let placed = place(&client, "dns", "a.dev.example").await.ok();
    let refused = finalized(&client, &placed.json(), &csr(&["a.dev.example"]).0).await;
    assert_eq!(refused.problem(), (403, "orderNotReady".to_owned()));
    let shown = client.get(&placed.location()).await.json();
    assert_eq!(shown["status"], "pending");
    let authorization = shown["authorizations"][0].as_str().unwrap();
    client
        .post(authorization, json!({"status": "deactivated"}))
        .await
        .ok();
    assert_eq!(
        settled(&client, &placed.location()).await["status"],
        "invalid"
    );
}
