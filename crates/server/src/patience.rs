//! Patience with a client that takes nothing of its answer. Whoever neither reads nor hangs up
//! would hold the answer's memory, and a place among the connections, for ever.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A connection whose writes fail when the client has taken nothing for so long. One that has
/// nothing to write, such as a stream without events, is not concerned.
#[derive(Debug)]
pub(crate) struct Patience<C> {
    connection: C,
    limit: Duration,
    /// Runs from a write that has to wait to the next one that gets on.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<C> Patience<C> {
    /// With a client that may pause for so long.
    pub(crate) fn new(connection: C, limit: Duration) -> Self {
        Self {
            connection,
            limit,
            waiting: None,
        }
    }

    /// Judges a write by how it went.
    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Patience<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Patience<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.connection).poll_write(context, bytes);
        this.judge(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.connection).poll_write_vectored(context, slices);
        this.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.connection).poll_flush(context);
        this.judge(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = Pin::new(&mut this.connection).poll_shutdown(context);
        this.judge(ended, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::{Instant, advance},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);
    const ALMOST: Duration = Duration::from_secs(59);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_and_who_takes_a_little_is_not() {
        let (ours, mut theirs) = duplex(1000);
        let mut ours = Patience::new(ours, LIMIT);
        let begun = Instant::now();
        let client = async {
            let mut taken = [0; 100];
            for _ in 0..5 {
                advance(ALMOST).await;
                theirs.read_exact(&mut taken).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(&[7; 5000]), client);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let expected = 5 * ALMOST + LIMIT;
        assert_eq!(begun.elapsed(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_written_to_may_wait_for_ever() {
        let (ours, mut theirs) = duplex(1000);
        let mut ours = Patience::new(ours, LIMIT);
        for _ in 0..3 {
            ours.write_all(b"event").await.unwrap();
            advance(10 * LIMIT).await;
            let mut taken = [0; 5];
            theirs.read_exact(&mut taken).await.unwrap();
        }
    }
}
