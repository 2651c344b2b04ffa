//! Several directories: each a door with rules of its own (RFC 8555 section 7.1.1).

use axum::http::{Method, StatusCode};
use portcullis::acme::AcmeConfig;
use serde_json::json;

use super::{
    client::{Client, Key, binding, send},
    server::Server,
};

fn two_directories() -> AcmeConfig {
    toml::from_str(
        r#"
        [directories.factory]
        external_account = "required"
        profiles = ["device"]
        "#,
    )
    .unwrap()
}

async fn enrolled(server: &Server, directory: &str) -> Client {
    let invitation = server.invite("device:fra/sensor-42", &[]).await;
    let mut client = Client::new(&server.base, Key::new());
    let url = client.url(&format!("{directory}new-account"));
    let binding = binding(&invitation.key_id, &invitation.mac_key, &client.key, &url);
    let payload = json!({"externalAccountBinding": binding}).to_string();
    let account = client.post_with_key(&url, &payload).await.ok();
    client.account = Some(account.location());
    client
}

#[tokio::test]
async fn every_resource_of_a_directory_lies_below_its_own_path() {
    let server = Server::with(two_directories()).await;
    for (name, required) in [("", false), ("factory/", true)] {
        let url = format!("{}/acme/{name}directory", server.base);
        let directory = send(Method::GET, &url, None, Vec::new()).await.ok().json();
        for (resource, url) in directory.as_object().unwrap() {
            let Some(url) = url.as_str() else { continue };
            let below = format!("{}/acme/{name}", server.base);
            let rest = url
                .strip_prefix(&below)
                .unwrap_or_else(|| panic!("{resource}: {url}"));
            assert!(!rest.contains('/'), "{resource}: {url}");
        }
        assert_eq!(
            directory["meta"]["externalAccountRequired"],
            json!(required)
        );
    }
}

#[tokio::test]
async fn an_account_works_in_the_directory_that_it_was_opened_in_and_in_no_other() {
    let server = Server::with(two_directories()).await;
    let mut lax = Client::registered(&server.base).await;
    let order =
        json!({"identifiers": [{"type": "permanent-identifier", "value": "fra/sensor-42"}]});

    // The lax directory's account, and its key, are nothing to the strict one.
    let strict_order = lax.url("factory/new-order");
    assert_eq!(
        lax.post(&strict_order, order.clone()).await.problem(),
        (400, "accountDoesNotExist".to_owned())
    );
    let strict_account = lax.url("factory/new-account");
    assert_eq!(
        lax.post_with_key(&strict_account, r#"{"onlyReturnExisting":true}"#)
            .await
            .problem(),
        (400, "accountDoesNotExist".to_owned())
    );
    assert_eq!(
        lax.post_with_key(&strict_account, "{}").await.problem(),
        (403, "externalAccountRequired".to_owned())
    );
    // Nor is its id below the other path.
    lax.account = lax
        .account
        .map(|url| url.replace("/acme/account/", "/acme/factory/account/"));
    assert_eq!(
        lax.post(&strict_order, order.clone()).await.problem(),
        (400, "accountDoesNotExist".to_owned())
    );

    let strict = enrolled(&server, "factory/").await;
    let placed = strict.post(&strict_order, order.clone()).await.ok();
    assert_eq!(placed.json()["status"], json!("ready"));
    assert_eq!(
        strict.post(&strict.url("new-order"), order).await.problem(),
        (400, "accountDoesNotExist".to_owned())
    );
    // What is the account's is read below its own path, and under that alone.
    let below_the_other = placed.location().replace("/acme/factory/", "/acme/");
    assert_eq!(
        strict.get(&below_the_other).await.problem(),
        (400, "accountDoesNotExist".to_owned())
    );
}

#[tokio::test]
async fn a_key_may_have_an_account_in_each_directory() {
    let server = Server::with(two_directories()).await;
    let mut client = enrolled(&server, "factory/").await;
    let there = client.account.clone();
    let here = client.register(json!({})).await;
    assert_eq!(here.status, StatusCode::CREATED);
    assert_ne!(Some(here.location()), there);
}

#[tokio::test]
async fn a_profile_that_a_directory_does_not_name_is_not_ordered_there() {
    let config = toml::from_str("[directories.servers]\nprofiles = [\"server\"]").unwrap();
    let server = Server::with(config).await;
    let client = enrolled(&server, "servers/").await;
    let identifier = json!({"type": "permanent-identifier", "value": "fra/sensor-42"});
    let refused = client
        .post(
            &client.url("servers/new-order"),
            json!({"identifiers": [identifier]}),
        )
        .await;
    assert!(!refused.status.is_success(), "{refused:?}");
}
