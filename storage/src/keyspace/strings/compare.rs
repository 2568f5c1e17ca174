//! DELIFEQ and DELEX: keys that go only if they hold what is expected.
//!
//! So a lock is given back by whoever still has it. DELIFEQ is Valkey's (9.0), DELEX Redis' (8.4),
//! here without its conditions on digests. Redis 7.0 has neither.

use super::super::command::{Args, from, upper};
use super::super::reply::{SYNTAX, wrong_arity};
use super::super::{Reply, Writer};

pub(super) fn delifeq(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    remove_if(writer, args.at(0), |value| value == args.at(1))
}

/// Without a condition the key goes, whatever it holds.
pub(super) fn delex(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    match condition(args.from(0))? {
        Some(condition) => remove_if(writer, key, |value| condition.holds(value)),
        None => Ok(Reply::Integer(writer.remove(key).is_some().into())),
    }
}

/// What DELEX wants a string to be.
pub(super) struct Condition<'a> {
    expected: &'a [u8],
    is_equal: bool,
}

impl Condition<'_> {
    fn holds(&self, value: &[u8]) -> bool {
        (value == self.expected) == self.is_equal
    }
}

/// Reads the condition of DELEX, if there is one.
pub(super) fn condition<'a>(args: &[&'a [u8]]) -> Result<Option<Condition<'a>>, Reply> {
    let (name, expected) = match from(args, 1) {
        [] => return Ok(None),
        [name, expected] => (*name, *expected),
        _ => return Err(wrong_arity("delex")),
    };
    match upper(name, &mut [0; 16]) {
        b"IFEQ" => Ok(Some(Condition { expected, is_equal: true })),
        b"IFNE" => Ok(Some(Condition { expected, is_equal: false })),
        _ => Err(SYNTAX),
    }
}

/// Removes a key if its string is as wanted.
fn remove_if(
    writer: &mut Writer<'_>,
    key: &[u8],
    is_wanted: impl FnOnce(&[u8]) -> bool,
) -> Result<Reply, Reply> {
    let is_removed = writer.string(key)?.is_some_and(|string| is_wanted(string.as_bytes()));
    if is_removed {
        writer.remove(key);
    }
    Ok(Reply::Integer(is_removed.into()))
}
