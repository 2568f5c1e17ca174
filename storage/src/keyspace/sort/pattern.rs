//! Patterns that make keys of elements: `weight_*`, or `*->field` for a field of a hash.
//!
//! As in Redis they are C's strings where star and arrow are looked for: not behind a NUL.

use super::super::Reader;
use super::super::hashes::{Field, Hash};
use super::super::reply::{Reply, until_nul};
use super::super::value::{Str, Value};
use super::element::Element;

/// What one SORT may find by patterns, in bytes: those of keys and of what is found, and for each
/// find [`FIND_BYTES`].
const FOUND_BYTES_MAX: usize = 512 << 20;
const FIND_BYTES: usize = 32;

/// Where something is looked for.
#[derive(Debug)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Without a star: nowhere.
    Nothing,
    /// In the key that the element makes when it is put between two texts; of a hash in a field.
    Key { before: &'a [u8], behind: &'a [u8], field: Option<&'a [u8]> },
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The element itself.
    Element,
    Str(Str<'a>),
    Field(Field<'a>),
}

impl<'a> Pattern<'a> {
    pub(super) fn parse(pattern: &'a [u8]) -> Self {
        let text = until_nul(pattern);
        if text == b"#" {
            return Self::Element;
        }
        let Some(star) = text.iter().position(|byte| *byte == b'*') else { return Self::Nothing };
        let (before, rest) = (&pattern[..star], &pattern[star + 1..]);
        let arrow = until_nul(rest).windows(2).position(|pair| pair == b"->");
        let field = arrow.map(|arrow| (arrow, &rest[arrow + 2..]));
        match field.filter(|(_, field)| !until_nul(field).is_empty()) {
            Some((arrow, field)) => {
                Self::Key { before, behind: &rest[..arrow], field: Some(field) }
            }
            None => Self::Key { before, behind: rest, field: None },
        }
    }
}

/// Finds what patterns say, up to a limit.
pub(super) struct Finder<'a> {
    reader: Reader<'a>,
    key: Vec<u8>,
    bytes_left: usize,
}

impl<'a> Finder<'a> {
    pub(super) fn new(reader: &Reader<'a>) -> Self {
        Self { reader: *reader, key: Vec::new(), bytes_left: FOUND_BYTES_MAX }
    }

    /// Returns what a pattern says of an element.
    pub(super) fn find(
        &mut self,
        pattern: &Pattern<'_>,
        element: &Element<'_>,
    ) -> Result<Option<Found<'a>>, Reply> {
        self.spend(FIND_BYTES)?;
        let (before, behind, field) = match pattern {
            Pattern::Nothing => return Ok(None),
            Pattern::Element => {
                self.spend(element.name().len())?;
                return Ok(Some(Found::Element));
            }
            Pattern::Key { before, behind, field } => (before, behind, field),
        };
        let name = element.name();
        self.spend(before.len() + name.len() + behind.len() + field.map_or(0, <[u8]>::len))?;
        self.key.clear();
        for part in [before, &name[..], behind] {
            self.key.extend_from_slice(part);
        }
        let found = match (self.reader.get(&self.key).map(|item| item.value()), field) {
            (Some(Value::Str(string)), None) => Some(Found::Str(string)),
            (Some(value @ Value::Collection(_)), Some(field)) => {
                let hash = value.as_kind::<Hash>().ok();
                hash.and_then(|hash| hash.get(field)).map(Found::Field)
            }
            _ => None,
        };
        self.spend(match &found {
            Some(Found::Str(string)) => string.as_bytes().len(),
            Some(Found::Field(field)) => field.value().len(),
            Some(Found::Element) | None => 0,
        })?;
        Ok(found)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Reply> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left =
            left.ok_or(Reply::error("ERR SORT would find too much by its patterns"))?;
        Ok(())
    }
}
