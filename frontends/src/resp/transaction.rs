//! MULTI: the commands that wait for EXEC, and the keys that must not change until then.
//!
//! What is queued is only looked at as far as a name and a number of arguments go, and none of that
//! asks the cluster: MULTI, what is queued and DISCARD never fail because there is no leader. Only
//! EXEC may, and then nothing was done.

use bytes::Bytes;
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::Spec;

/// What the keys and values of a queued command cost beside their bytes.
const ARGUMENT_COST_BYTES: usize = 32;

/// A command that waits.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) spec: &'static Spec,
    pub(super) args: Vec<Vec<u8>>,
    /// Whether the client is told when its keys change.
    pub(super) is_tracked: bool,
}

/// Watched keys, and what each was like.
pub(super) type Watched = Vec<(Bytes, Bytes)>;

/// The state of a connection between WATCH or MULTI and EXEC.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// The commands since MULTI, if there was one.
    queue: Option<Vec<Queued>>,
    bytes: usize,
    /// Whether a command since MULTI was refused: then EXEC carries out none.
    has_failed: bool,
    watched: Watched,
}

impl Transaction {
    /// Returns how many commands wait, if MULTI was said.
    pub(super) fn queued(&self) -> Option<usize> {
        self.queue.as_ref().map(Vec::len)
    }

    /// Returns how many keys are watched.
    pub(super) fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Returns how many bytes all that takes.
    pub(super) fn bytes(&self) -> usize {
        let watched = self.watched.iter();
        self.bytes + watched.map(|(key, _)| key.len() + 2 * ARGUMENT_COST_BYTES).sum::<usize>()
    }

    /// Returns whether a command has to wait for EXEC.
    pub(super) fn queues(&self, spec: &Spec) -> bool {
        let is_at_once =
            matches!(spec.name, "multi" | "exec" | "discard" | "watch" | "quit" | "reset");
        self.queue.is_some() && !is_at_once
    }

    /// MULTI.
    pub(super) fn begin(&mut self) -> Reply {
        if self.queue.is_some() {
            return Reply::error("ERR MULTI calls can not be nested");
        }
        self.queue = Some(Vec::new());
        Reply::Ok
    }

    /// Lets a command wait, unless all would be larger than a batch may be.
    pub(super) fn queue(
        &mut self,
        spec: &'static Spec,
        args: &[&[u8]],
        is_tracked: bool,
        max_bytes: usize,
    ) -> Reply {
        self.bytes += args.iter().map(|arg| arg.len() + ARGUMENT_COST_BYTES).sum::<usize>();
        if self.bytes > max_bytes {
            self.fail();
            return Reply::error(format!("ERR the transaction has more than {max_bytes} bytes"));
        }
        let args = args.iter().map(|arg| arg.to_vec()).collect();
        self.queue.get_or_insert_default().push(Queued { spec, args, is_tracked });
        Reply::Simple("QUEUED")
    }

    /// A command was refused: if it was to be queued, so is EXEC.
    pub(super) fn fail(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.clear();
            self.bytes = 0;
            self.has_failed = true;
        }
    }

    /// DISCARD.
    pub(super) fn discard(&mut self) -> Reply {
        if self.queue.is_none() {
            return Reply::error("ERR DISCARD without MULTI");
        }
        *self = Self::default();
        Reply::Ok
    }

    /// UNWATCH.
    pub(super) fn unwatch(&mut self) -> Reply {
        self.watched.clear();
        Reply::Ok
    }

    /// Takes note of what a key is like. One that is watched already stays as it was.
    pub(super) fn watch(&mut self, key: &[u8], seen: Bytes) {
        if !self.watched.iter().any(|(watched, _)| watched == key) {
            self.watched.push((Bytes::copy_from_slice(key), seen));
        }
    }

    /// EXEC: takes the commands and the watched keys, each with what it was like; or tells why
    /// there is nothing to carry out.
    pub(super) fn end(&mut self) -> Result<(Vec<Queued>, Watched), Reply> {
        let Some(queue) = self.queue.take() else {
            return Err(Reply::error("ERR EXEC without MULTI"));
        };
        let ended = std::mem::take(self);
        if ended.has_failed {
            let text = "EXECABORT Transaction discarded because of previous errors.";
            return Err(Reply::error(text));
        }
        Ok((queue, ended.watched))
    }
}
