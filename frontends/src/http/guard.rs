//! A connection that cannot be held open by doing nothing.
//!
//! Two clocks run beside the HTTP machinery. One starts with the first byte of a request's head and
//! stops when the request is handed on; it is why a head that trickles in is cut off long before an
//! idle connection is. The other runs while the client takes nothing of a response.
//!
//! It also keeps back what the HTTP machinery answers by itself, to what it does not take for a
//! request: a status and nothing else. What it writes while no request of ours is being answered is
//! such an answer, and always the connection's last; only its status is kept.

use std::io::{self, Error, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How a HEAD request begins.
const HEAD: &[u8] = b"HEAD ";

/// A connection with its two clocks.
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: S,
    turns: Turns,
    /// The turns there had been at the last read.
    seen: usize,
    head: Clock,
    stall: Clock,
    /// Whether the head that is being read is one of a HEAD request.
    is_head: bool,
    /// The status of what the HTTP machinery answered by itself.
    verdict: Option<StatusCode>,
}

/// How a connection ended, as far as the client has to be told.
#[derive(Debug)]
pub(super) struct End {
    /// The head of a request took too long.
    pub(super) is_cut: bool,
    /// The HTTP machinery refused what came, with this status.
    pub(super) verdict: Option<StatusCode>,
    /// What came began as a HEAD request, whose answer has no body.
    pub(super) is_head: bool,
}

/// Whose turn it is on a connection: that of the client, who is to send a head, or ours, while a
/// request is being answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Even, the client is to send a head; odd, a request is being answered.
    begun: AtomicUsize,
    /// What `begun` was when all that had been answered had left.
    settled: AtomicUsize,
}

/// Our turn, from the head of a request until all of its response has been handed on.
#[derive(Debug)]
pub(super) struct Turn(Turns);

impl Turns {
    /// A head is complete.
    pub(super) fn begin(&self) -> Turn {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Turn(self.clone())
    }

    fn count(&self) -> usize {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// All that was written has left.
    fn settle(&self) {
        let count = self.count();
        if count.is_multiple_of(2) {
            self.0.settled.store(count, Ordering::Relaxed);
        }
    }

    /// Returns whether every request has been answered, to the last byte.
    pub(super) fn is_settled(&self) -> bool {
        self.count() == self.0.settled.load(Ordering::Relaxed)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.begun.fetch_add(1, Ordering::Relaxed);
    }
}

/// The body of a response, which ends our turn when it is dropped: the HTTP machinery does so when
/// it has taken in all of it.
#[derive(Debug)]
pub(super) struct LastBody {
    body: Body,
    _turn: Turn,
}

impl LastBody {
    /// Returns a body that takes the turn with it.
    pub(super) fn new(body: Body, turn: Turn) -> Self {
        Self { body, _turn: turn }
    }
}

impl HttpBody for LastBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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

impl<S> Guard<S> {
    /// Returns a guarded connection, to be told of the turns.
    pub(super) fn new(stream: S, head: Duration, stall: Duration, turns: Turns) -> Self {
        Self {
            stream,
            turns,
            seen: 0,
            head: Clock::new(head),
            stall: Clock::new(stall),
            is_head: false,
            verdict: None,
        }
    }

    /// Returns the connection and how it ended; `unread` is what the HTTP machinery did not
    /// consume.
    pub(super) fn into_parts(self, unread: &[u8]) -> (S, End) {
        let is_cut = self.head.running.is_some_and(|running| running.is_elapsed());
        // What was read before the last turn belongs to an earlier request.
        let is_head = self.is_head && self.seen == self.turns.count();
        let is_head = is_head || unread.starts_with(HEAD);
        (self.stream, End { is_cut, verdict: self.verdict, is_head })
    }

    /// Keeps back what is not ours; returns whether it did.
    fn intercept(&mut self, bytes: &[u8]) -> bool {
        if !self.turns.is_settled() {
            return false;
        }
        let status = bytes.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
        let status = status.and_then(|digits| StatusCode::from_bytes(digits).ok());
        self.verdict = self.verdict.or(status);
        true
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

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
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
            if self.head.running.is_none() {
                self.is_head = buffer.filled()[before..].starts_with(HEAD);
            }
            self.head.start();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.intercept(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.intercept(pieces.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The HTTP machinery flushes us when it has nothing left to write.
        self.turns.settle();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
