//! The whole keyspace as bytes, and its digest.
//!
//! ```text
//! snapshot = version u8 | log time u64 | applied u64 | item* | 0 u8 | count u64
//! item     = type u8 | deadline? u8 | version u64 | [deadline u64] | length u32 | key | value
//! string   = length u32 | bytes                  a value by its type; integers little-endian
//! sequence = count u64 | string*                 what other types are made of
//! ```
//!
//! Items come in the order of their positions, so equal keyspaces give equal bytes. Dead keys that
//! still wait to be removed are written too: a server that was restored then removes the same keys
//! at the same entries as one that was not. Checksums are the business of the file around it; here
//! bad bytes are found by form, and never cost more memory than they have.

use std::io::{self, BufWriter, Read, Write};

use super::hash;
use super::item::Item;
use super::store::Store;
use super::value::Owned;
use super::{Keyspace, View};

const VERSION: u8 = 1;
const END: u8 = 0;
/// A length is believed this far before bytes are there to show for it.
const BELIEVED_BYTES: usize = 64 << 10;

pub(super) fn write_to(view: &View, output: &mut impl Write) -> io::Result<()> {
    let mut output = BufWriter::with_capacity(BELIEVED_BYTES, output);
    output.write_all(&[VERSION])?;
    output.write_all(&view.now.to_le_bytes())?;
    output.write_all(&view.applied.to_le_bytes())?;
    for item in view.store.iter() {
        write_head(item, &mut output)?;
        item.value().write_to(&mut output)?;
    }
    output.write_all(&[END])?;
    output.write_all(&(view.store.len() as u64).to_le_bytes())?;
    output.flush()
}

/// Writes all of an item but its value.
fn write_head(item: &Item, output: &mut impl Write) -> io::Result<()> {
    output.write_all(&[item.value().type_tag(), u8::from(item.deadline().is_some())])?;
    output.write_all(&item.version().to_le_bytes())?;
    if let Some(deadline) = item.deadline() {
        output.write_all(&deadline.to_le_bytes())?;
    }
    write_bytes(item.key(), output)
}

pub(super) fn read_from(input: &mut impl Read) -> io::Result<Keyspace> {
    let [version] = read_array(input)?;
    if version != VERSION {
        return Err(invalid(format!("unknown version {version} of the keyspace's snapshot")));
    }
    let mut keyspace = Keyspace { now: read_u64(input)?, ..Keyspace::default() };
    keyspace.applied = read_u64(input)?;
    let mut last: Option<(u64, Vec<u8>)> = None;
    loop {
        let [tag] = read_array(input)?;
        if tag == END {
            break;
        }
        let [has_deadline] = read_array(input)?;
        let version = read_u64(input)?;
        let deadline = match has_deadline {
            0 => None,
            1 => match read_u64(input)? {
                0 => return Err(invalid("a key that died before all time")),
                deadline => Some(deadline),
            },
            other => return Err(invalid(format!("{other} where a key says if it has a deadline"))),
        };
        let key = read_bytes(input, usize::MAX)?;
        let value = Owned::read_from(tag, input)?;
        let place = Some((hash::position(&key), key));
        if place <= last {
            return Err(invalid("keys out of order"));
        }
        last = place;
        let (_, key) = last.as_ref().ok_or_else(|| invalid("no key"))?;
        keyspace.database.put(key, value.as_value(), deadline, version);
    }
    let (count, announced) = (keyspace.database.store().len() as u64, read_u64(input)?);
    if count != announced {
        return Err(invalid(format!("{count} keys where there should be {announced}")));
    }
    Ok(keyspace)
}

/// Returns the sum of a hash of each living item: what a client could see, and nothing of how it
/// lies in memory.
pub(super) fn digest(store: &Store, now: u64) -> u128 {
    let mut sum = 0u128;
    let mut bytes = Vec::new();
    for item in store.iter().filter(|item| item.is_live(now)) {
        bytes.clear();
        write_head(item, &mut bytes).expect("memory takes all that is written to it");
        bytes.extend_from_slice(&item.value().digest().to_le_bytes());
        sum = sum.wrapping_add(digest_of(&bytes));
    }
    sum
}

/// Returns 128 bits of hash.
pub(super) fn digest_of(bytes: &[u8]) -> u128 {
    let [high, low] = [1, 2].map(|key| u128::from(hash::sip::<1, 3>(key, key, bytes)));
    high << 64 | low
}

/// Returns 128 bits of hash of all that is written to it.
#[derive(Default)]
pub(super) struct Digester {
    /// What has been written since the last block, behind the digest of all before it.
    block: Vec<u8>,
}

impl Digester {
    pub(super) fn finish(&self) -> u128 {
        digest_of(&self.block)
    }
}

impl Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BELIEVED_BYTES.saturating_sub(self.block.len()));
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BELIEVED_BYTES {
            let digest = digest_of(&self.block);
            self.block.clear();
            self.block.extend_from_slice(&digest.to_le_bytes());
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a length and so many bytes.
pub(super) fn write_bytes(bytes: &[u8], output: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| invalid("more than 4 GiB in one piece"))?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(bytes)
}

/// Reads a length and so many bytes; memory grows with what is read, not with what is announced.
pub(super) fn read_bytes(
    input: &mut (impl Read + ?Sized),
    length_max: usize,
) -> io::Result<Vec<u8>> {
    let length = u32::from_le_bytes(read_array(input)?) as usize;
    if length > length_max {
        return Err(invalid(format!("{length} bytes where {length_max} may be")));
    }
    let mut bytes = Vec::with_capacity(length.min(BELIEVED_BYTES));
    input.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

pub(super) fn read_u64(input: &mut (impl Read + ?Sized)) -> io::Result<u64> {
    read_array(input).map(u64::from_le_bytes)
}

pub(super) fn read_array<const N: usize>(input: &mut (impl Read + ?Sized)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Returns the error for bytes that are no snapshot of ours.
pub(super) fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}
