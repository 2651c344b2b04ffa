//! The list of an account's orders over HTTP (RFC 8555 section 7.1.2.1).

use serde_json::json;

use super::{
    client::{Client, Reply},
    order::{csr, finalized, order, ready},
    server::Server,
};

/// The URL of the next page.
fn next(reply: &Reply) -> Option<String> {
    reply.links().into_iter().find_map(|link| {
        let url = link.strip_suffix(">;rel=\"next\"")?.strip_prefix('<')?;
        Some(url.to_owned())
    })
}

/// Every page of an account's list.
async fn pages(client: &Client) -> Vec<Vec<String>> {
    let mut url = Some(format!("{}/orders", client.account.as_deref().unwrap()));
    let mut pages = Vec::new();
    while let Some(at) = url {
        let page = client.get(&at).await.ok();
        pages.push(serde_json::from_value(page.json()["orders"].clone()).unwrap());
        url = next(&page);
    }
    pages
}

#[tokio::test]
async fn a_long_list_of_orders_comes_in_pages_that_are_linked() {
    let server = Server::with_pages(2).await;
    let client = Client::registered(&server.base).await;
    assert_eq!(pages(&client).await, [Vec::<String>::new()]);
    let mut placed = Vec::new();
    for number in 0..5 {
        // Some of them within one millisecond.
        server.clock.advance(i64::from(number == 3));
        placed.push(order(&client, &["a.example"]).await.ok().location());
    }
    order(&Client::registered(&server.base).await, &["a.example"])
        .await
        .ok();
    let pages = pages(&client).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let mut listed = pages.concat();
    listed.sort();
    placed.sort();
    assert_eq!(listed, placed);
}

#[tokio::test]
async fn a_page_that_is_just_full_is_the_last_one() {
    let server = Server::with_pages(2).await;
    let client = Client::registered(&server.base).await;
    for _ in 0..2 {
        order(&client, &["a.example"]).await.ok();
    }
    assert_eq!(pages(&client).await.len(), 1);
}

#[tokio::test]
async fn orders_that_are_invalid_are_not_listed() {
    let server = Server::with_pages(2).await;
    let client = Client::registered(&server.base).await;
    let (_, placed) = ready(&server, &client, &["a.example"]).await;
    let valid = order(&client, &["a.example"]).await.ok();
    finalized(&client, &valid.json(), &csr(&["a.example"]).0)
        .await
        .ok();
    order(&client, &["b.example"]).await.ok();
    client
        .post(
            placed["authorizations"][0].as_str().unwrap(),
            json!({"status": "deactivated"}),
        )
        .await
        .ok();
    assert_eq!(pages(&client).await.concat().len(), 2);
    // The pending one expires.
    server.clock.advance(24 * 3600);
    assert_eq!(pages(&client).await, [vec![valid.location()]]);
}

#[tokio::test]
async fn a_cursor_is_part_of_the_signed_url_and_only_those_that_a_page_gave_are_taken() {
    let server = Server::with_pages(1).await;
    let client = Client::registered(&server.base).await;
    for _ in 0..2 {
        order(&client, &["a.example"]).await.ok();
    }
    let orders = format!("{}/orders", client.account.as_deref().unwrap());
    let second = next(&client.get(&orders).await.ok()).unwrap();
    let protected = client.protected(&orders).await;
    let reply = client.send(&second, &client.key.jws(&protected, "")).await;
    assert_eq!(reply.problem(), (403, "unauthorized".to_owned()));
    for cursor in ["", "x", "1", "1800000000000", "x.y", "1&cursor=2"] {
        let reply = client.get(&format!("{orders}?cursor={cursor}")).await;
        assert_eq!(reply.problem(), (400, "malformed".to_owned()), "{cursor}");
    }
    // A cursor says where to go on, not whose orders they are.
    let other = Client::registered(&server.base).await;
    assert_eq!(
        other.get(&second).await.problem(),
        (403, "unauthorized".to_owned())
    );
}
