//! The wire: a TCP stream with or without TLS, and the count of what came in over it.
//!
//! The count tells whether an answer has begun, which decides whether a request may be sent anew
//! on another connection, and it bounds what one answer may bring in all: the limits for head and
//! body leave interim answers (1xx) and chunk framing unbounded.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// The most bytes that one answer may bring, interim answers and framing included. A head and a
/// body at their limits, the body in chunks of one byte, come to half of it.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A stream to a receiver.
pub(crate) struct Wire {
    stream: Stream,
    meter: Arc<Meter>,
}

enum Stream {
    Plain(TcpStream),
    // Boxed: a TLS session is some thousand bytes, a TCP stream a few dozen.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Counts the bytes of the current answer.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    received: AtomicUsize,
}

impl Meter {
    /// Counts from 0 again: a new request begins.
    pub(crate) fn restart(&self) {
        self.received.store(0, Ordering::Relaxed);
    }

    /// Bytes since the last restart.
    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) -> io::Result<()> {
        let before = self.received.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > ANSWER_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the answer does not end",
            ));
        }
        Ok(())
    }
}

impl Wire {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self::over(Stream::Plain(stream))
    }

    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::over(Stream::Tls(Box::new(stream)))
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            meter: Arc::default(),
        }
    }

    pub(crate) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match &mut self.stream {
            Stream::Plain(stream) => ready!(Pin::new(stream).poll_read(cx, buf))?,
            Stream::Tls(stream) => match ready!(Pin::new(stream).poll_read(cx, buf)) {
                // An end without close_notify. Whether the answer was whole is plain from its own
                // framing; one that ends with the connection may have been cut by somebody on the
                // way, who gains nothing: its status stands at its beginning.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                result => result?,
            },
        }
        Poll::Ready(self.meter.add(buf.filled().len() - before))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
