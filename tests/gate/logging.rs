//! What the gate writes down: who did what by which rule, and never a secret (Vault, OpenBao).

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing_subscriber::fmt::MakeWriter;

use super::{
    connection::{BOTH, Client},
    stage::{Narrowed, Stage},
};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_and_by_which_rule_and_no_secret() {
    let captured = Captured::default();
    // The gate has threads of its own, so this is for the whole process; no other test may set one. What h2 tells at
    // the level of traces is not for production, so only what is ours counts.
    tracing_subscriber::fmt()
        .with_env_filter("portcullis=trace")
        .with_ansi(false)
        .with_writer(captured.clone())
        .init();
    let stage = Stage::open().await;
    let (key, token) = stage.mint("device:fra/canary", &Narrowed::default());
    let bearer = format!("Bearer {token}");
    let mangled = format!("{}x", &token[..token.len() - 1]);
    let secret = &token[token.len() - 49..token.len() - 6];
    let path = "/v1/devices/fra/canary?secret=in-the-query";
    let in_query = format!("{path}&access_token={token}");
    for http in BOTH {
        for (path, fields, expected) in [
            (path, vec![("authorization", bearer.as_str())], 200),
            (path, vec![("x-api-key", mangled.as_str())], 401),
            (
                path,
                vec![("x-api-key", token.as_str()), ("authorization", &bearer)],
                400,
            ),
            (in_query.as_str(), vec![], 400),
            ("/nowhere", vec![("authorization", bearer.as_str())], 404),
        ] {
            let mut connection = Client::new(&stage, None, http).connect().await;
            let request = connection.request("GET", path, &fields);
            let answer = connection.send(request).await.expect("an answer");
            assert_eq!(answer.status.as_u16(), expected);
            let id = answer.headers["x-request-id"].to_str().unwrap();
            let log = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
            let line = log
                .lines()
                .find(|line| line.contains("portcullis::access") && line.contains(id))
                .expect("a line about the request");
            assert!(line.contains(&format!("status={expected}")), "{line}");
            assert!(line.contains(" rule="), "{line}");
            if expected == 200 {
                assert!(line.contains("principal=device:fra/canary"), "{line}");
                assert!(line.contains(&format!("api_key={}", key.id)), "{line}");
            }
        }
    }
    let log = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
    for told in [secret, "in-the-query"] {
        let line = log.lines().find(|line| line.contains(told));
        assert_eq!(line, None);
    }
}
