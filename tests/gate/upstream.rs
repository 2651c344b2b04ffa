//! An upstream that remembers what it was sent.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    time::{Interval, interval},
};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Upstream {
    /// Answers `/stream…` with a body that never ends, `/flood…` with one that is as fast as it can be, `/echo…` with the request's body as it comes, `/hang…` never, and
    /// everything else with `ok`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
        };
        let shared = upstream.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| shared.clone().answer(request));
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        upstream
    }

    /// What arrived since the last time.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Either<Full<Bytes>, Either<Ticks, Incoming>>>, Infallible> {
        let (parts, body) = request.into_parts();
        let target = parts.uri.to_string();
        let mut received = Received {
            method: parts.method.to_string(),
            target: target.clone(),
            headers: parts.headers,
            body: Bytes::new(),
            trailers: HeaderMap::new(),
        };
        if target.contains("/echo") {
            self.received.lock().unwrap().push(received);
            return Ok(Response::new(Either::Right(Either::Right(body))));
        }
        if let Ok(collected) = body.collect().await {
            received.trailers = collected.trailers().cloned().unwrap_or_default();
            received.body = collected.to_bytes();
        }
        self.received.lock().unwrap().push(received);
        if target.contains("/hang") {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(if target.contains("/stream") {
            let interval = interval(Duration::from_millis(10));
            Either::Right(Either::Left(Ticks(Some(interval))))
        } else if target.contains("/flood") {
            Either::Right(Either::Left(Ticks(None)))
        } else {
            Either::Left(Full::new(Bytes::from_static(b"ok")))
        }))
    }
}

/// A body that never ends.
pub struct Ticks(Option<Interval>);

impl Body for Ticks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        const FLOOD: &[u8] = &[b'x'; 65536];
        match &mut self.0 {
            Some(interval) => interval
                .poll_tick(context)
                .map(|_| Some(Ok(Frame::data(Bytes::from_static(b"tick\n"))))),
            None => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(FLOOD))))),
        }
    }
}
