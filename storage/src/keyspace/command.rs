//! Commands as data: what a command is called, how many arguments it takes, where its keys are, who
//! carries it out.
//!
//! A row of the table is a [`Spec`]. Rows stand beside their handlers, in the file of their data
//! type; the table itself is put together in `table`, and the bytes of a command are defined in
//! `batch`. The words are those of Redis' `COMMAND INFO`, and the rows say what Redis 7.0 says.

use super::reply::{Reply, wrong_arity};
use super::waits::Waits;
use super::{Reader, Writer};

pub use super::batch::{Batch, Commands, DecodeError, Reads, Stamp, decode, is_valid, time_entry};
pub use super::flags::Flags;
pub use super::keys::{Begin, Find, KeySpec};
pub use super::table::{all, by_id, internal, lookup};

/// One row of the command table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Identifies the command in the log, for ever: a number is never used again. Zero for what
    /// never reaches the log: session commands and the rows of subcommands.
    pub id: u16,
    /// The name, lower case. A subcommand's is that of `COMMAND INFO`: `object|encoding`.
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
    /// What it does to its keys, in Redis' words: to all of them, or to each in turn.
    pub key_flags: &'static [&'static str],
    /// Why it does so, where that is not plain; in our words.
    pub key_notes: &'static str,
    /// Where there are more keys than the range tells.
    pub more_keys: &'static [KeySpec],
    /// Redis' group: `string`, `generic`, `server`, `connection`, `cluster`.
    pub group: &'static str,
    /// The Redis version that had it first.
    pub since: &'static str,
    /// Hints for clients, as in COMMAND INFO.
    pub tips: &'static [&'static str],
    /// The rows of its subcommands, for a command that is a container.
    pub subcommands: &'static [Spec],
    /// Refuses options by themselves, before the log is asked; see [`Spec::validate`].
    validator: Option<Validator>,
    /// What it waits on, if it waits; see [`waits`](super::waits).
    pub(super) waits: Option<Waits>,
    /// Tells of how many entries a call may tell at most, if it can walk over all that its keys
    /// hold; see [`Keyspace::is_long`](super::Keyspace::is_long).
    pub(super) walks: Option<Walk>,
    /// The number of a read, and which calls do no more than that one.
    reads_as: Option<(u16, Condition)>,
    /// Who carries it out.
    pub handler: Handler,
}

/// Tells the error of arguments, the name not among them, that are wrong whatever the keyspace
/// holds. The handler finds it by the same function.
pub(super) type Validator = fn(&[&[u8]]) -> Result<(), Reply>;

/// Tells of how many entries a call may tell, by its arguments.
pub(super) type Walk = fn(&[&[u8]]) -> usize;

/// Tells of a call, by its arguments, whether it is of some kind.
type Condition = fn(&[&[u8]]) -> bool;

/// All that there are.
pub(super) const WHOLE: Walk = |_| usize::MAX;

/// Who carries out a command.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// The connection itself, or the node: no key is involved.
    Session,
    /// The keyspace, changing nothing.
    Read(fn(&Reader<'_>, &Args<'_>) -> Result<Reply, Reply>),
    /// The keyspace, by way of the log.
    Write(fn(&mut Writer<'_>, &Args<'_>) -> Result<Reply, Reply>),
}

/// How a row is written down: what most rows have in common is the default.
impl Spec {
    const fn new(id: u16, name: &'static str, arity: i16, handler: Handler) -> Self {
        Self {
            id,
            name,
            arity,
            flags: Flags::NONE,
            first_key: 0,
            last_key: 0,
            key_step: 0,
            key_flags: &["RO"],
            key_notes: "",
            more_keys: &[],
            group: "",
            since: "",
            tips: &[],
            subcommands: &[],
            validator: None,
            waits: None,
            walks: None,
            reads_as: None,
            handler,
        }
    }

    /// A command that reads.
    pub(super) const fn read(
        id: u16,
        name: &'static str,
        arity: i16,
        handler: fn(&Reader<'_>, &Args<'_>) -> Result<Reply, Reply>,
    ) -> Self {
        Self::new(id, name, arity, Handler::Read(handler))
            .with(&[Flags::READONLY])
            .key_flags(&["RO access"])
    }

    /// A command that writes.
    pub(super) const fn write(
        id: u16,
        name: &'static str,
        arity: i16,
        handler: fn(&mut Writer<'_>, &Args<'_>) -> Result<Reply, Reply>,
    ) -> Self {
        Self::new(id, name, arity, Handler::Write(handler))
            .with(&[Flags::WRITE])
            .key_flags(&["RW update"])
    }

    /// A command of the session, or a subcommand's row.
    pub(super) const fn session(name: &'static str, arity: i16) -> Self {
        Self::new(0, name, arity, Handler::Session)
    }

    /// Adds flags.
    pub(super) const fn with(mut self, flags: &[Flags]) -> Self {
        let mut i = 0;
        while i < flags.len() {
            self.flags = self.flags.or(flags[i]);
            i += 1;
        }
        self
    }

    /// Replaces the flags.
    pub(super) const fn flags_only(mut self, flags: &[Flags]) -> Self {
        self.flags = Flags::NONE;
        self.with(flags)
    }

    /// Says where the keys are.
    pub(super) const fn keys_at(mut self, first: i16, last: i16, step: i16) -> Self {
        self.first_key = first;
        self.last_key = last;
        self.key_step = step;
        self
    }

    /// Replaces what is said to be done to the keys.
    pub(super) const fn key_flags(mut self, flags: &'static [&'static str]) -> Self {
        self.key_flags = flags;
        self
    }

    /// Says why.
    pub(super) const fn key_notes(mut self, notes: &'static str) -> Self {
        self.key_notes = notes;
        self
    }

    /// Says where there are more keys.
    pub(super) const fn more_keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.more_keys = keys;
        self
    }

    /// Says where it belongs, and since when.
    pub(super) const fn doc(mut self, group: &'static str, since: &'static str) -> Self {
        self.group = group;
        self.since = since;
        self
    }

    /// Says who refuses wrong options.
    pub(super) const fn validated_by(mut self, validator: Validator) -> Self {
        self.validator = Some(validator);
        self
    }

    /// Says what it waits on.
    pub(super) const fn waits(mut self, waits: Waits) -> Self {
        self.waits = Some(waits);
        self
    }

    /// Says that it can walk over all that its keys hold, and what bounds that.
    pub(super) const fn walks(mut self, walk: Walk) -> Self {
        self.walks = Some(walk);
        self
    }

    /// Says which read some calls are, and which they are by their arguments.
    pub(super) const fn reads_as(mut self, id: u16, is_read: Condition) -> Self {
        self.reads_as = Some((id, is_read));
        self
    }

    /// Adds hints for clients.
    pub(super) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    /// Makes it a container.
    pub(super) const fn contains(mut self, subcommands: &'static [Spec]) -> Self {
        self.subcommands = subcommands;
        self
    }
}

impl Spec {
    /// Returns whether a call with so many arguments, the name not counted, fits the arity.
    #[must_use]
    pub fn accepts(&self, args: usize) -> bool {
        let count = args.saturating_add(1);
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= arity } else { count == arity }
    }

    /// Refuses what is wrong with the arguments of a write whatever the keyspace holds, so that it
    /// costs no entry of the log. Their number has been checked. `Ok` promises nothing: what
    /// depends on a key, or on the time, is found when the entry is applied.
    ///
    /// # Errors
    ///
    /// The reply that applying the command would give.
    pub fn validate(&self, args: &[&[u8]]) -> Result<(), Reply> {
        self.validator.map_or(Ok(()), |validator| validator(args))
    }

    /// Returns whether [`Spec::validate`] looks at the arguments.
    #[must_use]
    pub fn has_validator(&self) -> bool {
        self.validator.is_some()
    }

    /// Returns the row that does the same for these arguments, and needs no log if it can: without
    /// options GETEX is GET, without STORE SORT is SORT_RO.
    #[must_use]
    pub fn in_effect(&'static self, args: &[&[u8]]) -> &'static Self {
        let read = self.reads_as.filter(|(_, is_read)| is_read(args));
        read.and_then(|(id, _)| by_id(id)).unwrap_or(self)
    }

    /// Returns whether it changes the keyspace, and so goes through the log.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self.handler, Handler::Write(_))
    }

    /// Returns whether the session carries it out, without the keyspace.
    #[must_use]
    pub fn is_session(&self) -> bool {
        matches!(self.handler, Handler::Session)
    }

    /// Returns whether it may take so long (`KEYS`, `LCS`, a listing) that it runs on a view, away
    /// from the loop. A frontend submits such a command as a batch of its own: behind a write it
    /// would run where the entry is applied.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        self.flags.contains(Flags::HEAVY)
    }

    /// Returns whether it may take long if its keys hold much. A frontend submits such commands
    /// apart from writes: with those it would run where the entry is applied.
    #[must_use]
    pub fn may_walk(&self) -> bool {
        self.walks.is_some()
    }

    /// Returns the row of a subcommand by its name alone (`encoding`), in any case.
    #[must_use]
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Spec> {
        self.subcommands.iter().find(|row| row.short_name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Returns the name without that of the container: `encoding` for `object|encoding`.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }

    /// Returns the error for a wrong number of arguments.
    #[must_use]
    pub fn wrong_arity(&self) -> Reply {
        wrong_arity(self.name)
    }
}

/// The arguments of one command, the name not among them.
///
/// Handlers reach them by position; one that is not there reads as empty, so that no number of
/// arguments can hurt. What is parsed before there is an entry is parsed from a slice (`at`,
/// `from`).
#[derive(Debug, Default)]
pub struct Args<'a>(Vec<&'a [u8]>);

impl<'a> Args<'a> {
    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the argument at a position, empty if there is none.
    #[must_use]
    pub fn at(&self, position: usize) -> &'a [u8] {
        at(&self.0, position)
    }

    /// Returns the arguments from a position on.
    #[must_use]
    pub fn from(&self, position: usize) -> &[&'a [u8]] {
        from(&self.0, position)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn push(&mut self, arg: &'a [u8]) {
        self.0.push(arg);
    }
}

/// As [`Args::at`].
pub(super) fn at<'a>(args: &[&'a [u8]], position: usize) -> &'a [u8] {
    args.get(position).copied().unwrap_or_default()
}

/// Returns the name of an option in capitals, without allocating. A name longer than any option is
/// returned as it is: it is none.
pub(super) fn upper<'a>(name: &'a [u8], buffer: &'a mut [u8; 16]) -> &'a [u8] {
    let Some(capitals) = buffer.get_mut(..name.len()) else { return name };
    capitals.copy_from_slice(name);
    capitals.make_ascii_uppercase();
    capitals
}

/// As [`Args::from`].
pub(super) fn from<'s, 'a>(args: &'s [&'a [u8]], position: usize) -> &'s [&'a [u8]] {
    args.get(position..).unwrap_or_default()
}
