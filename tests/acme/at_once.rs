//! What comes all at once, over HTTP: one certificate, one account, and every order.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    client::{Client, Key, Reply, binding},
    order::{csr, finalized, order, ready},
    server::Server,
};

// HashiCorp Vault #31987: two finalize calls at once gave two certificates.
#[tokio::test]
async fn twelve_finalize_requests_at_once_make_one_certificate_and_get_one_answer() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (location, order) = ready(&server, &client, &["a.example"]).await;
    let (csr, _) = csr(&["a.example"]);
    let mut replies = join_all((0..12).map(|_| finalized(&client, &order, &csr))).await;
    // And one whose answer was lost, who asks again later.
    replies.push(finalized(&client, &order, &csr).await);
    let now = client.get(&location).await.json();
    assert_eq!(now["status"], "valid");
    for reply in replies {
        assert_eq!(
            (reply.status, reply.location(), reply.json()),
            (StatusCode::OK, location.clone(), now.clone())
        );
    }
    assert_eq!(server.certificates().await.len(), 1);
}

#[tokio::test]
async fn of_twelve_keys_at_once_one_is_certified_and_the_others_are_told() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (location, order) = ready(&server, &client, &["a.example"]).await;
    let csrs: Vec<String> = (0..12).map(|_| csr(&["a.example"]).0).collect();
    let replies = join_all(csrs.iter().map(|csr| finalized(&client, &order, csr))).await;
    let certificate = client.get(&location).await.json()["certificate"].clone();
    let (made, told): (Vec<Reply>, Vec<Reply>) = replies
        .into_iter()
        .partition(|reply| reply.status.is_success());
    assert_eq!((made.len(), told.len()), (1, 11));
    assert_eq!(made[0].json()["certificate"], certificate);
    for reply in told {
        assert_eq!(reply.problem(), (403, "orderNotReady".to_owned()));
    }
    assert_eq!(server.certificates().await.len(), 1);
}

/// All pages of an account's orders.
async fn listed(client: &Client) -> Vec<String> {
    let mut url = format!("{}/orders", client.account.as_deref().unwrap());
    let mut all = Vec::new();
    loop {
        let page = client.get(&url).await.ok();
        let orders = page.json()["orders"].as_array().unwrap().clone();
        all.extend(orders.iter().map(|url| url.as_str().unwrap().to_owned()));
        let next = page.links().into_iter().find_map(|link| {
            let target = link.strip_suffix(">;rel=\"next\"")?;
            Some(target.strip_prefix('<')?.to_owned())
        });
        match next {
            Some(next) => url = next,
            None => return all,
        }
    }
}

// step-ca #341: a shared list of an account's orders was corrupted by orders at once.
#[tokio::test]
async fn a_hundred_orders_at_once_are_a_hundred_orders() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let names: Vec<String> = (0..100).map(|n| format!("host-{n}.example")).collect();
    let replies = join_all(names.iter().map(|name| async {
        let name = [name.as_str()];
        order(&client, &name).await
    }))
    .await;
    let mut placed = BTreeSet::new();
    for (reply, name) in replies.iter().zip(&names) {
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        let location = reply.location();
        let read = client.get(&location).await.ok().json();
        assert_eq!(read, reply.json());
        assert_eq!(
            read["identifiers"],
            json!([{"type": "dns", "value": name}]),
            "{location}"
        );
        let authorizations = read["authorizations"].as_array().unwrap();
        assert_eq!(authorizations.len(), 1);
        let authorization = client.get(authorizations[0].as_str().unwrap()).await.ok();
        assert_eq!(authorization.json()["identifier"]["value"], **name);
        assert!(placed.insert(location));
    }
    let listed = listed(&client).await;
    assert_eq!(listed.len(), 100);
    assert_eq!(BTreeSet::from_iter(listed), placed);
}

/// What twelve newAccount requests with one key get.
async fn twelve_accounts(client: &Client, payload: impl Fn() -> Value) -> Vec<(u16, String)> {
    let url = client.url("new-account");
    let replies = join_all((0..12).map(|_| {
        let (payload, url) = (payload().to_string(), url.clone());
        async move { client.post_with_key(&url, &payload).await.ok() }
    }))
    .await;
    let mut answers: Vec<(u16, String)> = replies
        .iter()
        .map(|reply| (reply.status.as_u16(), reply.location()))
        .collect();
    answers.sort();
    answers
}

#[tokio::test]
async fn twelve_accounts_at_once_with_one_key_are_one_account() {
    let server = Server::start().await;
    for _ in 0..5 {
        let client = Client::new(&server.base, Key::new());
        let answers = twelve_accounts(&client, || json!({})).await;
        let location = answers[0].1.clone();
        let expected = |n| (if n < 11 { 200 } else { 201 }, location.clone());
        assert_eq!(answers, Vec::from_iter((0..12).map(expected)));
    }
}

/// The invitation is for one account, and all of these are that account.
#[tokio::test]
async fn twelve_accounts_at_once_with_one_key_and_one_invitation_are_one_account() {
    let server = Server::start().await;
    for n in 0..5 {
        let client = Client::new(&server.base, Key::new());
        let url = client.url("new-account");
        let invitation = server.invite(&format!("device:fra/{n}"), &[]).await;
        let answers = twelve_accounts(&client, || {
            let binding = binding(&invitation.key_id, &invitation.mac_key, &client.key, &url);
            json!({"externalAccountBinding": binding})
        })
        .await;
        let location = answers[0].1.clone();
        let expected = |n| (if n < 11 { 200 } else { 201 }, location.clone());
        assert_eq!(answers, Vec::from_iter((0..12).map(expected)));
    }
}
