//! dns-01 (RFC 8555 section 8.4) and dns-account-01 (draft-ietf-acme-dns-account-label) against a name server on loopback.

use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;
use portcullis::{
    acme::{
        AcmeConfig,
        validation::{Attempt, Validator, config::ValidationConfig},
    },
    domain::{
        challenge::{ChallengeKind, ValidationFailure, ValidationFailureKind},
        duration::WrittenDuration,
        identifier::Identifier,
    },
};
use serde_json::{Value, json};

use super::{
    client::{Client, encode},
    name_server::NameServer,
    order::{csr, finalized, settled},
    server::Server,
    tls_server::digest,
};

const KEY_AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";

/// The account of the draft's example, whose label is `_ujmmovf2vn55tgye`.
const ACCOUNT_URL: &str = "https://example.com/acme/acct/ExampleAccount";

struct Scene {
    names: NameServer,
    validator: Validator,
}

impl Scene {
    async fn new() -> Self {
        let names = NameServer::start().await;
        let config = ValidationConfig {
            resolvers: vec![names.address.to_string()],
            timeout: WrittenDuration(Duration::from_secs(2)),
            ..ValidationConfig::default()
        };
        let validator = Validator::new(&config.check().unwrap()).unwrap();
        Self { names, validator }
    }

    async fn validate(
        &self,
        kind: ChallengeKind,
        identifier: (&str, &str),
    ) -> Result<(), ValidationFailure> {
        self.validator
            .validate(&Attempt {
                kind,
                identifier: &Identifier::parse(identifier.0, identifier.1).unwrap(),
                token: "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
                key_authorization: KEY_AUTHORIZATION,
                account_url: ACCOUNT_URL,
            })
            .await
    }
}

fn right() -> String {
    encode(digest(KEY_AUTHORIZATION))
}

#[tokio::test]
async fn a_name_and_a_wildcard_are_validated_by_their_record() {
    use ChallengeKind::{Dns01, DnsAccount01};
    for (kind, record) in [
        (Dns01, "_acme-challenge.a.example"),
        (DnsAccount01, "_ujmmovf2vn55tgye._acme-challenge.a.example"),
    ] {
        let right = right();
        // Among others, in two strings, behind an alias, and in an answer that needs TCP.
        let others: Vec<String> = (0..30).map(|n| format!("{n:0>43}")).collect();
        let mut many: Vec<&str> = others.iter().map(String::as_str).collect();
        many.push(&right);
        for texts in [&[&*right][..], &["another", &right], &many] {
            let scene = Scene::new().await;
            scene.names.set_texts(record, texts);
            // RFC 8555 section 8.4: of a wildcard, the name without "*.".
            for name in ["a.example", "*.a.example"] {
                let outcome = scene.validate(kind, ("dns", name)).await;
                assert_eq!(outcome, Ok(()), "{record} {name}");
            }
        }
        let scene = Scene::new().await;
        scene
            .names
            .set_text_in_parts(record, &[&right[..20], &right[20..]]);
        assert_eq!(scene.validate(kind, ("dns", "a.example")).await, Ok(()));
        let scene = Scene::new().await;
        scene
            .names
            .delay("proofs.provider.example", Duration::from_millis(100));
        scene.names.set_alias(record, "proofs.provider.example");
        scene.names.set_texts("proofs.provider.example", &[&right]);
        assert_eq!(scene.validate(kind, ("dns", "a.example")).await, Ok(()));
    }
}

#[tokio::test]
async fn a_failure_says_what_was_looked_up_what_came_back_and_what_would_be_right() {
    use ValidationFailureKind::{Connection, Dns, IncorrectResponse};
    let scene = Scene::new().await;
    let right = right();
    let record = |name: &str| format!("_acme-challenge.{name}.example");
    let (names, quoted) = (&scene.names, format!("\"{right}\""));
    names.set_texts(&record("wrong"), &["old", "older"]);
    names.set_texts(&record("raw"), &[KEY_AUTHORIZATION]);
    names.set_texts(&record("quoted"), &[&quoted]);
    names.set(&record("empty"), &["127.0.0.1"]);
    names.set_alias(&record("dangling"), "nothing.example");
    names.set_alias(&record("round"), &record("round"));
    names.fail(&record("servfail"), ResponseCode::ServFail);
    names.fail(&record("refused"), ResponseCode::Refused);
    names.silence(&record("silent"));
    // The other account's record is none of ours.
    names.set_texts(
        "_ujmmovf2vn55tgye._acme-challenge.missing.example",
        &[&right],
    );
    for (name, kind, part) in [
        (
            "wrong",
            IncorrectResponse,
            "has 2 TXT records, none of which holds",
        ),
        ("wrong", IncorrectResponse, "\"old\", \"older\""),
        (
            "raw",
            IncorrectResponse,
            "that is the key authorization itself",
        ),
        (
            "quoted",
            IncorrectResponse,
            "take the quotes or blanks away",
        ),
        ("missing", Dns, "there is no such name (NXDOMAIN)"),
        ("empty", Dns, "has no TXT record"),
        (
            "dangling",
            Dns,
            "looked for TXT records of _acme-challenge.dangling.example",
        ),
        ("round", Dns, "looked for TXT records"),
        ("servfail", Dns, "SERVFAIL"),
        ("refused", Dns, "REFUSED"),
        ("silent", Connection, "did not end within 2 seconds"),
    ] {
        let failure = scene
            .validate(ChallengeKind::Dns01, ("dns", &format!("{name}.example")))
            .await
            .unwrap_err();
        assert_eq!(failure.kind, kind, "{}", failure.detail);
        assert!(failure.detail.contains(part), "{part}: {}", failure.detail);
        if name != "silent" {
            assert!(failure.detail.contains(&record(name)), "{}", failure.detail);
            assert!(failure.detail.contains(&right), "{}", failure.detail);
        }
    }
}

// RFC 8738 section 7: no dns-01 for addresses.
#[tokio::test]
async fn an_address_is_not_proved_by_dns() {
    let scene = Scene::new().await;
    for kind in [ChallengeKind::Dns01, ChallengeKind::DnsAccount01] {
        let failure = scene.validate(kind, ("ip", "127.0.0.1")).await.unwrap_err();
        assert_eq!(failure.kind, ValidationFailureKind::RejectedIdentifier);
    }
}

/// Places an order of one identifier; gives the order's and the authorization's URL, and the authorization.
async fn ordered(client: &Client, identifier: Value) -> (String, String, Value) {
    let wanted = json!({"identifiers": [identifier]});
    let placed = client.post(&client.url("new-order"), wanted).await.ok();
    let url = placed.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = client.get(&url).await.ok().json();
    (placed.location(), url, shown)
}

fn challenge<'a>(authorization: &'a Value, kind: &str) -> &'a Value {
    let challenges = authorization["challenges"].as_array().unwrap();
    challenges.iter().find(|it| it["type"] == kind).unwrap()
}

#[tokio::test]
async fn names_and_wildcards_are_ordered_with_dns_01_and_dns_account_01() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let label = {
        let account = client.account.as_deref().unwrap();
        let digest = digest(account);
        let bits = digest[..10]
            .iter()
            .fold(String::new(), |bits, octet| format!("{bits}{octet:08b}"));
        let alphabet: Vec<char> = ('a'..='z').chain('2'..='7').collect();
        let places = (0..16).map(|n| usize::from_str_radix(&bits[5 * n..5 * n + 5], 2).unwrap());
        places.map(|place| alphabet[place]).collect::<String>()
    };
    for (name, kind, record) in [
        (
            "a.example",
            "dns-01",
            "_acme-challenge.a.example".to_owned(),
        ),
        (
            "*.b.example",
            "dns-01",
            "_acme-challenge.b.example".to_owned(),
        ),
        (
            "c.example",
            "dns-account-01",
            format!("_{label}._acme-challenge.c.example"),
        ),
        (
            "*.d.example",
            "dns-account-01",
            format!("_{label}._acme-challenge.d.example"),
        ),
    ] {
        let identifier = json!({"type": "dns", "value": name});
        let (order, url, authorization) = ordered(&client, identifier).await;
        let token = challenge(&authorization, kind)["token"].as_str().unwrap();
        let key_authorization = format!("{token}.{}", client.key.thumbprint());
        server
            .names
            .set_texts(&record, &["old", &encode(digest(&key_authorization))]);
        let begun = challenge(&authorization, kind)["url"].as_str().unwrap();
        client.post(begun, json!({})).await.ok();
        let valid = settled(&client, &url).await;
        assert_eq!(valid["status"], "valid", "{valid}");
        let (csr, _) = csr(&[name]);
        let ready = settled(&client, &order).await;
        let done = finalized(&client, &ready, &csr).await.ok();
        assert_eq!(done.json()["status"], "valid", "{name}");
    }
}

// RFC 8555 sections 7.1.3 and 8 (standards 17 and 18); RFC 8738 section 7.
#[tokio::test]
async fn each_identifier_gets_the_challenges_that_can_prove_it_with_tokens_of_their_own() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let mut tokens = Vec::new();
    for (identifier, shown, wildcard, kinds) in [
        (
            json!({"type": "dns", "value": "a.example"}),
            json!({"type": "dns", "value": "a.example"}),
            Value::Null,
            &["http-01", "dns-01", "tls-alpn-01", "dns-account-01"][..],
        ),
        (
            json!({"type": "dns", "value": "*.a.example"}),
            json!({"type": "dns", "value": "a.example"}),
            json!(true),
            &["dns-01", "dns-account-01"],
        ),
        (
            json!({"type": "ip", "value": "127.0.0.1"}),
            json!({"type": "ip", "value": "127.0.0.1"}),
            Value::Null,
            &["http-01", "tls-alpn-01"],
        ),
    ] {
        let (_, _, authorization) = ordered(&client, identifier).await;
        assert_eq!(authorization["identifier"], shown);
        assert_eq!(authorization["wildcard"], wildcard);
        let challenges = authorization["challenges"].as_array().unwrap();
        let offered: Vec<&str> = challenges
            .iter()
            .map(|it| it["type"].as_str().unwrap())
            .collect();
        assert_eq!(offered, kinds);
        tokens.extend(
            challenges
                .iter()
                .map(|it| it["token"].as_str().unwrap().to_owned()),
        );
    }
    // 128 bits are 22 characters of base64url.
    assert!(
        tokens
            .iter()
            .all(|token| token.len() >= 22 && !token.contains(['=', '+', '/']))
    );
    let count = tokens.len();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), count);
}

#[tokio::test]
async fn what_a_directory_offers_no_challenge_for_is_rejected_with_the_reason() {
    let server = Server::with(AcmeConfig {
        challenges: Some(vec!["http-01".to_owned()]),
        ..AcmeConfig::default()
    })
    .await;
    let client = Client::registered(&server.base).await;
    let wanted = json!({"identifiers": [{"type": "dns", "value": "*.a.example"}]});
    let refused = client.post(&client.url("new-order"), wanted).await;
    assert_eq!(refused.problem(), (403, "rejectedIdentifier".to_owned()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("dns-01 or dns-account-01 only"), "{detail}");
}
