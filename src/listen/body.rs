//! Bodies of requests, which must have come within a time, and of answers, which keep their connection from being idle.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

/// The body of a request. It fails with [`BodyError::Slow`] unless it has come within its time, however slowly or fast it
/// comes meanwhile.
pub struct RequestBody {
    incoming: Incoming,
    within: Duration,
    /// Nothing, where there is no body to wait for.
    end: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, within: Duration) -> Self {
        let end = (!incoming.is_end_stream()).then(|| Box::pin(sleep(within)));
        Self {
            incoming,
            within,
            end,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // The time first: one octet that is always there just in time must not keep us from looking.
        if let Some(end) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(BodyError::Slow(self.within))));
        }
        Pin::new(&mut self.incoming)
            .poll_frame(context)
            .map_err(BodyError::Broken)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It took too long.
    #[error("the body had not come within {} seconds", .0.as_secs())]
    Slow(Duration),
    /// The connection broke, or what came is no body.
    #[error(transparent)]
    Broken(hyper::Error),
}

/// What goes on in a connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    under_way: AtomicUsize,
    begun: AtomicU64,
}

impl Activity {
    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Waits until no request has been under way for `time`; it may take up to twice as long.
    pub(super) async fn idle_for(&self, time: Duration) {
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            let was_idle = self.under_way.load(Ordering::Relaxed) == 0;
            sleep(time).await;
            if was_idle && self.begun.load(Ordering::Relaxed) == begun {
                return;
            }
        }
    }
}

/// A request that is under way, to the end of its answer's body.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer.
pub(super) struct ResponseBody<B> {
    inner: B,
    _under_way: UnderWay,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, under_way: UnderWay) -> Self {
        Self {
            inner,
            _under_way: under_way,
        }
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
