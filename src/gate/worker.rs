//! One thread of the gate: its own runtime, listening socket, upstream connections and registry.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{rt::TokioExecutor, server::graceful::GracefulConnection};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    admit::Trust,
    connection::Connection,
    counters::Counters,
    decisions::Decisions,
    forward::Upstreams,
    registry::{Registered, Registry},
    request::answer,
    request_id::RequestIds,
    switch::Position,
    tether::Tether,
    watch::watch,
};
use crate::{
    domain::{Clock, api_key::Pepper},
    listen::{ApplicationProtocol, Limits, refuse, serve::accept_failed},
};

/// What one thread works with.
pub(super) struct Worker {
    pub(super) trust: Arc<Trust>,
    pub(super) pepper: Arc<Pepper>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) realm: Arc<str>,
    pub(super) limits: Limits,
    pub(super) upstreams: Upstreams,
    pub(super) registry: Arc<Registry>,
    pub(super) request_ids: RequestIds,
    pub(super) counters: Arc<Counters>,
    pub(super) decisions: Option<Decisions>,
    pub(super) acceptor: TlsAcceptor,
    /// Shared by all threads.
    pub(super) slots: Arc<Semaphore>,
    pub(super) shutdown: CancellationToken,
}

/// How long a connection that is cut may take to say so (GOAWAY, close_notify) before it is reset.
const CUT_GRACE: Duration = Duration::from_millis(20);

/// How long a connection that was refused at its admission may take to ask, and be told why.
const REFUSED_GRACE: Duration = Duration::from_secs(2);

impl Worker {
    /// Accepts and serves until the shutdown, then until the connections have ended or the time to drain is over.
    pub(super) async fn run(self: Arc<Self>, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let connections = TaskTracker::new();
        let watcher = tokio::spawn(watch(Arc::clone(&self)));
        tokio::select! {
            // Closed until loaded (Vault CVE-2022-41316): callers wait in the backlog.
            () = async {
                self.trust.standing().loaded().await;
                self.accept(&listener, &connections).await;
            } => {}
            () = self.shutdown.cancelled() => {}
        }
        drop(listener);
        connections.close();
        for connection in self.registry.all() {
            connection.switch().close();
        }
        let grace = self.limits.drain + Duration::from_secs(1);
        let drained = timeout(grace, connections.wait()).await;
        watcher.abort();
        if drained.is_err() {
            tracing::warn!(
                connections = self.registry.len(),
                "connections were still open when the time to drain was over"
            );
        }
        Ok(())
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener, connections: &TaskTracker) {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    accept_failed(&error).await;
                    continue;
                }
            };
            let (worker, tracker) = (Arc::clone(self), connections.clone());
            connections.spawn(async move {
                if let Some(stream) = worker.handshake(stream, peer).await {
                    // A task of its own, so that the state of the handshake is not kept for the connection's life.
                    tracker.spawn(worker.admit(stream, peer, slot));
                }
            });
        }
    }

    async fn handshake(&self, stream: TcpStream, peer: SocketAddr) -> Option<TlsStream<TcpStream>> {
        // A socket that refuses the option has been closed by the other end; the handshake will tell.
        let _ = stream.set_nodelay(true);
        let handshake = timeout(
            self.limits.handshake_timeout,
            self.acceptor.accept(stream).into_fallible(),
        );
        tokio::select! {
            done = handshake => match done {
                Ok(Ok(stream)) => Some(stream),
                Ok(Err((error, stream))) => {
                    tracing::debug!(%peer, %error, "a TLS handshake failed");
                    refuse(stream).await;
                    None
                }
                Err(_) => {
                    tracing::debug!(%peer, "a TLS handshake took too long");
                    None
                }
            },
            () = self.shutdown.cancelled() => None,
        }
    }

    /// Admits a connection; what is returned serves it. Not an `async fn`: what only admission needs is not kept.
    fn admit(
        self: Arc<Self>,
        stream: TlsStream<TcpStream>,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let session = stream.get_ref().1;
        let protocol = ApplicationProtocol::agreed(session.alpn_protocol());
        let server_name = session.server_name().map(Into::into);
        let certificates = session.peer_certificates().unwrap_or_default();
        let certificate = self.trust.admit(certificates, self.clock.now());
        let until = certificate.expires_at();
        let (registered, connection) = self.registry.register(until, |id| {
            Arc::new(Connection::new(id, peer, server_name, certificate))
        });
        // The watcher sees the connection from here on; what changed before is seen now.
        connection.recheck(&self.trust, self.clock.now());

        let io = Tether::new(stream, Arc::clone(&connection));
        let service = {
            let (worker, connection) = (Arc::clone(&self), Arc::clone(&connection));
            service_fn(move |request| answer(Arc::clone(&worker), Arc::clone(&connection), request))
        };
        let held = (registered, slot);
        match protocol {
            ApplicationProtocol::Http1 => {
                let http = Box::pin(self.limits.http1().serve_connection(io, service));
                Box::pin(self.serve(http, connection, held))
            }
            ApplicationProtocol::Http2 => {
                let builder = self.limits.http2(TokioExecutor::new());
                let http = Box::pin(builder.serve_connection(io, service));
                Box::pin(self.serve(http, connection, held))
            }
        }
    }

    /// Drives a connection to its end, whoever brings it about.
    async fn serve<C>(
        self: Arc<Self>,
        mut http: Pin<Box<C>>,
        connection: Arc<Connection>,
        _held: (Registered, OwnedSemaphorePermit),
    ) where
        C: GracefulConnection,
        C::Error: std::fmt::Display,
    {
        let mut seen = Position::On;
        // Who lost its standing before its first request is told so, and then has nothing more to wait for.
        let mut patience = connection.loss().map(|_| Box::pin(sleep(REFUSED_GRACE)));
        loop {
            tokio::select! {
                biased;
                ended = http.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = %connection.peer(), %error, "a connection ended early");
                    }
                    return;
                }
                position = poll_fn(|context| connection.switch().poll_beyond(seen, context)) => {
                    seen = position;
                    http.as_mut().graceful_shutdown();
                    let grace = match position {
                        Position::Cut => CUT_GRACE,
                        Position::Closing | Position::On => self.limits.drain,
                    };
                    patience = Some(Box::pin(sleep(grace)));
                }
                () = ended(&mut patience), if patience.is_some() => return,
            }
        }
    }
}

/// Waits until patience has ended; there must be some.
async fn ended(patience: &mut Option<Pin<Box<Sleep>>>) {
    if let Some(patience) = patience {
        patience.await;
    }
}
