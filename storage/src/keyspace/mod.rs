//! The keyspace: keys and their values, a pure function of the log.
//!
//! Every server applies the same entries in the same order, and so must come to the same keys, byte
//! for byte. That is why nothing here asks a clock, draws a random number, or walks a hash map:
//! time and chance come with the entry ([`Stamp`](command::Stamp)), and order is the order of fixed
//! hashes (`hash`). It is also why nothing here may fail: a command answers an error, or it is
//! done.
//!
//! - [`command`], `table`, `container`: what a command is, and which there are · `batch`: its
//!   bytes in the log · [`reply`]: answers
//! - `store`: the trie that freezes · `database`: keys and deadlines in step · `item`, `value`:
//!   what a key holds · `collection`, `sequence`: values of many entries, packed
//! - `strings` (`bitmaps`, `hyperloglog`), `hashes`, `lists`, `sets`, `zsets` (`geo`), `streams`;
//!   `generic`, `sort`, `rdb`, `scan`, `expire`, `server`, [`http`], [`slots`], [`watch`]: rows and
//!   handlers · `session`: rows alone · [`waits`]: what commands wait for
//! - `snapshot`: all of it as bytes, and its digest · [`changes`]: which keys an entry changed
//!
//! The time in the log never runs backwards: entry by entry, `now = max(now, entry's time)`. A key
//! is dead from `now ≥ deadline` on, for all commands at once. Only DBSIZE, [`View::len`] and
//! [`View::expiring`] count physically, as Redis does: they may for a few entries include dead keys
//! when thousands died together.

mod batch;
mod bitmaps;
pub mod changes;
mod collection;
pub mod command;
mod container;
mod database;
mod expire;
mod flags;
mod float;
mod generic;
mod geo;
pub mod glob;
mod hash;
mod hashes;
pub mod http;
mod hyperloglog;
mod item;
mod keys;
mod lists;
mod members;
mod number;
mod random;
mod rdb;
pub mod reply;
mod scan;
mod sequence;
mod server;
mod session;
mod sets;
pub mod slots;
mod snapshot;
mod sort;
mod store;
mod streams;
mod strings;
mod table;
mod timeout;
mod value;
mod varint;
pub mod waits;
pub mod watch;
mod zsets;

use std::io;

use bytes::{Bytes, BytesMut};

use crate::types::Index;
use changes::Changes;
use collection::Kind;
use command::{Args, Handler, Reads, Spec, decode};
use database::Database;
pub use database::Garbage;
use item::Item;
pub use reply::Reply;
use store::Store;
use value::{Str, Value};
use waits::{Call, Waits};

/// Reads that may walk over more entries than this run away from the loop: it is some two
/// milliseconds of work.
const ENTRIES_MAX: usize = 16 * 1024;

/// The keys and their values: a pure function of the log.
#[derive(Debug, Default)]
pub struct Keyspace {
    database: Database,
    /// The time in the log.
    now: u64,
    applied: Index,
}

impl Keyspace {
    /// Applies the payload of the committed entry at `index`, and returns the replies of its
    /// commands; of a transaction that is not to be carried out ([`watch::guard`]), only the first.
    ///
    /// # Panics
    ///
    /// If the payload cannot be understood, or the entry was applied before. Only a leader writes
    /// entries, so this is a bug of its program: every server stops here rather than go on with
    /// another keyspace.
    pub fn apply(&mut self, index: Index, payload: &Bytes) -> Vec<Reply> {
        assert!(index > self.applied, "entry {index} applied after entry {}", self.applied);
        let not_ours = |error| panic!("entry {index} cannot be applied: {error}");
        let (stamp, mut commands) = decode(payload).unwrap_or_else(not_ours);
        self.now = self.now.max(stamp.time_ms);
        self.database.remove_dead(self.now);

        let database = &mut self.database;
        let mut writer = Writer { database, now: self.now, seed: stamp.seed, index };
        let mut replies = Vec::new();
        let mut args = Args::default();
        loop {
            match commands.next(&mut args) {
                Ok(Some(spec)) => {
                    let reply = write(&mut writer, spec, &args);
                    let is_abort = watch::is_abort(spec, &reply);
                    replies.push(reply);
                    if is_abort {
                        break;
                    }
                    writer.seed = next_seed(writer.seed);
                }
                Ok(None) => break,
                Err(error) => panic!("entry {index} cannot be applied: {error}"),
            }
        }
        self.applied = index;
        replies
    }

    /// Returns a consistent view, for the cost of a pointer clone.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            store: self.database.store().clone(),
            expiring: self.database.expiring(),
            now: self.now,
            applied: self.applied,
        }
    }

    /// Carries out reads. `clock_ms` only says how long a key still has to live (TTL); whether it
    /// is dead, the log says.
    #[must_use]
    pub fn read(&self, reads: &Reads, clock_ms: u64) -> Vec<Reply> {
        read_all(self.database.store(), self.now, reads, clock_ms)
    }

    /// Returns the name of the type of a key's value as TYPE tells it; `None` if it is not there.
    #[must_use]
    pub fn type_of(&self, key: &[u8]) -> Option<&'static str> {
        let item = self.database.store().get(key).filter(|item| item.is_live(self.now))?;
        Some(item.value().type_name())
    }

    /// Returns whether reads may take so long that they had better run on a view, away from the
    /// loop: because of what they are, or of what there is at their keys.
    #[must_use]
    pub fn is_long(&self, reads: &Reads) -> bool {
        reads.is_heavy() || reads.may_walk() && self.entries(reads) > ENTRIES_MAX
    }

    /// Returns over how many entries reads may walk at most.
    fn entries(&self, reads: &Reads) -> usize {
        let (mut commands, mut args, mut entries) = (reads.commands(), Args::default(), 0usize);
        while let Ok(Some(spec)) = commands.next(&mut args) {
            let Some(bound) = spec.walks else { continue };
            let args = args.from(0);
            let keys = spec.keys(args).filter_map(|place| args.get(place));
            let there = keys.filter_map(|key| match self.database.store().get(key)?.value() {
                Value::Collection(collection) => Some(collection.content().len()),
                Value::Str(_) => None,
            });
            entries = entries.saturating_add(there.sum::<usize>().min(bound(args)));
        }
        entries
    }

    /// Returns a call that waits as it is to be repeated: from what there is now.
    #[must_use]
    pub fn pinned(&self, call: &Call) -> Call {
        if call.spec.waits != Some(Waits::Streams) {
            return call.clone();
        }
        let store = self.database.store();
        let reader = Reader { store, now: self.now, clock: self.now, seed: 0 };
        Call { spec: call.spec, args: streams::pinned(&reader, &call.args()) }
    }

    /// Returns what keeps account of changed keys, while somebody wants to know them.
    pub fn changes(&mut self) -> &mut Changes {
        self.database.changes()
    }

    /// Returns the time in the log, milliseconds since 1970.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.now
    }

    /// Returns the index of the last entry applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// Returns when the next key dies, if any has a deadline. In the past, while dead keys wait to
    /// be removed: another time entry removes more of them.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.database.next_deadline()
    }

    /// Returns what is gone and costly to drop, to be dropped on another thread: all keys after
    /// FLUSHALL, a large value. To be called until it returns `None`.
    pub fn take_garbage(&mut self) -> Option<Garbage> {
        self.database.take_garbage()
    }

    /// Rebuilds a keyspace from what [`View::write_to`] wrote. Needs no trust in the bytes: bad
    /// ones are an error.
    ///
    /// # Errors
    ///
    /// If the input ends early, is of another version, or is not in the one form that
    /// [`View::write_to`] gives.
    pub fn read_from(input: &mut impl io::Read) -> io::Result<Self> {
        snapshot::read_from(input)
    }
}

/// The keyspace as it was at one index. Clones and drops without touching the keys; never changes.
#[derive(Clone, Debug)]
pub struct View {
    store: Store,
    expiring: usize,
    now: u64,
    applied: Index,
}

impl View {
    /// As [`Keyspace::read`].
    #[must_use]
    pub fn read(&self, reads: &Reads, clock_ms: u64) -> Vec<Reply> {
        read_all(&self.store, self.now, reads, clock_ms)
    }

    /// Returns the index of the last entry applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// Returns how many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many keys have a deadline.
    #[must_use]
    pub fn expiring(&self) -> usize {
        self.expiring
    }

    /// Returns a digest of everything a client could see: equal on all servers at the same index.
    #[must_use]
    pub fn digest(&self) -> u128 {
        snapshot::digest(&self.store, self.now)
    }

    /// Writes all of it, in an order that depends on nothing but the content.
    ///
    /// # Errors
    ///
    /// Whatever the output returns.
    pub fn write_to(&self, output: &mut impl io::Write) -> io::Result<()> {
        snapshot::write_to(self, output)
    }
}

/// What a command that reads is given.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    store: &'a Store,
    /// The time in the log: who is alive.
    now: u64,
    /// The time by the clock, or in the log where that is later: how long they have to live.
    clock: u64,
    /// Where chance comes from.
    seed: u64,
}

impl<'a> Reader<'a> {
    /// Returns a key that is alive.
    fn get(&self, key: &[u8]) -> Option<&'a Item> {
        self.store.get(key).filter(|item| item.is_live(self.now))
    }

    /// Returns the value of a key that must be a string if it is there.
    fn string(&self, key: &[u8]) -> Result<Option<Str<'a>>, Reply> {
        self.get(key).map(|item| item.value().as_str()).transpose()
    }

    /// Returns the value of a key that must be of a type of many entries if it is there.
    fn kind<T: Kind>(&self, key: &[u8]) -> Result<Option<&'a T>, Reply> {
        self.get(key).map(|item| item.value().as_kind()).transpose()
    }
}

/// What a command that writes is given.
#[derive(Debug)]
pub struct Writer<'a> {
    database: &'a mut Database,
    /// The time in the log.
    now: u64,
    /// Where chance comes from.
    seed: u64,
    /// The index of the entry.
    index: Index,
}

impl Writer<'_> {
    /// Returns what a command sees that reads at this point of the entry.
    fn reader(&self) -> Reader<'_> {
        let store = self.database.store();
        Reader { store, now: self.now, clock: self.now, seed: self.seed }
    }

    /// Returns a key that is alive.
    fn get(&self, key: &[u8]) -> Option<&Item> {
        self.database.store().get(key).filter(|item| item.is_live(self.now))
    }

    /// Returns the value of a key that must be a string if it is there.
    fn string(&self, key: &[u8]) -> Result<Option<Str<'_>>, Reply> {
        self.get(key).map(|item| item.value().as_str()).transpose()
    }

    /// Returns the value of a key that must be of a type of many entries if it is there.
    fn kind<T: Kind>(&self, key: &[u8]) -> Result<Option<&T>, Reply> {
        self.get(key).map(|item| item.value().as_kind()).transpose()
    }

    /// Changes the value of a key that must be of a type of many entries if it is there; if it is
    /// not, begins with one that has none. `change` also says whether it has changed anything, and
    /// so whether the key counts as written. A value without entries does not stay.
    fn edit<T: Kind, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut T) -> (R, bool),
    ) -> Result<R, Reply> {
        if self.kind::<T>(key)?.is_some() {
            let result = self.database.edit_kind(key, self.index, change);
            return Ok(result.expect("the key was looked at"));
        }
        let mut value = T::default();
        let (result, has_changed) = change(&mut value);
        if has_changed && !value.is_gone() {
            let collection = value.into_collection();
            self.put(key, Value::Collection(&collection), None);
        }
        Ok(result)
    }

    /// Writes a key, whatever there was. A deadline that is reached already leaves no key.
    fn put(&mut self, key: &[u8], value: Value<'_>, deadline: Option<u64>) {
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            self.database.remove(key);
        } else {
            self.database.put(key, value, deadline, self.index);
        }
    }

    /// Writes a key; if it is alive, it keeps its deadline.
    fn put_keeping_deadline(&mut self, key: &[u8], value: Value<'_>) {
        let deadline = self.get(key).and_then(Item::deadline);
        self.put(key, value, deadline);
    }

    /// Changes the bytes of a key that must be a string if it is there; if it is not, begins with
    /// none. It counts as written.
    fn edit_str(&mut self, key: &[u8], change: impl FnOnce(&mut BytesMut)) {
        if self.get(key).is_some() {
            self.database.edit_str(key, self.index, change);
        } else {
            let mut bytes = BytesMut::new();
            change(&mut bytes);
            self.put(key, Value::Str(Str::Long(&bytes.freeze())), None);
        }
    }

    /// Sets or clears the deadline of a living key. One that is reached already removes the key.
    fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            self.database.remove(key);
        } else if self.get(key).is_some() {
            self.database.set_deadline(key, deadline);
        }
    }

    /// Removes a key, and returns it if it was alive.
    fn remove(&mut self, key: &[u8]) -> Option<Item> {
        self.database.remove(key).filter(|item| item.is_live(self.now))
    }
}

/// Returns the seed of the next command in a batch: chance is the same on every server, and not the
/// same for every command.
fn next_seed(seed: u64) -> u64 {
    seed.wrapping_add(0x9e37_79b9_7f4a_7c15)
}

fn read_all(store: &Store, now: u64, reads: &Reads, clock_ms: u64) -> Vec<Reply> {
    let mut reader = Reader { store, now, clock: clock_ms.max(now), seed: reads.seed() };
    let mut commands = reads.commands();
    let mut args = Args::default();
    let mut replies = Vec::new();
    while let Some(spec) = commands.next(&mut args).expect("a batch holds what it was given") {
        let Handler::Read(handler) = spec.handler else {
            unreachable!("reads are reads: a batch keeps the others apart")
        };
        replies.push(checked(spec, &args, |args| handler(&reader, args)));
        reader.seed = next_seed(reader.seed);
    }
    replies
}

fn write(writer: &mut Writer<'_>, spec: &Spec, args: &Args<'_>) -> Reply {
    match spec.handler {
        Handler::Write(handler) => checked(spec, args, |args| handler(writer, args)),
        Handler::Read(handler) => checked(spec, args, |args| handler(&writer.reader(), args)),
        Handler::Session => unreachable!("session commands have no number in the log"),
    }
}

/// Runs a handler with arguments that fit the arity. Handlers answer `Err` to leave early; a client
/// sees no difference.
fn checked(
    spec: &Spec,
    args: &Args<'_>,
    handler: impl FnOnce(&Args<'_>) -> Result<Reply, Reply>,
) -> Reply {
    if !spec.accepts(args.len()) {
        return spec.wrong_arity();
    }
    handler(args).unwrap_or_else(|error| error)
}
