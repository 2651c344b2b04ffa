//! Authorizations that serve other orders than the one that they were made for (RFC 8555 section 7.4), over HTTP.

use portcullis::{acme::AcmeConfig, authority::Profiles};
use portcullis_ca::profile::{NameRules, Profile, ProfileKind};
use serde_json::{Value, json};

use super::{
    client::{Client, Reply},
    order::{csr, finalized, order, ready, respond, settled},
    server::Server,
};

/// A configuration of the default directory.
fn config(toml: &str) -> AcmeConfig {
    toml::from_str(toml).unwrap()
}

fn authorization(order: &Value, number: usize) -> &str {
    order["authorizations"][number].as_str().unwrap()
}

async fn status(client: &Client, url: &str) -> Value {
    client.get(url).await.ok().json()["status"].clone()
}

async fn deactivate(client: &Client, authorization: &str) -> Reply {
    client
        .post(authorization, json!({"status": "deactivated"}))
        .await
}

#[tokio::test]
async fn an_authorization_serves_the_next_orders_of_its_account_for_as_long_as_the_directory_says()
{
    let server = Server::with(config("reuse_authorizations = \"2h\"")).await;
    let client = Client::registered(&server.base).await;
    let (_, first) = ready(&server, &client, &["a.example"]).await;

    let again = order(&client, &["a.example"]).await.ok().json();
    assert_eq!(
        (&again["status"], &again["authorizations"]),
        (&json!("ready"), &first["authorizations"])
    );
    let (good, _) = csr(&["a.example"]);
    let done = finalized(&client, &again, &good).await.ok().json();
    assert_eq!(done["status"], "valid");

    // Only for that name, and only for that account.
    let more = order(&client, &["a.example", "b.example"])
        .await
        .ok()
        .json();
    assert_eq!(more["status"], "pending");
    assert_eq!(authorization(&more, 0), authorization(&first, 0));
    assert_eq!(status(&client, authorization(&more, 1)).await, "pending");
    let other = Client::registered(&server.base).await;
    let others = order(&other, &["a.example"]).await.ok().json();
    assert_eq!(others["status"], "pending");
    assert_ne!(authorization(&others, 0), authorization(&first, 0));

    server.clock.advance(2 * 3600);
    let late = order(&client, &["a.example"]).await.ok().json();
    assert_eq!(late["status"], "pending");
    assert_ne!(authorization(&late, 0), authorization(&first, 0));
}

#[tokio::test]
async fn where_the_directory_says_never_each_order_proves_its_names_anew() {
    let server = Server::with(config("reuse_authorizations = \"0s\"")).await;
    let client = Client::registered(&server.base).await;
    let (_, first) = ready(&server, &client, &["a.example"]).await;
    let again = order(&client, &["a.example"]).await.ok().json();
    assert_eq!(again["status"], "pending");
    assert_ne!(authorization(&again, 0), authorization(&first, 0));
}

// Clients that respond to the challenge of a valid authorization are told that it is valid.
#[tokio::test]
async fn responding_to_a_challenge_that_was_met_for_another_order_changes_nothing() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (_, first) = ready(&server, &client, &["a.example"]).await;
    let before = client.get(authorization(&first, 0)).await.json();
    let reply = respond(&server, &client, authorization(&first, 0)).await;
    assert_eq!(reply.ok().json(), before["challenges"][0]);
    assert_eq!(client.get(authorization(&first, 0)).await.json(), before);
}

#[tokio::test]
async fn a_deactivated_authorization_ends_every_order_that_uses_it_and_no_other() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (first, object) = ready(&server, &client, &["a.example"]).await;
    let second = order(&client, &["a.example"]).await.ok().location();
    let pending = order(&client, &["a.example", "b.example"])
        .await
        .ok()
        .location();
    let unrelated = order(&client, &["c.example"]).await.ok().location();
    let done = order(&client, &["a.example"]).await.ok();
    finalized(&client, &done.json(), &csr(&["a.example"]).0)
        .await
        .ok();

    deactivate(&client, authorization(&object, 0)).await.ok();
    for (order, expected) in [
        (&first, "invalid"),
        (&second, "invalid"),
        (&pending, "invalid"),
        (&unrelated, "pending"),
        (&done.location(), "valid"),
    ] {
        let object = client.get(order).await.ok().json();
        assert_eq!(object["status"], expected, "{object}");
        if expected == "invalid" {
            assert_eq!(
                object["error"]["subproblems"],
                json!([{
                    "type": "urn:ietf:params:acme:error:unauthorized",
                    "detail": "its authorization is deactivated",
                    "identifier": {"type": "dns", "value": "a.example"},
                }])
            );
        }
    }
    let anew = order(&client, &["a.example"]).await.ok().json();
    assert_eq!(anew["status"], "pending");
    assert_ne!(authorization(&anew, 0), authorization(&object, 0));
}

#[tokio::test]
async fn a_wildcard_and_the_name_below_it_are_authorized_apart() {
    let server = Server::with(config("challenges = [\"http-01\", \"dns-01\"]")).await;
    let client = Client::registered(&server.base).await;
    let (_, plain) = ready(&server, &client, &["a.example"]).await;
    let wildcard = order(&client, &["*.a.example"]).await.ok().json();
    assert_eq!(wildcard["status"], "pending");
    let shown = client.get(authorization(&wildcard, 0)).await.json();
    assert_eq!(
        (&shown["identifier"], &shown["wildcard"]),
        (&json!({"type": "dns", "value": "a.example"}), &json!(true))
    );
    assert_ne!(authorization(&wildcard, 0), authorization(&plain, 0));
}

// Let's Encrypt 2020: a policy was checked once for a name that was checked before, and N times over the same name.
#[tokio::test]
async fn each_name_is_held_to_the_profile_each_time_whatever_was_authorized_before() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let names = ["a.example", "b.example", "c.example"];
    let (location, placed) = ready(&server, &client, &names).await;

    let strict = Profile {
        names: NameRules {
            deny_dns: vec!["b.example".parse().unwrap(), "c.example".parse().unwrap()],
            ..NameRules::default()
        },
        ..Profile::default_for(ProfileKind::Server)
    };
    let profiles = Profiles::new([(ProfileKind::Server.into(), strict)]);
    let server = server.reconfigured(profiles).await;

    let refused = order(&client, &names).await;
    assert_eq!(refused.problem(), (403, "rejectedIdentifier".to_owned()));
    let parts = refused.json()["subproblems"].clone();
    let rejected: Vec<&str> = parts
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["identifier"]["value"].as_str().unwrap())
        .collect();
    assert_eq!(rejected, ["b.example", "c.example"]);
    let allowed = order(&client, &["a.example"]).await.ok().json();
    assert_eq!(allowed["status"], "ready");
    // The order that was ready before finds the same rule.
    let reply = finalized(&client, &placed, &csr(&names).0).await;
    assert_eq!(reply.problem(), (403, "rejectedIdentifier".to_owned()));
    assert_eq!(status(&client, &location).await, "ready");
    assert!(server.certificates().await.is_empty());
}

#[tokio::test]
async fn an_order_ends_with_the_authorization_that_it_uses() {
    let server = Server::with(config("reuse_authorizations = \"24h\"")).await;
    let client = Client::registered(&server.base).await;
    let (_, first) = ready(&server, &client, &["a.example"]).await;
    server.clock.advance(22 * 3600);
    let second = order(&client, &["a.example"]).await.ok();
    let shown = client.get(authorization(&first, 0)).await.json();
    assert_eq!(
        (&second.json()["status"], &second.json()["expires"]),
        (&json!("ready"), &shown["expires"])
    );
    server.clock.advance(2 * 3600);
    assert_eq!(status(&client, authorization(&first, 0)).await, "expired");
    assert_eq!(status(&client, &second.location()).await, "invalid");
    let reply = finalized(&client, &second.json(), &csr(&["a.example"]).0).await;
    assert_eq!(reply.problem(), (403, "orderNotReady".to_owned()));
    let third = order(&client, &["a.example"]).await.ok().json();
    assert_eq!(third["status"], "pending");
}

// An order is of no use that is ready now and invalid before its client can finalize it.
#[tokio::test]
async fn an_authorization_serves_no_other_order_in_its_last_hour() {
    let server = Server::with(config("reuse_authorizations = \"24h\"")).await;
    let client = Client::registered(&server.base).await;
    let (_, first) = ready(&server, &client, &["a.example"]).await;
    for (later, served) in [(23 * 3600 - 1, true), (1, false), (3599, false)] {
        server.clock.advance(later);
        assert_eq!(status(&client, authorization(&first, 0)).await, "valid");
        let placed = order(&client, &["a.example"]).await.ok().json();
        let (expected, same) = match served {
            true => ("ready", true),
            false => ("pending", false),
        };
        assert_eq!(
            (
                &placed["status"],
                authorization(&placed, 0) == authorization(&first, 0)
            ),
            (&json!(expected), same)
        );
    }
}

// step-ca #341: an index that all orders of an account shared was corrupted by concurrent ones.
#[tokio::test]
async fn orders_that_are_placed_while_their_authorization_is_given_up_do_not_outlive_it() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (_, first) = ready(&server, &client, &["a.example"]).await;
    let given_up = authorization(&first, 0);
    let names = ["a.example"];
    let placing = futures_util::future::join_all((0..40).map(|_| order(&client, &names)));
    let (placed, gone) = futures_util::join!(placing, deactivate(&client, given_up));
    gone.ok();
    let mut expected = Vec::new();
    for reply in placed {
        let reply = reply.ok();
        let now = settled_now(&client, &reply.location()).await;
        if authorization(&now, 0) == given_up {
            assert_eq!(now["status"], "invalid");
        } else {
            assert_eq!(now["status"], "pending");
            expected.push(reply.location());
        }
    }
    let orders = format!("{}/orders", client.account.as_deref().unwrap());
    let listed = client.get(&orders).await.ok().json();
    let mut listed: Vec<String> = serde_json::from_value(listed["orders"].clone()).unwrap();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}

async fn settled_now(client: &Client, url: &str) -> Value {
    client.get(url).await.ok().json()
}

#[tokio::test]
async fn a_failed_authorization_ends_its_order_and_the_order_says_of_each_name_why() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let names = ["a.example", "b.example", "c.example"];
    let placed = order(&client, &names).await.ok();
    server.names.set("a.example", &["127.0.0.1"]);
    server.names.set("c.example", &["10.0.0.1"]);
    for number in 0..3 {
        let url = placed.json()["authorizations"][number].clone();
        let url = url.as_str().unwrap();
        respond(&server, &client, url).await.ok();
        settled(&client, url).await;
    }
    let failed = client.get(&placed.location()).await.json();
    assert_eq!(failed["status"], "invalid");
    let error = &failed["error"];
    assert_eq!(error["type"], "urn:ietf:params:acme:error:compound");
    let parts: Vec<(&str, &str)> = error["subproblems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| {
            (
                part["identifier"]["value"].as_str().unwrap(),
                part["type"].as_str().unwrap().rsplit(':').next().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        parts,
        [("b.example", "dns"), ("c.example", "unauthorized")],
        "{error}"
    );
    // What was proved serves the next try.
    let again = order(&client, &["a.example"]).await.ok().json();
    assert_eq!(again["status"], "ready");
}
