//! Validations over HTTP (RFC 8555 sections 7.5.1 and 8.2): tried again, shown while they go on, brought forward, and kept
//! from holding up others.

use std::time::Duration;

use portcullis::{
    acme::{AcmeConfig, validation::config::ValidationConfig},
    domain::duration::WrittenDuration,
};
use serde_json::{Value, json};

use super::{
    client::Client,
    order::{order, respond, settled},
    server::Server,
    web_server::Page,
};

async fn server(validation: ValidationConfig) -> Server {
    Server::with(AcmeConfig {
        validation: Some(validation),
        ..AcmeConfig::default()
    })
    .await
}

/// Pauses between attempts that nobody waits for.
fn patient() -> ValidationConfig {
    ValidationConfig {
        retry: WrittenDuration(Duration::from_secs(60)),
        ..ValidationConfig::default()
    }
}

/// Reads a challenge until it says what failed.
async fn failing(client: &Client, url: &str) -> super::client::Reply {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let reply = client.get(url).await.ok();
            if reply.json()["error"].is_object() {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap()
}

// RFC 8555 section 8.2, standards 23.
#[tokio::test]
async fn while_a_challenge_is_processing_all_that_wait_for_it_are_told_when_to_look_again() {
    let server = server(patient()).await;
    let client = Client::registered(&server.base).await;
    let placed = order(&client, &["late.example"]).await.ok();
    let authorization = placed.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(placed.headers.get("retry-after").is_none());
    let begun = respond(&server, &client, &authorization).await.ok();
    assert_eq!(begun.json()["status"], "processing");
    let url = begun.json()["url"].as_str().unwrap().to_owned();

    let shown = failing(&client, &url).await;
    assert_eq!(shown.json()["status"], "processing");
    assert_eq!(
        shown.json()["error"]["type"],
        "urn:ietf:params:acme:error:dns"
    );
    let told = |reply: &super::client::Reply| reply.header("retry-after").to_owned();
    assert_eq!(told(&shown), "60");
    assert_eq!(told(&client.get(&authorization).await.ok()), "60");
    let order = client.get(&placed.location()).await.ok();
    assert_eq!(
        (told(&order), &order.json()["status"]),
        ("60".to_owned(), &json!("pending"))
    );

    // Who responds again needn't wait; the name is there now.
    server.names.set("late.example", &["127.0.0.1"]);
    client.post(&url, json!({})).await.ok();
    let valid = settled(&client, &authorization).await;
    assert_eq!(valid["status"], "valid");
    assert_eq!(valid["challenges"][0]["error"], Value::Null);
    let ready = client.get(&placed.location()).await.ok();
    assert!(ready.headers.get("retry-after").is_none());
}

#[tokio::test]
async fn responding_again_brings_only_so_many_attempts() {
    let server = server(patient()).await;
    let client = Client::registered(&server.base).await;
    server.names.set("a.example", &["127.0.0.1"]);
    let placed = order(&client, &["a.example"]).await.ok().json();
    let authorization = placed["authorizations"][0].as_str().unwrap();
    let shown = client.get(authorization).await.json();
    // Nothing was put where the challenge wants it.
    let url = shown["challenges"][0]["url"].as_str().unwrap();
    client.post(url, json!({})).await.ok();
    for attempts in 1..=6 {
        tokio::time::timeout(Duration::from_secs(10), async {
            while server.web.hits() < attempts {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
        // The attempt has ended when its failure shows.
        tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let error = client.get(url).await.json()["error"].clone();
                let parts = error["subproblems"].as_array().map_or(1, Vec::len);
                if error.is_object() && parts == attempts {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
        let again = client.post(url, json!({})).await.ok();
        assert_eq!(again.json()["status"], "processing");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.web.hits(), 6);
}

#[tokio::test]
async fn names_of_one_account_that_do_not_answer_hold_up_nobody_elses() {
    let server = server(ValidationConfig {
        max_concurrent: 4,
        timeout: WrittenDuration(Duration::from_secs(60)),
        ..ValidationConfig::default()
    })
    .await;
    let (slow, quick) = (
        Client::registered(&server.base).await,
        Client::registered(&server.base).await,
    );
    let names: Vec<String> = (0..8).map(|n| format!("slow{n}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let placed = order(&slow, &names).await.ok().json();
    for (authorization, name) in placed["authorizations"]
        .as_array()
        .unwrap()
        .iter()
        .zip(names)
    {
        server.names.set(name, &["127.0.0.1"]);
        let shown = slow.get(authorization.as_str().unwrap()).await.ok().json();
        let challenge = &shown["challenges"][0];
        let hour = Page::Late(Duration::from_secs(3600));
        server
            .web
            .respond(challenge["token"].as_str().unwrap(), hour);
        let url = challenge["url"].as_str().unwrap();
        slow.post(url, json!({})).await.ok();
    }
    server.names.set("quick.example", &["127.0.0.1"]);
    let placed = order(&quick, &["quick.example"]).await.ok().json();
    let authorization = placed["authorizations"][0].as_str().unwrap();
    respond(&server, &quick, authorization).await.ok();
    assert_eq!(settled(&quick, authorization).await["status"], "valid");
}

#[tokio::test]
async fn a_deactivated_authorization_is_not_validated_any_more() {
    let server = server(ValidationConfig {
        retry: WrittenDuration(Duration::from_secs(1)),
        attempts: 10,
        ..ValidationConfig::default()
    })
    .await;
    let client = Client::registered(&server.base).await;
    let placed = order(&client, &["late.example"]).await.ok().json();
    let authorization = placed["authorizations"][0].as_str().unwrap();
    let begun = respond(&server, &client, authorization).await.ok().json();
    let url = begun["url"].as_str().unwrap();
    failing(&client, url).await;
    let gone = json!({"status": "deactivated"});
    client.post(authorization, gone).await.ok();
    server.names.set("late.example", &["127.0.0.1"]);
    let again = client.post(url, json!({})).await;
    assert_eq!(again.problem(), (400, "malformed".to_owned()));
    // When the next attempt would be due, the validation ends instead, and with it what it shows.
    tokio::time::timeout(Duration::from_secs(60), async {
        while client.get(url).await.json()["error"].is_object() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    let shown = client.get(authorization).await.json();
    assert_eq!(shown["status"], "deactivated");
    assert_eq!(server.web.hits(), 0);
}
