//! Key change over HTTP (RFC 8555 section 7.3.5).

use axum::http::StatusCode;
use portcullis::domain::audit::Actor;
use portcullis_ca::revocation::RevocationReason;
use serde_json::{Value, json};

use super::{
    client::{Client, Key, Reply},
    order::{csr, finalized, ready},
    server::Server,
};

/// The inner JWS of a good key change, whose header and payload a test may spoil.
struct Inner {
    protected: Value,
    payload: Value,
}

impl Inner {
    fn of(client: &Client, new_key: &Key) -> Self {
        Self {
            protected: json!({
                "alg": new_key.algorithm(),
                "jwk": new_key.jwk(),
                "url": client.url("key-change"),
            }),
            payload: json!({"account": client.account, "oldKey": client.key.jwk()}),
        }
    }

    async fn send(self, client: &Client, signer: &Key) -> Reply {
        let inner = signer.jws(&self.protected, &self.payload.to_string());
        client.post(&client.url("key-change"), inner).await
    }
}

async fn change(client: &Client, new_key: &Key) -> Reply {
    Inner::of(client, new_key).send(client, new_key).await
}

/// The same account with another key.
fn with_key(client: &Client, key: Key) -> Client {
    Client {
        base: client.base.clone(),
        key,
        account: client.account.clone(),
    }
}

#[tokio::test]
async fn after_a_key_change_the_new_key_signs_and_the_old_one_does_not() {
    let server = Server::start().await;
    for algorithm in ["ES256", "ES384", "ES512", "EdDSA", "RS256"] {
        let old = Client::registered(&server.base).await;
        let account = old.account.clone().unwrap();
        let new_key = Key::of(algorithm);
        let changed = change(&old, &new_key).await;
        assert_eq!(
            (changed.status, changed.location(), changed.json()),
            (
                StatusCode::OK,
                account.clone(),
                json!({"status": "valid", "orders": format!("{account}/orders")})
            )
        );
        assert_eq!(
            old.get(&account).await.problem(),
            match algorithm {
                "ES256" => (403, "unauthorized".to_owned()),
                _ => (400, "badSignatureAlgorithm".to_owned()),
            }
        );
        let mut new = with_key(&old, new_key);
        assert_eq!(new.get(&account).await.status, StatusCode::OK);
        // The key finds its account, and what the account has is still there.
        let found = new.register(json!({"onlyReturnExisting": true})).await;
        assert_eq!(
            (found.status, found.location()),
            (StatusCode::OK, account.clone())
        );
        ready(&server, &new, &["a.example"]).await;
    }
}

#[tokio::test]
async fn a_key_change_that_is_not_as_rfc_8555_says_is_refused() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let other = Client::registered(&server.base).await;
    let new_key = Key::new();
    let spoil = |name: &'static str, value: Value| {
        let mut inner = Inner::of(&client, &new_key);
        if value.is_null() {
            inner.protected.as_object_mut().unwrap().remove(name);
        } else {
            inner.protected[name] = value;
        }
        inner
    };
    let spoil_payload = |name: &'static str, value: Value| {
        let mut inner = Inner::of(&client, &new_key);
        if value.is_null() {
            inner.payload.as_object_mut().unwrap().remove(name);
        } else {
            inner.payload[name] = value;
        }
        inner
    };
    let malformed = (400, "malformed".to_owned());
    let table = [
        ("another url", spoil("url", json!(client.url("new-order")))),
        ("no url", spoil("url", Value::Null)),
        ("a nonce", spoil("nonce", json!("n"))),
        ("no key", spoil("jwk", Value::Null)),
        ("kid and jwk", spoil("kid", json!(client.account))),
        (
            "another account",
            spoil_payload("account", json!(other.account)),
        ),
        ("no account", spoil_payload("account", Value::Null)),
        ("another old key", spoil_payload("oldKey", other.key.jwk())),
        ("no old key", spoil_payload("oldKey", Value::Null)),
    ];
    for (what, inner) in table {
        assert_eq!(
            inner.send(&client, &new_key).await.problem(),
            malformed,
            "{what}"
        );
    }
    let unsigned = Inner::of(&client, &new_key);
    assert_eq!(
        unsigned.send(&client, &other.key).await.problem(),
        (403, "unauthorized".to_owned()),
        "the new key did not sign"
    );
    assert_eq!(change(&client, &client.key).await.problem(), malformed);
    let plain = client
        .post(
            &client.url("key-change"),
            json!({"account": client.account}),
        )
        .await;
    assert_eq!(plain.problem(), malformed);
    // Nothing was changed by any of them.
    let account = client.account.clone().unwrap();
    assert_eq!(client.get(&account).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_key_that_another_account_has_is_refused_with_that_accounts_location() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let other = Client::registered(&server.base).await;
    let refused = change(&client, &other.key).await;
    assert_eq!(refused.problem(), (409, "malformed".to_owned()));
    assert_eq!(Some(refused.location()), other.account);
    // The key of an account that has ended never comes back (RFC 8555 section 7.3.6).
    let ended = other.account.clone().unwrap();
    other
        .post(&ended, json!({"status": "deactivated"}))
        .await
        .ok();
    assert_eq!(
        change(&client, &other.key).await.problem(),
        (403, "unauthorized".to_owned())
    );
}

#[tokio::test]
async fn a_key_may_have_an_account_in_each_directory() {
    let server = Server::with(toml::from_str("[directories.factory]").unwrap()).await;
    let client = Client::registered(&server.base).await;
    let elsewhere = Client::new(&server.base, Key::new());
    let made = elsewhere
        .post_with_key(&elsewhere.url("factory/new-account"), "{}")
        .await
        .ok();
    change(&client, &elsewhere.key).await.ok();
    let account = client.account.clone().unwrap();
    let mut changed = with_key(&client, elsewhere.key);
    assert_eq!(changed.get(&account).await.status, StatusCode::OK);
    // The other account is as it was, and the URL of one directory changes no key in another.
    changed.account = Some(made.location());
    assert_eq!(changed.get(&made.location()).await.status, StatusCode::OK);
    assert_eq!(
        change(&changed, &Key::new()).await.problem(),
        (400, "accountDoesNotExist".to_owned())
    );
}

#[tokio::test]
async fn a_key_that_was_compromised_becomes_no_accounts_key() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (_, order) = ready(&server, &client, &["a.example"]).await;
    let (csr, key) = csr(&["a.example"]);
    finalized(&client, &order, &csr).await.ok();
    let serial = server.certificates().await[0].serial;
    server
        .authority
        .revoke_certificates(
            &Actor::Authority,
            &[serial],
            RevocationReason::KeyCompromise,
        )
        .await
        .unwrap();
    let leaked = Key::from_p256_pkcs8(&key);
    let refused = (400, "badPublicKey".to_owned());
    assert_eq!(change(&client, &leaked).await.problem(), refused);
    let mut newcomer = Client::new(&server.base, leaked);
    assert_eq!(newcomer.register(json!({})).await.problem(), refused);
}

// RFC 8555 section 11.1, the other way round: the account would outlive the key's compromise.
#[tokio::test]
async fn the_key_of_a_certificate_becomes_no_accounts_key() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (_, order) = ready(&server, &client, &["a.example"]).await;
    let (csr, der) = csr(&["a.example"]);
    finalized(&client, &order, &csr).await.ok();
    let key = Key::from_p256_pkcs8(&der);
    let refused = change(&client, &key).await;
    assert_eq!(refused.problem(), (400, "badPublicKey".to_owned()));
    let mut thief = Client::new(&server.base, key);
    let refused = thief.register(json!({})).await;
    assert_eq!(refused.problem(), (400, "badPublicKey".to_owned()));
}

#[tokio::test]
async fn of_twelve_key_changes_at_once_one_succeeds() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let keys: Vec<Key> = (0..12).map(|_| Key::new()).collect();
    let replies = futures_util::future::join_all(keys.iter().map(|key| change(&client, key))).await;
    let good = replies
        .iter()
        .filter(|reply| reply.status.is_success())
        .count();
    assert_eq!(good, 1, "{replies:?}");
    let account = client.account.clone().unwrap();
    for (key, reply) in keys.into_iter().zip(replies) {
        let read = with_key(&client, key).get(&account).await;
        assert_eq!(
            read.status.is_success(),
            reply.status.is_success(),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn a_key_change_is_in_the_audit_trail() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let new_key = Key::new();
    change(&client, &new_key).await.ok();
    let entries = server
        .authority
        .audit_entries(portcullis::store::AuditQuery {
            action: Some("account.change-key".to_owned()),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        entries[0].detail,
        json!({"from": client.key.thumbprint(), "to": new_key.thumbprint()}).to_string()
    );
}
