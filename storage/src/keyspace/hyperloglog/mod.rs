//! HyperLogLogs: how many different things there were, about, in 12 KiB.
//!
//! The value is a string, byte for byte as Redis makes it, so that what one has made the other can
//! go on with. Here are the rows and their handlers; [`value`] has what lies in the string,
//! [`sparse`] the form that it has while it is small, [`estimate`] hashes and counts.
//!
//! To count changes nothing here. Redis writes the count into the value, for the next time; such a
//! value is taken at its word, and it is marked as out of date when the value changes.

mod estimate;
mod sparse;
mod value;

use super::command::{Args, Flags as F, Spec};
use super::number;
use super::reply::Reply;
use super::value::Str;
use super::{Reader, Writer};
use estimate::place_of;
use value::{Registers, View};

/// The commands of hyperloglog.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(368, "pfadd", -2, pfadd)
        .with(&[F::DENYOOM, F::FAST, F::CAT_HYPERLOGLOG])
        .keys_at(1, 1, 1)
        .key_flags(&["RW insert"])
        .doc("hyperloglog", "2.8.9"),
    Spec::read(369, "pfcount", -2, pfcount)
        .with(&[F::CAT_HYPERLOGLOG])
        .keys_at(1, -1, 1)
        .key_flags(&["RW access"])
        .key_notes("Redis keeps the count in the value")
        .doc("hyperloglog", "2.8.9"),
    Spec::write(370, "pfdebug", 3, pfdebug)
        .with(&[F::DENYOOM, F::ADMIN, F::CAT_HYPERLOGLOG])
        .keys_at(2, 2, 1)
        .key_flags(&["RW access"])
        .doc("hyperloglog", "2.8.9"),
    Spec::write(371, "pfmerge", -2, pfmerge)
        .with(&[F::DENYOOM, F::CAT_HYPERLOGLOG])
        .keys_at(1, -1, 1)
        .key_flags(&["RW access insert", "RO access"])
        .doc("hyperloglog", "2.8.9"),
    Spec::read(372, "pfselftest", 1, pfselftest)
        .flags_only(&[F::ADMIN, F::CAT_HYPERLOGLOG, F::HEAVY])
        .doc("hyperloglog", "2.8.9"),
];

/// Returns the value of a key that must be a HyperLogLog if it is there.
fn view<'a>(string: Result<Option<Str<'a>>, Reply>) -> Result<Option<View<'a>>, Reply> {
    string?.map(|string| View::of(string.as_bytes())).transpose()
}

fn pfadd(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let places: Vec<_> = args.from(1).iter().map(|element| place_of(element)).collect();
    let first = match view(writer.string(key))? {
        Some(view) => {
            view.check()?;
            places.iter().position(|(index, rank)| view.register(*index) < *rank)
        }
        None => Some(0),
    };
    // What stands before the first that is new changes nothing.
    let Some(first) = first else { return Ok(Reply::Integer(0)) };
    writer.edit_str(key, |bytes| value::raise(bytes, places[first..].iter().copied()));
    Ok(Reply::Integer(1))
}

fn pfcount(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    if let [key] = args.from(0) {
        let view = view(reader.string(key))?;
        if let Some(count) = view.as_ref().and_then(View::kept_count) {
            return Ok(number::reply(count));
        }
    }
    let mut registers = Registers::default();
    for key in args.from(0) {
        if let Some(view) = view(reader.string(key))? {
            registers.join(&view)?;
        }
    }
    Ok(number::reply(registers.estimate()))
}

fn pfmerge(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let mut registers = Registers::default();
    let mut is_dense = false;
    // The first one is joined too, and so is of the right form where it is written.
    for key in args.from(0) {
        if let Some(view) = view(writer.string(key))? {
            is_dense |= view.is_dense();
            registers.join(&view)?;
        }
    }
    writer.edit_str(args.at(0), |bytes| {
        if is_dense {
            value::make_dense(bytes);
        }
        value::raise(bytes, registers.places());
    });
    Ok(Reply::Ok)
}

/// GETREG makes the value dense too, as in Redis.
fn pfdebug(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (name, key) = (args.at(0), args.at(1));
    let is = |subcommand: &[u8]| name.eq_ignore_ascii_case(subcommand);
    let missing = Reply::error("ERR The specified key does not exist");
    let view = view(writer.string(key))?.ok_or(missing)?;
    if is(b"encoding") {
        return Ok(Reply::Simple(if view.is_dense() { "dense" } else { "sparse" }));
    }
    if is(b"decode") {
        return view.opcodes().map(Reply::bulk);
    }
    let is_getreg = is(b"getreg");
    if !is_getreg && !is(b"todense") {
        return Err(Reply::error_quoting("ERR Unknown PFDEBUG subcommand '", name, "'"));
    }
    let mut registers = Registers::default();
    registers.join(&view)?;
    let is_change = !view.is_dense();
    if is_change {
        writer.edit_str(key, value::make_dense);
    }
    Ok(if is_getreg {
        Reply::Array(registers.iter().map(|rank| Reply::Integer(rank.into())).collect())
    } else {
        Reply::Integer(is_change.into())
    })
}

/// Adds numbers to a HyperLogLog, and holds what it counts against how many they are.
fn pfselftest(_: &Reader<'_>, _: &Args<'_>) -> Result<Reply, Reply> {
    /// Four times the standard error, in thousandths: 1.04 divided by the root of 16,384.
    const TOLERANCE: u64 = 33;
    let mut bytes = bytes::BytesMut::new();
    let mut added = 0u64;
    for count in [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        value::raise(&mut bytes, (added..count).map(|number| place_of(&number.to_le_bytes())));
        added = count;
        let mut registers = Registers::default();
        registers.join(&View::of(&bytes)?)?;
        let estimate = registers.estimate();
        if estimate.abs_diff(count) * 1000 > count * TOLERANCE {
            let text = format!("ERR TESTFAILED counted {estimate} where there were {count}");
            return Err(Reply::error(text));
        }
    }
    Ok(Reply::Ok)
}
