//! One connection with its HTTP server: stamped requests, and a graceful end.

use std::{error::Error, future::Future, pin::Pin, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    rt::{Read, Write},
};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use tower::{Service, ServiceExt};

use super::{
    ArrivedAt,
    body::{Activity, RequestBody, ResponseBody},
    serve::Serving,
    tls::ApplicationProtocol,
};
use crate::domain::Clock;

/// The service behind a connection, which sees who is at the other end and when each request arrived, and whose requests'
/// bodies come in time.
#[derive(Clone)]
struct Stamped<S, P> {
    inner: S,
    peer: P,
    clock: Arc<dyn Clock>,
    body_timeout: Duration,
    activity: Arc<Activity>,
}

impl<S, P, B> hyper::service::Service<Request<Incoming>> for Stamped<S, P>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    P: Clone + Send + Sync + 'static,
    B: Body + Unpin,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = self.activity.begin();
        let arrived = ArrivedAt(self.clock.now());
        let mut request = request.map(|body| RequestBody::new(body, self.body_timeout));
        let extensions = request.extensions_mut();
        extensions.insert(arrived);
        extensions.insert(self.peer.clone());
        let answer = self.inner.clone().oneshot(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| ResponseBody::new(body, under_way)))
        })
    }
}

/// Serves a connection until it ends by itself or, after `shutdown`, until its last request has been answered or the
/// time to drain is over. One on which nothing happens is ended.
pub(super) async fn serve_connection<I, S, B, P>(
    io: I,
    protocol: ApplicationProtocol,
    service: S,
    peer: P,
    serving: &Serving,
) where
    I: Read + Write + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    P: Clone + Send + Sync + 'static,
{
    let (limits, shutdown) = (&serving.limits, &serving.shutdown);
    let activity = Arc::new(Activity::default());
    let service = Stamped {
        inner: service,
        peer,
        clock: Arc::clone(&serving.clock),
        body_timeout: limits.body_timeout,
        activity: Arc::clone(&activity),
    };
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
                // HTTP/1.1 has a time for each head. Here a head may come in many pieces between which nothing else can,
                // and whoever answers our pings may say nothing for ever.
                () = activity.idle_for(limits.head_timeout) => {
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
