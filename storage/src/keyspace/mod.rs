//! The keyspace.
//!
//! SKELETON: signatures that the other layers are written against.

mod batch;
pub mod command;
mod expire;
mod generic;
pub mod http;
pub mod reply;
mod server;
mod session;
mod strings;
mod table;

use std::io;

use bytes::Bytes;

use crate::types::Index;
use command::Reads;
pub use reply::Reply;

/// The keys and their values: a pure function of the log.
#[derive(Debug, Default)]
pub struct Keyspace(());

impl Keyspace {
    /// Applies the payload of the committed entry at `index`, and returns the replies of its commands. Total: a payload
    /// that cannot be understood is a bug of the proposer and stops the process, on every server alike.
    pub fn apply(&mut self, _index: Index, _payload: &Bytes) -> Vec<Reply> {
        unimplemented!()
    }

    /// Returns a consistent view, for the cost of a pointer clone.
    pub fn view(&self) -> View {
        unimplemented!()
    }

    /// Carries out reads. `clock_ms` only says how long a key still has to live (TTL); whether it is dead, the log says.
    pub fn read(&self, _reads: &Reads, _clock_ms: u64) -> Vec<Reply> {
        unimplemented!()
    }

    /// Returns the time in the log, milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        unimplemented!()
    }

    /// Returns when the next key dies, if any has a deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        unimplemented!()
    }

    /// Returns what FLUSHALL unlinked and is costly to drop, to be dropped on another thread.
    pub fn take_garbage(&mut self) -> Option<View> {
        unimplemented!()
    }

    /// Rebuilds a keyspace from what [`View::write_to`] wrote. Needs no trust in the bytes: bad ones are an error.
    pub fn read_from(_input: &mut impl io::Read) -> io::Result<Self> {
        unimplemented!()
    }
}

/// The keyspace as it was at one index. Clones and drops without touching the keys; never changes.
#[derive(Clone, Debug)]
pub struct View(());

impl View {
    /// As [`Keyspace::read`].
    pub fn read(&self, _reads: &Reads, _clock_ms: u64) -> Vec<Reply> {
        unimplemented!()
    }

    /// Returns the index of the last entry applied.
    pub fn applied(&self) -> Index {
        unimplemented!()
    }

    /// Returns how many keys there are.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }

    /// Returns how many keys have a deadline.
    pub fn expiring(&self) -> usize {
        unimplemented!()
    }

    /// Returns a digest of everything a client could see: equal on all servers at the same index.
    pub fn digest(&self) -> u128 {
        unimplemented!()
    }

    /// Writes all of it, in an order that depends on nothing but the content.
    pub fn write_to(&self, _output: &mut impl io::Write) -> io::Result<()> {
        unimplemented!()
    }
}

/// What a command that reads is given.
#[derive(Debug)]
pub struct Reader<'a>(&'a ());

/// What a command that writes is given.
#[derive(Debug)]
pub struct Writer<'a>(&'a mut ());
