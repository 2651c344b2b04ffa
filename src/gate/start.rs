//! Starting and ending a gate.

use std::{io, net::SocketAddr, num::NonZeroUsize, path::PathBuf, sync::Arc, thread};

use portcullis_ca::chain::{Anchors, Requirements};
use tokio::{runtime, sync::Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    admit::{StandingStatus, Trust},
    config::GateSettings,
    counters::{Counters, GateCounters},
    decisions::DecisionLog,
    forward::Upstreams,
    registry::Registry,
    request_id::RequestIds,
    worker::Worker,
};
use crate::{
    authority::standing::Standing,
    domain::{Clock, api_key::Pepper},
    listen::{
        ApplicationProtocol, BindError, ClientCertificateVerifier, ClientCertificates, Presence,
        ServerCertificate, TlsSettings, VerifiedPaths, bind_shared,
    },
};

/// The mTLS front.
#[derive(Debug)]
pub struct Gate;

/// What a gate works with, beside its settings.
pub struct GateParts {
    /// The certificate that it shows.
    pub certificate: Arc<ServerCertificate>,
    /// The CAs whose client certificates it takes; the built-in authority has the id `internal`.
    pub anchors: Anchors,
    /// Who has which standing. The gate takes no connection until it has been loaded.
    pub standing: Arc<Standing>,
    /// What the secrets of API keys are digested with.
    pub pepper: Arc<Pepper>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

/// The anchors of a running gate, to be changed from elsewhere.
#[derive(Debug, Clone)]
pub struct GateAnchors {
    paths: Arc<VerifiedPaths>,
}

impl GateAnchors {
    /// Trusts other anchors from now on. Connections whose anchor is gone end with the next change of standing, and at
    /// the latest with their next request.
    pub fn replace(&self, anchors: Anchors) {
        self.paths.replace_anchors(anchors);
    }
}

/// A running gate. Dropped, it is told to end, and nobody waits for it.
#[derive(Debug)]
pub struct GateHandle {
    address: SocketAddr,
    paths: Arc<VerifiedPaths>,
    counters: GateCounters,
    shutdown: CancellationToken,
    threads: Vec<thread::JoinHandle<()>>,
    decisions: Option<DecisionLog>,
}

/// How many verified paths are remembered, in all.
const PATHS_REMEMBERED: usize = 32_768;

impl Gate {
    /// Starts a gate: binds its sockets and starts its threads. It takes connections once the standing has been loaded.
    ///
    /// # Errors
    /// [`GateStartError`] when its address can't be had or the system refuses a thread; nothing runs then.
    pub fn start(settings: &GateSettings, parts: GateParts) -> Result<GateHandle, GateStartError> {
        let paths = Arc::new(VerifiedPaths::new(
            parts.anchors,
            Arc::new(StandingStatus(Arc::clone(&parts.standing))),
            Requirements::default(),
            PATHS_REMEMBERED,
        ));
        let verifier = ClientCertificateVerifier::new(Arc::clone(&paths), Presence::Optional);
        let tls = TlsSettings {
            certificate: parts.certificate,
            clients: ClientCertificates::Verified(Arc::new(verifier)),
            protocols: vec![ApplicationProtocol::Http2, ApplicationProtocol::Http1],
            clock: Arc::clone(&parts.clock),
        };
        // One configuration for all threads: they are one listener, and a client may resume on any of them.
        let acceptor = TlsAcceptor::from(tls.server_config()?);
        let trust = Arc::new(Trust::new(
            Arc::clone(&paths),
            parts.standing,
            settings.trust_domain.clone(),
        ));
        let listeners = bind_shared(settings.listen, settings.threads.get())?;
        let address = listeners
            .first()
            .ok_or_else(|| io::Error::other("no socket"))?
            .local_addr()?;
        let (decisions, log) = match settings.decisions.clone() {
            None => (None, None),
            Some(decisions) => {
                let file = decisions.file.clone();
                let (decisions, log) = DecisionLog::start(decisions, Arc::clone(&parts.clock))
                    .map_err(|error| GateStartError::Decisions { file, error })?;
                (Some(decisions), Some(log))
            }
        };
        let mut handle = GateHandle {
            address,
            paths,
            counters: GateCounters {
                threads: Vec::new(),
                decisions: log.as_ref().map(DecisionLog::counts),
            },
            shutdown: CancellationToken::new(),
            threads: Vec::new(),
            decisions: log,
        };
        let slots = Arc::new(Semaphore::new(
            settings.limits.connections.min(Semaphore::MAX_PERMITS),
        ));
        for (index, listener) in listeners.into_iter().enumerate() {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let registry = Arc::new(Registry::default());
            let counters = Arc::new(Counters::default());
            let worker = {
                // Some of a worker's parts want to be made where they run.
                let _inside = runtime.enter();
                Arc::new(Worker {
                    trust: Arc::clone(&trust),
                    pepper: Arc::clone(&parts.pepper),
                    clock: Arc::clone(&parts.clock),
                    realm: settings.realm.as_str().into(),
                    limits: settings.limits.clone(),
                    upstreams: Upstreams::new(&settings.upstream),
                    registry: Arc::clone(&registry),
                    request_ids: RequestIds::new()
                        .map_err(|_| io::Error::other("the system's random generator failed"))?,
                    counters: Arc::clone(&counters),
                    decisions: decisions.clone(),
                    acceptor: acceptor.clone(),
                    slots: Arc::clone(&slots),
                    shutdown: handle.shutdown.clone(),
                })
            };
            let thread = thread::Builder::new()
                .name(format!("gate-{index}"))
                .spawn(move || {
                    if let Err(error) = runtime.block_on(worker.run(listener)) {
                        tracing::error!(%error, "a thread of the gate ended");
                    }
                })?;
            handle.counters.threads.push((registry, counters));
            handle.threads.push(thread);
        }
        tracing::info!(%address, threads = handle.threads.len(), "the gate is up");
        Ok(handle)
    }
}

impl GateHandle {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many threads it has.
    #[must_use]
    pub fn threads(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.threads.len())
    }

    /// How many admitted connections it has.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counters.connections()
    }

    /// What it counts, to be read while it runs.
    #[must_use]
    pub fn counters(&self) -> GateCounters {
        self.counters.clone()
    }

    /// What changes the anchors that it trusts while it runs.
    #[must_use]
    pub fn anchors(&self) -> GateAnchors {
        GateAnchors {
            paths: Arc::clone(&self.paths),
        }
    }

    /// Takes no connection any more, lets requests under way end within the time to drain, and returns when every thread
    /// has ended. It blocks: from a runtime, call it in `spawn_blocking`.
    pub fn shutdown(mut self) {
        self.shutdown.cancel();
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                tracing::error!("a thread of the gate panicked");
            }
        }
        if let Some(log) = &mut self.decisions {
            log.join();
        }
    }
}

impl Drop for GateHandle {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A gate that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum GateStartError {
    /// Its address can't be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The TLS provider failed.
    #[error("the TLS provider failed: {0}")]
    Tls(#[from] rustls::Error),
    /// The log of decisions can't be opened.
    #[error(
        "{}: the log of decisions can't be opened: {error}; choose another place with gate.decisions.file, or none (\"\")",
        file.display()
    )]
    Decisions {
        /// Where it was to be.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The system refused a thread or a runtime.
    #[error("the system refused what the gate needs: {0}")]
    System(#[from] io::Error),
}
