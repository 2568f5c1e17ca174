//! What a key holds that is not a string: one of the types made of many entries.
//!
//! Each type is a [`Kind`]: what all of them can tell of themselves. The rest of the keyspace knows
//! no more of them than that. The next type is one new file, its variant here, and its rows.

use std::fmt;
use std::io::{self, Read, Write};

use super::hashes::Hash;
use super::lists::List;
use super::sets::Set;
use super::snapshot::{Digester, invalid};
use super::streams::Stream;
use super::zsets::Zset;

/// A value of many entries. A clone shares them.
#[derive(Clone, Debug)]
pub(super) enum Collection {
    Hash(Hash),
    List(List),
    Set(Set),
    Zset(Zset),
    Stream(Stream),
}

/// What can be asked of a value without knowing its type.
pub(super) trait Content: fmt::Debug {
    /// Returns the name of the type, as TYPE tells it.
    fn type_name(&self) -> &'static str;

    /// Returns the number of the type in snapshots: [`Kind::TAG`].
    fn type_tag(&self) -> u8;

    /// Returns what OBJECT ENCODING tells.
    fn encoding(&self) -> &'static str;

    /// Returns how many entries there are, as clients count them.
    fn len(&self) -> usize;

    /// Returns whether a key with this value is to be removed.
    fn is_gone(&self) -> bool {
        self.len() == 0
    }

    /// Writes everything that a client could see, in the one form that it has.
    fn write_to(&self, output: &mut dyn Write) -> io::Result<()>;
}

/// A type of values of many entries.
pub(super) trait Kind: Content + Clone + Default {
    /// The number of the type in snapshots, for ever. Zero is none, one a string.
    const TAG: u8;

    /// Returns the value, if it is of this type.
    fn of(collection: &Collection) -> Option<&Self>;

    /// Returns the value to be changed, if it is of this type.
    fn of_mut(collection: &mut Collection) -> Option<&mut Self>;

    /// Returns it as a value of any type.
    fn into_collection(self) -> Collection;

    /// Reads what [`Content::write_to`] wrote. Needs no trust in the bytes.
    fn read_from(input: &mut dyn Read) -> io::Result<Self>;
}

impl Collection {
    /// Returns the value, whatever its type.
    pub(super) fn content(&self) -> &dyn Content {
        match self {
            Self::Hash(hash) => hash,
            Self::List(list) => list,
            Self::Set(set) => set,
            Self::Zset(zset) => zset,
            Self::Stream(stream) => stream,
        }
    }

    /// Returns a hash of everything that a client could see.
    pub(super) fn digest(&self) -> u128 {
        let mut digester = Digester::default();
        self.content().write_to(&mut digester).expect("a digest takes all that is written to it");
        digester.finish()
    }

    /// Reads a value of a type from a snapshot.
    pub(super) fn read_from(tag: u8, input: &mut dyn Read) -> io::Result<Self> {
        match tag {
            Hash::TAG => Hash::read_from(input).map(Self::Hash),
            List::TAG => List::read_from(input).map(Self::List),
            Set::TAG => Set::read_from(input).map(Self::Set),
            Zset::TAG => Zset::read_from(input).map(Self::Zset),
            Stream::TAG => Stream::read_from(input).map(Self::Stream),
            _ => Err(invalid(format!("unknown type {tag} of a value"))),
        }
    }
}
