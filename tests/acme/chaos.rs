//! Trouble on purpose (`serve --chaos`): it happens, it is what the standard allows, the seed decides it, and nobody gets
//! it by accident.

use std::{collections::BTreeSet, process::Command, time::Duration};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    client::{Client, Key, Reply, send},
    order::csr,
    server::Server,
    web_server::Page,
};
use crate::support::{self, PORTCULLIS};

/// What a client that lives with everything does: it takes another nonce, and comes again when it is told to.
struct Patient {
    client: Client,
    seen: BTreeSet<&'static str>,
}

impl Patient {
    async fn registered(server: &Server) -> Self {
        let mut this = Self {
            client: Client::new(&server.base, Key::new()),
            seen: BTreeSet::new(),
        };
        let url = this.client.url("new-account");
        let account = this.post(&url, Some(json!({}))).await;
        this.client.account = Some(account.location());
        this
    }

    async fn nonce(&mut self) -> String {
        let url = self.client.url("new-nonce");
        loop {
            let reply = send(Method::HEAD, &url, None, Vec::new()).await;
            if reply.status == StatusCode::OK {
                return reply.header("replay-nonce").to_owned();
            }
            self.sent_away(&reply).await;
        }
    }

    /// What is not success must be one of the troubles, with all that a client needs.
    async fn sent_away(&mut self, reply: &Reply) {
        let retry_after = reply.header("retry-after");
        let kind = match (reply.status.as_u16(), retry_after.ends_with(" GMT")) {
            (503, false) => "503",
            (503, true) => "503 with a date",
            (429, false) => "429",
            (429, true) => "429 with a date",
            _ => panic!("{reply:?}"),
        };
        assert!(kind.ends_with("date") || retry_after == "1", "{reply:?}");
        self.seen.insert(kind);
    }

    /// A signed request; without a payload, a POST-as-GET.
    async fn post(&mut self, url: &str, payload: Option<Value>) -> Reply {
        let mut nonce = self.nonce().await;
        loop {
            let mut protected = json!({
                "alg": self.client.key.algorithm(),
                "nonce": nonce,
                "url": url,
            });
            match &self.client.account {
                Some(account) => protected["kid"] = account.clone().into(),
                None => protected["jwk"] = self.client.key.jwk(),
            }
            let payload = payload.as_ref().map(Value::to_string).unwrap_or_default();
            let reply = self
                .client
                .send(url, &self.client.key.jws(&protected, &payload))
                .await;
            nonce = reply.header("replay-nonce").to_owned();
            if reply
                .headers
                .get("connection")
                .is_some_and(|it| it == "close")
            {
                self.seen.insert("closed");
            }
            if reply.status.is_success() {
                self.look(&reply);
                return reply;
            }
            if reply.status == StatusCode::BAD_REQUEST {
                assert_eq!(reply.problem(), (400, "badNonce".to_owned()));
                self.seen.insert("badNonce");
            } else {
                self.sent_away(&reply).await;
            }
        }
    }

    fn look(&mut self, reply: &Reply) {
        let Ok(object) = serde_json::from_slice::<Value>(&reply.body) else {
            return;
        };
        if object
            .as_object()
            .is_some_and(|it| it.keys().any(|name| name.starts_with("chaos-")))
        {
            self.seen.insert("an unknown member");
        }
        if object["finalize"].is_string() && object["status"] == "processing" {
            assert!(object["certificate"].is_null(), "{object}");
            assert_eq!(reply.header("retry-after"), "1");
            self.seen.insert("processing");
        }
        let names: Vec<_> = object["identifiers"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        if !names.is_sorted_by_key(|name| name["value"].as_str()) {
            self.seen.insert("another order");
        }
    }

    async fn settled(&mut self, url: &str) -> Value {
        loop {
            let object = self.post(url, None).await.json();
            if !matches!(object["status"].as_str(), Some("pending" | "processing")) {
                return object;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A certificate for three names; the answer is how many authorizations were valid already.
    async fn certificate(&mut self, server: &Server) -> usize {
        let names = ["a.example", "b.example", "c.example"];
        let identifiers = names.map(|name| json!({"type": "dns", "value": name}));
        let url = self.client.url("new-order");
        let placed = self
            .post(&url, Some(json!({"identifiers": identifiers})))
            .await;
        let mut reused = 0;
        for url in placed.json()["authorizations"].as_array().unwrap() {
            let url = url.as_str().unwrap();
            let authorization = self.post(url, None).await.json();
            if authorization["status"] == "valid" {
                reused += 1;
                continue;
            }
            let name = authorization["identifier"]["value"].as_str().unwrap();
            server.names.set(name, &["127.0.0.1"]);
            let challenges = authorization["challenges"].as_array().unwrap();
            let http = challenges
                .iter()
                .find(|it| it["type"] == "http-01")
                .unwrap();
            let token = http["token"].as_str().unwrap();
            let key_authorization = format!("{token}.{}", self.client.key.thumbprint());
            server
                .web
                .respond(token, Page::Body(key_authorization.into()));
            self.post(http["url"].as_str().unwrap(), Some(json!({})))
                .await;
            assert_eq!(self.settled(url).await["status"], "valid");
        }
        let order = self.settled(&placed.location()).await;
        assert_eq!(order["status"], "ready");
        let finalize = order["finalize"].as_str().unwrap();
        self.post(finalize, Some(json!({"csr": csr(&names).0})))
            .await;
        let order = self.settled(&placed.location()).await;
        assert_eq!(order["status"], "valid");
        let certificate = self
            .post(order["certificate"].as_str().unwrap(), None)
            .await;
        assert!(certificate.body.starts_with(b"-----BEGIN CERTIFICATE-----"));
        reused
    }
}

#[tokio::test]
async fn a_patient_client_gets_through_all_of_it_and_meets_every_trouble() {
    let server = Server::with_chaos(1).await;
    let mut client = Patient::registered(&server).await;
    for round in 0..12 {
        let reused = client.certificate(&server).await;
        assert_eq!(reused, if round == 0 { 0 } else { 3 }, "round {round}");
    }
    let seen: Vec<_> = client.seen.iter().copied().collect();
    assert_eq!(
        seen,
        [
            "429",
            "429 with a date",
            "503",
            "503 with a date",
            "an unknown member",
            "another order",
            "badNonce",
            "closed",
            "processing",
        ]
    );
    assert_eq!(server.certificates().await.len(), 12);
    // The list of orders comes one to a page.
    let account = client.client.account.clone().unwrap();
    let orders = client.post(&account, None).await.json()["orders"].clone();
    let page = client.post(orders.as_str().unwrap(), None).await;
    assert_eq!(page.json()["orders"].as_array().unwrap().len(), 1);
    assert!(
        page.links()
            .iter()
            .any(|link| link.ends_with("rel=\"next\""))
    );
}

#[tokio::test]
async fn the_same_seed_makes_the_same_trouble() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let server = Server::with_chaos(seed).await;
        let url = format!("{}/acme/new-nonce", server.base);
        let mut run = Vec::new();
        for _ in 0..60 {
            let reply = send(Method::HEAD, &url, None, Vec::new()).await;
            run.push((
                reply.status.as_u16(),
                reply.headers.contains_key("connection"),
            ));
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[test]
fn trouble_is_made_only_for_who_asks_for_it_on_the_command_line_and_on_this_machine() {
    let mut server = support::Server::start();
    assert!(!server.log().contains("CHAOS"));
    // What is copied below must not change meanwhile.
    server.terminate();
    let toml = std::fs::read_to_string(server.state_dir().join("portcullis.toml")).unwrap();
    let serve = |toml: &str, arguments: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let copied = Command::new("cp")
            .arg("-a")
            .args([server.state_dir(), &state])
            .status();
        assert!(copied.unwrap().success());
        std::fs::write(state.join("portcullis.toml"), toml).unwrap();
        Command::new(PORTCULLIS)
            .arg("--dir")
            .arg(&state)
            .arg("serve")
            .args(arguments)
            .output()
            .unwrap()
    };
    let open = toml.replace(
        "[server]\nlisten = \"127.0.0.1:",
        "[server]\nlisten = \"0.0.0.0:",
    );
    assert!(open.contains("[server]\nlisten = \"0.0.0.0:"), "{open}");
    let refused = serve(&open, &["--chaos"]);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("use a loopback address"), "{said}");
    // The file has no key for it, and a seed without the flag is none.
    let written = toml.replace("[server]", "[acme]\nchaos = 7\n[server]");
    assert_eq!(serve(&written, &[]).status.code(), Some(64));
    assert_eq!(serve(&toml, &["--chaos-seed", "7"]).status.code(), Some(2));

    let loud = support::Server::builder()
        .serve(&["--chaos", "--chaos-seed", "7"])
        .start();
    let warning = loud.log();
    assert!(
        warning.contains("CHAOS") && warning.contains("seed=7"),
        "{warning}"
    );
}

#[test]
fn the_help_of_serve_says_what_chaos_is() {
    let help = Command::new(PORTCULLIS)
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("--chaos-seed <NUMBER>"), "{help}");
    assert!(
        help.contains("Never in production, and on a loopback address only"),
        "{help}"
    );
}
