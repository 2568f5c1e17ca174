//! A connection that cannot be held open by doing nothing.
//!
//! Two clocks run beside the HTTP machinery. One starts with the first byte of a request's head and
//! stops when the request is handed on; it is why a head that trickles in is cut off long before an
//! idle connection is. The other runs while the client takes nothing of a response.

use std::io::{self, Error, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// A connection with its two clocks.
#[derive(Debug)]
pub(super) struct Guard {
    stream: TcpStream,
    turns: Turns,
    /// The turns there had been at the last read.
    seen: usize,
    head: Clock,
    stall: Clock,
}

/// Counts whose turn it is on a connection: even, the client is to send a head; odd, a request is
/// being answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<AtomicUsize>);

impl Turns {
    /// A head is complete, or a response is ready.
    pub(super) fn next(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A timeout that is started and stopped.
#[derive(Debug)]
struct Clock {
    time: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    fn new(time: Duration) -> Self {
        Self { time, running: None }
    }

    fn start(&mut self) {
        let time = self.time;
        self.running.get_or_insert_with(|| Box::pin(sleep(time)));
    }

    fn stop(&mut self) {
        self.running = None;
    }

    /// Returns an error once the clock has run out; until then the task is woken when it does.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        match running.as_mut().poll(context) {
            Poll::Ready(()) => Err(Error::from(ErrorKind::TimedOut)),
            Poll::Pending => Ok(()),
        }
    }
}

impl Guard {
    /// Returns a guarded connection, to be told of the turns.
    pub(super) fn new(stream: TcpStream, head: Duration, stall: Duration, turns: Turns) -> Self {
        Self { stream, turns, seen: 0, head: Clock::new(head), stall: Clock::new(stall) }
    }

    /// Returns the connection, and whether it was cut off in the middle of a head.
    pub(super) fn into_parts(self) -> (TcpStream, bool) {
        let is_cut = self.head.running.is_some_and(|running| running.is_elapsed());
        (self.stream, is_cut)
    }

    fn watch_write<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall.stop();
            return written;
        }
        self.stall.start();
        self.stall.check(context)?;
        Poll::Pending
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Any turn since the last read ends the head that was being read then.
        let turns = self.turns.count();
        if turns != self.seen {
            self.seen = turns;
            self.head.stop();
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            self.head.check(context)?;
        }
        ready!(read)?;
        if turns.is_multiple_of(2) && buffer.filled().len() > before {
            self.head.start();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
