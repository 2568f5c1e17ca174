//! Streams: entries in the order of their IDs, and who has read them.
//!
//! Here are the rows, and what reads and removes entries; [`add`] has XADD and XTRIM, [`read`]
//! XREAD and XREADGROUP, [`groups`] XGROUP, [`pending`] XACK and XPENDING, [`claim`] XCLAIM and
//! XAUTOCLAIM, [`info`] XINFO. [`value`] has the type, [`id`] IDs, [`group`] what a group knows,
//! [`past`] how far it has read, and [`trim`] how much of the beginning goes; [`dump`] has the
//! bytes in which Redis moves a stream.
//!
//! As in Redis, only entries that come and go count as a change of the key, not what is known
//! beside them: nobody who watches a stream has a transaction refused because others acknowledge
//! what they have read.

mod add;
mod claim;
mod dump;
mod group;
mod groups;
mod id;
mod info;
mod past;
mod pending;
mod read;
#[cfg(test)]
mod tests;
mod trim;
mod value;

use super::collection::Content;
use super::command::{Args, Begin, Find, Flags as F, KeySpec, Spec, WHOLE, at, from};
use super::number::{self, integer};
use super::reply::{NO_SUCH_KEY, SYNTAX, until_nul};
use super::sequence::Sharer;
use super::waits::Waits;
use super::{Reader, Reply, Writer};
use add::{xadd, xtrim};
use claim::{xautoclaim, xclaim};
pub(super) use dump::{Form, RDB_TYPE, put, read as read_rdb};
use groups::xgroup;
use id::Id;
use info::xinfo;
use pending::{xack, xpending};
pub(super) use read::{block_ms, group as group_of, pinned};
use read::{xread, xreadgroup};
pub(super) use value::Stream;
use value::show;

/// The commands of streams.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(304, "xack", -4, xack)
        .with(&[F::FAST, F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .doc("stream", "5.0.0"),
    Spec::write(305, "xadd", -5, xadd)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .key_notes("What an option trims is changed too")
        .doc("stream", "5.0.0")
        .tips(&["nondeterministic_output"])
        .validated_by(|args| add::Added::parse(args).map(drop)),
    Spec::write(306, "xautoclaim", -6, xautoclaim)
        .with(&[F::FAST, F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("stream", "6.2.0")
        .tips(&["nondeterministic_output"])
        .validated_by(|args| claim::Sweep::parse(args).map(drop)),
    Spec::write(307, "xclaim", -6, xclaim)
        .with(&[F::FAST, F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .doc("stream", "5.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::write(308, "xdel", -3, xdel)
        .with(&[F::FAST, F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("stream", "5.0.0"),
    Spec::write(309, "xgroup", -2, xgroup)
        .flags_only(&[])
        .doc("stream", "5.0.0")
        .contains(groups::XGROUP)
        .validated_by(|args| groups::Call::parse(args).map(drop)),
    Spec::read(316, "xinfo", -2, xinfo)
        .flags_only(&[])
        .doc("stream", "5.0.0")
        .contains(info::XINFO),
    Spec::read(321, "xlen", 2, xlen)
        .with(&[F::FAST, F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .key_flags(&["RO"])
        .doc("stream", "5.0.0"),
    Spec::read(322, "xpending", -3, xpending)
        .with(&[F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("stream", "5.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::read(323, "xrange", -4, xrange)
        .with(&[F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("stream", "5.0.0"),
    Spec::read(324, "xread", -4, xread)
        .with(&[F::BLOCKING, F::MOVABLEKEYS, F::CAT_STREAM])
        .more_keys(&[behind_streams(1)])
        .waits(Waits::Streams)
        .walks(WHOLE)
        .doc("stream", "5.0.0"),
    Spec::write(325, "xreadgroup", -7, xreadgroup)
        .with(&[F::BLOCKING, F::MOVABLEKEYS, F::CAT_STREAM])
        .key_flags(&["RO access"])
        .more_keys(&[behind_streams(4)])
        .waits(Waits::Streams)
        .doc("stream", "5.0.0")
        .validated_by(|args| read::Call::parse(args, true).map(drop)),
    Spec::read(326, "xrevrange", -4, xrevrange)
        .with(&[F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .walks(WHOLE)
        .doc("stream", "5.0.0"),
    Spec::write(327, "xsetid", -3, xsetid)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .doc("stream", "5.0.0")
        .validated_by(|args| Reset::parse(args).map(drop)),
    Spec::write(328, "xtrim", -4, xtrim)
        .with(&[F::CAT_STREAM])
        .keys_at(1, 1, 1)
        .key_flags(&["RW delete"])
        .doc("stream", "5.0.0")
        .tips(&["nondeterministic_output"])
        .validated_by(|args| add::trim(args).map(drop)),
];

/// The keys of XREAD and XREADGROUP: the first half of what is behind the word.
const fn behind_streams(from: i16) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword("STREAMS", from),
        find: Find::Range { last: -1, limit: 2 },
        flags: "RO access",
        notes: "",
    }
}

/// Returns an error that quotes two names.
fn quoting(parts: [&str; 3], names: [&[u8]; 2]) -> Reply {
    let names = names.map(until_nul);
    let [first, second, third] = parts.map(str::as_bytes);
    Reply::Error([first, names[0], second, names[1], third].concat().into())
}

/// Returns the error for a key or group that is not there.
fn no_group(key: &[u8], group: &[u8], after: &str) -> Reply {
    let after = format!("'{after}");
    quoting(["NOGROUP No such key '", "' or consumer group '", &after], [key, group])
}

/// Returns the error for a group that is not there, of a key that is.
fn no_such_group(key: &[u8], group: &[u8]) -> Reply {
    quoting(["NOGROUP No such consumer group '", "' for key name '", "'"], [group, key])
}

/// Changes what a stream that is there knows beside its entries; see the module's head.
fn edit_beside<R>(
    writer: &mut Writer<'_>,
    key: &[u8],
    change: impl FnOnce(&mut Stream) -> R,
) -> Result<R, Reply> {
    writer.edit(key, |stream: &mut Stream| (change(stream), false))
}

/// Reads IDs of entries, all or none.
fn ids(args: &[&[u8]]) -> Result<Vec<Id>, Reply> {
    args.iter().map(|text| id::parse(text, 0)).collect()
}

fn xlen(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let stream = reader.kind::<Stream>(args.at(0))?;
    Ok(number::reply(stream.map_or(0, Stream::len)))
}

fn xrange(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    range(reader, args, false)
}

fn xrevrange(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    range(reader, args, true)
}

fn range(reader: &Reader<'_>, args: &Args<'_>, is_reverse: bool) -> Result<Reply, Reply> {
    let (start, end) = if is_reverse { (2, 1) } else { (1, 2) };
    let (start, end) = (id::parse_start(args.at(start))?, id::parse_end(args.at(end))?);
    let mut count = None;
    for pair in args.from(3).chunks(2) {
        match pair {
            [option, number] if option.eq_ignore_ascii_case(b"count") => {
                count = Some(integer(number)?.max(0));
            }
            _ => return Err(SYNTAX),
        }
    }
    let Some(stream) = reader.kind::<Stream>(args.at(0))? else {
        return Ok(Reply::Array(Vec::new()));
    };
    let most = match count {
        None => usize::MAX,
        Some(0) => return Ok(Reply::NullArray),
        Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
    };
    let (places, mut sharer) = (stream.places(start, end), Sharer::default());
    Ok(Reply::Array(if is_reverse {
        stream.iter_back(places).take(most).map(|piece| show(&piece, &mut sharer)).collect()
    } else {
        stream.iter(places).take(most).map(|piece| show(&piece, &mut sharer)).collect()
    }))
}

fn xdel(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    if writer.kind::<Stream>(key)?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let ids = ids(args.from(1))?;
    let removed = writer.edit(key, |stream: &mut Stream| {
        let removed = ids.iter().filter(|id| stream.remove(**id)).count();
        (removed, removed > 0)
    })?;
    Ok(number::reply(removed))
}

/// What XSETID sets.
struct Reset {
    last: Id,
    added: Option<i64>,
    max_deleted: Id,
}

impl Reset {
    fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let last = id::parse(at(args, 1), 0)?;
        let mut reset = Self { last, added: None, max_deleted: Id::MIN };
        for pair in from(args, 2).chunks(2) {
            match pair {
                [option, added] if option.eq_ignore_ascii_case(b"entriesadded") => {
                    let added = integer(added)?;
                    if added < 0 {
                        return Err(Reply::error("ERR entries_added must be positive"));
                    }
                    reset.added = Some(added);
                }
                [option, id] if option.eq_ignore_ascii_case(b"maxdeletedid") => {
                    reset.max_deleted = id::parse(id, 0)?;
                    if last < reset.max_deleted {
                        return Err(too_small("the provided max_deleted_entry_id"));
                    }
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(reset)
    }
}

fn too_small(than: &str) -> Reply {
    Reply::error(format!("ERR The ID specified in XSETID is smaller than {than}"))
}

fn xsetid(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let reset = Reset::parse(args.from(0))?;
    let Some(stream) = writer.kind::<Stream>(key)? else { return Err(NO_SUCH_KEY) };
    if let Some(top) = stream.top_id() {
        if reset.last < top {
            return Err(too_small("the target stream top item"));
        }
        let len = stream.past().left;
        if reset.added.is_some_and(|added| added.unsigned_abs() < len) {
            return Err(Reply::error(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    edit_beside(writer, key, |stream| {
        stream.last_id = reset.last;
        if let Some(added) = reset.added {
            stream.entries_added = added.unsigned_abs();
        }
        if reset.max_deleted != Id::MIN {
            stream.max_deleted_id = reset.max_deleted;
        }
    })?;
    Ok(Reply::Ok)
}
