//! Changes of issuers that meet each other, that are cut short, or that would leave nobody to issue.

use std::sync::{Arc, atomic::Ordering};

use axum::{body::Body, http::Request};
use portcullis::{
    api::{self, ApiState},
    authority::{
        AuthorityError, KeyHome, OcspAnswerKind, Unseen,
        ca::{Activate, CreateIssuer, ImportIssuer, RequestIssuer},
    },
    domain::{
        Clock as _, Timestamp,
        audit::AuditDraft,
        issuer::{IssuerRole, IssuerState, KeyPlace},
    },
    listen::UnixPeer,
    status,
    store::{ChangeIssuers, RevocationQuery},
};
use portcullis_ca::{
    key::{KeyAlgorithm, Signer as _, SigningKey},
    ocsp::{CertId, HashAlgorithm},
    revocation::RevocationReason,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tower::ServiceExt as _;

use super::house::{ACTOR, House};

fn create(name: &str, role: IssuerRole) -> CreateIssuer {
    CreateIssuer {
        name: name.parse().expect("a name"),
        role,
        parent: None,
        algorithm: KeyAlgorithm::P256,
        home: KeyHome::File,
        profiles: Vec::new(),
        list_shards: None,
    }
}

/// A self-signed CA certificate for a key, DER.
fn self_signed(key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Theirs");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(key).expect("a certificate");
    certificate.der().to_vec()
}

#[tokio::test]
async fn a_slow_change_does_not_undo_what_was_decided_meanwhile() {
    let house = House::start().await;
    let export = {
        let authority = house.authority.clone();
        tokio::spawn(async move {
            let life = std::time::Duration::from_secs(400 * 86_400);
            authority
                .export_root_key(&ACTOR, "root", b"correct horse", life)
                .await
                .map(drop)
        })
    };
    house.keys.exporting.acquire().await.expect("open").forget();
    house.rotate("root").await;
    house.activate("root-2").await.expect("activated");
    house
        .authority
        .retire_issuer(&ACTOR, "root", true)
        .await
        .expect("retired");
    house.keys.exports.add_permits(1);
    let exported = export.await.expect("no panic");
    assert_eq!(house.state_of("root"), IssuerState::Retired);
    assert!(
        matches!(exported, Err(AuthorityError::Conflict(_))),
        "{exported:?}"
    );
    let issuers = house.authority.issuers();
    let root = issuers.named("root").expect("an issuer");
    assert_eq!(root.record.cross.len(), 1, "the cross certificate is kept");
}

#[tokio::test]
async fn the_key_of_an_issuer_that_is_recorded_is_never_taken_away() {
    let mut house = House::start().await;
    house.keys.can_not_open.store(true, Ordering::SeqCst);
    let outcome = house
        .authority
        .create_issuer(&ACTOR, create("camera", IssuerRole::Intermediate))
        .await;
    assert!(outcome.is_err(), "{outcome:?}");
    house.restart().await;
    assert_eq!(house.state_of("camera"), IssuerState::Prepared);
    house.activate("camera").await.expect("its key is there");
}

#[tokio::test]
async fn no_change_leaves_a_profile_without_an_issuer() {
    let house = House::start().await;
    house
        .authority
        .create_issuer(&ACTOR, create("lonely", IssuerRole::Root))
        .await
        .expect("made");
    // No intermediate stands below it: everybody would wait for a certificate, this server at its next start too.
    let refused = house.activate("lonely").await;
    assert!(
        matches!(refused, Err(AuthorityError::Conflict(_))),
        "{refused:?}"
    );
    let only_cameras = CreateIssuer {
        profiles: vec!["camera".to_owned()],
        ..create("cameras", IssuerRole::Intermediate)
    };
    house
        .authority
        .create_issuer(&ACTOR, only_cameras)
        .await
        .expect("made");
    let instead = Activate {
        name: "cameras".to_owned(),
        instead_of: Some("intermediate".to_owned()),
        threshold: 0.0,
        force: false,
    };
    let refused = house.authority.activate_issuer(&ACTOR, &instead).await;
    assert!(
        matches!(refused, Err(AuthorityError::Conflict(_))),
        "{refused:?}"
    );
    assert_eq!(house.state_of("intermediate"), IssuerState::Active);
    house.activate("cameras").await.expect("beside the other");
}

#[tokio::test]
async fn a_retired_root_is_no_longer_vouched_for_by_the_one_that_crossed_it() {
    let house = House::start().await;
    house.rotate("root").await;
    house.activate("root-2").await.expect("activated");
    let issuers = house.authority.issuers();
    let new = issuers.named("root-2").expect("an issuer").id();
    house
        .authority
        .retire_issuer(&ACTOR, "root", true)
        .await
        .expect("retired");
    let revoked = house
        .authority
        .store()
        .revoked(new, 0, Timestamp::from_unix_seconds(0))
        .await
        .expect("looked up")
        .entries;
    assert_eq!(
        revoked.len(),
        1,
        "who stole the old root's key makes CAs that verify by the new root, until it says no"
    );
}

#[tokio::test]
async fn a_retirement_that_was_cut_short_is_finished_by_asking_again() {
    let mut house = House::start().await;
    house.rotate("intermediate").await;
    let issuers = house.authority.issuers();
    let old = Arc::clone(issuers.named("intermediate").expect("an issuer"));
    let retired = old
        .record
        .clone()
        .retire(house.clock.now())
        .expect("retired");
    let audit = AuditDraft {
        at: house.clock.now(),
        actor: ACTOR,
        action: "issuer.retire",
        subject: "intermediate".to_owned(),
        detail: serde_json::json!({}),
    };
    let change = ChangeIssuers {
        put: vec![retired],
        expected: vec![old.record.clone()],
        certificates: Vec::new(),
        at: house.clock.now(),
    };
    house
        .authority
        .store()
        .change_issuers(change, audit)
        .await
        .expect("recorded");
    house.restart().await;
    house
        .authority
        .retire_issuer(&ACTOR, "intermediate", true)
        .await
        .expect("finished");
    let record = house
        .authority
        .certificate(&old.certificate.serial())
        .await
        .expect("looked up")
        .expect("a record");
    assert!(
        record.revocation.is_some(),
        "verifiers elsewhere hear of it"
    );
    let again = house
        .authority
        .retire_issuer(&ACTOR, "intermediate", true)
        .await;
    assert!(
        matches!(again, Err(AuthorityError::Conflict(_))),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_key_that_was_stolen_is_no_issuers() {
    let house = House::start().await;
    let key = KeyPair::generate().expect("a key");
    let signing = || SigningKey::from_pkcs8_pem(&key.serialize_pem(), None).expect("a key");
    let query = RevocationQuery {
        key: Some(signing().public_key().fingerprint()),
        ..RevocationQuery::default()
    };
    house
        .authority
        .revoke_matching(&ACTOR, &query, RevocationReason::KeyCompromise)
        .await
        .expect("blocked");
    let import = ImportIssuer {
        name: "theirs".parse().expect("a name"),
        chain: vec![self_signed(&key)],
        key: Some(signing()),
        profiles: Vec::new(),
        list_shards: None,
    };
    let refused = house.authority.import_issuer(&ACTOR, import).await;
    assert!(
        matches!(&refused, Err(error) if error.to_string().contains("compromise")),
        "{refused:?}"
    );
    let keys = std::fs::read_dir(house.directory.path().join("state/keys")).expect("a directory");
    assert_eq!(keys.count(), 3, "root, intermediate and seed");
}

#[tokio::test]
async fn a_root_is_not_installed_as_an_intermediate() {
    let house = House::start().await;
    let request = RequestIssuer {
        name: "partner".parse().expect("a name"),
        algorithm: KeyAlgorithm::P256,
        home: KeyHome::File,
        profiles: Vec::new(),
        list_shards: None,
    };
    let (record, _) = house
        .authority
        .request_issuer(&ACTOR, request)
        .await
        .expect("requested");
    let KeyPlace::File(name) = record.key else {
        panic!("a file")
    };
    let pem = std::fs::read_to_string(house.directory.path().join("state").join(name))
        .expect("a key file");
    let key = KeyPair::from_pem(&pem).expect("a key");
    let refused = house
        .authority
        .install_issuer(&ACTOR, "partner", &[self_signed(&key)])
        .await;
    assert!(
        matches!(refused, Err(AuthorityError::Invalid(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_a_retired_issuer_signed_a_moment_ago_is_not_recorded() {
    let house = House::start().await;
    house.rotate("intermediate").await;
    let issuers = house.authority.issuers();
    let old = Arc::clone(issuers.named("intermediate").expect("an issuer"));
    let mut leaf = house
        .authority
        .certificate(&old.certificate.serial())
        .await
        .expect("looked up")
        .expect("a record");
    leaf.issuer = old.id();
    leaf.serial = "0badc0de".parse().expect("a serial");
    house
        .authority
        .retire_issuer(&ACTOR, "intermediate", true)
        .await
        .expect("retired");
    let audit = AuditDraft {
        at: house.clock.now(),
        actor: ACTOR,
        action: "certificate.issue",
        subject: leaf.serial.to_string(),
        detail: serde_json::json!({}),
    };
    let late = house
        .authority
        .store()
        .record_certificate(leaf, audit)
        .await;
    assert!(late.is_err(), "{late:?}");
}

#[tokio::test]
async fn a_retired_issuers_last_list_is_nobodys_alarm() {
    let house = House::start().await;
    house.rotate("intermediate").await;
    house
        .authority
        .retire_issuer(&ACTOR, "intermediate", true)
        .await
        .expect("retired");
    house.clock.0.fetch_add(3 * 86_400, Ordering::SeqCst);
    house
        .authority
        .publish_due_lists()
        .await
        .expect("published");
    let health = status::router(house.authority.clone())
        .oneshot(
            Request::get("/health")
                .body(Body::empty())
                .expect("a request"),
        )
        .await
        .expect("an answer");
    assert_eq!(health.status(), 200);
}

/// A list and an OCSP answer say the same (Let's Encrypt 2025: other reasons on the one than in the other).
#[tokio::test]
async fn what_the_store_never_saw_is_revoked_by_ocsp_too() {
    let house = House::start().await;
    let issuers = house.authority.issuers();
    let issuer = issuers.named("intermediate").expect("an issuer");
    let serial = "0123456789abcdef".parse().expect("a serial");
    let unseen = Unseen::Serial {
        issuer: "intermediate".to_owned(),
        serial,
    };
    house
        .authority
        .revoke_unseen(&ACTOR, unseen, RevocationReason::KeyCompromise)
        .await
        .expect("revoked");
    let id = CertId::new(HashAlgorithm::Sha256, &issuer.certificate, serial);
    let sequence = |contents: &[u8]| {
        let length = u8::try_from(contents.len()).expect("short");
        let head: &[u8] = if length < 0x80 {
            &[0x30, length]
        } else {
            &[0x30, 0x81, length]
        };
        [head, contents].concat()
    };
    let request = sequence(&sequence(&sequence(&sequence(id.to_der()))));
    let answer = house.authority.answer_ocsp(&request).await;
    assert!(
        !matches!(answer.kind, OcspAnswerKind::Refusal(_)),
        "{answer:?}"
    );
    let at = answer
        .der
        .windows(id.to_der().len())
        .position(|octets| octets == id.to_der())
        .expect("an answer about it");
    // CertStatus: good is [0], revoked [1], unknown [2].
    assert_eq!(answer.der[at + id.to_der().len()], 0xa1);
}

/// UCM #163, for CAs: whoever holds the key of a CA that is trusted is whoever they like.
#[tokio::test]
async fn who_may_make_cas_may_not_bring_or_take_a_key_unless_everything_is_theirs() {
    const POLICY: &str = r#"
[[role]]
name = "ca-operator"
allow = ["issuers:create@**", "issuers:export@**"]

[[bind]]
role = "ca-operator"
to = "user:local/1234"
"#;
    let house = House::start().await;
    house
        .authority
        .apply_policy(&ACTOR, POLICY.to_owned())
        .await
        .expect("applied");
    house.keys.exports.add_permits(1);
    let api = api::router(ApiState {
        authority: house.authority.clone(),
        directory: "https://localhost/acme/directory".parse().expect("a URL"),
    });
    let key = KeyPair::generate().expect("a key");
    let chain = portcullis_ca::certificate::to_pem(&self_signed(&key));
    let mut answers = Vec::new();
    for (path, body) in [
        ("issuers", serde_json::json!({ "name": "camera" })),
        ("issuer-requests", serde_json::json!({ "name": "partner" })),
        (
            "issuer-imports",
            serde_json::json!({ "name": "mine", "chain": chain, "key": key.serialize_pem() }),
        ),
        (
            "issuers/partner/install",
            serde_json::json!({ "chain": chain }),
        ),
        (
            "issuers/root/export-key",
            serde_json::json!({ "passphrase": "correct horse", "next_ceremony_seconds": 86400 }),
        ),
    ] {
        let mut request = Request::post(format!("/v1/{path}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        request.extensions_mut().insert(UnixPeer {
            uid: 1234,
            pid: None,
        });
        let answer = api.clone().oneshot(request).await.expect("an answer");
        answers.push((path, answer.status().as_u16()));
    }
    assert_eq!(
        answers,
        [
            ("issuers", 200),
            ("issuer-requests", 200),
            ("issuer-imports", 403),
            ("issuers/partner/install", 403),
            ("issuers/root/export-key", 403),
        ]
    );
}
