//! What is sorted: elements of a list, members of a set or sorted set, where they lie.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::super::Reader;
use super::super::collection::{Collection, Content};
use super::super::lists::List;
use super::super::reply::{Reply, WRONG_TYPE};
use super::super::sequence::{Piece, Sharer};
use super::super::sets::{self, Set};
use super::super::value::Value;
use super::super::zsets::{self, Zset};

/// What a key holds that can be sorted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    Missing,
    List(&'a List),
    Set(&'a Set),
    Zset(&'a Zset),
}

/// One of what is sorted.
#[derive(Debug)]
pub(super) enum Element<'a> {
    List(Piece<'a>),
    Set(sets::Member<'a>),
    Zset(zsets::Member<'a>),
}

impl<'a> Source<'a> {
    /// Returns what a key holds.
    pub(super) fn of(reader: &Reader<'a>, key: &[u8]) -> Result<Self, Reply> {
        let Some(item) = reader.get(key) else { return Ok(Self::Missing) };
        match item.value() {
            Value::Collection(Collection::List(list)) => Ok(Self::List(list)),
            Value::Collection(Collection::Set(set)) => Ok(Self::Set(set)),
            Value::Collection(Collection::Zset(zset)) => Ok(Self::Zset(zset)),
            _ => Err(WRONG_TYPE),
        }
    }

    /// Returns how many there are.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::Zset(zset) => zset.len(),
        }
    }

    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::Set(_))
    }

    /// Returns those in a range of places, in the order that they have or, where there is one that
    /// a client can see, in the opposite one.
    pub(super) fn slice(self, range: Range<usize>, is_back: bool) -> Vec<Element<'a>> {
        let from_end = self.len() - range.end..self.len() - range.start;
        let count = range.len();
        match self {
            Self::Missing => Vec::new(),
            Self::List(list) if is_back => {
                list.iter_back_from(from_end.end).take(count).map(Element::List).collect()
            }
            Self::List(list) => {
                list.iter_from(range.start).take(count).map(Element::List).collect()
            }
            Self::Set(set) => set.iter_from(range.start).take(count).map(Element::Set).collect(),
            Self::Zset(zset) if is_back => zset.iter_back(from_end).map(Element::Zset).collect(),
            Self::Zset(zset) => zset.iter(range).map(Element::Zset).collect(),
        }
    }
}

impl<'a> Element<'a> {
    /// Returns the bytes.
    pub(super) fn name(&self) -> Cow<'a, [u8]> {
        match self {
            Self::List(piece) => Cow::Borrowed(piece.as_bytes()),
            Self::Set(member) => member.name(),
            Self::Zset(member) => Cow::Borrowed(member.name()),
        }
    }

    /// Returns the bytes, to be kept.
    pub(super) fn share(&self, sharer: &mut Sharer) -> Bytes {
        match self {
            Self::List(piece) => sharer.share(piece, 0..piece.as_bytes().len()),
            Self::Set(member) => member.share(sharer),
            Self::Zset(member) => member.share_name(sharer),
        }
    }
}
