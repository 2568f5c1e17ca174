//! A client that sends faster than it can be served does not have the loop to itself.

#![allow(clippy::unwrap_used)]

mod support;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use raftkv_frontends::resp::{Options, Server};
use support::Memory;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is read at once.
const READ_BYTES_MAX: usize = 64 << 10;

/// What happens on one thread: bytes that a client sends and is sent, and turns of somebody else.
#[derive(Debug, Default)]
struct Counts {
    /// Read since it was last the turn of others, and the most that ever was.
    read: AtomicUsize,
    most_read: AtomicUsize,
    all_read: AtomicUsize,
    written: AtomicUsize,
    turns: AtomicUsize,
    /// Turns of others up to the last write, and the most between two writes.
    turns_answered: AtomicUsize,
    most_unanswered: AtomicUsize,
    is_all_read: AtomicBool,
    is_over: AtomicBool,
}

/// A client that always has more to say, up to some length, and always takes what it is sent.
#[derive(Debug)]
struct Eager {
    said: Vec<u8>,
    position: usize,
    counts: Arc<Counts>,
}

impl AsyncRead for Eager {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.said[self.position..];
        let bytes = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..bytes]);
        self.position += bytes;
        self.counts.is_all_read.store(self.position == self.said.len(), Ordering::Relaxed);
        self.counts.all_read.fetch_add(bytes, Ordering::Relaxed);
        let read = self.counts.read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.counts.most_read.fetch_max(read, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

/// Takes what it is sent, perhaps only once it has said everything.
#[derive(Debug)]
struct Taking {
    says_all_first: bool,
    counts: Arc<Counts>,
}

impl AsyncWrite for Taking {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let counts = &self.counts;
        if self.says_all_first && !counts.is_all_read.load(Ordering::Relaxed) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let turns = counts.turns.load(Ordering::Relaxed);
        let before = counts.turns_answered.swap(turns, Ordering::Relaxed);
        if counts.written.fetch_add(bytes.len(), Ordering::Relaxed) > 0 {
            counts.most_unanswered.fetch_max(turns - before, Ordering::Relaxed);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Lets a client say all of this at once, and counts beside it.
async fn flood(said: Vec<u8>, says_all_first: bool) -> Arc<Counts> {
    let counts = Arc::<Counts>::default();
    let others = Arc::clone(&counts);
    let turns = tokio::spawn(async move {
        while !others.is_over.load(Ordering::Relaxed) {
            others.turns.fetch_add(1, Ordering::Relaxed);
            others.read.store(0, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let server = Server::new(Memory::new(), Options::default(), 7001);
    let writer = Taking { says_all_first, counts: Arc::clone(&counts) };
    let reader = Eager { said, position: 0, counts: Arc::clone(&counts) };
    let (peer, local) = ("127.0.0.1:5000".to_owned(), "127.0.0.1:7001".to_owned());
    server.converse(reader, writer, peer, local).await.unwrap();
    counts.is_over.store(true, Ordering::Relaxed);
    turns.await.unwrap();
    counts
}

#[tokio::test]
async fn requests_that_cost_nothing_let_others_have_their_turn() {
    // Empty requests, commands that are none, and one that is answered at once.
    for request in [b"*0\r\n".as_slice(), b"x\n", b"*1\r\n$4\r\nPING\r\n"] {
        let counts = flood(request.repeat((1 << 20) / request.len()), false).await;
        let most = counts.most_read.load(Ordering::Relaxed);
        assert!(most <= 2 * READ_BYTES_MAX, "{most} bytes of {} at once", request.escape_ascii());
        let turns = counts.turns.load(Ordering::Relaxed);
        assert!(turns > 250, "{turns} turns of others beside {}", request.escape_ascii());
    }
}

#[tokio::test]
async fn a_value_that_is_on_its_way_lets_others_have_their_turn() {
    let value = vec![b'v'; 8 << 20];
    let counts = flood(support::request(&[b"SET", b"k", &value]), false).await;
    assert!(counts.turns.load(Ordering::Relaxed) >= 100, "{counts:?}");
    // However much space there is: filling it takes the system a while.
    let most = counts.most_read.load(Ordering::Relaxed);
    assert!(most <= READ_BYTES_MAX, "{most} bytes at once");
}

/// Else a client that does not listen could keep a node busy with throwing away what it says.
#[tokio::test]
async fn what_comes_behind_an_error_is_thrown_away_up_to_a_limit() {
    let mut said = b"*1000000000\r\n".to_vec();
    said.resize(64 << 20, b'*');
    let counts = flood(said, false).await;
    let (read, limit) = (counts.all_read.load(Ordering::Relaxed), 16 << 20);
    assert!((limit..limit + (8 << 20)).contains(&read), "{read} bytes");
    let most = counts.most_read.load(Ordering::Relaxed);
    assert!(most <= 2 * READ_BYTES_MAX, "{most} bytes at once");
}

/// A client that is wrong, then waits for all the others that are, and then talks without end.
#[derive(Debug)]
struct Late {
    has_spoken: bool,
    has_waited: bool,
    /// How many are still to come, and what all have been read since then.
    missing: Arc<AtomicUsize>,
    read: Arc<AtomicUsize>,
}

impl AsyncRead for Late {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.has_spoken {
            self.has_spoken = true;
            buffer.put_slice(b"*1000000000\r\n");
            return Poll::Ready(Ok(()));
        }
        if !self.has_waited {
            self.has_waited = true;
            self.missing.fetch_sub(1, Ordering::Relaxed);
        }
        if self.missing.load(Ordering::Relaxed) > 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.read.fetch_add(buffer.remaining(), Ordering::Relaxed);
        buffer.put_slice(&vec![b'x'; buffer.remaining()]);
        Poll::Ready(Ok(()))
    }
}

/// Many that wait for what comes are not allowed as much each.
#[tokio::test]
async fn what_is_thrown_away_is_limited_for_all_clients_together() {
    let clients = 500;
    let missing = Arc::new(AtomicUsize::new(clients));
    let read = Arc::new(AtomicUsize::new(0));
    let server = Server::new(Memory::new(), Options::default(), 7001);
    let mut conversations = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let reader = Late {
            has_spoken: false,
            has_waited: false,
            missing: Arc::clone(&missing),
            read: Arc::clone(&read),
        };
        let (peer, local) = ("127.0.0.1:5000".to_owned(), "127.0.0.1:7001".to_owned());
        conversations.spawn(Arc::clone(&server).converse(reader, tokio::io::sink(), peer, local));
    }
    conversations.join_all().await.into_iter().for_each(|ended| ended.unwrap());
    let (read, limit) = (read.load(Ordering::Relaxed), 16 << 20);
    // A second's worth more, and what was read last.
    assert!((limit..limit + (5 << 20)).contains(&read), "{read} bytes");
}

/// Answers that are longer than what is asked are sent as they come up, and not gathered.
#[tokio::test]
async fn errors_are_sent_before_all_requests_are_answered() {
    let counts = flood(b"x\n".repeat(512 << 10), true).await;
    assert!(counts.written.load(Ordering::Relaxed) > 16 << 20, "{counts:?}");
    let most = counts.most_unanswered.load(Ordering::Relaxed);
    assert!(most < 50, "no answer in {most} turns of others");
}
