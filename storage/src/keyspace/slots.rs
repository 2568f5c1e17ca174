//! The commands behind CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT.
//!
//! There is one shard, and the keyspace is not ordered by slots: both walk over all keys, on a
//! view. They have no names that a client could call; the RESP frontend builds them with [`count`]
//! and [`keys`].

use super::command::{Args, Batch, Flags as F, Spec, internal};
use super::item::Item;
use super::number::{self, parse_u64};
use super::{Reader, Reply};

/// The commands that only the RESP frontend calls.
pub(super) const ROWS: &[Spec] = &[
    Spec::read(132, "slot.count", 2, count_command).with(&[F::INTERNAL, F::HEAVY]),
    Spec::read(133, "slot.keys", 3, keys_command).with(&[F::INTERNAL, F::HEAVY]),
];

/// How many slots a Redis cluster has.
const SLOTS: u16 = 16_384;

/// Builds the batch that counts the keys of a slot.
#[must_use]
pub fn count(slot: u16) -> Batch {
    batch("slot.count", &[slot.to_string().as_bytes()])
}

/// Builds the batch that returns keys of a slot, at most `limit` of them, as an array.
#[must_use]
pub fn keys(slot: u16, limit: usize) -> Batch {
    batch("slot.keys", &[slot.to_string().as_bytes(), limit.to_string().as_bytes()])
}

fn batch(name: &str, args: &[&[u8]]) -> Batch {
    let mut batch = Batch::new();
    batch.push(internal(name).expect("the rows above are in the table"), args);
    batch
}

fn count_command(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(number::reply(in_slot(*reader, args.at(0)).count()))
}

fn keys_command(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let limit = parse_u64(args.at(1)).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
    let keys = in_slot(*reader, args.at(0)).take(limit);
    Ok(Reply::Array(keys.map(|item| Reply::Bulk(item.key_bytes())).collect()))
}

fn in_slot<'a>(reader: Reader<'a>, slot: &[u8]) -> impl Iterator<Item = &'a Item> + use<'a> {
    let slot = parse_u64(slot);
    let is_wanted = move |item: &&Item| {
        Some(u64::from(slot_of(item.key()))) == slot && item.is_live(reader.now)
    };
    reader.store.iter().filter(is_wanted)
}

/// Returns the slot of a key: only what stands between the first `{` and the next `}` counts, if
/// that is anything.
#[must_use]
pub fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|byte| *byte == b'}').map(|close| &rest[..close])
    });
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM: polynomial 1021, nothing reflected, starts at zero.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| crc << 8 ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in [
            ("k", 7629),
            ("", 0),
            ("foo", 12182),
            ("{foo}.bar", 12182),
            ("x{foo}{bar}", 12182),
            ("{}", slot_of(b"{}")),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
        assert_ne!(slot_of(b"{}foo"), slot_of(b"foo"));
    }
}
