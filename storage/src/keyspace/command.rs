//! The command table, and the bytes of a batch of commands.
//!
//! SKELETON: signatures that the other layers are written against.

use bytes::Bytes;

use super::{Reader, Writer, reply::Reply};

/// Facts about a command that do not depend on its arguments; the names are Redis' (`COMMAND INFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u32);

/// One row of the command table.
#[derive(Debug)]
pub struct Spec {
    /// Identifies the command in the log, for ever: a number is never used again.
    pub id: u16,
    /// The name, lower case.
    pub name: &'static str,
    /// The number of arguments with the name; negative: at least so many.
    pub arity: i16,
    /// As in COMMAND INFO.
    pub flags: Flags,
    /// The position of the first key, zero for none.
    pub first_key: i16,
    /// The position of the last key; negative counts from the end.
    pub last_key: i16,
    /// The distance between keys.
    pub key_step: i16,
    /// Redis' group: `string`, `generic`, `server`, `connection`, `cluster`.
    pub group: &'static str,
    /// The Redis version that had it first.
    pub since: &'static str,
    /// One line for COMMAND DOCS.
    pub summary: &'static str,
    /// Who carries it out.
    pub handler: Handler,
}

/// Who carries out a command.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// The connection itself, or the node: no key is involved.
    Session,
    /// The keyspace, changing nothing.
    Read(fn(&Reader<'_>, &Args<'_>) -> Reply),
    /// The keyspace, by way of the log.
    Write(fn(&mut Writer<'_>, &Args<'_>) -> Reply),
}

/// The arguments of one command, the name not among them.
#[derive(Debug)]
pub struct Args<'a>(Vec<&'a [u8]>);

/// When and with what luck an entry is applied: chosen by the leader, the same on every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since 1970 by the leader's clock, never less than in an earlier entry once applied.
    pub time_ms: u64,
    /// Where a command needs chance, it takes it from here.
    pub seed: u64,
}

/// Commands that are carried out in order, as one request: leading reads, then one log entry from the first write on.
#[derive(Debug, Default)]
pub struct Batch {
    _bytes: Vec<u8>,
}

impl Batch {
    /// Adds a command of the table that is a read or a write; `args` come without the name.
    pub fn push(&mut self, _spec: &'static Spec, _args: &[&[u8]]) {
        unimplemented!()
    }

    /// Returns how many commands there are.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }

    /// Returns how many bytes the commands take.
    pub fn size(&self) -> usize {
        unimplemented!()
    }

    /// Returns whether a command changes the keyspace.
    pub fn has_writes(&self) -> bool {
        unimplemented!()
    }

    /// Returns the reads before the first write, and the payload of a log entry with all from the first write on.
    pub fn into_parts(self, _stamp: Stamp) -> (Reads, Option<Bytes>) {
        unimplemented!()
    }
}

/// Reads that go together, in order.
#[derive(Debug)]
pub struct Reads(());

impl Reads {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }

    /// Returns whether one of them may take long (`KEYS`, `LCS`, a listing): it runs on a view, away from the loop.
    pub fn is_heavy(&self) -> bool {
        unimplemented!()
    }
}

/// Returns the payload of an entry that holds no command and only moves the time forward.
pub fn time_entry(_stamp: Stamp) -> Bytes {
    unimplemented!()
}

/// Returns the row of a command by its name, in any case.
pub fn lookup(_name: &[u8]) -> Option<&'static Spec> {
    unimplemented!()
}

/// Returns all rows, ordered by name.
pub fn all() -> &'static [Spec] {
    unimplemented!()
}
