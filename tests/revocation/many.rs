//! Revoking by what certificates have in common, while others are issued, and what the store never saw.

use std::sync::Arc;

use portcullis::{
    authority::{Invite, NewAccount, NewOrder, Unseen},
    domain::{account::Thumbprint, audit::Actor, identifier::Identifier},
    store::{AuditQuery, CertificateStatusAnswer, RevocationQuery},
};
use portcullis_ca::{
    csr::CertificateRequest, key::Signer, revocation::RevocationReason, serial::Serial,
};

use super::stage::{HOUR, Stage, principal};

fn query() -> RevocationQuery {
    RevocationQuery::default()
}

async fn revoked(stage: &Stage, query: &RevocationQuery, reason: RevocationReason) -> usize {
    stage
        .authority
        .revoke_matching(&Actor::Authority, query, reason)
        .await
        .expect("revoked")
        .serials
        .len()
}

#[tokio::test]
async fn a_query_revokes_many_in_steps_each_one_event() {
    const MANY: usize = 2100;
    let stage = Stage::start().await;
    let shards: Vec<u32> = (0..16).cycle().take(MANY).collect();
    let serials = stage.certificates(&shards, HOUR * 100).await;
    let epoch = stage.authority.standing().epoch();
    let issuer = stage.issuer("intermediate").id();
    let all = RevocationQuery {
        issuer: Some(issuer),
        ..query()
    };
    assert_eq!(
        revoked(&stage, &all, RevocationReason::CessationOfOperation).await,
        MANY
    );
    // Three steps of at most 1,000.
    assert_eq!(stage.authority.standing().epoch(), epoch + 3);
    assert!(
        serials
            .iter()
            .all(|serial| stage.authority.standing().is_revoked(&issuer, serial))
    );
    let entries = stage
        .authority
        .store()
        .audit(AuditQuery::default())
        .await
        .expect("read");
    let steps: Vec<serde_json::Value> = entries
        .iter()
        .filter(|entry| entry.action == "certificate.revoke")
        .map(|entry| serde_json::from_str(&entry.detail).expect("JSON"))
        .collect();
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[0]["query"]["issuer"], issuer.to_string());
    assert_eq!(steps[0]["count"], 1000);
    // On the lists, every one.
    stage.publish_due().await;
    let mut listed: Vec<Serial> = (0..16).flat_map(|shard| stage.on_list(shard)).collect();
    listed.retain(|serial| serials.contains(serial));
    assert_eq!(listed.len(), MANY);
}

/// What is being issued to a principal while it is revoked must not stay good: its enrolments end first, and a
/// certificate is only recorded if its enrolment is active at that very moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_issued_to_a_principal_that_is_being_revoked() {
    const HOST: &str = "camera.example.internal";
    let stage = Stage::start().await;
    let camera = principal("service:fra/camera");
    for round in 0..6_u8 {
        let name = Identifier::parse("dns", HOST).expect("a name");
        let invited = stage
            .authority
            .invite(
                &Actor::Authority,
                Invite {
                    identifiers: vec![name.clone()],
                    uses: 1,
                    life: HOUR,
                    ..Invite::of(camera.clone())
                },
            )
            .await
            .expect("invited");
        let account = stage
            .authority
            .create_account(NewAccount {
                directory: portcullis::domain::DirectoryName::default(),
                thumbprint: Thumbprint([round; 32]),
                jwk: serde_json::Value::Null,
                contacts: Vec::new(),
                binding: Some(invited.invitation.id),
                from: None,
                external_account_binding: None,
                terms_of_service: None,
            })
            .await
            .expect("an account");
        let account = Arc::new(account);
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let (authority, account, name) =
                (stage.authority.clone(), Arc::clone(&account), name.clone());
            tasks.push(tokio::spawn(async move {
                let mut issued = 0;
                loop {
                    let Ok(order) = authority
                        .new_order(NewOrder::of(&account.id, vec![name.clone()]))
                        .await
                    else {
                        return issued;
                    };
                    let request = request(HOST);
                    if authority
                        .finalize(&order.id, &account.id, request)
                        .await
                        .is_err()
                    {
                        return issued;
                    }
                    issued += 1;
                }
            }));
        }
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        let of_camera = RevocationQuery {
            principal: Some(camera.clone()),
            ..query()
        };
        revoked(&stage, &of_camera, RevocationReason::PrivilegeWithdrawn).await;
        for task in tasks {
            task.await.expect("no panic");
        }
        let left = stage
            .authority
            .revocable(&of_camera, RevocationReason::Unspecified, 10)
            .await
            .expect("read");
        assert_eq!(left.count, 0, "in round {round}");
    }
}

fn request(host: &str) -> CertificateRequest {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new([host.to_owned()]).expect("a name");
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    let request = parameters.serialize_request(&key).expect("a request");
    CertificateRequest::from_der(request.der()).expect("a request")
}

#[tokio::test]
async fn a_certificate_that_the_store_never_saw_is_revoked_by_issuer_and_serial() {
    let stage = Stage::start().await;
    stage.publish_due().await;
    let issuer = stage.issuer("intermediate").id();
    let serial = Serial::random().expect("randomness");
    let unseen = |issuer: &str| Unseen::Serial {
        issuer: issuer.to_owned(),
        serial,
    };
    let reason = RevocationReason::PrivilegeWithdrawn;
    let nobody = stage
        .authority
        .revoke_unseen(&Actor::Authority, unseen("nobody"), reason)
        .await;
    assert!(nobody.is_err());
    assert!(!stage.authority.standing().is_revoked(&issuer, &serial));
    let revoked = stage
        .authority
        .revoke_unseen(&Actor::Authority, unseen("intermediate"), reason)
        .await
        .expect("revoked");
    assert_eq!(revoked.serials, [serial]);
    // In force at once, and after a restart; on every list, for nobody knows which one it names.
    assert!(stage.authority.standing().is_revoked(&issuer, &serial));
    assert!(stage.again().await.standing().is_revoked(&issuer, &serial));
    assert_eq!(stage.publish_due().await, (16, 0));
    assert!((0..16).all(|shard| stage.on_list(shard) == [serial]));
    let status = stage.authority.store().certificate_status(issuer, serial);
    assert_eq!(
        status.await.expect("read"),
        CertificateStatusAnswer::Revoked {
            at: stage.clock.read(),
            reason
        }
    );
}

#[tokio::test]
async fn a_certificate_that_the_store_lost_is_revoked_on_the_list_that_it_names() {
    let stage = Stage::start().await;
    stage.publish_due().await;
    let (issuer, key) = (
        stage.issuer("intermediate"),
        portcullis_ca::key::SigningKey::generate(portcullis_ca::key::KeyAlgorithm::P256)
            .expect("a key"),
    );
    let own = stage
        .authority
        .issue_own(
            key.public_key().clone(),
            vec![
                "gone.example.internal"
                    .parse()
                    .map(portcullis_ca::name::GeneralName::Dns)
                    .expect("a name"),
            ],
        )
        .await
        .expect("issued");
    stage.tamper("DELETE FROM certificates WHERE profile = 'server'");
    let der = own.chain[0].clone();
    let reason = RevocationReason::KeyCompromise;
    let revoke = async |der: Vec<u8>| {
        stage
            .authority
            .revoke_unseen(&Actor::Authority, Unseen::Certificate(der), reason)
            .await
    };
    let revoked = revoke(der.clone()).await.expect("revoked");
    let [serial] = revoked.serials[..] else {
        panic!("{revoked:?}");
    };
    assert_eq!(revoked.keys_blocked, 1);
    let fingerprint = key.public_key().fingerprint();
    assert!(
        stage
            .authority
            .store()
            .is_key_blocked(fingerprint)
            .await
            .expect("read")
    );
    assert_eq!(stage.publish_due().await, (1, 0));
    assert_eq!(stage.on_list(serial.shard(issuer.shards())), [serial]);
    // A second time there is nothing to do; and what nobody of ours signed is not ours to revoke.
    assert_eq!(revoke(der).await.expect("done").already, [serial]);
    let params = rcgen::CertificateParams::new(["x.example".to_owned()]).expect("a name");
    let foreign = params
        .self_signed(&rcgen::KeyPair::generate().expect("a key"))
        .expect("signed");
    let refused = revoke(foreign.der().to_vec()).await;
    assert!(refused.is_err(), "{refused:?}");
}
