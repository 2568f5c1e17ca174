//! A key and all that is known of it, in one allocation.
//!
//! ```text
//! Item ── position
//!      └─ record ──► count | version | deadline | apart | lengths | key bytes | value bytes
//!                                                   └──────────────► a value that is not short
//! ```
//!
//! A million small keys are a million allocations, and to look at one costs one more look at memory
//! than to find its place. Views and replies share records; a write replaces a record that is
//! shared, or whose size changes, and else writes into it. Who is to write has the only way to a
//! record that nobody shares, so nobody can begin to share it meanwhile.

use std::num::NonZeroU64;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use triomphe::{Arc, ThinArc};

use super::collection::{Collection, Kind};
use super::value::{Owned, Str, Value, edit};
use crate::types::Index;

/// Strings up to this length lie in the record; longer ones are apart.
const SHORT_BYTES_MAX: usize = 1024;
/// A value with so many entries takes a while to drop.
const LARGE_ENTRIES: usize = 8 * 1024;
/// What is kept of a record is copied up to this length, and else shared: thousands of replies that
/// wait for a slow client must not hold thousands of copies. To share costs about as much memory.
const COPIED_BYTES_MAX: usize = 64;

/// A key and all that is known of it. A clone shares the record.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The key's position; see [`hash`](super::hash).
    pub(super) position: u64,
    /// What is known, and behind it the key and a short value.
    record: ThinArc<Head, u8>,
}

#[derive(Clone, Debug)]
struct Head {
    /// The index of the entry that wrote the value.
    version: Index,
    /// When the key dies, by the time in the log.
    deadline: Option<NonZeroU64>,
    /// The value, unless it is a short string.
    apart: Option<Box<Owned>>,
    /// The bytes of the key.
    key_len: usize,
}

impl Item {
    /// Creates an item without a deadline. `spare` is room to work in, of no meaning.
    pub(super) fn new(
        position: u64,
        key: &[u8],
        value: Value<'_>,
        version: Index,
        spare: &mut Vec<u8>,
    ) -> Self {
        let head = Head { version, deadline: None, apart: None, key_len: key.len() };
        Self { position, record: record(head, key, value, spare) }
    }

    fn head(&self) -> &Head {
        &self.record.header.header
    }

    /// Returns the key.
    pub(super) fn key(&self) -> &[u8] {
        &self.record.slice[..self.head().key_len]
    }

    /// Returns the key, to be kept.
    pub(super) fn key_bytes(&self) -> Bytes {
        self.share(0..self.head().key_len)
    }

    /// Returns the bytes of a short string.
    pub(super) fn short(&self) -> &[u8] {
        &self.record.slice[self.head().key_len..]
    }

    /// Returns some of the bytes of a short string, to be kept.
    pub(super) fn share_short(&self, range: Range<usize>) -> Bytes {
        let start = self.head().key_len;
        self.share(start + range.start..start + range.end)
    }

    fn share(&self, range: Range<usize>) -> Bytes {
        if range.len() <= COPIED_BYTES_MAX {
            return Bytes::copy_from_slice(&self.record.slice[range]);
        }
        Bytes::from_owner(Part { record: self.record.clone(), range })
    }

    /// Returns the value.
    pub(super) fn value(&self) -> Value<'_> {
        match &self.head().apart {
            None => Value::Str(Str::Short(self)),
            Some(apart) => apart.as_value(),
        }
    }

    /// Returns the value if it is so large that whoever drops it last is to do so where that holds
    /// nobody up.
    pub(super) fn large(&self) -> Option<Collection> {
        match self.head().apart.as_deref() {
            Some(Owned::Collection(collection)) if collection.content().len() >= LARGE_ENTRIES => {
                Some(collection.clone())
            }
            _ => None,
        }
    }

    /// Returns how many bytes it takes about, without what the allocator adds.
    pub(super) fn memory_bytes(&self) -> usize {
        let apart = self.head().apart.as_ref();
        let value = apart.map_or(0, |value| size_of::<Owned>() + value.as_value().content_bytes());
        size_of::<Self>() + size_of::<Head>() + self.record.slice.len() + value
    }

    /// Returns the index of the entry that wrote the value.
    pub(super) fn version(&self) -> Index {
        self.head().version
    }

    /// Returns when the key dies, by the time in the log.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.head().deadline.map(NonZeroU64::get)
    }

    /// Returns whether the key lives at a time. At its deadline it is dead.
    pub(super) fn is_live(&self, now: u64) -> bool {
        self.deadline().is_none_or(|deadline| now < deadline)
    }

    /// Gives the key another value. It keeps its deadline.
    pub(super) fn set_value(&mut self, value: Value<'_>, version: Index, spare: &mut Vec<u8>) {
        let is_written = self.record.with_arc_mut(|record| {
            // Nobody else sees it, and it has the right size.
            let Some(record) = Arc::get_mut(record) else { return false };
            let key_len = record.header().key_len;
            match (&mut record.header_mut().apart, short(value)) {
                (Some(apart), None) => **apart = value.to_owned(),
                (None, Some(new)) => {
                    let old = &mut record.slice_mut()[key_len..];
                    if old.len() != new.len() {
                        return false;
                    }
                    old.copy_from_slice(new);
                }
                _ => return false,
            }
            record.header_mut().version = version;
            true
        });
        if !is_written {
            let head = Head { version, apart: None, ..*self.head() };
            self.record = record(head, self.key(), value, spare);
        }
    }

    /// Sets or clears the deadline. It is not zero: such a key was dead before all entries.
    pub(super) fn set_deadline(&mut self, deadline: Option<u64>) {
        let deadline = deadline.map(|at| NonZeroU64::new(at).expect("nobody lives until zero"));
        self.change(|head| head.deadline = deadline);
    }

    /// Changes the bytes of a string: those of a long one in place, if nobody else holds them.
    pub(super) fn edit_str(
        &mut self,
        version: Index,
        spare: &mut Vec<u8>,
        change: impl FnOnce(&mut BytesMut),
    ) {
        match self.value() {
            Value::Str(Str::Borrowed(_)) => unreachable!("an item has its value"),
            Value::Str(Str::Short(item)) => {
                let mut bytes = BytesMut::from(item.short());
                change(&mut bytes);
                if bytes.len() <= SHORT_BYTES_MAX {
                    self.set_value(Value::from(&bytes[..]), version, spare);
                } else {
                    self.set_value(Value::Str(Str::Long(&bytes.freeze())), version, spare);
                }
            }
            Value::Str(Str::Long(_)) => self.change(|head| {
                head.version = version;
                match head.apart.as_deref_mut() {
                    Some(Owned::Str(bytes)) => edit(bytes, change),
                    _ => unreachable!("a long string is apart"),
                }
            }),
            Value::Collection(_) => unreachable!("only a string is edited as one"),
        }
    }

    /// Changes the entries of a value that has many, in place where nobody else holds them. It
    /// counts as written if `change` says that it has.
    pub(super) fn edit_kind<T: Kind, R>(
        &mut self,
        version: Index,
        change: impl FnOnce(&mut T) -> (R, bool),
    ) -> R {
        let mut result = None;
        self.change(|head| {
            let Some(Owned::Collection(collection)) = head.apart.as_deref_mut() else {
                unreachable!("entries are apart");
            };
            let value = T::of_mut(collection).expect("whoever edits has looked at the type");
            let (changed, has_changed) = change(value);
            if has_changed {
                head.version = version;
            }
            result = Some(changed);
        });
        result.expect("a change that was made")
    }

    /// Changes what is known of the key, in a record of its own if a view holds this one.
    fn change(&mut self, change: impl FnOnce(&mut Head)) {
        if !self.record.with_arc(Arc::is_unique) {
            self.record = ThinArc::from_header_and_slice(self.head().clone(), &self.record.slice);
        }
        self.record.with_arc_mut(|record| {
            let record = Arc::get_mut(record).expect("a record that was made unique");
            change(record.header_mut());
        });
    }
}

/// A part of a record, which keeps all of it.
struct Part {
    record: ThinArc<Head, u8>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.record.slice[self.range.clone()]
    }
}

/// Creates a record; `spare` is a key's and a short string's length at the most.
fn record(mut head: Head, key: &[u8], value: Value<'_>, spare: &mut Vec<u8>) -> ThinArc<Head, u8> {
    spare.clear();
    spare.extend_from_slice(key);
    match short(value) {
        Some(bytes) => spare.extend_from_slice(bytes),
        None => head.apart = Some(Box::new(value.to_owned())),
    }
    ThinArc::from_header_and_slice(head, spare)
}

/// Returns the bytes of a value that lies in the record.
fn short(value: Value<'_>) -> Option<&[u8]> {
    match value {
        Value::Str(string) => {
            Some(string.as_bytes()).filter(|bytes| bytes.len() <= SHORT_BYTES_MAX)
        }
        Value::Collection(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(item: &Item) -> &[u8] {
        match item.value() {
            Value::Str(Str::Borrowed(bytes)) => bytes,
            Value::Str(Str::Short(item)) => item.short(),
            Value::Str(Str::Long(bytes)) => bytes,
            Value::Collection(_) => panic!("not a string"),
        }
    }

    /// What a small item takes beside the bytes of its key and value, and the record's count and
    /// length.
    #[test]
    fn what_a_small_item_takes() {
        assert_eq!(size_of::<Item>(), 16);
        assert_eq!(size_of::<Head>(), 32);
    }

    #[test]
    fn a_view_sees_nothing_of_what_is_written_later() {
        let spare = &mut Vec::new();
        for length in [0, 1, SHORT_BYTES_MAX, SHORT_BYTES_MAX + 1] {
            let old = vec![b'o'; length];
            let mut item = Item::new(7, b"key", Value::from(&old[..]), 1, spare);
            let view = item.clone();
            item.set_deadline(Some(5));
            assert_eq!((item.deadline(), view.deadline()), (Some(5), None));
            let view = item.clone();
            item.set_value(Value::from(&vec![b'n'; length][..]), 2, spare);
            assert_eq!((string(&view), view.version()), (&old[..], 1));
            assert_eq!((string(&item), item.version()), (&vec![b'n'; length][..], 2));
            assert_eq!((item.deadline(), view.deadline()), (Some(5), Some(5)));
            let view = item.clone();
            item.edit_str(3, spare, |bytes| bytes.extend_from_slice(b"+"));
            assert_eq!((string(&view).len(), view.version()), (length, 2));
            assert_eq!((string(&item).len(), item.version()), (length + 1, 3));
            assert_eq!((item.key(), item.deadline()), (&b"key"[..], Some(5)));
        }
    }

    #[test]
    fn strings_change_from_short_to_long_and_back() {
        let spare = &mut Vec::new();
        let mut item = Item::new(0, b"", Value::from(&b"short"[..]), 1, spare);
        for length in [2000, 3, 3, SHORT_BYTES_MAX, SHORT_BYTES_MAX + 1, 0] {
            let bytes = Bytes::from(vec![b'x'; length]);
            item.set_value(Value::Str(Str::Long(&bytes)), 2, spare);
            assert_eq!(string(&item), bytes);
            let is_short = matches!(item.value(), Value::Str(Str::Short(_)));
            assert_eq!(is_short, length <= SHORT_BYTES_MAX);
        }
    }

    /// A write of the same size goes into the record; one that somebody shares is left alone.
    #[test]
    fn a_record_is_written_in_place_unless_it_is_shared() {
        let spare = &mut Vec::new();
        for length in [0, 64, SHORT_BYTES_MAX, SHORT_BYTES_MAX + 1] {
            let bytes = vec![b'x'; length];
            let mut item = Item::new(0, b"k", Value::from(&bytes[..]), 1, spare);
            let at = item.key().as_ptr();
            item.set_value(Value::from(&bytes[..]), 2, spare);
            item.set_deadline(Some(9));
            assert_eq!((item.key().as_ptr(), item.version()), (at, 2));
            let view = item.clone();
            item.set_value(Value::from(&bytes[..]), 3, spare);
            assert_ne!(item.key().as_ptr(), at);
            assert_eq!((view.key().as_ptr(), view.version()), (at, 2));
        }
    }

    /// A thousand replies of one long key or value are not a thousand copies.
    #[test]
    fn what_is_kept_is_shared_unless_it_is_small() {
        let spare = &mut Vec::new();
        let key = [b'k'; COPIED_BYTES_MAX + 1];
        for length in [COPIED_BYTES_MAX + 1, SHORT_BYTES_MAX, SHORT_BYTES_MAX + 1] {
            let bytes = vec![b'x'; length];
            let mut item = Item::new(0, &key, Value::from(&bytes[..]), 1, spare);
            let kept = || {
                let Value::Str(string) = item.value() else { panic!("a string") };
                (item.key_bytes(), string.to_bytes(), string.slice(1..length))
            };
            let (first, second) = (kept(), kept());
            assert_eq!(first.0.as_ptr(), second.0.as_ptr());
            assert_eq!(first.1.as_ptr(), second.1.as_ptr());
            item.set_value(Value::from(&b"new"[..]), 2, spare);
            assert_eq!((&first.0[..], &first.1[..]), (&key[..], &bytes[..]));
            assert_eq!(second.2, bytes[1..]);
        }
    }

    /// A long value that is appended to again and again is not copied each time.
    #[test]
    fn a_long_string_is_edited_in_place() {
        let spare = &mut Vec::new();
        let mut item = Item::new(0, b"k", Value::from(&vec![b'x'; 4096][..]), 1, spare);
        item.edit_str(2, spare, |bytes| bytes.reserve(100));
        let at = string(&item).as_ptr();
        item.edit_str(3, spare, |bytes| bytes.extend_from_slice(b"end"));
        assert_eq!((string(&item).as_ptr(), string(&item).len()), (at, 4099));
    }
}
