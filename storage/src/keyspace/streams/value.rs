//! A stream: entries in the order of their IDs, and the groups that read them.
//!
//! ```text
//! entry    = ID | (length varint | bytes)*        fields and their values in turn
//! ID       = ms u64 big-endian | sequence u64 big-endian
//!
//! snapshot = last ID | greatest deleted ID | entries ever added u64 | sequence of entries
//!          | number of groups u64 | group*        in the order of their names; see `group`
//! ```
//!
//! IDs only grow: no entry is behind the last ID, which stays when its entry is deleted. A stream
//! without entries is still one, for its last ID and its groups.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::Bytes;
use triomphe::Arc;

use super::super::Reply;
use super::super::collection::{Collection, Content, Kind};
use super::super::sequence::{Piece, Ranges, Sequence, Sharer};
use super::super::snapshot::{invalid, read_array, read_bytes, read_u64, write_bytes};
use super::super::varint;
use super::group::Group;
use super::id::{ID_BYTES, Id};
use super::past::Past;
use super::trim::Trim;

/// Entries, and groups that read them.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Stream {
    entries: Sequence,
    /// The greatest ID there ever was, or that XSETID has set.
    pub(super) last_id: Id,
    /// The greatest ID that was deleted by name, or that XSETID has set.
    pub(super) max_deleted_id: Id,
    /// How many there ever were.
    pub(super) entries_added: u64,
    groups: Arc<BTreeMap<Bytes, Group>>,
}

impl Stream {
    /// Returns what is known of the entries that there were.
    pub(super) fn past(&self) -> Past {
        Past {
            added: self.entries_added,
            left: self.entries.len() as u64,
            first: self.first_id(),
            last: self.last_id,
            max_deleted: self.max_deleted_id,
        }
    }

    /// Returns the ID of the first entry, or the smallest one.
    pub(super) fn first_id(&self) -> Id {
        self.entries.get(0).map_or(Id::MIN, |piece| Id::of(piece.as_bytes()))
    }

    /// Returns the ID of the last entry, which may be smaller than the last ID.
    pub(super) fn top_id(&self) -> Option<Id> {
        let last = self.entries.len().checked_sub(1)?;
        self.entries.get(last).map(|piece| Id::of(piece.as_bytes()))
    }

    /// Adds an entry under an ID greater than all.
    pub(super) fn append(&mut self, id: Id, fields: &[&[u8]]) {
        let bytes: usize = fields.iter().map(|text| text.len() + varint::len(text.len())).sum();
        let mut entry = Vec::with_capacity(ID_BYTES + bytes);
        entry.extend_from_slice(&id.to_bytes());
        for text in fields {
            varint::put(&mut entry, text.len());
            entry.extend_from_slice(text);
        }
        self.entries.push(&entry);
        self.last_id = id;
        self.entries_added = self.entries_added.saturating_add(1);
    }

    /// Removes an entry, and returns whether it was there.
    pub(super) fn remove(&mut self, id: Id) -> bool {
        let place = place(&self.entries, id);
        if let Ok(place) = place {
            self.entries.remove(place);
            self.max_deleted_id = self.max_deleted_id.max(id);
        }
        place.is_ok()
    }

    /// Removes entries from the beginning, and returns how many.
    pub(super) fn trim(&mut self, trim: &Trim) -> usize {
        let before = |id| place(&self.entries, id).unwrap_or_else(|place| place);
        let count = trim.count(self.entries.len(), before);
        self.entries.remove_range(0..count);
        count
    }

    /// Returns the places of the entries from one ID to another.
    pub(super) fn places(&self, start: Id, end: Id) -> Range<usize> {
        places(&self.entries, start, end)
    }

    /// Returns entries in order.
    pub(super) fn iter(&self, places: Range<usize>) -> impl Iterator<Item = Piece<'_>> {
        self.entries.iter_from(places.start).take(places.len())
    }

    /// Returns entries, the last one first.
    pub(super) fn iter_back(&self, places: Range<usize>) -> impl Iterator<Item = Piece<'_>> {
        self.entries.iter_back_from(places.end).take(places.len())
    }

    /// Returns the groups in the order of their names.
    pub(super) fn groups(&self) -> &BTreeMap<Bytes, Group> {
        &self.groups
    }

    pub(super) fn add_group(&mut self, name: &[u8], group: Group) {
        Arc::make_mut(&mut self.groups).insert(Bytes::copy_from_slice(name), group);
    }

    pub(super) fn remove_group(&mut self, name: &[u8]) {
        Arc::make_mut(&mut self.groups).remove(name);
    }

    pub(super) fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Returns a group to be changed, and all entries, which it reads.
    pub(super) fn group_mut(&mut self, name: &[u8]) -> Option<(&mut Group, &Sequence)> {
        let group = Arc::make_mut(&mut self.groups).get_mut(name)?;
        Some((group, &self.entries))
    }
}

/// Returns the entry of an ID.
pub(super) fn entry(entries: &Sequence, id: Id) -> Option<Piece<'_>> {
    entries.get(place(entries, id).ok()?)
}

/// Returns where an entry is in the order of IDs, or where it would be.
pub(super) fn place(entries: &Sequence, id: Id) -> Result<usize, usize> {
    let bytes = id.to_bytes();
    entries.search(|entry| entry[..ID_BYTES].cmp(&bytes))
}

/// Returns the places from one ID to another; none if they are the wrong way round.
pub(super) fn places(entries: &Sequence, start: Id, end: Id) -> Range<usize> {
    let start = place(entries, start).unwrap_or_else(|place| place);
    let end = place(entries, end).map_or_else(|place| place, |place| place + 1);
    start..end.max(start)
}

/// Returns what is shown of an entry: its ID, and fields and values in turn.
pub(super) fn show(piece: &Piece<'_>, sharer: &mut Sharer) -> Reply {
    let entry = piece.as_bytes();
    let texts = Ranges::from(entry, ID_BYTES).map(|part| Reply::Bulk(sharer.share(piece, part)));
    let texts = texts.collect();
    Reply::Array(vec![Id::of(entry).reply(), Reply::Array(texts)])
}

/// Returns whether bytes are an entry: an ID, and at least one field with its value.
fn is_entry(entry: &[u8]) -> bool {
    let Some(mut rest) = entry.get(ID_BYTES..) else { return false };
    let mut texts = 0usize;
    while !rest.is_empty() {
        let Ok((length, behind)) = varint::take(rest) else { return false };
        let Some(behind) = behind.get(length..) else { return false };
        rest = behind;
        texts += 1;
    }
    texts > 0 && texts.is_multiple_of(2)
}

impl Content for Stream {
    fn type_name(&self) -> &'static str {
        "stream"
    }

    fn type_tag(&self) -> u8 {
        Self::TAG
    }

    fn encoding(&self) -> &'static str {
        "stream"
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn is_gone(&self) -> bool {
        false
    }

    fn write_to(&self, output: &mut dyn Write) -> io::Result<()> {
        output.write_all(&self.last_id.to_bytes())?;
        output.write_all(&self.max_deleted_id.to_bytes())?;
        output.write_all(&self.entries_added.to_le_bytes())?;
        self.entries.write_to(output)?;
        output.write_all(&(self.groups.len() as u64).to_le_bytes())?;
        self.groups.iter().try_for_each(|(name, group)| {
            write_bytes(name, output)?;
            group.write_to(output)
        })
    }
}

impl Kind for Stream {
    const TAG: u8 = 6;

    fn of(collection: &Collection) -> Option<&Self> {
        match collection {
            Collection::Stream(value) => Some(value),
            _ => None,
        }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        match collection {
            Collection::Stream(value) => Some(value),
            _ => None,
        }
    }

    fn into_collection(self) -> Collection {
        Collection::Stream(self)
    }

    fn read_from(input: &mut dyn Read) -> io::Result<Self> {
        let last_id = Id::from_bytes(read_array(input)?);
        let max_deleted_id = Id::from_bytes(read_array(input)?);
        let entries_added = read_u64(input)?;
        let mut entries = Sequence::default();
        let mut top = Id::MIN;
        Sequence::read_from(input, |entry| {
            if !is_entry(entry) {
                return Err(invalid("a stream with an entry that is none"));
            }
            if Id::of(entry) <= top {
                return Err(invalid("a stream with entries out of order"));
            }
            top = Id::of(entry);
            entries.push(entry);
            Ok(())
        })?;
        if top > last_id || entries_added < entries.len() as u64 {
            return Err(invalid("a stream that has more entries than it ever had"));
        }
        let mut groups = BTreeMap::new();
        for _ in 0..read_u64(input)? {
            let name = Bytes::from(read_bytes(input, usize::MAX)?);
            if groups.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(invalid("a stream with groups out of order"));
            }
            groups.insert(name, Group::read_from(input)?);
        }
        Ok(Self { entries, last_id, max_deleted_id, entries_added, groups: Arc::new(groups) })
    }
}
