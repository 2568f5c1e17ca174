//! A hash: fields, each with a value.
//!
//! ```text
//! entry = hash of the field u32 big-endian | length of the field varint | field | value
//! ```
//!
//! As in Redis a hash begins as a list, whose fields stay in the order in which they came, and is
//! searched from end to end; when it has grown beyond [`LISTED_MAX`] fields, or one of more than
//! [`LISTED_BYTES_MAX`] bytes, it is put into the order of `members`, and stays so.

use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::Bytes;

use super::super::collection::{Collection, Content, Kind};
use super::super::members::{self, HEAD_BYTES};
use super::super::sequence::{Piece, Sequence, Sharer};
use super::super::snapshot::{invalid, read_array};
use super::super::varint;

/// The most fields of a list, and bytes of a field or value in it: Redis' hash-max-listpack-entries
/// and -value.
const LISTED_MAX: usize = 128;
const LISTED_BYTES_MAX: usize = 64;

/// Fields and their values.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Hash {
    entries: Sequence,
    /// Whether the entries are in the order of `members`.
    is_ordered: bool,
}

/// A field and its value, where they lie.
#[derive(Debug)]
pub(in super::super) struct Field<'a> {
    piece: Piece<'a>,
    name: Range<usize>,
}

impl<'a> Field<'a> {
    fn new(piece: Piece<'a>) -> Self {
        let name = name_range(piece.as_bytes());
        Self { piece, name }
    }

    pub(in super::super) fn name(&self) -> &'a [u8] {
        &self.piece.as_bytes()[self.name.clone()]
    }

    pub(in super::super) fn value(&self) -> &'a [u8] {
        &self.piece.as_bytes()[self.name.end..]
    }

    /// Returns the name, to be kept.
    pub(super) fn share_name(&self, sharer: &mut Sharer) -> Bytes {
        sharer.share(&self.piece, self.name.clone())
    }

    /// Returns the value, to be kept.
    pub(in super::super) fn share_value(&self, sharer: &mut Sharer) -> Bytes {
        sharer.share(&self.piece, self.name.end..self.piece.as_bytes().len())
    }
}

impl Hash {
    /// Returns the sequence of all entries if cursors can point into it.
    pub(super) fn ordered(&self) -> Option<&Sequence> {
        self.is_ordered.then_some(&self.entries)
    }

    /// Returns a field.
    pub(in super::super) fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        self.at(self.find(name).ok()?)
    }

    /// Returns the field at a place in the order.
    pub(super) fn at(&self, place: usize) -> Option<Field<'_>> {
        self.entries.get(place).map(Field::new)
    }

    /// Returns all fields from a place on, in order.
    pub(in super::super) fn iter_from(&self, place: usize) -> impl Iterator<Item = Field<'_>> {
        self.entries.iter_from(place).map(Field::new)
    }

    /// Gives a field a value, and returns whether it is new.
    pub(in super::super) fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let is_long = name.len() > LISTED_BYTES_MAX || value.len() > LISTED_BYTES_MAX;
        if is_long && !self.is_ordered {
            self.put_in_order();
        }
        let mut place = self.find(name);
        if place.is_err() && !self.is_ordered && self.entries.len() >= LISTED_MAX {
            self.put_in_order();
            place = self.find(name);
        }
        let entry = entry(name, value);
        match place {
            Ok(place) => self.entries.replace(place, &entry),
            Err(place) => self.entries.insert(place, &entry),
        }
        place.is_err()
    }

    /// Removes a field, and returns whether it was there.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let place = self.find(name);
        if let Ok(place) = place {
            self.entries.remove(place);
        }
        place.is_ok()
    }

    /// Returns where a field is, or where it is to be put.
    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        let head = members::head(name);
        if self.is_ordered {
            return self.entries.search(|entry| members::compare(entry, name_of, head, name));
        }
        let is_same = |piece: Piece<'_>| {
            let entry = piece.as_bytes();
            entry[..HEAD_BYTES] == head && name_of(entry) == name
        };
        self.entries.iter().position(is_same).ok_or(self.entries.len())
    }

    fn put_in_order(&mut self) {
        let listed = std::mem::take(self);
        self.is_ordered = true;
        for field in listed.iter_from(0) {
            self.set(field.name(), field.value());
        }
    }
}

fn entry(name: &[u8], value: &[u8]) -> Vec<u8> {
    let bytes = HEAD_BYTES + varint::len(name.len()) + name.len() + value.len();
    let mut entry = Vec::with_capacity(bytes);
    entry.extend_from_slice(&members::head(name));
    varint::put(&mut entry, name.len());
    entry.extend_from_slice(name);
    entry.extend_from_slice(value);
    entry
}

fn name_of(entry: &[u8]) -> &[u8] {
    &entry[name_range(entry)]
}

/// Returns where the name is in an entry; behind it is the value.
fn name_range(entry: &[u8]) -> Range<usize> {
    checked_name_range(entry).expect("entries are made here, or were checked")
}

fn checked_name_range(entry: &[u8]) -> Option<Range<usize>> {
    let (length, rest) = varint::take(entry.get(HEAD_BYTES..)?).ok()?;
    let start = entry.len() - rest.len();
    (length <= rest.len()).then_some(start..start + length)
}

impl Content for Hash {
    fn type_name(&self) -> &'static str {
        "hash"
    }

    fn type_tag(&self) -> u8 {
        Self::TAG
    }

    fn encoding(&self) -> &'static str {
        if self.is_ordered { "hashtable" } else { "listpack" }
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn write_to(&self, output: &mut dyn Write) -> io::Result<()> {
        output.write_all(&[u8::from(self.is_ordered)])?;
        self.entries.write_to(output)
    }
}

impl Kind for Hash {
    const TAG: u8 = 2;

    fn of(collection: &Collection) -> Option<&Self> {
        match collection {
            Collection::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        match collection {
            Collection::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn into_collection(self) -> Collection {
        Collection::Hash(self)
    }

    fn read_from(input: &mut dyn Read) -> io::Result<Self> {
        let is_ordered = match read_array(input)? {
            [0] => false,
            [1] => true,
            [other] => return Err(invalid(format!("{other} where a hash says its order"))),
        };
        let mut hash = Self { entries: Sequence::default(), is_ordered };
        Sequence::read_from(input, |entry| {
            if !is_ordered && hash.entries.len() >= LISTED_MAX {
                return Err(invalid("a hash with too many fields for a list"));
            }
            let Some(name) = checked_name_range(entry).map(|range| &entry[range]) else {
                return Err(invalid("a hash with an entry that has no field"));
            };
            if entry[..HEAD_BYTES] != members::head(name) {
                return Err(invalid("a hash with a field under another's hash"));
            }
            // In order it comes behind all others; in a list it is one that is not there yet.
            if hash.find(name) != Err(hash.entries.len()) {
                return Err(invalid("a hash with fields out of order"));
            }
            hash.entries.push(entry);
            Ok(())
        })?;
        if hash.entries.is_empty() {
            return Err(invalid("a hash without fields"));
        }
        Ok(hash)
    }
}
