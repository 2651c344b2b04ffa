//! Nonces over HTTP (RFC 8555 sections 6.5 and 7.2).

use axum::http::{Method, StatusCode};

use super::{
    client::{Client, send},
    server::Server,
};

#[tokio::test]
async fn new_nonce_answers_head_with_200_and_get_with_204() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = client.url("new-nonce");
    let replies = [
        (
            send(Method::HEAD, &url, None, Vec::new()).await,
            StatusCode::OK,
        ),
        (
            send(Method::GET, &url, None, Vec::new()).await,
            StatusCode::NO_CONTENT,
        ),
        (client.get(&url).await, StatusCode::NO_CONTENT),
    ];
    for (reply, status) in replies {
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(
            reply.header("replay-nonce").len() >= 22,
            "128 bits at least"
        );
        assert!(reply.body.is_empty());
        assert_eq!(
            reply.links(),
            [format!("<{}>;rel=\"index\"", client.url("directory"))]
        );
    }
}

#[tokio::test]
async fn a_nonce_is_good_once_and_the_refusal_carries_a_good_one() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = client.account.clone().unwrap();
    let mut protected = client.protected(&url).await;
    let jws = client.key.jws(&protected, "");
    assert_eq!(client.send(&url, &jws).await.status, StatusCode::OK);
    let again = client.send(&url, &jws).await;
    assert_eq!(again.problem(), (400, "badNonce".to_owned()));
    protected["nonce"] = again.header("replay-nonce").into();
    assert_eq!(
        client
            .send(&url, &client.key.jws(&protected, ""))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_nonce_is_used_up_by_a_request_that_fails_too() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = client.account.clone().unwrap();
    let protected = client.protected(&url).await;
    let mut forged = client.key.jws(&protected, "");
    forged["signature"] = "AAAA".into();
    assert_eq!(client.send(&url, &forged).await.problem().1, "unauthorized");
    let reply = client.send(&url, &client.key.jws(&protected, "")).await;
    assert_eq!(reply.problem().1, "badNonce");
}

#[tokio::test]
async fn twelve_requests_with_one_nonce_at_once_succeed_once() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = client.account.clone().unwrap();
    let jws = client.key.jws(&client.protected(&url).await, "");
    let replies = futures_util::future::join_all((0..12).map(|_| client.send(&url, &jws))).await;
    let good = replies
        .iter()
        .filter(|reply| reply.status == StatusCode::OK)
        .count();
    let bad = replies
        .iter()
        .filter(|reply| reply.status != StatusCode::OK);
    assert_eq!(good, 1);
    assert!(bad.into_iter().all(|reply| reply.problem().1 == "badNonce"));
}

#[tokio::test]
async fn a_nonce_expires() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let url = client.account.clone().unwrap();
    let protected = client.protected(&url).await;
    server.clock.advance(3601);
    let reply = client.send(&url, &client.key.jws(&protected, "")).await;
    assert_eq!(reply.problem(), (400, "badNonce".to_owned()));
    assert_eq!(client.get(&url).await.status, StatusCode::OK);
}
