//! Profiles in the directory and in orders (draft-ietf-acme-profiles), over HTTP.

use std::time::Duration;

use portcullis::{acme::AcmeConfig, authority::Profiles, domain::ProfileName};
use portcullis_ca::profile::{Profile, ProfileKind};
use serde_json::{Value, json};

use super::{
    client::{Client, Key, Reply, binding},
    order::{csr, finalized, respond, settled},
    server::Server,
};

fn profile(name: &str, kind: ProfileKind) -> (ProfileName, Profile) {
    let profile = Profile {
        name: name.to_owned(),
        lifetime: Duration::from_secs(3600),
        ..Profile::default_for(kind)
    };
    (name.parse().unwrap(), profile)
}

fn profiles() -> Profiles {
    Profiles::new([
        profile("web", ProfileKind::Server),
        profile("camera", ProfileKind::Device),
    ])
    .with_descriptions([(
        "web".parse().unwrap(),
        "Servers on the web, for an hour.".to_owned(),
    )])
}

async fn server() -> Server {
    Server::with_profiles(AcmeConfig::default(), profiles()).await
}

async fn place(client: &Client, identifier: Value, profile: Option<&str>) -> Reply {
    let mut payload = json!({"identifiers": [identifier]});
    if let Some(profile) = profile {
        payload["profile"] = json!(profile);
    }
    client.post(&client.url("new-order"), payload).await
}

fn dns() -> Value {
    json!({"type": "dns", "value": "a.example"})
}

async fn enrolled(server: &Server) -> Client {
    let invitation = server.invite("device:fra/sensor-42", &["a.example"]).await;
    let mut client = Client::new(&server.base, Key::new());
    let url = client.url("new-account");
    let binding = binding(&invitation.key_id, &invitation.mac_key, &client.key, &url);
    client
        .register(json!({"externalAccountBinding": binding}))
        .await
        .ok();
    client
}

/// Makes a placed order ready.
async fn prove(server: &Server, client: &Client, placed: &Reply) -> Value {
    server.names.set("a.example", &["127.0.0.1"]);
    let url = placed.json()["authorizations"][0].clone();
    respond(server, client, url.as_str().unwrap()).await.ok();
    settled(client, url.as_str().unwrap()).await;
    settled(client, &placed.location()).await
}

#[tokio::test]
async fn the_directory_names_the_profiles_with_what_they_are_for() {
    let server = server().await;
    let client = Client::registered(&server.base).await;
    let directory = client.get(&client.url("directory")).await.json();
    assert_eq!(
        directory["meta"]["profiles"],
        json!({
            "camera": "A device that was invited, and proves its principal.",
            "device": "A device that was invited, and proves its principal.",
            "server": "A server that is known by its names; it proves no principal.",
            "service": "A service that was invited, and proves its principal.",
            "web": "Servers on the web, for an hour.",
        })
    );
}

#[tokio::test]
async fn an_account_orders_the_profiles_that_it_may_and_no_other() {
    let server = server().await;
    let stranger = Client::registered(&server.base).await;
    let device = enrolled(&server).await;
    let refused = Err("invalidProfile");
    for (who, client, wanted, expected) in [
        ("a stranger", &stranger, None, Ok("server")),
        ("a stranger", &stranger, Some("server"), Ok("server")),
        ("a stranger", &stranger, Some("web"), Ok("web")),
        // Without an invitation nobody proves to be anybody, whatever the order says.
        ("a stranger", &stranger, Some("device"), refused),
        ("a stranger", &stranger, Some("camera"), refused),
        ("a stranger", &stranger, Some("service"), refused),
        ("a stranger", &stranger, Some("nonsense"), refused),
        ("a stranger", &stranger, Some("No Name!"), refused),
        ("a stranger", &stranger, Some(""), refused),
        // Of the kinds that CAs are made by, nobody orders.
        ("a stranger", &stranger, Some("intermediate"), refused),
        ("a stranger", &stranger, Some("root"), refused),
        ("a device", &device, None, Ok("device")),
        ("a device", &device, Some("device"), Ok("device")),
        ("a device", &device, Some("camera"), refused),
        ("a device", &device, Some("server"), refused),
        ("a device", &device, Some("service"), refused),
    ] {
        let reply = place(client, dns(), wanted).await;
        match expected {
            Ok(profile) => assert_eq!(reply.ok().json()["profile"], profile, "{who} {wanted:?}"),
            Err(kind) => assert_eq!(reply.problem(), (400, kind.to_owned()), "{who} {wanted:?}"),
        }
    }
    let refusal = place(&stranger, dns(), Some("device")).await.json();
    assert_eq!(
        refusal["detail"],
        "the profile device is for what is device and was invited, and this account was opened without an invitation; \
         order one of server, web, or leave it out"
    );
}

#[tokio::test]
async fn a_certificate_is_made_by_the_profile_that_was_ordered() {
    let server = server().await;
    let client = Client::registered(&server.base).await;
    let placed = place(&client, dns(), Some("web")).await.ok();
    let order = prove(&server, &client, &placed).await;
    assert_eq!(order["profile"], "web");
    finalized(&client, &order, &csr(&["a.example"]).0)
        .await
        .ok();
    let issued = &server.certificates().await[0];
    assert_eq!(issued.profile.as_str(), "web");
    assert_eq!(
        issued.not_after.unix_seconds() - issued.not_before.unix_seconds(),
        3599
    );
}

#[tokio::test]
async fn a_directory_has_the_profiles_that_it_lists_and_takes_the_first_of_them_where_none_is_named()
 {
    let config: AcmeConfig = toml::from_str("profiles = [\"web\", \"camera\"]").unwrap();
    let server = Server::with_profiles(config, profiles()).await;
    let client = Client::registered(&server.base).await;
    let directory = client.get(&client.url("directory")).await.json();
    let names: Vec<&String> = directory["meta"]["profiles"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(names, ["camera", "web"]);
    let placed = place(&client, dns(), None).await.ok().json();
    assert_eq!(placed["profile"], "web");
    let refused = place(&client, dns(), Some("server")).await;
    assert_eq!(refused.problem(), (400, "invalidProfile".to_owned()));
    // An invitation for a profile that is not to be had here is good for nothing here.
    let device = enrolled(&server).await;
    let refused = place(&device, dns(), None).await;
    assert_eq!(refused.problem(), (400, "invalidProfile".to_owned()));
}

#[tokio::test]
async fn an_order_whose_profile_is_gone_when_it_is_finalized_is_told_so() {
    let server = server().await;
    let client = Client::registered(&server.base).await;
    let placed = place(&client, dns(), Some("web")).await.ok();
    let order = prove(&server, &client, &placed).await;
    let server = server.reconfigured(Profiles::default()).await;
    let refused = finalized(&client, &order, &csr(&["a.example"]).0).await;
    assert_eq!(refused.problem(), (400, "invalidProfile".to_owned()));
    assert_eq!(
        refused.json()["detail"],
        "the order was placed for the profile web, which can't be ordered any more: the configuration of this server has \
         changed; place a new order"
    );
    assert!(server.certificates().await.is_empty());
    // What was proved serves the new order.
    let again = place(&client, dns(), None).await.ok().json();
    assert_eq!(
        (&again["status"], &again["profile"]),
        (&json!("ready"), &json!("server"))
    );
}

#[tokio::test]
async fn an_order_without_a_binding_proves_no_principal() {
    let server = server().await;
    let client = Client::registered(&server.base).await;
    for profile in [None, Some("server"), Some("web")] {
        let placed = place(&client, dns(), profile).await.ok();
        let order = match placed.json()["status"].as_str() {
            Some("ready") => placed.json(),
            _ => prove(&server, &client, &placed).await,
        };
        let uri = "spiffe://acme.test/device/fra/sensor-42";
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .subject_alt_names
            .push(rcgen::SanType::URI(uri.try_into().unwrap()));
        let key = rcgen::KeyPair::generate().unwrap();
        let forged = params.serialize_request(&key).unwrap();
        let refused = finalized(&client, &order, &super::client::encode(forged.der())).await;
        assert_eq!(refused.problem(), (400, "badCSR".to_owned()));
        finalized(&client, &order, &csr(&["a.example"]).0)
            .await
            .ok();
    }
    for issued in server.certificates().await {
        assert_eq!(
            (&issued.principal, &issued.names),
            (&None, &vec!["dns:a.example".to_owned()])
        );
    }
}
