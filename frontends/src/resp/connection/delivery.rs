//! The way back: what a turn asked for is carried out, encoded, and sent.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};

use bytes::{BufMut, BytesMut};
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::Batch;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::{Connection, Flow, READ_BYTES_MAX, READ_BYTES_MIN};
use crate::pace::Pace;
use crate::resp::encode::{Protocol, Step};
use crate::resp::errors;
use crate::resp::turn::{Answer, Turn};
use crate::{Error, Kv, Unavailable};

/// What is copied to the socket at once. Between two pieces it is the turn of others: hundreds of
/// clients that fetch large values at the same time must not hold up the loop that leads.
const PIECE_BYTES: usize = 16 << 10;
/// An output buffer up to this size is kept while the client is idle: there may be ten thousand of
/// them.
const OUTPUT_KEPT_BYTES: usize = 16 * 1024;
/// For how long what a client still sends is thrown away after an error, so that the error reaches
/// it.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// What is thrown away before it is the turn of others.
const LINGER_BYTES: usize = 64 << 10;
/// What is thrown away at once, of all clients together.
const LINGER_BYTES_AT_ONCE: u32 = 16 << 20;
/// What is thrown away of them in each second after that: in pieces of a few bytes, that is work
/// too.
const LINGER_BYTES_PER_SECOND: u32 = 4 << 20;

/// What all clients may still send after an error.
#[derive(Debug)]
pub(in crate::resp) struct Lingering(Mutex<Pace>);

impl Default for Lingering {
    fn default() -> Self {
        Self(Mutex::new(Pace::new(LINGER_BYTES_PER_SECOND, LINGER_BYTES_AT_ONCE)))
    }
}

impl Lingering {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether more may be thrown away.
    fn is_allowed(&self) -> bool {
        self.pace().wait(Instant::now()).is_none()
    }

    fn note(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let _ = self.pace().note(bytes, Instant::now());
    }
}

impl<K: Kv, R, W> Connection<'_, K, R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    /// Has the batch carried out and puts all answers into the output, in the order they were asked
    /// for.
    pub(super) async fn execute(&mut self, turn: &mut Turn, input: &[u8]) -> io::Result<()> {
        let batch = std::mem::take(&mut turn.batch);
        let asked = batch.len();
        let result = if asked == 0 { Ok(Vec::new()) } else { self.submit(batch).await };
        let mut replies = match &result {
            Ok(replies) => replies.len(),
            Err(_) => asked,
        };
        assert_eq!(replies, asked, "a batch is answered command by command");
        let (error, mut done) = match result {
            Ok(done) => (None, done.into_iter()),
            Err(error) => (Some(error), Vec::new().into_iter()),
        };
        let mut local = 0;
        for answer in turn.order.drain(..) {
            match answer {
                Answer::Local(length) => {
                    self.output.extend_from_slice(&turn.local[local..local + length]);
                    local += length;
                    if self.output.len() >= self.server.options.max_output_bytes {
                        self.flush().await?;
                    }
                }
                Answer::Keyspace { key, is_silent } => {
                    replies -= 1;
                    let reply = match &error {
                        None => done.next(),
                        Some(error) => Some(errors::reply(error, &self.cluster, key.slot(input))),
                    };
                    let Some(reply) = reply.filter(|_| !is_silent) else { continue };
                    self.send(reply).await?;
                }
            }
        }
        assert_eq!(replies, 0, "every command of a batch has its place in the order");
        turn.local.clear();
        self.take_pushes();
        Ok(())
    }

    /// Has a batch carried out that is not empty.
    pub(super) async fn submit(&mut self, mut batch: Batch) -> Result<Vec<Reply>, Error> {
        batch.set_origin(self.client.id);
        self.server.stats.batches.add(1);
        let result = tokio::select! {
            biased;
            () = self.server.paused.wait(batch.has_writes()) => {
                self.server.kv.execute(batch).await
            }
            // What is paused has not begun.
            () = self.client.asked_to_stop() => Err(Error::Unavailable(Unavailable::Stopping)),
        };
        // What is refused from now on, or was refused just now, is explained by what is known now.
        self.look_at_cluster();
        result
    }

    /// Puts what the client is told unasked into the output, and returns whether there was any.
    /// Only when all that was asked for is answered: a change that a reply does not show stands
    /// behind it.
    pub(super) fn take_pushes(&mut self) -> bool {
        let Some(pushes) = self.client.pushes.take() else { return false };
        // Who has gone back to RESP2 meanwhile cannot read them.
        if self.session.protocol == Protocol::Resp3 {
            self.output.extend_from_slice(&pushes);
        }
        true
    }

    /// Encodes a reply into the output, which is sent whenever it is full.
    pub(super) async fn send(&mut self, reply: Reply) -> io::Result<()> {
        if matches!(reply, Reply::Error(_)) {
            self.server.stats.error_replies.add(1);
        }
        let (protocol, limit) = (self.session.protocol, self.server.options.max_output_bytes);
        let mut step = self.encoder.start(reply, protocol, &mut self.output, limit);
        while step != Step::Done {
            self.flush().await?;
            if let Step::Large(bytes) = &step {
                self.write(bytes).await?;
            }
            step = self.encoder.resume(protocol, &mut self.output, limit);
        }
        if self.output.len() >= limit {
            self.flush().await?;
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let mut output = std::mem::take(&mut self.output);
        self.write(&output).await?;
        output.clear();
        self.output = output;
        Ok(())
    }

    /// Writes all, and meanwhile takes in what the client sends, within the size of one request.
    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.server.stats.output_bytes.add(bytes.len() as u64);
        let patience = self.server.options.write_timeout;
        // Only what the client takes gives it more time, not what it sends.
        let mut deadline = Instant::now() + patience;
        while !bytes.is_empty() {
            let options = &self.server.options;
            let may_read = !self.is_at_end
                && self.input.len() < options.max_request_bytes
                && self.server.held.bytes() < options.max_held_bytes;
            if may_read && self.input.capacity() == self.input.len() {
                self.input.reserve(READ_BYTES_MIN);
            }
            let mut space = (&mut self.input).limit(READ_BYTES_MAX);
            let step = async {
                tokio::select! {
                    biased;
                    written = self.writer.write(&bytes[..bytes.len().min(PIECE_BYTES)]) => {
                        written.map(Some)
                    }
                    read = self.reader.read_buf(&mut space), if may_read => {
                        self.is_at_end = read? == 0;
                        Ok(None)
                    }
                }
            };
            match timeout_at(deadline, step).await?? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(written) => {
                    bytes = &bytes[written..];
                    deadline = Instant::now() + patience;
                    if !bytes.is_empty() {
                        tokio::task::yield_now().await;
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Memory that one large request or reply needed is not kept for the small ones that follow.
    pub(super) fn shrink(&mut self) {
        if self.input.is_empty() && self.input.capacity() > self.read_bytes {
            self.input = Vec::new();
        }
        if self.output.capacity() > OUTPUT_KEPT_BYTES {
            self.output = BytesMut::new();
        }
    }

    /// Ends the stream. Closing a socket with unread input makes the kernel throw away what is on
    /// its way to the client; so after an error what still comes is read for a moment.
    pub(super) async fn close(mut self, flow: Flow) -> io::Result<()> {
        timeout(self.server.options.write_timeout, self.writer.shutdown()).await??;
        if flow != Flow::Reject {
            return Ok(());
        }
        let linger = async {
            let mut scratch = vec![0; LINGER_BYTES];
            // Looked at when something has come: many may wait for that at once.
            let mut discard = poll_fn(|context| {
                if !self.server.lingering.is_allowed() {
                    return Poll::Ready(0);
                }
                let mut buffer = ReadBuf::new(&mut scratch);
                let read = ready!(Pin::new(&mut self.reader).poll_read(context, &mut buffer));
                let bytes = read.map_or(0, |()| buffer.filled().len());
                self.server.lingering.note(bytes);
                Poll::Ready(bytes)
            });
            while (&mut discard).await > 0 {
                // Between two pieces it is the turn of others.
                tokio::task::yield_now().await;
            }
        };
        // Out of time is as good as out of input.
        tokio::select! {
            _ = timeout(LINGER_TIME, linger) => {}
            () = self.client.asked_to_stop() => {}
        }
        Ok(())
    }
}
