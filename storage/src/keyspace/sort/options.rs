//! What SORT is asked for.

use std::ops::Range;

use super::super::command::{from, upper};
use super::super::number::integer;
use super::super::reply::{Reply, SYNTAX, until_nul};

/// The options that have arguments, but for STORE, and how many.
pub(super) const WITH_ARGUMENTS: &[(&str, usize)] = &[("limit", 2), ("get", 1), ("by", 1)];

/// The arguments behind the key.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    /// The pattern of the keys that tell weights.
    pub(super) by: Option<&'a [u8]>,
    /// Whether some BY was a text without a star: then nothing is sorted.
    pub(super) is_unsorted: bool,
    /// The patterns of what is asked for in place of elements.
    pub(super) gets: Vec<&'a [u8]>,
    pub(super) is_descending: bool,
    /// Whether weights are bytes, not numbers.
    pub(super) is_alpha: bool,
    /// Where it goes.
    pub(super) store: Option<&'a [u8]>,
    limit: Option<(i64, i64)>,
}

impl<'a> Options<'a> {
    /// Reads the arguments of SORT.
    pub(super) fn parse(args: &[&'a [u8]]) -> Result<Self, Reply> {
        Self::read(args, true)
    }

    /// Reads the arguments of SORT_RO, which has no STORE.
    pub(super) fn parse_reading(args: &[&'a [u8]]) -> Result<Self, Reply> {
        Self::read(args, false)
    }

    fn read(args: &[&'a [u8]], may_store: bool) -> Result<Self, Reply> {
        let mut options = Self::default();
        let mut args = from(args, 1);
        while let [name, rest @ ..] = args {
            let taken = match (upper(name, &mut [0; 16]), rest) {
                (b"ASC", _) => {
                    options.is_descending = false;
                    0
                }
                (b"DESC", _) => {
                    options.is_descending = true;
                    0
                }
                (b"ALPHA", _) => {
                    options.is_alpha = true;
                    0
                }
                (b"LIMIT", [start, count, ..]) => {
                    options.limit = Some((integer(start)?, integer(count)?));
                    2
                }
                (b"STORE", [destination, ..]) if may_store => {
                    options.store = Some(destination);
                    1
                }
                (b"BY", [pattern, ..]) => {
                    options.by = Some(pattern);
                    options.is_unsorted |= !until_nul(pattern).contains(&b'*');
                    1
                }
                (b"GET", [pattern, ..]) => {
                    options.gets.push(pattern);
                    1
                }
                _ => return Err(SYNTAX),
            };
            args = from(rest, taken);
        }
        Ok(options)
    }

    /// Returns the places of those that are asked for, among so many in order.
    pub(super) fn range(&self, len: usize) -> Range<usize> {
        let Some((start, count)) = self.limit else { return 0..len };
        let start = usize::try_from(start).unwrap_or(0).min(len);
        // A negative count is no limit.
        let count = usize::try_from(count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}
