//! The bytes of a batch: what a log entry of the keyspace is made of.
//!
//! ```text
//! entry   = version u8 | time_ms u64 | seed u64 | command*
//! command = id u16 | argc varint | (length varint | bytes)*
//! integers are little-endian, varints LEB128
//! ```
//!
//! A [`Batch`] writes this form as commands are pushed, the reads before the first write into a
//! buffer apart, so that proposing copies nothing. Decoding is bounded: nothing is allocated that
//! the input does not pay for byte by byte.

use bytes::Bytes;

use super::command::{Args, Spec};
use super::waits::Call;
use super::{table, varint};

/// The format of an entry. A reader refuses any other.
const VERSION: u8 = 1;
/// The bytes before the first command of an entry.
const HEADER_BYTES: usize = 1 + 8 + 8;

/// When and with what luck an entry is applied: chosen by the leader, the same on every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since 1970 by the leader's clock, never less than in an earlier entry once
    /// applied.
    pub time_ms: u64,
    /// Where a command needs chance, it takes it from here.
    pub seed: u64,
}

/// Commands that are carried out in order, as one request: leading reads, then one log entry from
/// the first write on.
#[derive(Debug, Default)]
pub struct Batch {
    /// The reads before the first write.
    reads: Vec<u8>,
    /// All from the first write on, behind room for the header; empty until there is a write.
    entry: Vec<u8>,
    len: usize,
    is_heavy: bool,
    may_walk: bool,
    is_atomic: bool,
    origin: u64,
}

impl Batch {
    /// Returns an empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a command of the table that is a read or a write; `args` come without the name.
    ///
    /// A command that is heavy ([`Spec::is_heavy`]) belongs into a batch of its own: in an entry it
    /// would run on the loop of every server. The number of arguments and what
    /// can be said of them alone are for the caller to check ([`Spec::accepts`],
    /// [`Spec::validate`]); here wrong ones cost no more than an entry and an error reply.
    ///
    /// # Panics
    ///
    /// If the row is a session command.
    pub fn push(&mut self, spec: &'static Spec, args: &[&[u8]]) {
        assert!(!spec.is_session(), "only commands of the keyspace go into a batch");
        let bytes: usize = args.iter().map(|arg| varint::len(arg.len()) + arg.len()).sum();
        let bytes = size_of_val(&spec.id) + varint::len(args.len()) + bytes;
        if spec.is_write() && self.entry.is_empty() {
            // Most batches are one command. Without room to spare it becomes the entry's payload as
            // it is.
            self.entry.reserve_exact(HEADER_BYTES + bytes);
            self.entry.resize(HEADER_BYTES, 0);
        }
        let buffer = if self.entry.is_empty() {
            self.is_heavy |= spec.is_heavy();
            self.may_walk |= spec.may_walk();
            &mut self.reads
        } else {
            &mut self.entry
        };
        buffer.reserve(bytes);
        buffer.extend_from_slice(&spec.id.to_le_bytes());
        varint::put(buffer, args.len());
        for arg in args {
            varint::put(buffer, arg.len());
            buffer.extend_from_slice(arg);
        }
        self.len += 1;
    }

    /// Says that nothing may come between the commands, not even what waits for one of them.
    pub fn set_atomic(&mut self) {
        self.is_atomic = true;
    }

    /// Has calls carried out behind commands of the entry, or behind all of them if nothing may
    /// come between: those that `behind` returns when it is told a command. Returns the places that
    /// their replies have among those of the entry.
    pub fn insert_calls(
        &mut self,
        mut behind: impl FnMut(&'static Spec, &[&[u8]]) -> Vec<Call>,
    ) -> Vec<usize> {
        let old = std::mem::take(&mut self.entry);
        let Some(mut commands) = old.get(HEADER_BYTES..).map(|rest| Commands { rest }) else {
            return Vec::new();
        };
        self.entry = Vec::with_capacity(old.len());
        self.entry.extend_from_slice(&old[..HEADER_BYTES]);
        let (mut places, mut later, mut place) = (Vec::new(), Vec::new(), 0);
        let mut args = Args::default();
        loop {
            let start = old.len() - commands.rest.len();
            let next = commands.next(&mut args).expect("a batch holds what it was given");
            let Some(spec) = next else { break };
            self.entry.extend_from_slice(&old[start..old.len() - commands.rest.len()]);
            place += 1;
            later.extend(behind(spec, args.from(0)));
            if !self.is_atomic {
                places.extend(later.drain(..).map(|call| self.append(&call, &mut place)));
            }
        }
        places.extend(later.into_iter().map(|call| self.append(&call, &mut place)));
        places
    }

    fn append(&mut self, call: &Call, place: &mut usize) -> usize {
        self.push(call.spec, &call.args());
        *place += 1;
        *place - 1
    }

    /// Says who asks, for those who are told of changes but not of their own. Not in the log.
    pub fn set_origin(&mut self, origin: u64) {
        self.origin = origin;
    }

    /// Returns who asks; zero if it was not said.
    #[must_use]
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// Returns whether one of the reads before the first write may walk over much
    /// ([`Spec::may_walk`]).
    #[must_use]
    pub fn may_walk(&self) -> bool {
        self.may_walk
    }

    /// Returns how many commands there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bytes the commands take.
    #[must_use]
    pub fn size(&self) -> usize {
        self.reads.len() + self.entry.len()
    }

    /// Returns whether a command changes the keyspace.
    #[must_use]
    pub fn has_writes(&self) -> bool {
        !self.entry.is_empty()
    }

    /// Returns the reads before the first write, and the payload of a log entry with all from the
    /// first write on.
    #[must_use]
    pub fn into_parts(mut self, stamp: Stamp) -> (Reads, Option<Bytes>) {
        let (is_heavy, may_walk) = (self.is_heavy, self.may_walk);
        let reads = Reads { bytes: self.reads, is_heavy, may_walk, seed: stamp.seed };
        if self.entry.is_empty() {
            return (reads, None);
        }
        self.entry[..HEADER_BYTES].copy_from_slice(&header(stamp));
        (reads, Some(Bytes::from(self.entry)))
    }
}

/// Reads that go together, in order.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    bytes: Vec<u8>,
    is_heavy: bool,
    may_walk: bool,
    seed: u64,
}

impl Reads {
    /// Returns where reads take chance from.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns whether one of them may walk over much, if there is much.
    pub(super) fn may_walk(&self) -> bool {
        self.may_walk
    }

    /// Returns whether one of them may take long (`KEYS`, `LCS`, a listing): it runs on a view,
    /// away from the loop.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        self.is_heavy
    }

    /// Returns the commands.
    pub(super) fn commands(&self) -> Commands<'_> {
        Commands { rest: &self.bytes }
    }
}

/// Returns the payload of an entry that holds no command and only moves the time forward.
#[must_use]
pub fn time_entry(stamp: Stamp) -> Bytes {
    Bytes::copy_from_slice(&header(stamp))
}

fn header(stamp: Stamp) -> [u8; HEADER_BYTES] {
    let mut header = [VERSION; HEADER_BYTES];
    header[1..9].copy_from_slice(&stamp.time_ms.to_le_bytes());
    header[9..].copy_from_slice(&stamp.seed.to_le_bytes());
    header
}

/// Why bytes are not an entry of the keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The format is of another version.
    #[error("unknown format version {0}")]
    Version(u8),
    /// The bytes end early, or a count promises more than follows.
    #[error("cut short")]
    Short,
    /// A length is not in its shortest form, or has more than 32 bits.
    #[error("malformed length")]
    Length,
    /// No command of the keyspace has this number.
    #[error("unknown command number {0}")]
    Command(u16),
}

/// Reads the header of an entry, and returns its stamp and commands. Any bytes are safe.
///
/// # Errors
///
/// If the header is cut short or of another version. What follows is checked as the commands are
/// taken.
pub fn decode(payload: &[u8]) -> Result<(Stamp, Commands<'_>), DecodeError> {
    let Some((header, rest)) = payload.split_first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::Short);
    };
    if header[0] != VERSION {
        return Err(DecodeError::Version(header[0]));
    }
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(word)
    };
    Ok((Stamp { time_ms: word(1), seed: word(9) }, Commands { rest }))
}

/// Returns whether [`Keyspace::apply`](super::Keyspace::apply) understands these bytes.
#[must_use]
pub fn is_valid(payload: &[u8]) -> bool {
    let Ok((_, mut commands)) = decode(payload) else { return false };
    let mut args = Args::default();
    loop {
        match commands.next(&mut args) {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// The commands in a piece of an entry, in order.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    rest: &'a [u8],
}

impl<'a> Commands<'a> {
    /// Takes the next command: its arguments replace those in `args`. `None` at the end.
    ///
    /// # Errors
    ///
    /// If the bytes are not a command; the rest then means nothing.
    pub fn next(&mut self, args: &mut Args<'a>) -> Result<Option<&'static Spec>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let id = u16::from_le_bytes([self.byte()?, self.byte()?]);
        let spec = table::by_id(id).ok_or(DecodeError::Command(id))?;
        let count = self.varint()?;
        // Each argument takes at least the byte of its length, so a false count is found before
        // anything is reserved.
        if count > self.rest.len() {
            return Err(DecodeError::Short);
        }
        args.clear();
        for _ in 0..count {
            let length = self.varint()?;
            let (arg, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Short)?;
            args.push(arg);
            self.rest = rest;
        }
        Ok(Some(spec))
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (byte, rest) = self.rest.split_first().ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn varint(&mut self) -> Result<usize, DecodeError> {
        let (value, rest) = varint::take(self.rest).map_err(|error| match error {
            varint::Error::Short => DecodeError::Short,
            varint::Error::Malformed => DecodeError::Length,
        })?;
        self.rest = rest;
        Ok(value)
    }
}
