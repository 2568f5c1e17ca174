//! XGROUP: groups and their consumers come and go.

use super::super::command::{Args, Flags as F, Spec, at, from, upper};
use super::super::container;
use super::super::number::{self, integer};
use super::super::{Reply, Writer};
use super::group::Group;
use super::id::{self, Id};
use super::{Stream, edit_beside, no_such_group};

/// The subcommands of XGROUP.
pub(super) const XGROUP: &[Spec] = &[
    Spec::session("xgroup|create", -5)
        .with(&[F::WRITE, F::DENYOOM, F::CAT_STREAM])
        .keys_at(2, 2, 1)
        .key_flags(&["RW insert"])
        .doc("stream", "5.0.0"),
    Spec::session("xgroup|createconsumer", 5)
        .with(&[F::WRITE, F::DENYOOM, F::CAT_STREAM])
        .keys_at(2, 2, 1)
        .key_flags(&["RW insert"])
        .doc("stream", "6.2.0"),
    Spec::session("xgroup|delconsumer", 5)
        .with(&[F::WRITE, F::CAT_STREAM])
        .keys_at(2, 2, 1)
        .key_flags(&["RW delete"])
        .doc("stream", "5.0.0"),
    Spec::session("xgroup|destroy", 4)
        .with(&[F::WRITE, F::CAT_STREAM])
        .keys_at(2, 2, 1)
        .key_flags(&["RW delete"])
        .doc("stream", "5.0.0"),
    Spec::session("xgroup|help", 2)
        .with(&[F::LOADING, F::STALE, F::CAT_STREAM])
        .doc("stream", "5.0.0"),
    Spec::session("xgroup|setid", -5)
        .with(&[F::WRITE, F::CAT_STREAM])
        .keys_at(2, 2, 1)
        .key_flags(&["RW update"])
        .doc("stream", "5.0.0"),
];

/// What XGROUP is asked for.
pub(super) struct Call {
    subcommand: &'static str,
    /// Whether a stream that is not there is to be made.
    makes_stream: bool,
    entries_read: Option<i64>,
}

impl Call {
    pub(super) fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let subcommand = container::subcommand("xgroup", XGROUP, args)?.short_name();
        let mut call = Self { subcommand, makes_stream: false, entries_read: None };
        let mut options = from(args, 4).iter();
        while let Some(option) = options.next() {
            match (upper(option, &mut [0; 16]), options.as_slice()) {
                (b"MKSTREAM", _) if subcommand == "create" => call.makes_stream = true,
                (b"ENTRIESREAD", [number, ..]) => {
                    call.entries_read = entries_read(number)?;
                    options.next();
                }
                _ => return Err(wrong_arguments(args)),
            }
        }
        Ok(call)
    }
}

/// Reads how many entries a group has read; -1: nobody knows.
fn entries_read(text: &[u8]) -> Result<Option<i64>, Reply> {
    match integer(text)? {
        -1 => Ok(None),
        number @ 0.. => Ok(Some(number)),
        _ => Err(Reply::error("ERR value for ENTRIESREAD must be positive or -1")),
    }
}

fn wrong_arguments(args: &[&[u8]]) -> Reply {
    Reply::unknown_subcommand_or_arity("xgroup", at(args, 0))
}

pub(super) fn xgroup(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let call = Call::parse(args.from(0))?;
    let (key, name) = (args.at(1), args.at(2));
    let stream = writer.kind::<Stream>(key)?;
    if stream.is_none() && !call.makes_stream {
        return Err(Reply::error(
            "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically.",
        ));
    }
    let has_group = stream.is_some_and(|stream| stream.group(name).is_some());
    match (call.subcommand, args.len()) {
        ("create", 4..=7) => create(writer, args, &call),
        ("destroy", _) if !has_group => Ok(Reply::Integer(0)),
        ("create", _) => Err(wrong_arguments(args.from(0))),
        _ if !has_group => Err(no_such_group(key, name)),
        ("destroy", _) => destroy(writer, key, name),
        ("setid", 4 | 6) => set_id(writer, args, &call),
        ("createconsumer", _) => create_consumer(writer, args),
        ("delconsumer", _) => {
            let removed = edit_beside(writer, key, |stream| {
                stream.group_mut(name).and_then(|(group, _)| group.remove_consumer(args.at(3)))
            })?;
            Ok(number::reply(removed.unwrap_or(0)))
        }
        _ => Err(wrong_arguments(args.from(0))),
    }
}

fn create(writer: &mut Writer<'_>, args: &Args<'_>, call: &Call) -> Result<Reply, Reply> {
    let (key, name) = (args.at(1), args.at(2));
    let stream = writer.kind::<Stream>(key)?;
    let last_id = match args.at(3) {
        b"$" => stream.map_or(Id::MIN, |stream| stream.last_id),
        text => id::parse(text, 0)?,
    };
    if stream.is_some_and(|stream| stream.group(name).is_some()) {
        return Err(Reply::error("BUSYGROUP Consumer Group name already exists"));
    }
    let is_new = stream.is_none();
    writer.edit(key, |stream: &mut Stream| {
        stream.add_group(name, Group::new(last_id, call.entries_read));
        ((), is_new)
    })?;
    Ok(Reply::Ok)
}

/// Who waits for the group is to find out: the key counts as changed for those who look at changes.
fn destroy(writer: &mut Writer<'_>, key: &[u8], name: &[u8]) -> Result<Reply, Reply> {
    edit_beside(writer, key, |stream| stream.remove_group(name))?;
    writer.database.changes().note(key);
    Ok(Reply::Integer(1))
}

fn set_id(writer: &mut Writer<'_>, args: &Args<'_>, call: &Call) -> Result<Reply, Reply> {
    let given = match args.at(3) {
        b"$" => None,
        text => Some(id::parse_any(text, 0)?),
    };
    edit_beside(writer, args.at(1), |stream| {
        let last_id = given.unwrap_or(stream.last_id);
        if let Some((group, _)) = stream.group_mut(args.at(2)) {
            (group.last_id, group.entries_read) = (last_id, call.entries_read);
        }
    })?;
    Ok(Reply::Ok)
}

fn create_consumer(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (now, consumer) = (writer.now, args.at(3));
    let is_new = edit_beside(writer, args.at(1), |stream| {
        let Some((group, _)) = stream.group_mut(args.at(2)) else { return false };
        let is_new = group.consumer(consumer).is_none();
        if is_new {
            group.see(consumer, now);
        }
        is_new
    })?;
    Ok(Reply::Integer(is_new.into()))
}
