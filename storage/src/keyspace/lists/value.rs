//! A list: elements in a row, each a byte string, reached from either end.
//!
//! It is the sequence of its elements, in memory as in a snapshot; there it has one at least. One
//! form serves small and large, as in Redis 7.0.

use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::Bytes;

use super::super::collection::{Collection, Content, Kind};
use super::super::command::upper;
use super::super::reply::{Reply, SYNTAX};
use super::super::sequence::{Piece, Sequence, Sharer};
use super::super::snapshot::invalid;

/// An element that is taken alone is copied if it is not longer. To share it would have the rest
/// of its leaf copied, where it is removed from.
const COPIED_BYTES_MAX: usize = 256;

/// Elements in a row.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct List {
    elements: Sequence,
}

/// Where a list is pushed, popped, or begun to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Right,
}

impl End {
    /// Reads an end as LMOVE and LMPOP name it.
    pub(super) fn parse(name: &[u8]) -> Result<Self, Reply> {
        match upper(name, &mut [0; 16]) {
            b"LEFT" => Ok(Self::Left),
            b"RIGHT" => Ok(Self::Right),
            _ => Err(SYNTAX),
        }
    }
}

impl List {
    /// Returns the element at a place.
    pub(super) fn at(&self, place: usize) -> Option<Piece<'_>> {
        self.elements.get(place)
    }

    /// Returns all elements from a place on, in order.
    pub(in super::super) fn iter_from(&self, place: usize) -> impl Iterator<Item = Piece<'_>> {
        self.elements.iter_from(place)
    }

    /// Returns all elements before a place, the last of them first.
    pub(in super::super) fn iter_back_from(&self, place: usize) -> impl Iterator<Item = Piece<'_>> {
        self.elements.iter_back_from(place)
    }

    /// Returns all elements, beginning at an end.
    pub(super) fn iter_from_end(&self, end: End) -> impl Iterator<Item = Piece<'_>> {
        let forward = (end == End::Left).then(|| self.elements.iter());
        let backward = (end == End::Right).then(|| self.elements.iter_back_from(self.len()));
        forward.into_iter().flatten().chain(backward.into_iter().flatten())
    }

    /// Adds an element at the right end.
    pub(in super::super) fn append(&mut self, element: &[u8]) {
        self.elements.push(element);
    }

    /// Adds an element at an end.
    pub(super) fn push(&mut self, end: End, element: &[u8]) {
        match end {
            End::Left => self.elements.insert(0, element),
            End::Right => self.append(element),
        }
    }

    /// Removes the element at an end, and returns it.
    pub(super) fn pop(&mut self, end: End) -> Option<Bytes> {
        let place = match end {
            End::Left => 0,
            End::Right => self.len().checked_sub(1)?,
        };
        let piece = self.elements.get(place)?;
        let element = match piece.as_bytes() {
            short if short.len() <= COPIED_BYTES_MAX => Bytes::copy_from_slice(short),
            long => Sharer::default().share(&piece, 0..long.len()),
        };
        self.elements.remove(place);
        Some(element)
    }

    /// Removes so many elements from an end, or all, and returns them in the order in which they
    /// come off.
    pub(super) fn take(&mut self, end: End, count: usize) -> Vec<Bytes> {
        let count = count.min(self.len());
        if count == 1 {
            return self.pop(end).into_iter().collect();
        }
        let mut sharer = Sharer::default();
        let pieces = self.iter_from_end(end).take(count);
        let taken = pieces.map(|piece| sharer.share(&piece, 0..piece.as_bytes().len())).collect();
        let places = match end {
            End::Left => 0..count,
            End::Right => self.len() - count..self.len(),
        };
        self.elements.remove_range(places);
        taken
    }

    /// Puts another element in the place of one.
    pub(super) fn set(&mut self, place: usize, element: &[u8]) {
        self.elements.replace(place, element);
    }

    /// Inserts an element before the one at a place, or at the end.
    pub(super) fn insert(&mut self, place: usize, element: &[u8]) {
        self.elements.insert(place, element);
    }

    /// Removes all elements but those in a range, and returns whether there were any.
    pub(super) fn trim(&mut self, kept: Range<usize>) -> bool {
        let had = self.len();
        self.elements.remove_range(kept.end..had);
        self.elements.remove_range(0..kept.start);
        self.len() < had
    }

    /// Returns the place of the first element that is equal to one.
    pub(super) fn position(&self, element: &[u8]) -> Option<usize> {
        self.elements.iter().position(|piece| piece.as_bytes() == element)
    }

    /// Removes elements that are equal to one, so many at most, beginning at an end; returns how
    /// many there were.
    pub(super) fn remove_equal(&mut self, element: &[u8], end: End, count: usize) -> usize {
        let is_equal = |(_, piece): &(usize, Piece<'_>)| piece.as_bytes() == element;
        let found = self.iter_from_end(end).enumerate().filter(is_equal).take(count);
        let Some((steps, _)) = found.last() else { return 0 };
        let places = match end {
            End::Left => 0..steps + 1,
            End::Right => self.len() - steps - 1..self.len(),
        };
        self.elements.remove_if(places, |other| other == element)
    }
}

impl<N: AsRef<[u8]>> FromIterator<N> for List {
    fn from_iter<I: IntoIterator<Item = N>>(elements: I) -> Self {
        let mut list = Self::default();
        elements.into_iter().for_each(|element| list.append(element.as_ref()));
        list
    }
}

impl Content for List {
    fn type_name(&self) -> &'static str {
        "list"
    }

    fn type_tag(&self) -> u8 {
        Self::TAG
    }

    fn encoding(&self) -> &'static str {
        "quicklist"
    }

    fn len(&self) -> usize {
        self.elements.len()
    }

    fn write_to(&self, output: &mut dyn Write) -> io::Result<()> {
        self.elements.write_to(output)
    }
}

impl Kind for List {
    const TAG: u8 = 3;

    fn of(collection: &Collection) -> Option<&Self> {
        match collection {
            Collection::List(list) => Some(list),
            _ => None,
        }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        match collection {
            Collection::List(list) => Some(list),
            _ => None,
        }
    }

    fn into_collection(self) -> Collection {
        Collection::List(self)
    }

    fn read_from(input: &mut dyn Read) -> io::Result<Self> {
        let mut elements = Sequence::default();
        Sequence::read_from(input, |element| {
            elements.push(element);
            Ok(())
        })?;
        if elements.is_empty() {
            return Err(invalid("a list without elements"));
        }
        Ok(Self { elements })
    }
}
