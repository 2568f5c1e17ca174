//! The commands behind WATCH and EXEC: what a key is like, and a transaction that is carried out
//! only if the keys are still like that.
//!
//! A key is as it was seen if the same entry wrote it last and it dies at the same time; one that
//! is not there, if it is still not there. Both commands have no names that a client could call;
//! the RESP frontend builds them with [`see`] and [`guard`].

use super::command::{Args, Batch, Flags as F, Spec, internal};
use super::item::Item;
use super::{Reader, Reply, Writer};

/// The commands that only the RESP frontend calls.
pub(super) const ROWS: &[Spec] = &[
    Spec::read(134, "watch.see", -2, see_command).with(&[F::INTERNAL]),
    Spec::write(GUARD, "watch.guard", -3, guard_command).with(&[F::INTERNAL]),
];
const GUARD: u16 = 135;

/// Builds the batch that tells what keys are like: a reply of a few bytes for each, of no meaning
/// but to [`guard`].
#[must_use]
pub fn see(keys: &[&[u8]]) -> Batch {
    let mut batch = Batch::new();
    batch.push(internal("watch.see").expect("the rows above are in the table"), keys);
    batch
}

/// Has all that is pushed into a batch after this carried out only if these keys are still as they
/// were seen: pairs of a key and what [`see`] told of it. The reply to this is OK; or it is null,
/// and there is no other.
pub fn guard(batch: &mut Batch, seen: &[&[u8]]) {
    batch.push(internal("watch.guard").expect("the rows above are in the table"), seen);
}

/// Returns whether the rest of an entry is not to be carried out.
pub(super) fn is_abort(spec: &Spec, reply: &Reply) -> bool {
    spec.id == GUARD && *reply != Reply::Ok
}

fn likeness(item: Option<&Item>) -> Vec<u8> {
    let Some(item) = item else { return Vec::new() };
    let deadline = item.deadline().unwrap_or(0);
    [item.version().to_le_bytes(), deadline.to_le_bytes()].concat()
}

fn see_command(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let keys = args.from(0).iter();
    Ok(Reply::Array(keys.map(|key| Reply::bulk(likeness(reader.get(key)))).collect()))
}

fn guard_command(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (pairs, _) = args.from(0).as_chunks::<2>();
    let is_same = pairs.iter().all(|[key, seen]| likeness(writer.get(key)) == *seen);
    Ok(if is_same { Reply::Ok } else { Reply::Null })
}
