//! What a key holds.

use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};

use super::reply::Reply;
use super::snapshot::{digest_of, invalid, read_bytes, write_bytes};
use super::strings::MAX_VALUE_BYTES;
use crate::types::Index;

const TAG_STRING: u8 = 1;

/// A value, of one of the data types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Bytes, or a number as text. Always a copy of its own: a slice would keep a whole request in
    /// memory.
    Str(Bytes),
}

impl Value {
    /// Returns a string value with a copy of the bytes.
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        Self::Str(Bytes::copy_from_slice(bytes))
    }

    /// Returns the name of the type, as TYPE does.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Str(_) => "string",
        }
    }

    /// Returns the bytes of a string; for any other type the error is WRONGTYPE.
    pub(super) fn as_str(&self) -> Result<&Bytes, Reply> {
        match self {
            Self::Str(bytes) => Ok(bytes),
        }
    }
}

/// How a value is written into a snapshot, and counted into the digest.
impl Value {
    /// Returns the number of the type in snapshots. Zero is none: it ends them.
    pub(super) fn type_tag(&self) -> u8 {
        match self {
            Self::Str(_) => TAG_STRING,
        }
    }

    /// Writes all that follows the key.
    pub(super) fn write_to(&self, output: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Str(bytes) => write_bytes(bytes, output),
        }
    }

    /// Reads a value of a type.
    pub(super) fn read_from(tag: u8, input: &mut impl Read) -> io::Result<Self> {
        match tag {
            TAG_STRING => Ok(Self::Str(read_bytes(input, MAX_VALUE_BYTES)?.into())),
            _ => Err(invalid(format!("unknown type {tag} of a value"))),
        }
    }

    /// Returns a hash of the content.
    pub(super) fn digest(&self) -> u128 {
        match self {
            Self::Str(bytes) => digest_of(bytes),
        }
    }
}

/// A key and all that is known of it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The key's position; see [`hash`](super::hash).
    pub(super) position: u64,
    /// The key.
    pub(super) key: Bytes,
    /// The value.
    pub(super) value: Value,
    /// When the key dies, by the time in the log.
    pub(super) deadline: Option<u64>,
    /// The index of the entry that wrote the value.
    pub(super) version: Index,
}

impl Item {
    /// Returns whether the key lives at a time. At its deadline it is dead.
    pub(super) fn is_live(&self, now: u64) -> bool {
        self.deadline.is_none_or(|deadline| now < deadline)
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
