//! device-attest-01 over HTTP (draft-ietf-acme-device-attest), and what a statement gives its device.

use std::time::Duration;

use portcullis::{
    acme::AcmeConfig,
    authority::{Invite, Profiles},
    domain::{
        attestation::AttestationRules, audit::Actor, certificate::CertificateRecord,
        identifier::Identifier, invitation::Needs,
    },
};
use portcullis_ca::revocation::RevocationReason;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::{
    client::{Client, Key, binding, encode},
    device::{Maker, challenge, order, send},
    order::{respond, settled},
    server::Server,
};

const SERIAL: (&str, &str) = ("permanent-identifier", "SN-1");

async fn server(rules: AttestationRules) -> Server {
    Server::with_rules(AcmeConfig::default(), Profiles::default(), rules).await
}

/// A CSR with these names under a key.
fn csr(key: &KeyPair, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    encode(params.serialize_request(key).unwrap().der())
}

/// An order of one device, attested with a key; its URL and what it is then.
async fn attested(
    client: &Client,
    maker: &Maker,
    names: &[&str],
    key: &KeyPair,
) -> (String, Value) {
    let placed = order(client, &[("permanent-identifier", names[0])])
        .await
        .ok();
    let (url, token) = challenge(client, &placed.json()["authorizations"][0]).await;
    let answered = send(client, &url, &maker.statement(names, key, &token))
        .await
        .ok();
    assert_eq!(answered.json()["status"], "valid", "{answered:?}");
    let location = placed.location();
    let order = client.get(&location).await.ok().json();
    assert_eq!(order["status"], "ready");
    (location, order)
}

async fn finalized(client: &Client, order: &Value, csr: &str) -> (u16, String) {
    let url = order["finalize"].as_str().unwrap();
    client.post(url, json!({ "csr": csr })).await.outcome()
}

/// A certificate for a device, from its order to its record.
async fn enrolled(
    server: &Server,
    client: &Client,
    maker: &Maker,
    names: &[&str],
) -> CertificateRecord {
    let key = KeyPair::generate().unwrap();
    let (_, order) = attested(client, maker, names, &key).await;
    assert_eq!(finalized(client, &order, &csr(&key, &[])).await.0, 200);
    let mut all = server.certificates().await;
    all.retain(|record| {
        use rcgen::PublicKeyData as _;
        let spki = key.subject_public_key_info();
        let fingerprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki);
        record.key_fingerprint == *fingerprint.as_ref()
    });
    all.remove(0)
}

#[tokio::test]
async fn a_device_that_a_rule_names_gets_the_certificate_of_its_principal() {
    let maker = Maker::new("Maker");
    let server = server(maker.rules(&["SN-1"])).await;
    let client = Client::registered(&server.base).await;
    let record = enrolled(&server, &client, &maker, &["SN-1", "UDID-1"]).await;
    assert_eq!(record.principal.unwrap().to_string(), "device:factory/SN-1");
    assert_eq!(record.profile.as_str(), "device");
    assert_eq!(record.names, ["uri:spiffe://acme.test/device/factory/SN-1"]);
}

/// Each ends the authorization and its order: what was claimed was not so.
#[tokio::test]
async fn a_statement_that_does_not_hold_ends_its_order() {
    let (maker, other) = (Maker::new("Maker"), Maker::new("Other Maker"));
    let server = server(maker.rules(&["SN-1"])).await;
    let client = Client::registered(&server.base).await;
    let key = KeyPair::generate().unwrap();
    for (name, statement, words) in [
        (
            "another challenge's",
            maker.statement(&["SN-1"], &key, "another token"),
            "not about this challenge",
        ),
        (
            "another device's",
            maker.statement(&["SN-2"], &key, "TOKEN"),
            "about another device: permanent-identifier:SN-2",
        ),
        (
            "another maker's",
            other.statement(&["SN-1"], &key, "TOKEN"),
            "none of the roots",
        ),
        (
            "of no device",
            maker.statement(&[], &key, "TOKEN"),
            "does not say which device",
        ),
        ("no statement at all", b"\xa0".to_vec(), "fmt is missing"),
    ] {
        let placed = order(&client, &[SERIAL]).await.ok();
        let authorization = &placed.json()["authorizations"][0];
        let (url, token) = challenge(&client, authorization).await;
        let statement = match name {
            "another device's" => maker.statement(&["SN-2"], &key, &token),
            "another maker's" => other.statement(&["SN-1"], &key, &token),
            "of no device" => maker.statement(&[], &key, &token),
            _ => statement,
        };
        let answered = send(&client, &url, &statement).await.ok().json();
        assert_eq!(answered["status"], "invalid", "{name}");
        assert_eq!(
            answered["error"]["type"], "urn:ietf:params:acme:error:badAttestationStatement",
            "{name}"
        );
        let detail = answered["error"]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{name}: {detail}");
        let url_of = |value: &Value| value.as_str().unwrap().to_owned();
        let authorization = client.get(&url_of(authorization)).await.ok().json();
        assert_eq!(authorization["status"], "invalid", "{name}");
        let order = client.get(&placed.location()).await.ok().json();
        assert_eq!(order["status"], "invalid", "{name}");
        // And it can't be tried again.
        let again = send(&client, &url, &maker.statement(&["SN-1"], &key, &token)).await;
        assert_eq!(again.outcome().0, 400, "{name}");
    }
    assert!(server.certificates().await.is_empty());
}

#[tokio::test]
async fn a_response_without_a_statement_changes_nothing() {
    let maker = Maker::new("Maker");
    let server = server(maker.rules(&["SN-1"])).await;
    let client = Client::registered(&server.base).await;
    let placed = order(&client, &[SERIAL]).await.ok();
    let (url, token) = challenge(&client, &placed.json()["authorizations"][0]).await;
    for payload in [json!({}), json!({"attObj": "a=b"}), json!({"attObj": 1})] {
        let refused = client.post(&url, payload.clone()).await;
        assert_eq!(
            refused.outcome(),
            (400, "malformed".to_owned()),
            "{payload}"
        );
    }
    let key = KeyPair::generate().unwrap();
    let payload = json!({
        "attObj": encode(maker.statement(&["SN-1"], &key, &token)),
        "more": "that nobody knows",
    });
    let answered = client.post(&url, payload).await.ok().json();
    assert_eq!(answered["status"], "valid");
    // Saying it twice does no harm.
    let again = send(&client, &url, &maker.statement(&["SN-1"], &key, &token)).await;
    assert_eq!(again.ok().json()["status"], "valid");
}

/// Trap 13: the CSR's key equals the attested key.
#[tokio::test]
async fn only_the_attested_key_is_certified() {
    let maker = Maker::new("Maker");
    let server = server(maker.rules(&["SN-1"])).await;
    let client = Client::registered(&server.base).await;
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (location, order) = attested(&client, &maker, &["SN-1"], &key).await;
    assert_eq!(
        finalized(&client, &order, &csr(&other, &[])).await,
        (400, "badCSR".to_owned())
    );
    // RFC 8555 section 7.4: the order stays ready.
    assert_eq!(client.get(&location).await.ok().json()["status"], "ready");
    assert_eq!(finalized(&client, &order, &csr(&key, &[])).await.0, 200);
    assert_eq!(server.certificates().await.len(), 1);
}

/// Trap 13: the permitted device is named. An empty list names none, and no rule is no rule.
#[tokio::test]
async fn a_device_that_no_rule_names_can_not_be_ordered() {
    let maker = Maker::new("Maker");
    for rules in [
        AttestationRules::default(),
        maker.rules(&[]),
        maker.rules(&["SN-2", "S-*", "hardware-module:SN-1/1.2.3"]),
        // It may attest, but nothing says who it is.
        AttestationRules::new(vec![maker.rule_for_invited(&["SN-1"])]),
    ] {
        let server = server(rules).await;
        let client = Client::registered(&server.base).await;
        assert_eq!(
            order(&client, &[SERIAL]).await.outcome(),
            (403, "rejectedIdentifier".to_owned())
        );
        // Nor ahead of an order.
        let wanted = json!({"identifier": {"type": SERIAL.0, "value": SERIAL.1}});
        let refused = client.post(&client.url("new-authz"), wanted).await;
        assert_eq!(refused.outcome(), (403, "rejectedIdentifier".to_owned()));
    }
}

#[tokio::test]
async fn two_rules_that_differ_about_a_device_prove_nothing() {
    let maker = Maker::new("Maker");
    let mut other = maker.rule(&["SN-*"]);
    other.name = "another".to_owned();
    if let Some(proof) = &mut other.proves {
        proof.principal = "device:factory/second-{id}".parse().unwrap();
    }
    let server = server(AttestationRules::new(vec![maker.rule(&["SN-1"]), other])).await;
    let client = Client::registered(&server.base).await;
    let refused = order(&client, &[SERIAL]).await;
    assert_eq!(refused.outcome(), (403, "rejectedIdentifier".to_owned()));
    let problem = refused.json();
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("different principals")
    );
    // The other one is about this device alone.
    order(&client, &[("permanent-identifier", "SN-7")])
        .await
        .ok();
}

/// permissions.md: the fence of a rule.
#[tokio::test]
async fn a_rule_proves_no_principal_outside_of_its_fence() {
    let maker = Maker::new("Maker");
    let mut rule = maker.rule(&["SN-1"]);
    if let Some(proof) = &mut rule.proves {
        proof.may_prove = vec!["device:elsewhere/**".parse().unwrap()];
    }
    let server = server(AttestationRules::new(vec![rule])).await;
    let client = Client::registered(&server.base).await;
    assert_eq!(
        order(&client, &[SERIAL]).await.outcome(),
        (403, "rejectedIdentifier".to_owned())
    );
}

/// permissions.md: no statement can prove a principal that was enrolled here.
#[tokio::test]
async fn a_principal_that_was_invited_is_not_proved_by_a_statement_alone() {
    let maker = Maker::new("Maker");
    let server = server(maker.rules(&["SN-1"])).await;
    let client = Client::registered(&server.base).await;
    // Invited between the statement and its certificate.
    let key = KeyPair::generate().unwrap();
    let (_, waiting) = attested(&client, &maker, &["SN-1"], &key).await;
    let invitation = server.invite("device:factory/SN-1", &[]).await;
    let refused = finalized(&client, &waiting, &csr(&key, &[])).await;
    assert_eq!(refused.0, 403, "{refused:?}");
    assert_eq!(order(&client, &[SERIAL]).await.outcome().0, 403);
    // Redeemed, and long over.
    let mut invited = Client::new(&server.base, Key::new());
    let url = invited.url("new-account");
    let bound = binding(&invitation.key_id, &invitation.mac_key, &invited.key, &url);
    invited
        .register(json!({"externalAccountBinding": bound}))
        .await
        .ok();
    server.clock.advance(400 * 86_400);
    assert_eq!(order(&client, &[SERIAL]).await.outcome().0, 403);
    assert!(server.certificates().await.is_empty());
}

/// permissions.md: revoking for any reason but `superseded` ends what the certificate came from. The device does not simply
/// come back: not with another account, not under another of its names, not as another principal.
#[tokio::test]
async fn a_device_whose_certificate_was_revoked_stays_out() {
    let maker = Maker::new("Maker");
    let server = server(maker.rules(&["SN-1", "UDID-1"])).await;
    let client = Client::registered(&server.base).await;
    let first = enrolled(&server, &client, &maker, &["SN-1", "UDID-1"]).await;

    // Renewals, and another account of the same device, go on with the same lineage.
    let renewed = enrolled(&server, &client, &maker, &["SN-1", "UDID-1"]).await;
    let another = Client::registered(&server.base).await;
    let elsewhere = enrolled(&server, &another, &maker, &["SN-1", "UDID-1"]).await;
    assert!(first.enrolment.is_some());
    assert_eq!(renewed.enrolment, first.enrolment);
    assert_eq!(elsewhere.enrolment, first.enrolment);

    // A replaced certificate ends nothing.
    let revoke = |serial, reason| {
        let authority = server.authority.clone();
        async move {
            authority
                .revoke_certificates(&Actor::Authority, &[serial], reason)
                .await
                .unwrap()
        }
    };
    revoke(first.serial, RevocationReason::Superseded).await;
    enrolled(&server, &client, &maker, &["SN-1", "UDID-1"]).await;

    // By its other name it would be another principal; it is one device.
    let key = KeyPair::generate().unwrap();
    let refused = order(&client, &[("permanent-identifier", "UDID-1")]).await;
    assert_eq!(refused.outcome().0, 403);

    // What was attested before does not help afterwards.
    let (_, waiting) = attested(&client, &maker, &["SN-1", "UDID-1"], &key).await;
    revoke(renewed.serial, RevocationReason::CessationOfOperation).await;
    let refused = finalized(&client, &waiting, &csr(&key, &[])).await;
    assert_eq!(refused.0, 403, "{refused:?}");
    let fresh = Client::registered(&server.base).await;
    for who in [&client, &another, &fresh] {
        for name in ["SN-1", "UDID-1"] {
            let refused = order(who, &[("permanent-identifier", name)]).await;
            assert_eq!(refused.outcome().0, 403, "{name}");
        }
    }
}

#[tokio::test]
async fn a_principal_is_one_device() {
    let maker = Maker::new("Maker");
    // Both would be device:factory/SN-1.
    let server = server(maker.rules(&["SN-1", "SN-1/1.2.3"])).await;
    let client = Client::registered(&server.base).await;
    enrolled(&server, &client, &maker, &["SN-1"]).await;
    let refused = order(&client, &[("permanent-identifier", "SN-1/1.2.3")]).await;
    assert_eq!(refused.outcome().0, 403);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("is the device"), "{detail}");
}

#[tokio::test]
async fn an_order_of_a_device_and_its_names_needs_both_proved() {
    let maker = Maker::new("Maker");
    let server = server(maker.rules(&["SN-1", "SN-2"])).await;
    let client = Client::registered(&server.base).await;
    // Two devices are two certificates.
    let two = [SERIAL, ("permanent-identifier", "SN-2")];
    assert_eq!(order(&client, &two).await.outcome().0, 403);

    server.names.set("a.example", &["127.0.0.1"]);
    let placed = order(&client, &[("dns", "a.example"), SERIAL]).await.ok();
    let authorizations = placed.json()["authorizations"].clone();
    let name = authorizations[0].as_str().unwrap();
    respond(&server, &client, name).await.ok();
    assert_eq!(settled(&client, name).await["status"], "valid");
    let unfinished = client.get(&placed.location()).await.ok().json();
    assert_eq!(unfinished["status"], "pending");

    let (url, token) = challenge(&client, &authorizations[1]).await;
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    send(&client, &url, &maker.statement(&["SN-1"], &key, &token))
        .await
        .ok();
    let ready = settled(&client, &placed.location()).await;
    assert_eq!(ready["status"], "ready");
    // The attested key is the CSR's, whatever else the order is about.
    let wrong = finalized(&client, &ready, &csr(&other, &["a.example"])).await;
    assert_eq!(wrong, (400, "badCSR".to_owned()));
    assert_eq!(
        finalized(&client, &ready, &csr(&key, &["a.example"]))
            .await
            .0,
        200
    );
    let names = server.certificates().await.remove(0).names;
    assert_eq!(
        names,
        [
            "dns:a.example",
            "uri:spiffe://acme.test/device/factory/SN-1"
        ]
    );
}

/// An enrolment key that asks for a challenge: the device must be the one that was invited, and the principal is the
/// invitation's.
#[tokio::test]
async fn an_invited_device_attests_that_it_is_the_one_that_was_invited() {
    let maker = Maker::new("Maker");
    let rules = AttestationRules::new(vec![maker.rule_for_invited(&["SN-1", "SN-2"])]);
    let server = server(rules).await;
    let invite = Invite {
        identifiers: vec![Identifier::parse("permanent-identifier", "SN-1").unwrap()],
        needs: Needs::Challenge,
        life: Duration::from_secs(3600),
        ..Invite::of("device:fra/line-2/press".parse().unwrap())
    };
    let invited = server
        .authority
        .invite(&Actor::Authority, invite)
        .await
        .unwrap();
    let mut client = Client::new(&server.base, Key::new());
    let url = client.url("new-account");
    let key_id = invited.invitation.id.to_string();
    let bound = binding(&key_id, &invited.mac_key[..], &client.key, &url);
    client
        .register(json!({"externalAccountBinding": bound}))
        .await
        .ok();
    // Not invited, though a rule names it; and what no statement could prove.
    for value in ["SN-2", "fra/line-2/press"] {
        let refused = order(&client, &[("permanent-identifier", value)]).await;
        assert_eq!(
            refused.outcome(),
            (403, "rejectedIdentifier".to_owned()),
            "{value}"
        );
    }
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (_, ready) = attested(&client, &maker, &["SN-1"], &key).await;
    let wrong = finalized(&client, &ready, &csr(&other, &[])).await;
    assert_eq!(wrong, (400, "badCSR".to_owned()));
    assert_eq!(finalized(&client, &ready, &csr(&key, &[])).await.0, 200);
    let record = server.certificates().await.remove(0);
    assert_eq!(
        record.principal.unwrap().to_string(),
        "device:fra/line-2/press"
    );
}
