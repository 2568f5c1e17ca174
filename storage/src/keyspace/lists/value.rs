//! Lists: elements in a row, reached from either end.

use std::io::{self, Read, Write};

use super::super::collection::{Collection, Content, Kind};
use super::super::sequence::Sequence;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct List {
    entries: Sequence,
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
        self.entries.len()
    }

    fn write_to(&self, output: &mut dyn Write) -> io::Result<()> {
        self.entries.write_to(output)
    }
}

impl Kind for List {
    const TAG: u8 = 3;

    fn of(collection: &Collection) -> Option<&Self> {
        match collection {
            Collection::List(value) => Some(value),
            _ => None,
        }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        match collection {
            Collection::List(value) => Some(value),
            _ => None,
        }
    }

    fn into_collection(self) -> Collection {
        Collection::List(self)
    }

    fn read_from(input: &mut dyn Read) -> io::Result<Self> {
        let mut entries = Sequence::default();
        Sequence::read_from(input, |entry| {
            entries.push(entry);
            Ok(())
        })?;
        Ok(Self { entries })
    }
}
