//! One connection with its HTTP server: stamped requests, and a graceful end.

use std::{error::Error, pin::pin, sync::Arc};

use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    rt::{Read, Write},
};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use tower::{Service, ServiceExt, util::Oneshot};

use super::{ArrivedAt, serve::Serving, tls::ApplicationProtocol};
use crate::domain::Clock;

/// The service behind a connection, which sees who is at the other end and when each request arrived.
#[derive(Clone)]
struct Stamped<S, P> {
    inner: S,
    peer: P,
    clock: Arc<dyn Clock>,
}

impl<S, P> hyper::service::Service<Request<Incoming>> for Stamped<S, P>
where
    S: Service<Request<Incoming>> + Clone,
    P: Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Oneshot<S, Request<Incoming>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let arrived = ArrivedAt(self.clock.now());
        let extensions = request.extensions_mut();
        extensions.insert(arrived);
        extensions.insert(self.peer.clone());
        self.inner.clone().oneshot(request)
    }
}

/// Serves a connection until it ends by itself or, after `shutdown`, until its last request has been answered or the
/// time to drain is over.
pub(super) async fn serve_connection<I, S, B, P>(
    io: I,
    protocol: ApplicationProtocol,
    service: S,
    peer: P,
    serving: &Serving,
) where
    I: Read + Write + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    P: Clone + Send + Sync + 'static,
{
    let service = Stamped {
        inner: service,
        peer,
        clock: Arc::clone(&serving.clock),
    };
    let (limits, shutdown) = (&serving.limits, &serving.shutdown);
    let ended = match protocol {
        ApplicationProtocol::Http1 => {
            let mut connection = pin!(limits.http1().serve_connection(io, service));
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    timeout(limits.drain, connection).await.unwrap_or(Ok(()))
                }
            }
        }
        ApplicationProtocol::Http2 => {
            let builder = limits.http2(TokioExecutor::new());
            let mut connection = pin!(builder.serve_connection(io, service));
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    timeout(limits.drain, connection).await.unwrap_or(Ok(()))
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
