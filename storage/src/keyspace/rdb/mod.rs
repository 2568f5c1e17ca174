//! DUMP and RESTORE: a value as the bytes in which Redis moves it from one server to another.
//!
//! ```text
//! payload  = type u8 | value | version u16 | checksum u64        little-endian
//! ```
//!
//! The values are those of Redis' RDB files, version 10: what Redis 7.0 dumps is restored here, and
//! what is dumped here is restored there. Of each type the plainest form is written that Redis
//! reads; read are those that it writes, and the old ones that are as plain. Bytes that come from
//! anywhere are safe: a value is taken apart to its last entry, and put together anew.

mod crc64;
mod form;
mod listpack;
mod lzf;
mod value;

use super::command::{Args, Flags as F, Spec, WHOLE, at, from, upper};
use super::number::integer;
use super::reply::{SYNTAX, TOO_LONG};
use super::{Reader, Reply, Writer};
use crc64::crc64;
pub(super) use form::{Input, bad_data, put_length, put_string};
pub(super) use listpack::{Builder, Entry, Listpack};

/// The two commands.
pub(super) const ROWS: &[Spec] = &[
    Spec::read(79, "dump", 2, dump)
        .with(&[F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "2.6.0")
        .tips(&["nondeterministic_output"])
        .walks(WHOLE),
    Spec::write(80, "restore", -4, restore)
        .with(&[F::DENYOOM, F::CAT_KEYSPACE, F::CAT_DANGEROUS])
        .keys_at(1, 1, 1)
        .key_flags(&["OW update"])
        .doc("generic", "2.6.0")
        .validated_by(validate),
];

/// The version of the form, and the last one that can be read.
const VERSION: u16 = 10;
const CHECKSUM_BYTES: usize = 8;
const FOOTER_BYTES: usize = 2 + CHECKSUM_BYTES;
/// The largest payload: no Redis takes a longer argument.
const PAYLOAD_BYTES_MAX: usize = 512 << 20;

fn dump(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let Some(item) = reader.get(args.at(0)) else { return Ok(Reply::Null) };
    let value = item.value();
    if value.content_bytes() > PAYLOAD_BYTES_MAX {
        return Err(TOO_LONG);
    }
    let mut payload = Vec::new();
    value::put(&mut payload, value);
    payload.extend(VERSION.to_le_bytes());
    payload.extend(crc64(&payload).to_le_bytes());
    Ok(Reply::Bulk(payload.into()))
}

/// Returns the bytes in front of the footer, if that is right.
fn checked(payload: &[u8]) -> Result<&[u8], Reply> {
    let error = Reply::error("ERR DUMP payload version or checksum are wrong");
    let Some(length) = payload.len().checked_sub(FOOTER_BYTES) else { return Err(error) };
    let (all, checksum) = payload.split_at(payload.len() - CHECKSUM_BYTES);
    let version = u16::from_le_bytes([all[length], all[length + 1]]);
    if version > VERSION || *checksum != crc64(all).to_le_bytes() {
        return Err(error);
    }
    Ok(&all[..length])
}

fn restore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let key = args.at(0);
    let options = Options::parse(args.from(0))?;
    if !options.replace && writer.get(key).is_some() {
        return Err(Reply::error("BUSYKEY Target key name already exists."));
    }
    let ttl = ttl(args.from(0))?;
    let value = value::read(&mut Input::new(checked(args.at(2))?))?;
    let deadline = match ttl {
        0 => None,
        _ if options.is_absolute => Some(ttl),
        // To Redis a sum beyond all time is one before all time.
        _ => Some(ttl.wrapping_add(writer.now.cast_signed())),
    };
    let deadline = deadline.map(|deadline| u64::try_from(deadline).unwrap_or(0));
    writer.put(key, value.as_value(), deadline);
    Ok(Reply::Ok)
}

/// Refuses options; where a key of that name is no matter, also a wrong time to live and what was
/// damaged on the way.
fn validate(args: &[&[u8]]) -> Result<(), Reply> {
    if !Options::parse(args)?.replace {
        return Ok(());
    }
    ttl(args)?;
    checked(at(args, 2)).map(drop)
}

fn ttl(args: &[&[u8]]) -> Result<i64, Reply> {
    let ttl = integer(at(args, 1))?;
    let error = Reply::error("ERR Invalid TTL value, must be >= 0");
    if ttl < 0 { Err(error) } else { Ok(ttl) }
}

/// The options of RESTORE. How long a key was idle, and how often it was used, is checked and
/// forgotten: nothing here is evicted.
#[derive(Debug, Default)]
struct Options {
    replace: bool,
    is_absolute: bool,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let mut options = Self::default();
        let (mut has_idle_time, mut has_frequency) = (false, false);
        let mut args = from(args, 3);
        while let [name, rest @ ..] = args {
            let taken = match (upper(name, &mut [0; 16]), rest) {
                (b"REPLACE", _) => {
                    options.replace = true;
                    0
                }
                (b"ABSTTL", _) => {
                    options.is_absolute = true;
                    0
                }
                (b"IDLETIME", [seconds, ..]) if !has_frequency => {
                    if integer(seconds)? < 0 {
                        return Err(Reply::error("ERR Invalid IDLETIME value, must be >= 0"));
                    }
                    has_idle_time = true;
                    1
                }
                (b"FREQ", [frequency, ..]) if !has_idle_time => {
                    if !(0..=255).contains(&integer(frequency)?) {
                        let text = "ERR Invalid FREQ value, must be >= 0 and <= 255";
                        return Err(Reply::error(text));
                    }
                    has_frequency = true;
                    1
                }
                _ => return Err(SYNTAX),
            };
            args = from(rest, taken);
        }
        Ok(options)
    }
}
