//! Connections: accepted, bounded in number and in time, and ended in good order.
//!
//! Accepting survives every error. What no longer fits is told so and closed, at once and at little
//! cost; a connection that ends with bytes unread is closed in two steps, since a plain close would
//! take the response back (a reset throws away what the client has not read yet).

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Options;
use super::error::Failure;
use super::guard::{End, Guard, LastBody, Turns};
use super::router::Service;
use crate::Kv;

/// How long accepting rests when the process has run out of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections beyond [`Options::max_connections`] that are told so, at one time; any further one
/// is closed without a word.
pub const REFUSALS: usize = 64;

/// How long a closed connection may take to read the last response, and how much it may still send.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 << 20;

/// The head of a request, with its target of at most 64 KiB; also how much of a body is read ahead.
const BUFFER_BYTES: usize = 256 << 10;

/// Serves HTTP until `stop` is ready; then requests under way are finished, within a time, and
/// connections closed. One that has not arrived whole is not under way.
///
/// # Errors
///
/// None today: whatever goes wrong with a connection, the next one is accepted.
pub async fn serve<K: Kv>(
    listener: TcpListener,
    kv: K,
    options: Options,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stopping, stopped) = watch::channel(());
    let routes = Arc::new(Service::new(kv, &options, stopped.clone()));
    let slots = Slots::new(options.max_connections);
    let options = Arc::new(options);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            stream = accept(&listener) => stream,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
        };
        match slots.take() {
            Slot::Open(held) => {
                // Without it a response of two segments waits for the client's delayed
                // acknowledgement.
                let _ = stream.set_nodelay(true);
                let conversation =
                    converse(stream, routes.clone(), options.clone(), stopped.clone());
                connections.spawn(async move {
                    conversation.await;
                    drop(held);
                });
            }
            Slot::Refusal(held) => {
                connections.spawn(refuse(stream, stopped.clone(), held));
            }
            Slot::None => {}
        }
        // A client that comes again and again is not to hold up those that are here.
        tokio::task::yield_now().await;
    }
    drop((listener, stopping));
    let finish = async { while connections.join_next().await.map(report).is_some() {} };
    if timeout(options.stop_timeout, finish).await.is_err() {
        tracing::warn!("HTTP requests still under way are cut off");
    }
    Ok(())
}

/// Serves HTTP over one connection that is open already, whatever carries its bytes, until either
/// side has enough.
pub async fn serve_connection<K: Kv>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    kv: K,
    options: Options,
) {
    let (_stopping, stopped) = watch::channel(());
    let routes = Arc::new(Service::new(kv, &options, stopped.clone()));
    converse(stream, routes, Arc::new(options), stopped).await;
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an HTTP connection ended by a panic");
    }
}

/// Accepts one connection, however often it takes.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // These are about the one connection, which is gone.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted
                        | ErrorKind::ConnectionReset
                        | ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting HTTP connections pauses");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections there may be.
struct Slots {
    open: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
}

enum Slot {
    Open(OwnedSemaphorePermit),
    Refusal(OwnedSemaphorePermit),
    None,
}

impl Slots {
    fn new(connections: usize) -> Self {
        let open = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Self { open, refusals: Arc::new(Semaphore::new(REFUSALS)) }
    }

    fn take(&self) -> Slot {
        if let Ok(held) = self.open.clone().try_acquire_owned() {
            return Slot::Open(held);
        }
        self.refusals.clone().try_acquire_owned().map_or(Slot::None, Slot::Refusal)
    }
}

/// Answers the requests of one connection until either side has enough.
async fn converse<K: Kv>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    routes: Arc<Service<K>>,
    options: Arc<Options>,
    mut stopped: watch::Receiver<()>,
) {
    let turns = Turns::default();
    let (head, stall) = (options.header_timeout, options.write_timeout);
    let guard = Guard::new(stream, head, stall, turns.clone());
    let ours = turns.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (routes, turn) = (Arc::clone(&routes), ours.begin());
        Box::pin(async move {
            let response = routes.answer(request.map(Body::new)).await;
            Ok::<_, Infallible>(response.map(|body| LastBody::new(body, turn)))
        })
    });
    let mut connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.idle_timeout)
        .max_buf_size(BUFFER_BYTES)
        .max_header_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(guard), service);
    let mut is_stopping = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            _ = stopped.changed(), if !is_stopping => {
                is_stopping = true;
                // All that may have come is a part of a request.
                if turns.is_settled() {
                    break Ok(());
                }
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    if let Err(error) = &ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
    let parts = connection.into_parts();
    let (mut stream, end) = parts.io.into_inner().into_parts(&parts.read_buf);
    if let Some(failure) = last_failure(&end, ended.err(), turns.is_settled()) {
        let words = failure.last_words(end.is_head);
        let _ = timeout(LINGER_TIME, stream.write_all(&words)).await;
    }
    // A server that stops finished what it had begun, and keeps nobody waiting.
    if !is_stopping {
        linger(stream, stopped).await;
    }
}

/// Returns what a client is to be told when its connection ends, if it has not been told.
fn last_failure(end: &End, error: Option<hyper::Error>, is_settled: bool) -> Option<Failure> {
    if end.is_cut {
        return Some(Failure::SlowHead);
    }
    // While something else is being answered, nobody could tell what the answer is to.
    let error = error.filter(|error| error.is_parse() && is_settled)?;
    let status = end.verdict.unwrap_or(StatusCode::BAD_REQUEST);
    Some(Failure::Rejected(status, error.to_string()))
}

/// Tells a client that there is no room.
async fn refuse(mut stream: TcpStream, stopped: watch::Receiver<()>, _held: OwnedSemaphorePermit) {
    let words = Failure::Busy("too many connections are open here").last_words(false);
    if let Ok(Ok(())) = timeout(LINGER_TIME, stream.write_all(&words)).await {
        linger(stream, stopped).await;
    }
}

/// Closes a connection so that the client can still read what it was sent: says that nothing more
/// will come, then throws away what arrives until the client closes too, within limits, and not
/// when the server stops.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin, mut stopped: watch::Receiver<()>) {
    let close = async {
        stream.shutdown().await?;
        let mut left = LINGER_BYTES;
        let mut buffer = vec![0; 4 << 10];
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // However it ends, the connection is gone.
    tokio::select! {
        _ = timeout(LINGER_TIME, close) => {}
        _ = stopped.changed() => {}
    }
}
