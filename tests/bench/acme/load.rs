//! So many workers, each with an account and a connection of its own, get certificates until there are enough.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, RootCertStore};
use tokio::task::spawn_local;
use tokio_rustls::TlsConnector;

use super::{
    client::{Client, Failure},
    servers::{Running, Usage},
    world::World,
};

/// What is to be done.
pub struct Load {
    pub directory: String,
    pub roots: RootCertStore,
    pub workers: usize,
    /// So many first that aren't counted.
    pub warm_up: usize,
    pub count: usize,
}

/// What was seen.
pub struct Outcome {
    pub took: Duration,
    /// The server's.
    pub cpu: Duration,
    /// Octets that the server had written to disk.
    pub written: u64,
    pub requests: usize,
    /// One for each certificate.
    pub latencies: Vec<Duration>,
    pub failures: Vec<Failure>,
}

/// What the workers share.
struct Tally {
    next: usize,
    begun: Option<(Instant, Usage)>,
    ended: Option<(Instant, Usage)>,
    requests: usize,
    latencies: Vec<Duration>,
    failures: Vec<Failure>,
}

impl Load {
    /// The clock starts after the accounts and the warm-up, and ends before the first worker runs dry, so that all that
    /// is measured is at full load.
    pub async fn run(self, world: &World, server: &Running) -> Outcome {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let mut clients = Vec::new();
        for _ in 0..self.workers {
            let challenges = world.challenges();
            let client = Client::register(connector.clone(), challenges, &self.directory).await;
            clients.push(client.expect("an account"));
        }
        let tally = Rc::new(RefCell::new(Tally {
            next: 0,
            begun: None,
            ended: None,
            requests: 0,
            latencies: Vec::with_capacity(self.count),
            failures: Vec::new(),
        }));
        let load = Rc::new(self);
        let meter = server.meter();
        let work = clients.into_iter().map(|client| {
            spawn_local(Rc::clone(&load).work(client, Rc::clone(&tally), meter.clone()))
        });
        for worker in work.collect::<Vec<_>>() {
            worker.await.expect("a worker");
        }
        let tally = Rc::into_inner(tally).expect("the last one").into_inner();
        let (begun, before) = tally.begun.expect("begun");
        let (ended, after) = tally.ended.expect("ended");
        Outcome {
            took: ended - begun,
            cpu: after.cpu.saturating_sub(before.cpu),
            written: after.written.saturating_sub(before.written),
            requests: tally.requests,
            latencies: tally.latencies,
            failures: tally.failures,
        }
    }

    async fn work(
        self: Rc<Self>,
        mut client: Client,
        tally: Rc<RefCell<Tally>>,
        meter: impl Fn() -> Usage,
    ) {
        loop {
            let number = {
                let mut tally = tally.borrow_mut();
                let number = tally.next;
                if tally.ended.is_some() || number > 3 * (self.warm_up + self.count) {
                    tally.ended.get_or_insert_with(|| (Instant::now(), meter()));
                    return;
                }
                tally.next += 1;
                if number == self.warm_up {
                    tally.begun = Some((Instant::now(), meter()));
                }
                number
            };
            let (begun, requests) = (Instant::now(), client.requests);
            let outcome = client.certificate(&format!("d{number}.bench.test")).await;
            let mut tally = tally.borrow_mut();
            if tally.begun.is_none() || tally.ended.is_some() {
                continue;
            }
            match outcome {
                Ok(_) => {
                    tally.requests += client.requests - requests;
                    tally.latencies.push(begun.elapsed());
                    if tally.latencies.len() == self.count {
                        tally.ended = Some((Instant::now(), meter()));
                    }
                }
                Err(failure) => tally.failures.push(failure),
            }
        }
    }
}
