//! The commands behind HTTP: one round trip through the log for each request, and no name that a
//! Redis client could call.
//!
//! The frontend does not know how arguments are laid out or replies are put together: it calls
//! [`put`], [`get`], [`delete`], [`list`], and reads replies with [`written`], [`found`],
//! [`deleted`], [`listed`].
//!
//! A key's version is the index of the entry that last wrote its value. A new life of a key has a
//! higher version than any earlier one, so comparing versions is enough to compare and set.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use bytes::Bytes;

use super::command::{Args, Batch, Flags as F, Spec, internal};
use super::item::Item;
use super::number::{self, parse_u64};
use super::value::Value;
use super::{Reader, Reply, Writer};
use crate::types::Index;

/// The commands that only the HTTP frontend calls.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(128, "http.put", 5, put_command).with(&[F::INTERNAL]).keys_at(1, 1, 1),
    Spec::read(129, "http.get", 2, get_command).with(&[F::INTERNAL]).keys_at(1, 1, 1),
    Spec::write(130, "http.delete", 3, delete_command).with(&[F::INTERNAL]).keys_at(1, 1, 1),
    Spec::read(131, "http.list", 4, list_command).with(&[F::INTERNAL, F::HEAVY]),
];

/// The most items on one page.
pub const PAGE_ITEMS_MAX: usize = 1000;
/// A page ends behind the item with which keys and values reach this size.
pub const PAGE_BYTES: usize = 8 << 20;

/// What must hold for a write to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// The key must not exist: `If-None-Match: *`.
    Absent,
    /// The key must exist: `If-Match: *`.
    Present,
    /// The key must have this version: `If-Match: "7"`.
    Version(Index),
}

impl Condition {
    fn to_arg(self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Absent => b"*".to_vec(),
            Self::Present => b"+".to_vec(),
            Self::Version(version) => version.to_string().into_bytes(),
        }
    }

    fn from_arg(arg: &[u8]) -> Option<Self> {
        match arg {
            b"" => Some(Self::None),
            b"*" => Some(Self::Absent),
            b"+" => Some(Self::Present),
            version => parse_u64(version).map(Self::Version),
        }
    }

    /// Returns whether it holds for a key with this version, `None` for no key.
    fn holds(self, current: Option<Index>) -> bool {
        match self {
            Self::None => true,
            Self::Absent => current.is_none(),
            Self::Present => current.is_some(),
            Self::Version(version) => current == Some(version),
        }
    }
}

/// What became of a conditional write or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done. The version written, or the one deleted; `None` if there was nothing to delete.
    Done(Option<Index>),
    /// The condition did not hold, and nothing was done. The version there is, if any.
    Precondition(Option<Index>),
    /// The key holds a value of another type, and nothing was done.
    WrongType,
    /// The deadline would lie beyond all time, and nothing was done.
    InvalidTtl,
}

/// A key and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The key.
    pub key: Bytes,
    /// The value; `None` if it is not a string.
    pub value: Option<Bytes>,
    /// The index of the entry that wrote the value.
    pub version: Index,
    /// How long it still has to live.
    pub ttl_ms: Option<u64>,
}

/// Builds the batch that writes a value; without `ttl_ms` the key loses its deadline.
#[must_use]
pub fn put(key: &[u8], value: &[u8], ttl_ms: Option<u64>, condition: Condition) -> Batch {
    let ttl_ms = ttl_ms.map(|ttl_ms| ttl_ms.to_string()).unwrap_or_default();
    batch("http.put", &[key, value, ttl_ms.as_bytes(), &condition.to_arg()])
}

/// Builds the batch that reads a key.
#[must_use]
pub fn get(key: &[u8]) -> Batch {
    batch("http.get", &[key])
}

/// Builds the batch that deletes a key.
#[must_use]
pub fn delete(key: &[u8], condition: Condition) -> Batch {
    batch("http.delete", &[key, &condition.to_arg()])
}

/// Builds the batch that lists keys with a prefix, in the order of their bytes, from behind `after`
/// on or from the first: at most `limit`, and never more than [`PAGE_ITEMS_MAX`].
#[must_use]
pub fn list(prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Batch {
    // There may be a key without a byte, and then a page begins behind it: a byte in front tells
    // that from a page that begins with the first key.
    let after = after.map(|after| [b">", after].concat()).unwrap_or_default();
    batch("http.list", &[prefix, &after, limit.to_string().as_bytes()])
}

fn batch(name: &str, args: &[&[u8]]) -> Batch {
    let mut batch = Batch::new();
    batch.push(internal(name).expect("the rows above are in the table"), args);
    batch
}

/// Reads the reply to [`put`]. `None` if it is the reply to something else.
#[must_use]
pub fn written(reply: &Reply) -> Option<Outcome> {
    match reply {
        Reply::Error(text) => refused(text),
        reply => Some(Outcome::Done(Some(u64::try_from(integer(field(reply, "version")?)?).ok()?))),
    }
}

/// Reads the reply to [`delete`]. `None` if it is the reply to something else.
#[must_use]
pub fn deleted(reply: &Reply) -> Option<Outcome> {
    match reply {
        Reply::Error(text) => refused(text),
        reply => {
            let is_deleted = integer(field(reply, "deleted")?)? == 1;
            let version = u64::try_from(integer(field(reply, "version")?)?).ok()?;
            Some(Outcome::Done(is_deleted.then_some(version)))
        }
    }
}

/// Reads the reply to [`get`]: the outer `None` if it is the reply to something else, the inner if
/// there is no such key.
#[must_use]
pub fn found(reply: &Reply) -> Option<Option<Found>> {
    match reply {
        Reply::Null => Some(None),
        reply => item(reply).map(Some),
    }
}

/// Reads the reply to [`list`]: the items, and the key behind them, if there is one.
#[must_use]
pub fn listed(reply: &Reply) -> Option<(Vec<Found>, Option<Bytes>)> {
    let Reply::Array(items) = field(reply, "items")? else { return None };
    let items = items.iter().map(item).collect::<Option<Vec<_>>>()?;
    let next = match field(reply, "next")? {
        Reply::Bulk(key) => Some(key.clone()),
        _ => None,
    };
    Some((items, next))
}

fn refused(text: &[u8]) -> Option<Outcome> {
    match std::str::from_utf8(text).ok()?.split_once(' ')? {
        ("PRECONDITION", current) => {
            let current: Index = current.parse().ok()?;
            Some(Outcome::Precondition((current != 0).then_some(current)))
        }
        ("WRONGTYPE", _) => Some(Outcome::WrongType),
        ("INVALIDTTL", _) => Some(Outcome::InvalidTtl),
        _ => None,
    }
}

fn item(reply: &Reply) -> Option<Found> {
    let Reply::Bulk(key) = field(reply, "key")? else { return None };
    let value = match field(reply, "value")? {
        Reply::Bulk(value) => Some(value.clone()),
        _ => None,
    };
    let ttl_ms = match field(reply, "ttl_ms")? {
        Reply::Null => None,
        ttl_ms => Some(u64::try_from(integer(ttl_ms)?).ok()?),
    };
    let version = u64::try_from(integer(field(reply, "version")?)?).ok()?;
    Some(Found { key: key.clone(), value, version, ttl_ms })
}

fn field<'a>(reply: &'a Reply, name: &str) -> Option<&'a Reply> {
    let Reply::Map(pairs) = reply else { return None };
    pairs
        .iter()
        .find(|(key, _)| matches!(key, Reply::Simple(key) if *key == name))
        .map(|(_, value)| value)
}

fn integer(reply: &Reply) -> Option<i64> {
    if let Reply::Integer(value) = reply { Some(*value) } else { None }
}

fn map<const N: usize>(fields: [(&'static str, Reply); N]) -> Reply {
    Reply::Map(fields.map(|(name, value)| (Reply::Simple(name), value)).into())
}

fn put_command(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, value, ttl_ms) = (args.at(0), args.at(1), args.at(2));
    check(writer, key, args.at(3))?;
    let deadline = match ttl_ms {
        b"" => None,
        ttl_ms => Some(
            parse_u64(ttl_ms)
                .and_then(|ttl_ms| writer.now.checked_add(ttl_ms))
                .filter(|deadline| i64::try_from(*deadline).is_ok())
                .ok_or(Reply::error("INVALIDTTL the deadline is out of range"))?,
        ),
    };
    writer.put(key, value.into(), deadline);
    Ok(map([("version", number::reply(writer.index))]))
}

fn delete_command(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    check(writer, args.at(0), args.at(1))?;
    let version = writer.remove(args.at(0)).map(|item| item.version());
    Ok(map([
        ("deleted", Reply::Integer(i64::from(version.is_some()))),
        ("version", number::reply(version.unwrap_or(0))),
    ]))
}

/// Answers the error if a condition does not hold, with the version there is; zero, which no entry
/// has, for no key.
fn check(writer: &Writer<'_>, key: &[u8], condition: &[u8]) -> Result<(), Reply> {
    let condition =
        Condition::from_arg(condition).ok_or(Reply::error("ERR malformed condition"))?;
    let current = writer.get(key).map(|item| item.version());
    if condition.holds(current) {
        return Ok(());
    }
    Err(Reply::error(format!("PRECONDITION {}", current.unwrap_or(0))))
}

fn get_command(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(reader.get(args.at(0)).map_or(Reply::Null, |item| shown(reader, item)))
}

fn shown(reader: &Reader<'_>, item: &Item) -> Reply {
    let value = match item.value() {
        Value::Str(bytes) => Reply::Bulk(bytes.to_bytes()),
        Value::Collection(_) => Reply::Null,
    };
    let ttl_ms = item.deadline().map_or(Reply::Null, |at| number::reply(reader.left(at)));
    map([
        ("key", Reply::Bulk(item.key_bytes())),
        ("type", Reply::Simple(item.value().type_name())),
        ("value", value),
        ("version", number::reply(item.version())),
        ("ttl_ms", ttl_ms),
    ])
}

/// An item that is as great as its key.
struct ByKey<'a>(&'a Item);

impl PartialEq for ByKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for ByKey<'_> {}

impl PartialOrd for ByKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key().cmp(other.0.key())
    }
}

/// Walks over all keys with a heap of the least that a page can hold, as they do not lie in the
/// order of their bytes.
fn list_command(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (prefix, after) = (args.at(0), args.at(1).strip_prefix(b">"));
    let limit = parse_u64(args.at(2)).ok_or(Reply::error("ERR malformed limit"))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, PAGE_ITEMS_MAX);
    let is_wanted = |item: &&Item| {
        item.key().starts_with(prefix)
            && after.is_none_or(|after| item.key() > after)
            && item.is_live(reader.now)
    };
    let mut least = BinaryHeap::with_capacity(limit + 1);
    // The least of those that have no room.
    let mut next: Option<ByKey<'_>> = None;
    for item in reader.store.iter().filter(is_wanted) {
        least.push(ByKey(item));
        if least.len() > limit {
            next = next.into_iter().chain(least.pop()).min();
        }
    }
    let mut bytes = 0;
    let mut items = Vec::with_capacity(least.len());
    for ByKey(item) in least.into_sorted_vec() {
        if bytes >= PAGE_BYTES {
            next = Some(ByKey(item));
            break;
        }
        bytes += item.key().len() + item.value().as_str().map_or(0, |value| value.as_bytes().len());
        items.push(shown(reader, item));
    }
    let next = next.map_or(Reply::Null, |ByKey(item)| Reply::Bulk(item.key_bytes()));
    Ok(map([("items", Reply::Array(items)), ("next", next)]))
}
