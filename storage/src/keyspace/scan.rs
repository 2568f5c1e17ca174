//! KEYS, SCAN, RANDOMKEY: walks over the keys in the order of their positions.
//!
//! A cursor is the position to go on from. Nothing that is inserted or deleted in between moves any
//! other key, so a walk meets every key that was there all the time exactly once, and comes to an
//! end: cursors only grow.

use super::command::{Args, upper};
use super::glob;
use super::hash;
use super::item::Item;
use super::number::{integer, parse_cursor};
use super::reply::SYNTAX;
use super::{Reader, Reply};

/// How many keys SCAN looks at unless told otherwise.
const COUNT: usize = 10;
/// The most keys that one SCAN looks at, whatever it is told: it runs on the loop that carries out
/// everything.
const COUNT_MAX: usize = 1024;
/// How many dead keys RANDOMKEY passes over before it gives up.
const RANDOM_TRIES_MAX: usize = 8 * 1024;
/// How many steps KEYS may take in all: some ten seconds of one thread. Patterns that people write
/// take a few for each key.
const KEYS_STEPS_MAX: u64 = 1 << 32;
/// A SCAN whose pattern made so many steps ends early.
const SCAN_STEPS_MAX: u64 = glob::STEPS_MAX;

pub(super) fn keys(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let mut left = KEYS_STEPS_MAX;
    let mut found = Vec::new();
    for item in reader.store.iter().filter(|item| item.is_live(reader.now)) {
        if glob::matches(args.at(0), item.key(), &mut left) {
            found.push(Reply::Bulk(item.key_bytes()));
        }
    }
    if left == 0 {
        return Err(Reply::error("ERR the pattern takes too many steps to match"));
    }
    Ok(Reply::Array(found))
}

/// Starts at a position by chance, and takes the next key that lives.
pub(super) fn randomkey(reader: &Reader<'_>, _: &Args<'_>) -> Result<Reply, Reply> {
    let start = hash::position(&reader.seed.to_le_bytes());
    // When very many died together it may meet none: then it finds nothing, rather than to search
    // for long.
    let round = reader.store.iter_from(start).chain(reader.store.iter());
    let found = round.take(RANDOM_TRIES_MAX).find(|item| item.is_live(reader.now));
    Ok(found.map_or(Reply::Null, |item| Reply::Bulk(item.key_bytes())))
}

/// The options of SCAN and its relatives.
pub(super) struct Options<'a> {
    pattern: Option<&'a [u8]>,
    pub(super) count: usize,
    type_name: Option<Vec<u8>>,
}

impl<'a> Options<'a> {
    /// Reads them; only SCAN takes a type.
    pub(super) fn parse(args: &[&'a [u8]], has_type: bool) -> Result<Self, Reply> {
        let mut options = Self { pattern: None, count: COUNT, type_name: None };
        let (pairs, rest) = args.as_chunks::<2>();
        for [name, value] in pairs {
            match upper(name, &mut [0; 16]) {
                b"COUNT" => {
                    let count = usize::try_from(integer(value)?).map_err(|_| SYNTAX)?;
                    if count == 0 {
                        return Err(SYNTAX);
                    }
                    options.count = count.min(COUNT_MAX);
                }
                b"MATCH" => options.pattern = Some(value),
                b"TYPE" if has_type => options.type_name = Some(value.to_ascii_lowercase()),
                _ => return Err(SYNTAX),
            }
        }
        if rest.is_empty() { Ok(options) } else { Err(SYNTAX) }
    }

    fn wants(&self, item: &Item, steps: &mut u64) -> bool {
        let has_type = |name: &Vec<u8>| name == item.value().type_name().as_bytes();
        self.type_name.as_ref().is_none_or(has_type) && self.wants_name(item.key(), steps)
    }

    /// Returns whether a name fits the pattern, and adds the steps that it took to find out.
    pub(super) fn wants_name(&self, name: &[u8], steps: &mut u64) -> bool {
        self.pattern.is_none_or(|pattern| {
            let mut left = glob::STEPS_MAX;
            let is_match = glob::matches(pattern, name, &mut left);
            *steps += glob::STEPS_MAX - left;
            is_match
        })
    }
}

pub(super) fn scan(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let cursor = cursor(args.at(0))?;
    let options = Options::parse(args.from(1), true)?;
    let mut found = Vec::new();
    let mut next_cursor = 0;
    let mut last = None;
    let mut steps = 0;
    // A cursor beyond all positions is one that SCAN never gave: there is nothing left.
    let items = (cursor >> hash::BITS == 0).then(|| reader.store.iter_from(cursor));
    for (seen, item) in items.into_iter().flatten().enumerate() {
        // Keys of one position go together, since a cursor cannot point between them.
        let is_enough = seen >= options.count || steps >= SCAN_STEPS_MAX;
        if is_enough && last != Some(item.position) {
            next_cursor = item.position;
            break;
        }
        last = Some(item.position);
        if item.is_live(reader.now) && options.wants(item, &mut steps) {
            found.push(Reply::Bulk(item.key_bytes()));
        }
    }
    Ok(reply(next_cursor, found))
}

/// Reads a cursor.
pub(super) fn cursor(text: &[u8]) -> Result<u64, Reply> {
    parse_cursor(text).ok_or(Reply::error("ERR invalid cursor"))
}

/// Returns the reply of SCAN and its relatives.
pub(super) fn reply(next_cursor: u64, found: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::bulk(next_cursor.to_string()), Reply::Array(found)])
}
