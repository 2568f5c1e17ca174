//! Who is connected, and what has been counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::encode::Protocol;
use super::push::Pushes;

/// A number that only grows, until CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What INFO shows under `# Stats`.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) connections_received: Counter,
    pub(super) connections_rejected: Counter,
    pub(super) commands_processed: Counter,
    pub(super) input_bytes: Counter,
    pub(super) output_bytes: Counter,
    pub(super) error_replies: Counter,
    pub(super) batches: Counter,
}

impl Stats {
    pub(super) fn reset(&self) {
        let all = [
            &self.connections_received,
            &self.connections_rejected,
            &self.commands_processed,
            &self.input_bytes,
            &self.output_bytes,
            &self.error_replies,
            &self.batches,
        ];
        all.into_iter().for_each(Counter::reset);
    }
}

/// Bytes of unfinished requests that all connections hold together, beyond what each may hold for
/// nothing.
#[derive(Debug, Default)]
pub(super) struct Held(AtomicU64);

impl Held {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one connection holds of them; nothing any more once it is gone.
#[derive(Debug)]
pub(super) struct Share<'a> {
    held: &'a Held,
    bytes: u64,
}

impl<'a> Share<'a> {
    pub(super) fn of(held: &'a Held) -> Self {
        Self { held, bytes: 0 }
    }

    /// Says how much it is now; returns whether it has grown.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let has_grown = bytes > self.bytes;
        if has_grown {
            self.held.0.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else if bytes < self.bytes {
            self.held.0.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        has_grown
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// All clients, by their id.
#[derive(Debug, Default)]
pub(super) struct Registry {
    last_id: AtomicU64,
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    is_stopping: AtomicBool,
}

impl Registry {
    /// Gives a new connection its id.
    pub(super) fn admit(&self, peer: String, local: String) -> Arc<Client> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client {
            id,
            peer,
            local,
            since: Instant::now(),
            seen: Mutex::new(Seen::default()),
            pushes: Pushes::default(),
            kill: Notify::new(),
            nudge: Notify::new(),
            is_stopping: AtomicBool::new(false),
            unblock: Mutex::default(),
        });
        self.lock().insert(id, Arc::clone(&client));
        // Whoever comes between the two lines of stop() is either seen there or sees this here.
        if self.is_stopping.load(Ordering::SeqCst) {
            client.ask_to_stop();
        }
        client
    }

    pub(super) fn dismiss(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// Asks all clients, also those that are just being admitted, to finish and close.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.all().iter().for_each(|client| client.ask_to_stop());
    }

    /// Returns all clients, by age.
    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn find(&self, id: u64) -> Option<Arc<Client>> {
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, as the others may see it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) peer: String,
    pub(super) local: String,
    pub(super) since: Instant,
    seen: Mutex<Seen>,
    pub(super) pushes: Pushes,
    kill: Notify,
    nudge: Notify,
    is_stopping: AtomicBool,
    unblock: Mutex<Option<Unblock>>,
}

/// How a client that waits is told to wait no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unblock {
    /// As if its time were over.
    Timeout,
    /// With an error.
    Error,
}

/// What CLIENT LIST shows beyond the addresses; brought up to date once for what was read at once.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) library: String,
    pub(super) library_version: String,
    pub(super) last_command: &'static str,
    pub(super) last_active: Instant,
    pub(super) protocol: Protocol,
    /// Commands that wait for EXEC, if MULTI was said.
    pub(super) queued: Option<usize>,
    /// Keys that are watched.
    pub(super) watched: usize,
    /// Whether a command waits for something to come.
    pub(super) is_blocked: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
            last_command: "NULL",
            last_active: Instant::now(),
            protocol: Protocol::default(),
            queued: None,
            watched: 0,
            is_blocked: false,
        }
    }
}

impl Client {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection wherever it is.
    pub(super) fn kill(&self) {
        self.kill.notify_one();
    }

    pub(super) async fn killed(&self) {
        self.kill.notified().await;
    }

    /// A command waits from now on.
    pub(super) fn begin_waiting(&self) {
        self.take_unblock();
        self.seen().is_blocked = true;
    }

    /// Has a command that waits wait no longer; returns whether there is one.
    pub(super) fn unblock(&self, how: Unblock) -> bool {
        let is_blocked = self.seen().is_blocked;
        if is_blocked {
            *self.unblock.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
            self.nudge.notify_one();
        }
        is_blocked
    }

    /// Returns how a command is to wait no longer, if it was told to.
    pub(super) fn take_unblock(&self) -> Option<Unblock> {
        self.unblock.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn ask_to_stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.nudge.notify_one();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Waits until the server stops; one task of a connection at a time.
    pub(super) async fn asked_to_stop(&self) {
        while !self.is_stopping() {
            self.nudge.notified().await;
        }
    }

    /// Tells the client something it has not asked for, if it speaks a protocol that can say it.
    pub(super) fn push(&self, message: &[u8]) {
        if self.seen().protocol == Protocol::Resp3 {
            self.pushes.add(message);
            self.nudge.notify_one();
        }
    }

    /// Waits until there is a push, or the connection is asked to stop. Comes in vain at times.
    pub(super) async fn nudged(&self) {
        self.nudge.notified().await;
    }
}
