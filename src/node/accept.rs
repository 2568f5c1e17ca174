//! The gRPC listener: who may hand a connection to HTTP/2, and how many may.
//!
//! HTTP/2 itself has no time limit for a peer that connects and says nothing. So a connection must
//! show the preface of HTTP/2 first, soon; after that, keep-alive pings find the dead ones. Nor has
//! it a limit for one that talks without end; so after some bytes it is the turn of others, and one
//! whose frames say nothing is read slowly ([`Frames`]).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::anyhow;
use raftkv_frontends::pace::Pace;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::frames::Frames;
use crate::transport::service;

/// The most connections from peers; a peer needs two, and one more while a broken one is found
/// dead.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// How soon a connection must show that it speaks HTTP/2.
const PREFACE_DEADLINE: Duration = Duration::from_secs(5);
/// The first bytes of every HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What is read at once, before it is the turn of others: frames of a few bytes that each want an
/// answer would have the loop to themselves else.
const TURN_BYTES: usize = 16 << 10;
/// The frames without data of a second, and those that may come at once, on one connection. A peer
/// sends some pings a second and their answers, a few frames for each vote, and one for some MiB
/// of what it is sent.
const FRAMES_PER_SECOND: u32 = 1000;
const FRAMES_AT_ONCE: u32 = 500;
/// The wait after the system refused to accept, out of file descriptors mostly.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves peers until it is dropped, or fails.
pub(super) async fn serve_grpc(listener: TcpListener, service: service::Server) -> anyhow::Error {
    let (sender, connections) = mpsc::channel(1);
    let accepting = accept(listener, sender);
    let serving = Server::builder()
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(16 << 20)
        .http2_keepalive_interval(Some(Duration::from_millis(500)))
        .http2_keepalive_timeout(Some(Duration::from_secs(1)))
        .max_concurrent_streams(Some(32))
        .add_service(service)
        .serve_with_incoming(ReceiverStream::new(connections));
    tokio::select! {
        () = accepting => anyhow!("no more connections are accepted"),
        served = serving => match served {
            Ok(()) => anyhow!("no more connections are served"),
            Err(error) => error.into(),
        },
    }
}

async fn accept(listener: TcpListener, sender: mpsc::Sender<io::Result<Connection>>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let connection = tokio::time::timeout(PREFACE_DEADLINE, check(stream, slot));
                    if let Ok(Ok(Some(connection))) = connection.await {
                        let _ = sender.send(Ok(connection)).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a peer");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Returns the connection if it begins as HTTP/2 does.
async fn check(
    mut stream: TcpStream,
    slot: OwnedSemaphorePermit,
) -> io::Result<Option<Connection>> {
    stream.set_nodelay(true)?;
    let mut begin = [0; PREFACE.len()];
    stream.read_exact(&mut begin).await?;
    let connection = Connection {
        unread: PREFACE,
        stream,
        frames: Frames::default(),
        pace: Pace::new(FRAMES_PER_SECOND, FRAMES_AT_ONCE),
        read_bytes: 0,
        waiting: None,
        _slot: slot,
    };
    Ok((begin == *PREFACE).then_some(connection))
}

/// A connection whose preface was looked at, and that gives its place back when it is dropped.
struct Connection {
    /// What is read before the rest of the stream: the preface, or what is left of it.
    unread: &'static [u8],
    stream: TcpStream,
    frames: Frames,
    /// Of frames without data.
    pace: Pace,
    /// What was read since it was last the turn of others.
    read_bytes: usize,
    /// While it is, or while the peer is too fast.
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _slot: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let (now, later) = self.unread.split_at(self.unread.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.unread = later;
            return Poll::Ready(Ok(()));
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = &buffer.filled()[before..];
        if bytes.is_empty() {
            return read;
        }
        self.read_bytes += bytes.len();
        let frames = self.frames.count(bytes);
        if let Some(wait) = self.pace.note(frames, Instant::now()) {
            self.read_bytes = 0;
            self.waiting = Some(Box::pin(tokio::time::sleep(wait)));
        } else if self.read_bytes >= TURN_BYTES {
            self.read_bytes = 0;
            self.waiting = Some(Box::pin(tokio::task::yield_now()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Returns two ends of a connection: a peer's, and ours once the peer has said this.
    async fn connect(said: Vec<u8>) -> io::Result<(TcpStream, Connection)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut peer = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        let slot = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("one is free");
        peer.write_all(PREFACE).await?;
        peer.write_all(&said).await?;
        let connection = check(stream, slot).await?.expect("it begins as HTTP/2 does");
        Ok((peer, connection))
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_is_read_slowly() -> io::Result<()> {
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let (mut peer, mut connection) = connect(ping.repeat(3000)).await?;
        peer.shutdown().await?;
        let began = Instant::now();
        let mut all = Vec::new();
        connection.read_to_end(&mut all).await?;
        assert_eq!(all.len(), PREFACE.len() + 3000 * ping.len());
        // All but the burst, and perhaps what was read last, of which nobody had to wait.
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(2000), "{took:?}");
        assert!(took <= Duration::from_millis(2600), "{took:?}");
        Ok(())
    }

    #[tokio::test]
    async fn a_peer_that_talks_without_end_lets_others_have_their_turn() -> io::Result<()> {
        let (mut talker, mut connection) = connect(Vec::new()).await?;
        let talks = tokio::spawn(async move {
            // Data of that much, in one frame as far as is looked.
            talker.write_all(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]).await?;
            talker.write_all(&vec![0; 16 << 20]).await
        });
        let turns = Arc::new(AtomicUsize::new(0));
        let others = Arc::clone(&turns);
        let counting = tokio::spawn(async move {
            loop {
                others.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let (mut at_once, mut most, mut seen) = (0, 0, 0);
        let mut buffer = vec![0; 4 << 10];
        while let read @ 1.. = connection.read(&mut buffer).await? {
            let now = turns.load(Ordering::Relaxed);
            at_once = if now == seen { at_once + read } else { read };
            (seen, most) = (now, most.max(at_once));
        }
        talks.await.expect("no panic")?;
        counting.abort();
        assert!(most <= TURN_BYTES + buffer.len(), "{most} bytes at once");
        Ok(())
    }
}
