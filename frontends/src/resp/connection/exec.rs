//! WATCH and EXEC: the two commands of a transaction that ask the keyspace.

use std::io;

use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::{Batch, Spec};
use raftkv_storage::keyspace::watch;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Flow};
use crate::Kv;
use crate::resp::errors;
use crate::resp::session::{Outcome, answers};
use crate::resp::transaction::{Queued, Watched};

/// The most keys that a connection watches.
const WATCHED_MAX: usize = 4096;

impl<K: Kv, R, W> Connection<'_, K, R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    /// WATCH: sees what the keys are like, as any read does.
    pub(super) async fn watch(&mut self, keys: &[&[u8]]) -> Reply {
        if self.session.transaction.queued().is_some() {
            return Reply::error("ERR WATCH inside MULTI is not allowed");
        }
        if self.session.transaction.watched() + keys.len() > WATCHED_MAX {
            return Reply::error(format!("ERR more than {WATCHED_MAX} keys are watched"));
        }
        let max_key_bytes = self.server.options.max_key_bytes;
        if keys.iter().any(|key| key.len() > max_key_bytes) {
            return Reply::error(format!("ERR key is longer than {max_key_bytes} bytes"));
        }
        let slot = keys.first().map_or(errors::NO_KEY_SLOT, |key| errors::slot(key));
        let replies = match self.submit(watch::see(keys)).await {
            Ok(replies) => replies,
            Err(error) => return errors::reply(&error, &self.cluster, slot),
        };
        let Some(Reply::Array(seen)) = replies.into_iter().next() else {
            return Reply::error("ERR the keys could not be looked at");
        };
        for (key, seen) in keys.iter().zip(seen) {
            if let Reply::Bulk(seen) = seen {
                self.session.transaction.watch(key, seen);
            }
        }
        Reply::Ok
    }

    /// EXEC: one batch for the keyspace, so one entry of the log; what the session answers by
    /// itself is answered when that is done, in its place.
    pub(super) async fn exec(&mut self, is_silent: bool) -> io::Result<Flow> {
        let (queue, watched) = match self.session.transaction.end() {
            Ok(ended) => ended,
            Err(error) => return self.reply_to_exec(error, is_silent).await,
        };
        let (batch, slot) = self.batch_of(&queue, &watched);
        let is_guarded = !watched.is_empty();
        let mut replies = Vec::new();
        if !batch.is_empty() {
            match self.submit(batch).await {
                Ok(done) => replies = done,
                Err(error) => {
                    let error = errors::reply(&error, &self.cluster, slot);
                    return self.reply_to_exec(error, is_silent).await;
                }
            }
        }
        let mut replies = replies.into_iter();
        if is_guarded && replies.next() != Some(Reply::Ok) {
            return self.reply_to_exec(Reply::NullArray, is_silent).await;
        }
        let (mut all, mut flow) = (Vec::with_capacity(queue.len()), Flow::More);
        for queued in &queue {
            let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
            if !answers(queued.spec, &args) {
                all.extend(replies.next());
                continue;
            }
            match self.session.run(self.server, self.client, queued.spec, &args).await {
                Outcome::Reply(reply) | Outcome::Always(reply) => all.push(reply),
                Outcome::Silence => all.push(Reply::Null),
                Outcome::Close(reply) => {
                    all.push(reply);
                    flow = Flow::Close;
                }
            }
        }
        self.reply_to_exec(Reply::Array(all), is_silent).await.map(|_| flow)
    }

    /// Returns what the keyspace is asked for, and the slot of its first key.
    fn batch_of(&self, queue: &[Queued], watched: &Watched) -> (Batch, u16) {
        let mut batch = Batch::new();
        batch.set_atomic();
        let mut slot = watched.first().map(|(key, _)| errors::slot(key));
        if !watched.is_empty() {
            let seen: Vec<&[u8]> =
                watched.iter().flat_map(|(key, seen)| [&key[..], &seen[..]]).collect();
            watch::guard(&mut batch, &seen);
        }
        for queued in queue {
            let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
            if answers(queued.spec, &args) {
                continue;
            }
            slot = slot.or_else(|| first_slot(queued.spec, &args));
            if queued.is_tracked {
                let keys = queued.spec.keys(&args).filter_map(|key| args.get(key).copied());
                self.server.tracking.remember(self.client.id, keys);
            }
            batch.push(queued.spec.in_effect(&args), &args);
        }
        (batch, slot.unwrap_or(errors::NO_KEY_SLOT))
    }

    async fn reply_to_exec(&mut self, reply: Reply, is_silent: bool) -> io::Result<Flow> {
        if !is_silent {
            self.send(reply).await?;
        }
        self.take_pushes();
        Ok(Flow::More)
    }
}

fn first_slot(spec: &Spec, args: &[&[u8]]) -> Option<u16> {
    let first = spec.keys(args).next()?;
    args.get(first).map(|key| errors::slot(key))
}
