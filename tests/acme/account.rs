//! Accounts over HTTP (RFC 8555 section 7.3).

use axum::http::StatusCode;
use portcullis::{
    acme::{AcmeConfig, account::MAX_CONTACTS},
    authority::Profiles,
};
use serde_json::json;

use super::{
    client::{Client, Key},
    order::{csr, finalized, ready},
    server::Server,
};

#[tokio::test]
async fn a_key_has_one_account_whose_url_is_given_again() {
    let server = Server::start().await;
    let mut client = Client::new(&server.base, Key::new());
    let made = client
        .register(json!({"contact": ["mailto:ops@example.com"]}))
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let account = client.account.clone().unwrap();
    let object = json!({
        "status": "valid",
        "contact": ["mailto:ops@example.com"],
        "orders": format!("{account}/orders"),
    });
    assert_eq!(made.json(), object);
    for payload in [
        json!({}),
        json!({"onlyReturnExisting": true}),
        json!({"contact": ["mailto:x@example.com"]}),
    ] {
        let found = client.register(payload).await;
        assert_eq!(
            (found.status, found.location(), found.json()),
            (StatusCode::OK, account.clone(), object.clone())
        );
    }
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_not_made_with_only_return_existing() {
    let server = Server::start().await;
    let mut client = Client::new(&server.base, Key::new());
    let reply = client.register(json!({"onlyReturnExisting": true})).await;
    assert_eq!(reply.problem(), (400, "accountDoesNotExist".to_owned()));
    assert_eq!(client.register(json!({})).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn contacts_are_changed_and_everything_else_is_ignored() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let account = client.account.clone().unwrap();
    let changed = client
        .post(
            &account,
            json!({
                "contact": ["mailto:new@example.com"],
                "status": "valid",
                "orders": "http://elsewhere/",
                "termsOfServiceAgreed": false,
                "unknown": [1],
            }),
        )
        .await;
    let object = json!({
        "status": "valid",
        "contact": ["mailto:new@example.com"],
        "orders": format!("{account}/orders"),
    });
    assert_eq!(
        (changed.status, changed.json()),
        (StatusCode::OK, object.clone())
    );
    assert_eq!(client.get(&account).await.json(), object);
    for (contact, kind) in [
        (json!(["tel:+49"]), "unsupportedContact"),
        (
            json!(["mailto:a@b.example?cc=x@y.example"]),
            "invalidContact",
        ),
        (
            json!(vec!["mailto:a@b.example"; MAX_CONTACTS + 1]),
            "invalidContact",
        ),
        (json!("mailto:a@b.example"), "malformed"),
    ] {
        let reply = client.post(&account, json!({"contact": contact})).await;
        assert_eq!(reply.problem(), (400, kind.to_owned()));
    }
    assert_eq!(client.get(&account).await.json(), object);
}

#[tokio::test]
async fn a_deactivated_key_never_comes_back() {
    let server = Server::start().await;
    let mut client = Client::registered(&server.base).await;
    let account = client.account.clone().unwrap();
    let reply = client
        .post(&account, json!({"status": "deactivated"}))
        .await
        .ok();
    assert_eq!(reply.json()["status"], "deactivated");
    let refused = (403, "unauthorized".to_owned());
    assert_eq!(client.get(&account).await.problem(), refused);
    let order = json!({"identifiers": [{"type": "dns", "value": "a.example"}]});
    assert_eq!(
        client.post(&client.url("new-order"), order).await.problem(),
        refused
    );
    for payload in [
        json!({}),
        json!({"onlyReturnExisting": true}),
        json!({"status": "valid"}),
    ] {
        assert_eq!(client.register(payload).await.problem(), refused);
    }
}

#[tokio::test]
async fn another_accounts_objects_are_denied() {
    let server = Server::start().await;
    let (owner, other) = (
        Client::registered(&server.base).await,
        Client::registered(&server.base).await,
    );
    let account = owner.account.clone().unwrap();
    let order = owner
        .post(
            &owner.url("new-order"),
            json!({"identifiers": [{"type": "dns", "value": "a.example"}]}),
        )
        .await
        .ok();
    let (location, order) = (order.location(), order.json());
    let authorization = order["authorizations"][0].as_str().unwrap();
    let challenge = owner.get(authorization).await.json()["challenges"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let refused = (403, "unauthorized".to_owned());
    for url in [
        &account,
        &format!("{account}/orders"),
        &location,
        authorization,
        &challenge,
    ] {
        assert_eq!(other.get(url).await.problem(), refused, "{url}");
        owner.get(url).await.ok();
    }
    for (url, payload) in [
        (account.as_str(), json!({"contact": []})),
        (account.as_str(), json!({"status": "deactivated"})),
        (authorization, json!({"status": "deactivated"})),
        (challenge.as_str(), json!({})),
        (order["finalize"].as_str().unwrap(), json!({"csr": ""})),
    ] {
        assert_eq!(other.post(url, payload).await.problem(), refused, "{url}");
    }
    assert_eq!(owner.get(authorization).await.json()["status"], "pending");
    assert_eq!(owner.get(&account).await.json()["status"], "valid");
}

#[tokio::test]
async fn terms_of_service_must_be_agreed_to_where_there_are_any() {
    let terms = "https://ca.example/terms";
    let server = Server::with(AcmeConfig {
        terms_of_service: Some(terms.to_owned()),
        ..AcmeConfig::default()
    })
    .await;
    let mut client = Client::new(&server.base, Key::new());
    for payload in [json!({}), json!({"termsOfServiceAgreed": false})] {
        let reply = client.register(payload).await;
        assert_eq!(reply.problem(), (403, "userActionRequired".to_owned()));
        assert!(
            reply
                .links()
                .contains(&"<https://ca.example/terms>;rel=\"terms-of-service\"")
        );
    }
    let reply = client.register(json!({"termsOfServiceAgreed": true})).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let directory = client.get(&client.url("directory")).await.json();
    assert_eq!(directory["meta"]["termsOfService"], terms);
}

#[tokio::test]
async fn terms_of_service_that_have_changed_must_be_agreed_to_again_where_the_operator_says_so() {
    for (agreement, again) in [("once", false), ("current", true)] {
        let config: AcmeConfig = toml::from_str(&format!(
            r#"
            terms_of_service = "https://ca.example/terms-1"
            agreement = "{agreement}"
            "#
        ))
        .unwrap();
        let mut server = Server::with(config).await;
        let mut client = Client::new(&server.base, Key::new());
        let made = client.register(json!({"termsOfServiceAgreed": true})).await;
        let account = client.account.clone().unwrap();
        assert_eq!(made.ok().json()["termsOfServiceAgreed"], true);
        let (_, order) = ready(&server, &client, &["a.example"]).await;

        server.change_terms("https://ca.example/terms-2");
        let server = server.reconfigured(Profiles::default()).await;
        // It is read, its key is changed, and what it has is revoked and given up as before.
        let read = client.get(&account).await.ok();
        assert_eq!(read.json()["termsOfServiceAgreed"], false);
        let identifier = json!({"type": "dns", "value": "a.example"});
        let ordered = client
            .post(
                &client.url("new-order"),
                json!({"identifiers": [identifier]}),
            )
            .await;
        let authorized = client
            .post(&client.url("new-authz"), json!({"identifier": identifier}))
            .await;
        let finalized = finalized(&client, &order, &csr(&["a.example"]).0).await;
        for reply in [&ordered, &authorized, &finalized] {
            if !again {
                assert!(reply.status.is_success(), "{reply:?}");
                continue;
            }
            assert_eq!(reply.problem(), (403, "userActionRequired".to_owned()));
            assert_eq!(reply.json()["instance"], "https://ca.example/terms-2");
            assert!(
                reply
                    .links()
                    .contains(&"<https://ca.example/terms-2>;rel=\"terms-of-service\"")
            );
        }
        // Other changes agree to nothing.
        client
            .post(
                &account,
                json!({"contact": [], "termsOfServiceAgreed": false}),
            )
            .await
            .ok();
        let agreed = client
            .post(&account, json!({"termsOfServiceAgreed": true}))
            .await
            .ok();
        assert_eq!(agreed.json()["termsOfServiceAgreed"], true);
        let ordered = client
            .post(
                &client.url("new-order"),
                json!({"identifiers": [identifier]}),
            )
            .await;
        assert_eq!(ordered.status, StatusCode::CREATED, "{ordered:?}");
        drop(server);
    }
}

#[tokio::test]
async fn an_account_that_was_deactivated_finalizes_nothing_that_it_ordered() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let (_, order) = ready(&server, &client, &["a.example"]).await;
    let account = client.account.clone().unwrap();
    client
        .post(&account, json!({"status": "deactivated"}))
        .await
        .ok();
    let reply = finalized(&client, &order, &csr(&["a.example"]).0).await;
    assert_eq!(reply.problem(), (403, "unauthorized".to_owned()));
    assert!(server.certificates().await.is_empty());
}

#[tokio::test]
async fn of_changes_to_one_account_at_once_none_is_lost() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let account = client.account.clone().unwrap();
    let contact = json!({"contact": ["mailto:ops@example.com"]});
    let changes =
        futures_util::future::join_all((0..8).map(|_| client.post(&account, contact.clone())));
    let ended = client.post(&account, json!({"status": "deactivated"}));
    let (_, ended) = futures_util::join!(changes, ended);
    assert_eq!(ended.ok().json()["status"], "deactivated");
    // A change of contacts that was under way does not bring it back.
    assert_eq!(
        client.get(&account).await.problem(),
        (403, "unauthorized".to_owned())
    );
}

#[tokio::test]
async fn an_account_is_made_with_a_jwk_and_used_with_a_kid() {
    let server = Server::start().await;
    let client = Client::registered(&server.base).await;
    let reply = client.post(&client.url("new-account"), json!({})).await;
    assert_eq!(reply.problem(), (400, "malformed".to_owned()));
    let reply = client.post_with_key(&client.url("new-order"), "{}").await;
    assert_eq!(reply.problem(), (400, "malformed".to_owned()));
}
