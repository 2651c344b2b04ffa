//! Bodies on their way through: streamed in both directions, never buffered, and torn when their standing is lost.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::in_flight::UnderWay;

/// A request's body on its way to the upstream. Trailers do not pass: a field in them would reach the upstream after
/// the headers had been cleaned (RFC 9110 section 6.5.1 lets a recipient discard them).
pub(super) struct RequestBody(pub(super) Incoming);

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match Pin::new(&mut self.0).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => Poll::Ready(None),
            frame @ (Poll::Ready(_) | Poll::Pending) => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The body of an answer.
pub(super) enum ResponseBody {
    /// Of the gate's own making: a problem document.
    Own(Option<Bytes>),
    /// An upstream's, for as long as the request may go on.
    Upstream(Incoming, UnderWay),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Own(octets) => Poll::Ready(octets.take().map(|octets| Ok(Frame::data(octets)))),
            Self::Upstream(body, under_way) => {
                if under_way.poll_cut(context).is_ready() {
                    return Poll::Ready(Some(Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        "the credential behind this request lost its standing",
                    ))));
                }
                Pin::new(body).poll_frame(context).map_err(io::Error::other)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(octets) => octets.is_none(),
            Self::Upstream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(octets) => {
                SizeHint::with_exact(octets.as_ref().map_or(0, |octets| octets.len() as u64))
            }
            Self::Upstream(body, _) => body.size_hint(),
        }
    }
}
