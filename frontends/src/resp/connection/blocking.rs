//! A command that waits: BLPOP and its like, from the first attempt to the reply.
//!
//! While it waits the client is still listened to: it may leave, and then what comes is not for it;
//! what it sends meanwhile is kept for later, within the size of one request.

use std::io;
use std::time::Duration;

use bytes::BufMut;
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::waits::{Call, is_nothing};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::{Connection, Flow, READ_BYTES_MAX, READ_BYTES_MIN};
use crate::resp::errors;
use crate::resp::registry::{Client, Unblock};
use crate::{Error, Kv, Unavailable};

/// Shows in CLIENT LIST that a client waits, for as long as it does.
struct Waiting<'a>(&'a Client);

impl<'a> Waiting<'a> {
    fn begin(client: &'a Client) -> Self {
        client.begin_waiting();
        Self(client)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.seen().is_blocked = false;
    }
}

impl<K: Kv, R, W> Connection<'_, K, R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    /// Carries out a call that waits at most so many milliseconds, zero for ever; `slot` is that of
    /// its first key. All that was asked for before has been answered.
    pub(super) async fn wait(
        &mut self,
        call: Call,
        patience_ms: u64,
        slot: u16,
        is_silent: bool,
    ) -> io::Result<Flow> {
        // What is answered already is not to wait as well.
        self.flush().await?;
        let (server, client) = (self.server, self.client);
        self.session.note(client);
        let patience = Duration::from_millis(patience_ms);
        let deadline = Instant::now().checked_add(patience).filter(|_| patience_ms > 0);
        let (begin, mut begun) = oneshot::channel::<()>();
        let (mut may_begin, mut waiting) = (true, None);
        let (stop, stopped) = oneshot::channel::<()>();
        let mut stop = Some(stop);
        let is_write = call.spec.is_write();
        let outcome = async {
            server.paused.wait(is_write).await;
            let stopped = async { drop(stopped.await) };
            server.kv.wait(call, client.id, begin, stopped).await
        };
        tokio::pin!(outcome);
        let mut unblocked = None;
        let outcome = loop {
            // What is there is for who says no more, too; what comes later is not.
            if self.is_at_end && waiting.is_some() {
                return Ok(Flow::Close);
            }
            let may_read = self.input.len() < server.options.max_request_bytes && !self.is_at_end;
            if may_read && self.input.capacity() == self.input.len() {
                self.input.reserve(READ_BYTES_MIN);
            }
            let mut space = (&mut self.input).limit(READ_BYTES_MAX);
            let has_deadline = deadline.is_some() && stop.is_some();
            tokio::select! {
                biased;
                outcome = &mut outcome => break outcome,
                has_begun = &mut begun, if may_begin => {
                    may_begin = false;
                    waiting = has_begun.ok().map(|()| Waiting::begin(client));
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if has_deadline => {
                    stop = None;
                }
                () = client.nudged() => {
                    unblocked = unblocked.or(client.take_unblock());
                    if unblocked.is_some() || client.is_stopping() {
                        stop = None;
                    }
                    if self.take_pushes() {
                        self.flush().await?;
                    }
                }
                read = self.reader.read_buf(&mut space), if may_read => {
                    self.is_at_end = read? == 0;
                }
            }
        };
        drop(waiting);
        self.look_at_cluster();
        let reply = self.end_of_wait(outcome, unblocked, slot);
        if !is_silent {
            self.send(reply).await?;
        }
        self.take_pushes();
        Ok(Flow::More)
    }

    /// Returns what a client is told when its waiting has ended.
    fn end_of_wait(
        &self,
        outcome: Result<Reply, Error>,
        unblocked: Option<Unblock>,
        slot: u16,
    ) -> Reply {
        match outcome {
            Ok(reply) if is_nothing(&reply) && unblocked == Some(Unblock::Error) => {
                Reply::error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
            }
            Ok(reply) if is_nothing(&reply) && self.client.is_stopping() => {
                let stopping = Error::Unavailable(Unavailable::Stopping);
                errors::reply(&stopping, &self.cluster, slot)
            }
            // Whatever the command says in a transaction, at the end of its time Redis says this.
            Ok(reply) if is_nothing(&reply) => Reply::NullArray,
            Ok(reply) => reply,
            Err(error) => errors::reply(&error, &self.cluster, slot),
        }
    }
}
