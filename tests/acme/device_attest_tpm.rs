//! device-attest-01 with what a real TPM says (swtpm).

use std::time::Duration;

use portcullis::{
    acme::AcmeConfig,
    authority::Profiles,
    domain::attestation::{AttestationRule, AttestationRules, Makers},
};
use portcullis_ca::{
    attestation::{AttestationChallenge, AttestationFormat, AttestationObject, verify},
    pki_types::UnixTime,
};
use rcgen::{CertificateParams, DistinguishedName, PublicKeyData as _};
use serde_json::json;

use super::{
    client::{Client, encode},
    device::{Maker, challenge, order, send},
    server::Server,
    tpm::{Tpm, TpmKey, VENDOR},
};

/// What only this TPM can use.
const BOUND: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";

fn rule(maker: &Maker, devices: &[&str], vendors: &[&str]) -> AttestationRule {
    AttestationRule {
        format: AttestationFormat::Tpm,
        makers: Makers {
            vendors: vendors.iter().map(ToString::to_string).collect(),
            ..Makers::default()
        },
        ..maker.rule(devices)
    }
}

fn csr(key: &TpmKey<'_>) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    encode(params.serialize_request(key).unwrap().der())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_tpm_gets_a_certificate_for_its_key() {
    let Some(tpm) = Tpm::new() else { return };
    let (maker, stranger) = (Maker::new("TPM Maker"), Maker::new("Stranger"));
    let key = tpm.key(1, BOUND);
    let other = tpm.key(2, BOUND);
    let exportable = tpm.key(3, "sensitivedataorigin|userwithauth|sign");
    let rules = AttestationRules::new(vec![rule(&maker, &["TPM-1"], &[VENDOR])]);
    let server = Server::with_rules(AcmeConfig::default(), Profiles::default(), rules).await;
    let client = Client::registered(&server.base).await;
    let thumbprint = client.key.thumbprint();

    for (name, key, maker, device, wrong_token, words) in [
        (
            "another token",
            &key,
            &maker,
            "TPM-1",
            true,
            "not about this challenge",
        ),
        (
            "another device",
            &key,
            &maker,
            "TPM-2",
            false,
            "about another device",
        ),
        (
            "another root",
            &key,
            &stranger,
            "TPM-1",
            false,
            "none of the roots",
        ),
        (
            "a key that can leave",
            &exportable,
            &maker,
            "TPM-1",
            false,
            "fixedTPM",
        ),
    ] {
        let placed = order(&client, &[("permanent-identifier", "TPM-1")])
            .await
            .ok();
        let (url, token) = challenge(&client, &placed.json()["authorizations"][0]).await;
        let token = if wrong_token { "another" } else { &token };
        let statement = key.statement(maker, device, &format!("{token}.{thumbprint}"));
        let answered = send(&client, &url, &statement).await.ok().json();
        assert_eq!(answered["status"], "invalid", "{name}");
        let detail = answered["error"]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{name}: {detail}");
    }

    let placed = order(&client, &[("permanent-identifier", "TPM-1")])
        .await
        .ok();
    let (url, token) = challenge(&client, &placed.json()["authorizations"][0]).await;
    let statement = key.statement(&maker, "TPM-1", &format!("{token}.{thumbprint}"));
    let answered = send(&client, &url, &statement).await.ok().json();
    assert_eq!(answered["status"], "valid", "{answered}");
    let ready = client.get(&placed.location()).await.ok().json();
    let finalize = ready["finalize"].as_str().unwrap();
    let wrong = client.post(finalize, json!({"csr": csr(&other)})).await;
    assert_eq!(wrong.outcome(), (400, "badCSR".to_owned()));
    client.post(finalize, json!({"csr": csr(&key)})).await.ok();
    let record = server.certificates().await.remove(0);
    assert_eq!(
        record.principal.unwrap().to_string(),
        "device:factory/TPM-1"
    );

    // Sent again, it answers no other challenge.
    let placed = order(&client, &[("permanent-identifier", "TPM-1")])
        .await
        .ok();
    let (url, _) = challenge(&client, &placed.json()["authorizations"][0]).await;
    let answered = send(&client, &url, &statement).await.ok().json();
    assert_eq!(answered["status"], "invalid");
}

/// Trap 13: any vendor's device was accepted because the format was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tpm_of_a_vendor_that_is_not_listed_is_refused() {
    let Some(tpm) = Tpm::new() else { return };
    let maker = Maker::new("TPM Maker");
    let key = tpm.key(1, BOUND);
    for (vendors, words) in [
        (
            &["id:53544D20"][..],
            "does not list the vendor \"id:00001014\"",
        ),
        (&[], "does not list the vendor"),
    ] {
        let rules = AttestationRules::new(vec![rule(&maker, &["TPM-1"], vendors)]);
        let server = Server::with_rules(AcmeConfig::default(), Profiles::default(), rules).await;
        let client = Client::registered(&server.base).await;
        let placed = order(&client, &[("permanent-identifier", "TPM-1")])
            .await
            .ok();
        let (url, token) = challenge(&client, &placed.json()["authorizations"][0]).await;
        let key_authorization = format!("{token}.{}", client.key.thumbprint());
        let statement = key.statement(&maker, "TPM-1", &key_authorization);
        let answered = send(&client, &url, &statement).await.ok().json();
        let detail = answered["error"]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    }
}

/// Trap 13, with what a real TPM wrote: no panic, and nothing else is ever believed.
#[test]
fn a_real_statement_that_was_cut_or_altered_never_says_anything_else() {
    let Some(tpm) = Tpm::new() else { return };
    let maker = Maker::new("TPM Maker");
    let key = tpm.key(1, BOUND);
    let statement = key.statement(&maker, "TPM-1", "a token.a thumbprint");
    let challenge = AttestationChallenge {
        token: "a token",
        key_authorization: "a token.a thumbprint",
    };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    let roots = maker.roots();
    let judge = |octets: &[u8]| {
        AttestationObject::from_cbor(octets)
            .and_then(|object| verify(&object, &challenge, &roots, at))
    };
    let said = judge(&statement).unwrap();
    assert_eq!(
        said.public_key.subject_public_key_info(),
        key.subject_public_key_info()
    );
    assert_eq!(said.vendor.as_deref(), Some(VENDOR));
    for length in 0..statement.len() {
        assert!(judge(&statement[..length]).is_err(), "cut at {length}");
    }
    for place in 0..statement.len() {
        let mut altered = statement.clone();
        altered[place] ^= 1;
        if let Ok(says) = judge(&altered) {
            assert_eq!(says, said, "octet {place}");
        }
    }
}
