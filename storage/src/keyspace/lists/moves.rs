//! From one list to another: LMOVE, RPOPLPUSH, and one attempt of BLMOVE, BRPOPLPUSH.

use super::super::command::{Args, at};
use super::super::timeout::timeout_ms;
use super::super::{Reply, Writer};
use super::value::{End, List};

/// Where an element is taken from, and where it is put.
type Ends = (End, End);

pub(super) fn lmove(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let ends = ends(args.from(0))?;
    move_element(writer, args, ends)
}

pub(super) fn rpoplpush(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    move_element(writer, args, (End::Right, End::Left))
}

pub(super) fn blmove(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let ends = waiting_ends(args.from(0))?;
    move_element(writer, args, ends)
}

pub(super) fn brpoplpush(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    timeout_ms(args.at(2))?;
    rpoplpush(writer, args)
}

/// Reads the ends that LMOVE names.
pub(super) fn ends(args: &[&[u8]]) -> Result<Ends, Reply> {
    Ok((End::parse(at(args, 2))?, End::parse(at(args, 3))?))
}

/// Reads the ends that BLMOVE names, and its timeout.
pub(super) fn waiting_ends(args: &[&[u8]]) -> Result<Ends, Reply> {
    let ends = ends(args)?;
    timeout_ms(at(args, 4))?;
    Ok(ends)
}

fn move_element(
    writer: &mut Writer<'_>,
    args: &Args<'_>,
    (from, to): Ends,
) -> Result<Reply, Reply> {
    let (source, destination) = (args.at(0), args.at(1));
    if writer.kind::<List>(source)?.is_none() {
        return Ok(Reply::Null);
    }
    // Before anything is taken that could not be put there.
    writer.kind::<List>(destination)?;
    let taken = writer.edit(source, |list: &mut List| {
        let taken = list.pop(from);
        // A list of one element must not be gone in between: its deadline would be.
        if let Some(element) = taken.as_ref().filter(|_| source == destination) {
            list.push(to, element);
        }
        (taken, true)
    })?;
    let Some(element) = taken else { return Ok(Reply::Null) };
    if source != destination {
        writer.edit(destination, |list: &mut List| (list.push(to, &element), true))?;
    }
    Ok(Reply::Bulk(element))
}
