//! Who is told of which key: the table behind CLIENT TRACKING.
//!
//! ```text
//! GET k   remembered when it is asked      table: k → clients that have read it
//! SET k   applied: they are told, once     prefixes: p → clients that want all of p (BCAST)
//! ```
//!
//! What makes it safe to cache: a read is remembered before it is submitted, and a push is written
//! behind the replies to all that its connection had asked before. So whatever a reply says, a
//! change that it does not show is told after it. A key may be told that has not changed; none that
//! has changed may be left out. Only the node that leads reads, and a node that no longer leads
//! does not hear of changes in time: then everything is told to have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use raftkv_storage::keyspace::changes::Change;
use tokio::runtime::Handle;

use super::push;
use super::registry::Registry;
use crate::Observer;

/// As many keys as Redis remembers, unless it is told otherwise.
pub(super) const KEYS_MAX: usize = 1_000_000;
/// The most bytes of the table: keys, and what each costs beside, and each client of a key.
const TABLE_BYTES_MAX: usize = 256 << 20;
const KEY_COST_BYTES: usize = 96;
const ITEM_BYTES: usize = 8;
/// More keys than this are dropped away from the loop.
const DROPPED_KEYS_MAX: usize = 1024;

/// What a client has asked for with CLIENT TRACKING.
#[derive(Clone, Debug, Default)]
pub(super) struct Mode {
    /// The client that is told in its place; zero if there is none.
    pub(super) redirect: u64,
    /// Whether that client was gone when it was to be told.
    pub(super) is_broken: bool,
    /// Whether it is told of all keys with a prefix, rather than of those it has read.
    pub(super) is_broadcast: bool,
    pub(super) prefixes: BTreeSet<Bytes>,
    /// Whether it is not told of what it has changed itself.
    pub(super) is_noloop: bool,
    pub(super) rule: Rule,
}

/// Which reads are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rule {
    #[default]
    All,
    /// Those after CLIENT CACHING YES.
    OptIn,
    /// All but those after CLIENT CACHING NO.
    OptOut,
}

/// All clients that track, and what they have read.
#[derive(Debug)]
pub(super) struct Tracking {
    registry: Arc<Registry>,
    is_used: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    clients: BTreeMap<u64, Mode>,
    keys: BTreeMap<Bytes, Vec<u64>>,
    prefixes: BTreeMap<Bytes, BTreeSet<u64>>,
    /// Clients of all keys together.
    items: usize,
    /// Bytes of keys, and what they cost.
    bytes: usize,
    keys_max: usize,
    /// Where the next key to be forgotten is looked for.
    next_forgotten: Bytes,
}

/// What INFO shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) clients: usize,
    pub(super) keys: usize,
    pub(super) items: usize,
    pub(super) prefixes: usize,
}

impl Tracking {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        let table = Table {
            clients: BTreeMap::new(),
            keys: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            items: 0,
            bytes: 0,
            keys_max: KEYS_MAX,
            next_forgotten: Bytes::new(),
        };
        Self { registry, is_used: AtomicBool::new(false), table: Mutex::new(table) }
    }

    /// Returns what a client has asked for, if it tracks.
    pub(super) fn mode(&self, client: u64) -> Option<Mode> {
        self.lock().clients.get(&client).cloned()
    }

    pub(super) fn figures(&self) -> Figures {
        let table = self.lock();
        Figures {
            clients: table.clients.len(),
            keys: table.keys.len(),
            items: table.items,
            prefixes: table.prefixes.len(),
        }
    }

    /// A client tracks from now on, or in another way than before.
    pub(super) fn start(&self, client: u64, mode: Mode) {
        let mut table = self.lock();
        for prefix in &mode.prefixes {
            table.prefixes.entry(prefix.clone()).or_default().insert(client);
        }
        table.clients.insert(client, mode);
        self.is_used.store(true, Ordering::SeqCst);
    }

    /// A client no longer tracks, or is gone. What it has read stays in the table until it changes
    /// or has to make room.
    pub(super) fn stop(&self, client: u64) {
        if !self.is_watching() {
            return;
        }
        let mut table = self.lock();
        let Some(mode) = table.clients.remove(&client) else { return };
        for prefix in &mode.prefixes {
            let is_last = table.prefixes.get_mut(prefix).is_some_and(|clients| {
                clients.remove(&client);
                clients.is_empty()
            });
            if is_last {
                table.prefixes.remove(prefix);
            }
        }
        if table.clients.is_empty() {
            // Nobody hears of changes from now on, so nothing may be taken to be unchanged later.
            table.forget_all();
            self.is_used.store(false, Ordering::SeqCst);
        }
    }

    /// A client is about to read these keys.
    pub(super) fn remember<'a>(&self, client: u64, keys: impl Iterator<Item = &'a [u8]>) {
        let mut table = self.lock();
        for key in keys {
            table.remember(client, key);
            while table.is_full() {
                let Some((key, clients)) = table.forget_next() else { break };
                let message = push::invalidate([&*key].into_iter());
                for client in clients {
                    self.tell_reader(&mut table, client, &message);
                }
            }
        }
    }

    /// Sets the most keys that are remembered; zero for any number.
    pub(super) fn set_keys_max(&self, keys_max: usize) {
        let mut table = self.lock();
        table.keys_max = if keys_max == 0 { usize::MAX } else { keys_max };
        if table.is_full() {
            self.tell_everything(&mut table);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All keys may have changed.
    fn tell_everything(&self, table: &mut Table) {
        table.forget_all();
        let message = push::everything();
        for (client, mode) in &mut table.clients {
            self.tell(*client, mode, &message);
        }
    }

    /// Tells those that have read a key, and forgets that they have.
    fn tell_of(&self, table: &mut Table, key: &[u8], origin: u64) {
        let Some(mut clients) = table.forget(key) else { return };
        let message = push::invalidate([key].into_iter());
        clients.retain(|client| {
            let is_own =
                *client == origin && table.clients.get(client).is_some_and(|mode| mode.is_noloop);
            if !is_own {
                self.tell_reader(table, *client, &message);
            }
            is_own
        });
        // Who knows of this change is still to hear of the next one.
        for client in clients {
            table.remember(client, key);
        }
    }

    fn tell_reader(&self, table: &mut Table, client: u64, message: &[u8]) {
        if let Some(mode) = table.clients.get_mut(&client).filter(|mode| !mode.is_broadcast) {
            self.tell(client, mode, message);
        }
    }

    fn tell(&self, client: u64, mode: &mut Mode, message: &[u8]) {
        let to = if mode.redirect == 0 { client } else { mode.redirect };
        match (self.registry.find(to), self.registry.find(client)) {
            (Some(to), _) => to.push(message),
            (None, Some(client)) => {
                mode.is_broken = true;
                client.push(&push::redirect_broken(to));
            }
            (None, None) => {}
        }
    }

    /// Tells those that listen to prefixes: of each, all keys at once.
    fn broadcast(&self, table: &mut Table, changed: &BTreeMap<Bytes, Changed<'_>>) {
        for (prefix, keys) in changed {
            let Some(listeners) = table.prefixes.get(prefix) else { continue };
            let all = push::invalidate(keys.keys().copied());
            for client in listeners {
                let Some(mode) = table.clients.get_mut(client) else { continue };
                if !mode.is_noloop {
                    self.tell(*client, mode, &all);
                } else if let Some(message) = of_others(keys, *client) {
                    self.tell(*client, mode, &message);
                }
            }
        }
    }
}

/// Keys, and who has changed each last.
type Changed<'a> = BTreeMap<&'a [u8], u64>;

fn of_others(keys: &Changed<'_>, client: u64) -> Option<BytesMut> {
    let keys = keys.iter().filter(|(_, origin)| **origin != client).map(|(key, _)| *key);
    let keys: Vec<_> = keys.collect();
    (!keys.is_empty()).then(|| push::invalidate(keys.into_iter()))
}

impl Observer for Tracking {
    fn is_watching(&self) -> bool {
        self.is_used.load(Ordering::SeqCst)
    }

    fn changed(&self, changes: &[Change]) {
        let mut table = self.lock();
        let mut broadcast = BTreeMap::<Bytes, Changed<'_>>::new();
        for Change { key, origin } in changes {
            let Some(key) = key else {
                self.tell_everything(&mut table);
                continue;
            };
            for prefix in table.prefixes_of(key) {
                broadcast.entry(prefix).or_default().insert(key, *origin);
            }
            self.tell_of(&mut table, key, *origin);
        }
        self.broadcast(&mut table, &broadcast);
    }
}

impl Table {
    fn remember(&mut self, client: u64, key: &[u8]) {
        let clients = match self.keys.get_mut(key) {
            Some(clients) => clients,
            None => {
                self.bytes += key.len() + KEY_COST_BYTES;
                self.keys.entry(Bytes::copy_from_slice(key)).or_default()
            }
        };
        if let Err(place) = clients.binary_search(&client) {
            clients.insert(place, client);
            self.items += 1;
        }
    }

    fn is_full(&self) -> bool {
        self.keys.len() > self.keys_max || self.bytes + self.items * ITEM_BYTES > TABLE_BYTES_MAX
    }

    fn forget(&mut self, key: &[u8]) -> Option<Vec<u64>> {
        let clients = self.keys.remove(key)?;
        self.bytes -= key.len() + KEY_COST_BYTES;
        self.items -= clients.len();
        Some(clients)
    }

    /// Forgets one key to make room: each time the next one in their order, round and round.
    fn forget_next(&mut self) -> Option<(Bytes, Vec<u64>)> {
        let from = (Bound::Included(&self.next_forgotten), Bound::Unbounded);
        let next = self.keys.range::<Bytes, _>(from).next().or_else(|| self.keys.iter().next());
        let key = next?.0.clone();
        let clients = self.forget(&key)?;
        self.next_forgotten = key.clone();
        Some((key, clients))
    }

    fn forget_all(&mut self) {
        (self.items, self.bytes) = (0, 0);
        let keys = std::mem::take(&mut self.keys);
        // There may be a million, and the loop that leads may be waiting.
        if keys.len() > DROPPED_KEYS_MAX
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(keys));
        }
    }

    /// Returns the prefixes of a key to which somebody listens.
    ///
    /// The greatest one that is not above the key is a prefix of it, or tells how much of the key
    /// any other can have: they all are between its beginning and the key.
    fn prefixes_of(&self, key: &[u8]) -> Vec<Bytes> {
        let mut found = Vec::new();
        let mut head = key;
        loop {
            let below = (Bound::Unbounded, Bound::Included(head));
            let Some((prefix, _)) = self.prefixes.range::<[u8], _>(below).next_back() else {
                return found;
            };
            let common = prefix.iter().zip(head).take_while(|(one, other)| one == other).count();
            if common < prefix.len() {
                head = &head[..common];
                continue;
            }
            found.push(prefix.clone());
            if common == 0 {
                return found;
            }
            head = &head[..common - 1];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(prefixes: &[&'static str]) -> Table {
        let tracking = Tracking::new(Arc::default());
        let prefixes = prefixes.iter().map(|prefix| Bytes::from(*prefix)).collect();
        tracking.start(1, Mode { is_broadcast: true, prefixes, ..Mode::default() });
        tracking.table.into_inner().unwrap()
    }

    #[test]
    fn every_prefix_of_a_key_is_found() {
        let names = ["", "a", "ab", "abcde", "abd", "abz", "b", "aa", "abc:", "abcdf"];
        let table = table(&names);
        for key in ["", "a", "ab", "abc", "abcd", "abcde", "abcdef", "abx", "abzz", "b", "zz", "A"]
        {
            let mut expected: Vec<_> =
                names.iter().filter(|name| key.starts_with(**name)).collect();
            expected.sort_unstable_by(|one, other| other.cmp(one));
            let found = table.prefixes_of(key.as_bytes());
            assert!(
                found.iter().eq(expected.iter().map(|name| name.as_bytes())),
                "{key}: {found:?}"
            );
        }
    }

    #[tokio::test]
    async fn figures_add_up_whatever_is_forgotten() {
        let tracking = Tracking::new(Arc::default());
        tracking.start(1, Mode::default());
        tracking.start(2, Mode { is_noloop: true, ..Mode::default() });
        tracking.set_keys_max(3);
        for key in ["d", "a", "c", "b", "e", "f"] {
            tracking.remember(1, [key.as_bytes()].into_iter());
            tracking.remember(2, [key.as_bytes(), key.as_bytes()].into_iter());
        }
        let check = |keys: usize, items: usize| {
            let table = tracking.lock();
            let names: usize = table.keys.keys().map(|key| key.len() + KEY_COST_BYTES).sum();
            assert_eq!((table.keys.len(), table.items, table.bytes), (keys, items, names));
            assert_eq!(table.items, table.keys.values().map(Vec::len).sum::<usize>());
        };
        check(3, 6);
        let left: Vec<Bytes> = tracking.lock().keys.keys().cloned().collect();
        // Its own change is not told to 2, which stays to be told of the next one.
        tracking.changed(&[Change { key: Some(left[0].clone()), origin: 2 }]);
        check(3, 5);
        tracking.changed(&[Change { key: Some(left[0].clone()), origin: 1 }]);
        check(2, 4);
        tracking.changed(&[Change { key: None, origin: 0 }]);
        check(0, 0);
        tracking.stop(1);
        tracking.remember(2, [&b"k"[..]].into_iter());
        tracking.stop(2);
        check(0, 0);
        assert!(!tracking.is_watching());
    }
}
