//! What a key holds.

use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::collection::{Collection, Kind};
use super::item::Item;
use super::reply::{Reply, WRONG_TYPE};
use super::snapshot::{digest_of, read_bytes, write_bytes};
use super::strings::MAX_VALUE_BYTES;

const TAG_STRING: u8 = 1;

/// A value of one of the data types, as an item holds it or is to hold it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Bytes, or a number as text.
    Str(Str<'a>),
    /// Anything else.
    Collection(&'a Collection),
}

/// A value by itself.
#[derive(Clone, Debug)]
pub(super) enum Owned {
    /// Bytes. Always a copy of their own: a slice would keep a whole request in memory.
    Str(Bytes),
    /// Anything else.
    Collection(Collection),
}

/// The bytes of a string.
#[derive(Clone, Copy, Debug)]
pub(super) enum Str<'a> {
    /// Bytes of somebody else's, such as a request's: whoever keeps them has to copy them.
    Borrowed(&'a [u8]),
    /// Bytes that lie in an item.
    Short(&'a Item),
    /// Bytes that lie apart from their item.
    Long(&'a Bytes),
}

impl<'a> Str<'a> {
    /// Returns the bytes.
    pub(super) fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Short(item) => item.short(),
            Self::Long(bytes) => bytes,
        }
    }

    /// Returns the bytes, to be kept.
    pub(super) fn to_bytes(self) -> Bytes {
        self.slice(0..self.as_bytes().len())
    }

    /// Returns some of the bytes, to be kept.
    pub(super) fn slice(self, range: Range<usize>) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(&bytes[range]),
            Self::Short(item) => item.share_short(range),
            Self::Long(bytes) => bytes.slice(range),
        }
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Str(Str::Borrowed(bytes))
    }
}

impl<'a> Value<'a> {
    /// Returns the name of the type, as TYPE does.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Str(_) => "string",
            Self::Collection(collection) => collection.content().type_name(),
        }
    }

    /// Returns the bytes of a string; for any other type the error is WRONGTYPE.
    pub(super) fn as_str(self) -> Result<Str<'a>, Reply> {
        match self {
            Self::Str(string) => Ok(string),
            Self::Collection(_) => Err(WRONG_TYPE),
        }
    }

    /// Returns a value of a type of many entries; for any other type the error is WRONGTYPE.
    pub(super) fn as_kind<T: Kind>(self) -> Result<&'a T, Reply> {
        match self {
            Self::Collection(collection) => T::of(collection).ok_or(WRONG_TYPE),
            Self::Str(_) => Err(WRONG_TYPE),
        }
    }

    /// Returns it by itself: bytes as a copy, entries shared.
    pub(super) fn to_owned(self) -> Owned {
        match self {
            Self::Str(string) => Owned::Str(string.to_bytes()),
            Self::Collection(collection) => Owned::Collection(collection.clone()),
        }
    }
}

/// How a value is written into a snapshot, and counted into the digest.
impl Value<'_> {
    /// Returns the number of the type in snapshots. Zero is none: it ends them.
    pub(super) fn type_tag(self) -> u8 {
        match self {
            Self::Str(_) => TAG_STRING,
            Self::Collection(collection) => collection.content().type_tag(),
        }
    }

    /// Writes all that follows the key.
    pub(super) fn write_to(self, output: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Str(bytes) => write_bytes(bytes.as_bytes(), output),
            Self::Collection(collection) => collection.content().write_to(output),
        }
    }

    /// Returns how many bytes the content has, as it is written.
    pub(super) fn content_bytes(self) -> usize {
        match self {
            Self::Str(bytes) => bytes.as_bytes().len(),
            Self::Collection(collection) => {
                let mut counter = Counter(0);
                let written = collection.content().write_to(&mut counter);
                written.expect("a counter takes all that is written to it");
                counter.0
            }
        }
    }

    /// Returns a hash of the content.
    pub(super) fn digest(self) -> u128 {
        match self {
            Self::Str(bytes) => digest_of(bytes.as_bytes()),
            Self::Collection(collection) => collection.digest(),
        }
    }
}

impl Owned {
    /// Returns the value.
    pub(super) fn as_value(&self) -> Value<'_> {
        match self {
            Self::Str(bytes) => Value::Str(Str::Long(bytes)),
            Self::Collection(collection) => Value::Collection(collection),
        }
    }

    /// Reads a value of a type from a snapshot.
    pub(super) fn read_from(tag: u8, input: &mut impl Read) -> io::Result<Self> {
        match tag {
            TAG_STRING => Ok(Self::Str(read_bytes(input, MAX_VALUE_BYTES)?.into())),
            _ => Collection::read_from(tag, input).map(Self::Collection),
        }
    }
}

/// Counts the bytes that are written to it.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Changes bytes: in place if nobody else holds them, else as a copy.
pub(super) fn edit(bytes: &mut Bytes, change: impl FnOnce(&mut BytesMut)) {
    let mut buffer = match std::mem::take(bytes).try_into_mut() {
        Ok(unique) => unique,
        Err(shared) => BytesMut::from(&shared[..]),
    };
    change(&mut buffer);
    *bytes = buffer.freeze();
}
