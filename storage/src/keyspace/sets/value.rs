//! A set: members, each once, in an order that follows from nothing but the members.
//!
//! ```text
//! set     = is a table? u8 | entry*
//! entry   = number i64 big-endian, its sign turned over      of a set of integers
//! entry   = hash of the member u32 big-endian | member       of a table
//! ```
//!
//! As in Redis a set begins as one of integers; with the first member that is none, or one more
//! than [`INTEGERS_MAX`], it becomes a table, in the order of `members`, and stays one. Of both the
//! order is that of the entries' bytes.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use bytes::Bytes;

use super::super::collection::{Collection, Content, Kind};
use super::super::members::{self, HEAD_BYTES};
use super::super::number::parse_i64;
use super::super::sequence::{Piece, Sequence, Sharer};
use super::super::snapshot::{invalid, read_array};

/// The most members of a set of integers: Redis' set-max-intset-entries.
const INTEGERS_MAX: usize = 512;
/// Numbers are in order as their bytes are once those below zero come first.
const SIGN: u64 = 1 << 63;

/// Members, each once.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Set {
    entries: Sequence,
    /// Whether the entries are members by their hashes, not numbers.
    is_table: bool,
}

/// A member, where it lies.
#[derive(Debug)]
pub(in super::super) enum Member<'a> {
    /// Of a set of integers.
    Integer(i64),
    /// An entry of a table.
    Entry(Piece<'a>),
}

impl<'a> Member<'a> {
    /// Returns the bytes of the member.
    pub(in super::super) fn name(&self) -> Cow<'a, [u8]> {
        match self {
            Self::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
            Self::Entry(piece) => Cow::Borrowed(&piece.as_bytes()[HEAD_BYTES..]),
        }
    }

    /// Returns the bytes of the member, to be kept.
    pub(in super::super) fn share(&self, sharer: &mut Sharer) -> Bytes {
        match self {
            Self::Integer(number) => number.to_string().into(),
            Self::Entry(piece) => sharer.share(piece, HEAD_BYTES..piece.as_bytes().len()),
        }
    }
}

impl Set {
    /// Returns the sequence of all entries if cursors can point into it.
    pub(super) fn table(&self) -> Option<&Sequence> {
        self.is_table.then_some(&self.entries)
    }

    /// Returns whether it has a member.
    pub(in super::super) fn contains(&self, name: &[u8]) -> bool {
        self.find(name).is_some_and(|place| place.is_ok())
    }

    /// Returns the member at a place in the order.
    pub(super) fn at(&self, place: usize) -> Option<Member<'_>> {
        self.entries.get(place).map(|piece| self.member(piece))
    }

    /// Returns all members from a place on, in order.
    pub(in super::super) fn iter_from(&self, place: usize) -> impl Iterator<Item = Member<'_>> {
        self.entries.iter_from(place).map(|piece| self.member(piece))
    }

    fn member<'a>(&self, piece: Piece<'a>) -> Member<'a> {
        if self.is_table {
            return Member::Entry(piece);
        }
        let number = piece.as_bytes().first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let number = number.expect("entries are made here, or were checked");
        Member::Integer((number ^ SIGN).cast_signed())
    }

    /// Adds a member, and returns whether it is new.
    pub(in super::super) fn add(&mut self, name: &[u8]) -> bool {
        let has_room = self.is_table || self.entries.len() < INTEGERS_MAX;
        let mut place = self.find(name);
        if place.is_none() || (!has_room && place.is_some_and(|place| place.is_err())) {
            self.become_table();
            place = self.find(name);
        }
        let Some(Err(place)) = place else { return false };
        match parse_i64(name).filter(|_| !self.is_table) {
            Some(number) => self.entries.insert(place, &number_entry(number)),
            None => self.entries.insert(place, &[&members::head(name), name].concat()),
        }
        true
    }

    /// Removes a member, and returns whether it was there.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Some(Ok(place)) = self.find(name) else { return false };
        self.entries.remove(place);
        true
    }

    /// Removes the members at places, which are in order.
    pub(super) fn remove_at(&mut self, places: &[usize]) {
        for run in places.chunk_by(|place, next| place + 1 == *next).rev() {
            self.entries.remove_range(run[0]..run[0] + run.len());
        }
    }

    /// Returns a set of the same members as they would be if they came into an empty one: it may be
    /// that only members of which nothing is left made it a table.
    pub(super) fn anew(&self) -> Self {
        // A table may become one of integers only if it is small.
        let is_kept = !self.is_table
            || self.len() > INTEGERS_MAX
            || self.iter_from(0).any(|member| parse_i64(&member.name()).is_none());
        if is_kept { self.clone() } else { self.iter_from(0).collect() }
    }

    /// Returns where a member is, or where it is to be put: nowhere, if it is no integer and the
    /// others are.
    fn find(&self, name: &[u8]) -> Option<Result<usize, usize>> {
        if self.is_table {
            let head = members::head(name);
            let compare = |entry: &[u8]| members::compare(entry, name_of, head, name);
            return Some(self.entries.search(compare));
        }
        let wanted = number_entry(parse_i64(name)?);
        Some(self.entries.search(|entry| entry.cmp(&wanted)))
    }

    fn become_table(&mut self) {
        let integers = std::mem::take(self);
        self.is_table = true;
        self.extend(integers.iter_from(0));
    }
}

impl<'a> Extend<Member<'a>> for Set {
    fn extend<I: IntoIterator<Item = Member<'a>>>(&mut self, members: I) {
        for member in members {
            self.add(&member.name());
        }
    }
}

impl<'a> FromIterator<Member<'a>> for Set {
    fn from_iter<I: IntoIterator<Item = Member<'a>>>(members: I) -> Self {
        let mut set = Self::default();
        set.extend(members);
        set
    }
}

fn number_entry(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ SIGN).to_be_bytes()
}

fn name_of(entry: &[u8]) -> &[u8] {
    &entry[HEAD_BYTES..]
}

impl Content for Set {
    fn type_name(&self) -> &'static str {
        "set"
    }

    fn type_tag(&self) -> u8 {
        Self::TAG
    }

    fn encoding(&self) -> &'static str {
        if self.is_table { "hashtable" } else { "intset" }
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn write_to(&self, output: &mut dyn Write) -> io::Result<()> {
        output.write_all(&[u8::from(self.is_table)])?;
        self.entries.write_to(output)
    }
}

impl Kind for Set {
    const TAG: u8 = 4;

    fn of(collection: &Collection) -> Option<&Self> {
        match collection {
            Collection::Set(set) => Some(set),
            _ => None,
        }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        match collection {
            Collection::Set(set) => Some(set),
            _ => None,
        }
    }

    fn into_collection(self) -> Collection {
        Collection::Set(self)
    }

    fn read_from(input: &mut dyn Read) -> io::Result<Self> {
        let is_table = match read_array(input)? {
            [0] => false,
            [1] => true,
            [other] => return Err(invalid(format!("{other} where a set says if it is a table"))),
        };
        let mut entries = Sequence::default();
        Sequence::read_from(input, |entry| {
            if is_table {
                let name = entry.get(HEAD_BYTES..);
                if name.is_none_or(|name| entry[..HEAD_BYTES] != members::head(name)) {
                    return Err(invalid("a set with a member under another's hash"));
                }
            } else if entry.len() != size_of::<i64>() {
                return Err(invalid("a set of integers with a member that is none"));
            } else if entries.len() >= INTEGERS_MAX {
                return Err(invalid("a set with too many members for one of integers"));
            }
            // It comes behind all others.
            if entries.search(|other| other.cmp(entry)) != Err(entries.len()) {
                return Err(invalid("a set with members out of order"));
            }
            entries.push(entry);
            Ok(())
        })?;
        if entries.is_empty() {
            return Err(invalid("a set without members"));
        }
        Ok(Self { entries, is_table })
    }
}
