//! The byte stream of an admitted connection, which can be torn: then nothing that was buffered still goes out.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{connection::Connection, switch::Position};

/// A TLS stream and the connection that it belongs to.
///
/// Dropped while its connection is cut, it resets the TCP connection (RFC 9293 section 3.10.7.4): what the kernel still
/// held back for a slow reader is thrown away.
pub(super) struct Tether {
    stream: TokioIo<TlsStream<TcpStream>>,
    connection: Arc<Connection>,
    /// Whether the end was orderly, so that a cut connection needs no reset.
    orderly: bool,
}

impl Tether {
    pub(super) fn new(stream: TlsStream<TcpStream>, connection: Arc<Connection>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            connection,
            orderly: false,
        }
    }
}

impl Drop for Tether {
    fn drop(&mut self) {
        if self.connection.switch().position() == Position::Cut && !self.orderly {
            let socket = SockRef::from(self.stream.inner().get_ref().0);
            // A socket that refuses has been closed by the other end.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }
}

impl Read for Tether {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Tether {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(context);
        self.orderly = matches!(done, Poll::Ready(Ok(())));
        done
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, octets)
    }
}
