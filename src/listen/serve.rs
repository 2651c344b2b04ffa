//! The accept loops: TLS, plain HTTP, and the Unix socket.
//!
//! A loop runs until the shutdown signal, then stops accepting and returns when its connections have ended or the time
//! to drain is over.

use std::{
    error::Error, future::Future, io, net::SocketAddr, net::TcpListener as StdTcpListener,
    sync::Arc, time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::{
    Limits, Peer, RequestBody, TlsSettings, UnixPeer, UnixSocket, connection::serve_connection,
    tls::ApplicationProtocol,
};
use crate::domain::Clock;

/// What every accept loop needs beside its socket and its service.
#[derive(Clone)]
pub struct Serving {
    /// How much clients may take.
    pub limits: Limits,
    /// Where [`ArrivedAt`](super::ArrivedAt) comes from.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when it is time to end.
    pub shutdown: CancellationToken,
}

/// A service that can stand behind a listener: an `axum::Router` is one.
pub trait HttpService:
    Service<
        Request<RequestBody>,
        Response = Response<Self::ResponseBody>,
        Future: Send + 'static,
        Error: Into<Box<dyn Error + Send + Sync>>,
    > + Clone
    + Send
    + 'static
{
    /// What its answers carry.
    type ResponseBody: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>>
        + Unpin
        + Send
        + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type ResponseBody = B;
}

/// Serves HTTP/1.1 and HTTP/2 over TLS. Requests carry [`Peer`] and [`ArrivedAt`](super::ArrivedAt).
///
/// # Errors
/// When the socket can't be used or the TLS provider fails; not for what a single client does.
pub async fn serve_tls<S: HttpService>(
    listener: StdTcpListener,
    tls: &TlsSettings,
    service: S,
    serving: Serving,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(tls.server_config().map_err(io::Error::other)?);
    let listener = TcpListener::from_std(listener)?;
    let accepting = Accepting::new(serving);
    while let Some((slot, (stream, address))) = accepting.next(|| listener.accept()).await {
        let (acceptor, service) = (acceptor.clone(), service.clone());
        let serving = Arc::clone(&accepting.serving);
        accepting.connections.spawn(async move {
            let _slot = slot;
            tls_connection(stream, address, &acceptor, service, &serving).await;
        });
    }
    accepting.drained().await;
    Ok(())
}

async fn tls_connection<S: HttpService>(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: &TlsAcceptor,
    service: S,
    serving: &Serving,
) {
    // A socket that refuses the option is one that has already been closed; the handshake will tell.
    let _ = stream.set_nodelay(true);
    let handshake = timeout(serving.limits.handshake_timeout, acceptor.accept(stream));
    let stream = tokio::select! {
        done = handshake => match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(peer = %address, %error, "a TLS handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(peer = %address, "a TLS handshake took too long");
                return;
            }
        },
        () = serving.shutdown.cancelled() => return,
    };
    let session = stream.get_ref().1;
    let protocol = ApplicationProtocol::agreed(session.alpn_protocol());
    let peer = Peer {
        address,
        certificates: session.peer_certificates().unwrap_or_default().into(),
        server_name: session.server_name().map(Into::into),
    };
    serve_connection(TokioIo::new(stream), protocol, service, peer, serving).await;
}

/// Serves HTTP/1.1 without TLS. Requests carry [`Peer`] and [`ArrivedAt`](super::ArrivedAt).
///
/// # Errors
/// When the socket can't be used; not for what a single client does.
pub async fn serve_plain<S: HttpService>(
    listener: StdTcpListener,
    service: S,
    serving: Serving,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let accepting = Accepting::new(serving);
    while let Some((slot, (stream, address))) = accepting.next(|| listener.accept()).await {
        let service = service.clone();
        let serving = Arc::clone(&accepting.serving);
        accepting.connections.spawn(async move {
            let _slot = slot;
            let _ = stream.set_nodelay(true);
            let peer = Peer {
                address,
                certificates: Arc::default(),
                server_name: None,
            };
            let io = TokioIo::new(stream);
            serve_connection(io, ApplicationProtocol::Http1, service, peer, &serving).await;
        });
    }
    accepting.drained().await;
    Ok(())
}

/// Serves HTTP/1.1 on a Unix socket. Requests carry [`UnixPeer`] and [`ArrivedAt`](super::ArrivedAt); a connection whose
/// credentials the kernel doesn't tell is closed. The socket's file is removed at the end.
///
/// # Errors
/// When the socket can't be used; not for what a single client does.
pub async fn serve_unix<S: HttpService>(
    socket: UnixSocket,
    service: S,
    serving: Serving,
) -> io::Result<()> {
    let listener = socket.listener()?;
    let accepting = Accepting::new(serving);
    while let Some((slot, (stream, _))) = accepting.next(|| listener.accept()).await {
        let peer = match stream.peer_cred() {
            Ok(credentials) => UnixPeer {
                uid: credentials.uid(),
                pid: credentials.pid(),
            },
            Err(error) => {
                tracing::warn!(%error, "closed a connection to the Unix socket: nobody says whose it is");
                continue;
            }
        };
        let service = service.clone();
        let serving = Arc::clone(&accepting.serving);
        accepting.connections.spawn(async move {
            let _slot = slot;
            let io = TokioIo::new(stream);
            serve_connection(io, ApplicationProtocol::Http1, service, peer, &serving).await;
        });
    }
    // New callers shall find no socket rather than one that nobody answers on.
    drop((listener, socket));
    accepting.drained().await;
    Ok(())
}

/// An accept loop's slots and its connections under way.
struct Accepting {
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    serving: Arc<Serving>,
}

impl Accepting {
    fn new(serving: Serving) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(
                serving.limits.connections.min(Semaphore::MAX_PERMITS),
            )),
            connections: TaskTracker::new(),
            serving: Arc::new(serving),
        }
    }

    /// The next connection and the slot that it takes; `None` once it is time to end.
    async fn next<T, F>(&self, accept: impl Fn() -> F) -> Option<(OwnedSemaphorePermit, T)>
    where
        F: Future<Output = io::Result<T>>,
    {
        let accepted = async {
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
            loop {
                match accept().await {
                    Ok(accepted) => return Some((slot, accepted)),
                    Err(error) => accept_failed(&error).await,
                }
            }
        };
        tokio::select! {
            accepted = accepted => accepted,
            () = self.serving.shutdown.cancelled() => None,
        }
    }

    /// Waits until the connections have ended; each ends by itself when the time to drain is over.
    async fn drained(self) {
        self.connections.close();
        let grace = self.serving.limits.drain + Duration::from_secs(1);
        if timeout(grace, self.connections.wait()).await.is_err() {
            tracing::warn!(
                connections = self.connections.len(),
                "connections were still open when the time to drain was over"
            );
        }
    }
}

/// A failed accept concerns one connection, or the process has no descriptor left: then waiting is all one can do.
pub async fn accept_failed(error: &io::Error) {
    let of_the_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    );
    if !of_the_connection {
        tracing::warn!(%error, "could not accept a connection; raise the limit of open files if this goes on");
        sleep(Duration::from_millis(50)).await;
    }
}
