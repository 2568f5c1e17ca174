//! The Redis protocol: a Raft group that looks like a Redis Cluster of one shard.
//!
//! The leader is the master of all slots, the followers are its replicas, and `MOVED` is how a
//! client finds it: then every cluster client follows a failover by itself. Reading order:
//! [`scanner`] finds where a request ends, `connection` runs what has arrived as few batches,
//! [`encode`] writes replies, [`errors`] words what went wrong; `session` and the files beside it
//! answer what needs no key; `tracking` tells clients of what they have cached.

mod caching;
mod client;
mod cluster;
mod command;
mod config;
mod connection;
pub mod encode;
pub mod errors;
mod hello;
mod help;
mod info;
pub mod inline;
mod pause;
mod push;
mod registry;
pub mod scanner;
mod session;
mod tracking;
mod transaction;
mod turn;
mod wait;

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Kv;
use config::Parameters;
use connection::{Connection, Lingering};
use pause::Paused;
use registry::{Client, Held, Registry, Stats};
use scanner::Limits;
use tracking::Tracking;

/// Every limit of this frontend, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// The version of the program.
    pub version: &'static str,
    /// Connections at once; one more is told so and closed.
    pub max_connections: usize,
    /// Arguments of one request, the command's name among them.
    pub max_args: usize,
    /// Bytes of one argument.
    pub max_bulk_bytes: usize,
    /// Bytes of one request. A connection holds the part of one that has arrived, and, while its
    /// client does not take its replies, as much again.
    pub max_request_bytes: usize,
    /// Bytes of unfinished requests that all connections together may hold, beyond 128 KiB each.
    /// The one whose request grows past this is closed.
    pub max_held_bytes: u64,
    /// Bytes of one key.
    pub max_key_bytes: usize,
    /// Bytes of an inline request, and of a line that announces a length.
    pub max_inline_bytes: usize,
    /// Commands in one batch. A longer pipeline becomes several batches, one after the other.
    pub max_batch_commands: usize,
    /// Bytes of commands in one batch, unless a single command has more.
    pub max_batch_bytes: usize,
    /// Bytes of encoded replies that wait for the socket; what does not fit is encoded when these
    /// are gone.
    pub max_output_bytes: usize,
    /// How long a client may leave its replies unread before it is cut off.
    pub write_timeout: Duration,
    /// How long connections may take to finish what they read before the node stops.
    pub stop_timeout: Duration,
    /// The longest WAIT, also for those who would wait for ever.
    pub max_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            max_connections: 10_000,
            max_args: 65_536,
            max_bulk_bytes: 8 << 20,
            max_request_bytes: 16 << 20,
            max_held_bytes: 1 << 30,
            max_key_bytes: 64 << 10,
            max_inline_bytes: 64 << 10,
            max_batch_commands: 1024,
            max_batch_bytes: 1 << 20,
            max_output_bytes: 64 << 10,
            write_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            max_wait: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// Returns the limits that the scanner enforces.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            args: self.max_args,
            bulk_bytes: self.max_bulk_bytes,
            request_bytes: self.max_request_bytes,
            inline_bytes: self.max_inline_bytes,
        }
    }
}

/// What all connections share.
#[derive(Debug)]
pub struct Server<K> {
    kv: K,
    options: Options,
    stats: Stats,
    held: Held,
    lingering: Lingering,
    clients: Arc<Registry>,
    tracking: Arc<Tracking>,
    parameters: Parameters,
    paused: Paused,
    port: u16,
    started: Instant,
}

impl<K: Kv> Server<K> {
    /// Returns a server without connections; `port` is where clients are told it listens.
    pub fn new(kv: K, options: Options, port: u16) -> Arc<Self> {
        let clients = Arc::<Registry>::default();
        let tracking = Arc::new(Tracking::new(Arc::clone(&clients)));
        kv.observe(Arc::<Tracking>::clone(&tracking));
        Arc::new(Self {
            kv,
            parameters: Parameters::new(&options, port),
            paused: Paused::default(),
            options,
            stats: Stats::default(),
            held: Held::default(),
            lingering: Lingering::default(),
            clients,
            tracking,
            port,
            started: Instant::now(),
        })
    }

    /// Speaks with one client until it leaves, breaks the protocol, or the server stops.
    ///
    /// # Errors
    ///
    /// Those of the stream, and [`io::ErrorKind::TimedOut`] if the client does not read.
    pub async fn converse<R, W>(
        self: Arc<Self>,
        reader: R,
        writer: W,
        peer: String,
        local: String,
    ) -> io::Result<()>
    where
        R: AsyncRead + Unpin + Send,
        W: AsyncWrite + Unpin + Send,
    {
        let client = self.clients.admit(peer, local);
        let _leaves = Leaves { server: &self, client: &client };
        self.stats.connections_received.add(1);
        let connection = Connection::new(&self, &client, reader, writer);
        tokio::select! {
            biased;
            ended = connection.run() => ended,
            () = client.killed() => Ok(()),
        }
    }

    /// Asks every connection to finish what it has read and to close.
    pub fn stop(&self) {
        self.clients.stop();
    }
}

/// Takes a client off the list, also when its connection panics.
struct Leaves<'a, K> {
    server: &'a Server<K>,
    client: &'a Client,
}

impl<K> Drop for Leaves<'_, K> {
    fn drop(&mut self) {
        self.server.clients.dismiss(self.client.id);
        self.server.tracking.stop(self.client.id);
    }
}

/// Serves RESP until `stop` is ready; then finishes what was read, closes all connections, and
/// returns.
///
/// # Errors
///
/// If the listener has no address. Nothing that a client does, and nothing that `accept` returns,
/// ends it.
pub async fn serve<K: Kv>(
    listener: TcpListener,
    kv: K,
    options: Options,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let local = listener.local_addr()?;
    let server = Server::new(kv, options, local.port());
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    accept(&server, &mut connections, stream, peer, local);
                    // A client that comes again and again is not to hold up those that are here.
                    tokio::task::yield_now().await;
                }
                Err(error) => back_off(&error).await,
            },
        }
    }
    drop(listener);
    server.stop();
    let finish = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(server.options.stop_timeout, finish).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting off connections that do not end");
        connections.shutdown().await;
    }
    Ok(())
}

fn accept<K: Kv>(
    server: &Arc<Server<K>>,
    connections: &mut JoinSet<io::Result<()>>,
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
) {
    if connections.len() >= server.options.max_connections {
        server.stats.connections_rejected.add(1);
        // The socket is new: its send buffer takes so short a line at once, or the client is gone.
        if let Ok(mut stream) = stream.into_std() {
            let _ = stream.write(b"-ERR max number of clients reached\r\n");
        }
        return;
    }
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%peer, %error, "a client left at once");
        return;
    }
    let server = Arc::clone(server);
    let local = stream.local_addr().unwrap_or(local).to_string();
    let (reader, writer) = stream.into_split();
    connections.spawn(server.converse(reader, writer, peer.to_string(), local));
}

/// Small replies leave at once, and a peer that vanished without a word is noticed within minutes.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(300))
        .with_interval(Duration::from_secs(100))
        .with_retries(3);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// A client that gave up before it was accepted is no reason to wait; having no file descriptors
/// left is.
async fn back_off(error: &io::Error) {
    let is_gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    if !is_gone {
        tracing::warn!(%error, "cannot accept RESP connections");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn report(ended: Result<io::Result<()>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a RESP connection broke"),
        Err(error) => tracing::error!(%error, "a RESP connection failed"),
    }
}
