//! Values of each type in the forms of RDB files. Streams are in `streams`.
//!
//! ```text
//! 0  string    string
//! 1  list      length | string*
//! 2  set       length | string*
//! 3  sorted set  length | (string | score as text, its length u8: 253 NaN, 254 inf, 255 -inf)*
//! 4  hash      length | (string | string)*
//! 5  sorted set  length | (string | score f64)*
//! 11 set       string: bytes of a number u32 | length u32 | number*
//! 16 hash, 17 sorted set  string: a listpack of pairs
//! 18 list      length | (1 | string: an element  ·  2 | string: a listpack of elements)*
//! 15, 19 stream
//! ```

use bytes::Bytes;

use super::super::collection::{Collection, Content, Kind};
use super::super::float::double;
use super::super::hashes::Hash;
use super::super::lists::List;
use super::super::reply::{Reply, TOO_LONG};
use super::super::sets::{Member, Set};
use super::super::streams::{self, Stream};
use super::super::strings::MAX_VALUE_BYTES;
use super::super::value::{Owned, Value};
use super::super::zsets::{self, Zset};
use super::{Builder, Entry, Input, Listpack, bad_data, put_length, put_string};

const STRING: u8 = 0;
const LIST: u8 = 1;
const SET: u8 = 2;
const ZSET_OF_TEXTS: u8 = 3;
const HASH: u8 = 4;
const ZSET: u8 = 5;
const INTSET: u8 = 11;
const HASH_LISTPACK: u8 = 16;
const ZSET_LISTPACK: u8 = 17;
const LIST_OF_NODES: u8 = 18;

/// The kinds of nodes of a list.
const NODE_ELEMENT: u64 = 1;
const NODE_LISTPACK: u64 = 2;
/// A listpack of a list gets no more when it has so many bytes: Redis' list-max-listpack-size.
const NODE_BYTES: usize = 8 << 10;

/// Writes the type and the value.
pub(super) fn put(output: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Str(string) => {
            output.push(STRING);
            put_string(output, string.as_bytes());
        }
        Value::Collection(Collection::List(list)) => put_list(output, list),
        Value::Collection(Collection::Set(set)) => put_set(output, set),
        Value::Collection(Collection::Zset(zset)) => {
            output.push(ZSET);
            put_length(output, zset.len() as u64);
            // The greatest come first, as Redis has it.
            for member in zset.iter_back(0..zset.len()) {
                put_string(output, member.name());
                output.extend(member.score().to_le_bytes());
            }
        }
        Value::Collection(Collection::Hash(hash)) => {
            output.push(HASH);
            put_length(output, hash.len() as u64);
            for field in hash.iter_from(0) {
                put_string(output, field.name());
                put_string(output, field.value());
            }
        }
        Value::Collection(Collection::Stream(stream)) => {
            output.push(streams::RDB_TYPE);
            streams::put(output, stream);
        }
    }
}

fn put_list(output: &mut Vec<u8>, list: &List) {
    output.push(LIST_OF_NODES);
    let mut nodes = Vec::new();
    let mut count = 0;
    let mut node = Builder::default();
    let mut end_node = |node: &mut Builder| {
        put_length(&mut nodes, NODE_LISTPACK);
        put_string(&mut nodes, &std::mem::take(node).finish());
        count += 1;
    };
    for element in list.iter_from(0) {
        let element = element.as_bytes();
        if !node.is_empty() && node.size() + element.len() > NODE_BYTES {
            end_node(&mut node);
        }
        node.push(element);
    }
    end_node(&mut node);
    put_length(output, count);
    output.append(&mut nodes);
}

fn put_set(output: &mut Vec<u8>, set: &Set) {
    let mut numbers = Vec::with_capacity(set.len());
    for member in set.iter_from(0) {
        let Member::Integer(number) = member else {
            output.push(SET);
            put_length(output, set.len() as u64);
            return set.iter_from(0).for_each(|member| put_string(output, &member.name()));
        };
        numbers.push(number);
    }
    let fits = |number: &i64, bits: u32| (number >> (bits - 1)) == number >> 63;
    let width = [2, 4, 8].into_iter().find(|width| numbers.iter().all(|one| fits(one, 8 * width)));
    let width = width.expect("a number has 64 bits");
    let mut all = Vec::new();
    all.extend(width.to_le_bytes());
    all.extend((numbers.len() as u32).to_le_bytes());
    for number in numbers {
        all.extend_from_slice(&number.to_le_bytes()[..width as usize]);
    }
    output.push(INTSET);
    put_string(output, &all);
}

/// Reads the type and the value.
pub(super) fn read(input: &mut Input<'_>) -> Result<Owned, Reply> {
    let collection = match input.byte()? {
        STRING => {
            let string = input.string()?;
            if string.len() > MAX_VALUE_BYTES {
                return Err(TOO_LONG);
            }
            return Ok(Owned::Str(Bytes::copy_from_slice(&string)));
        }
        LIST => not_empty(read_list(input)?)?,
        LIST_OF_NODES => not_empty(read_nodes(input)?)?,
        SET => not_empty(read_set(input)?)?,
        INTSET => not_empty(read_intset(&input.string()?)?)?,
        HASH => not_empty(read_hash(input)?)?,
        HASH_LISTPACK => not_empty(read_hash_listpack(&input.string()?)?)?,
        ZSET_OF_TEXTS => not_empty(read_zset(input, read_score_text)?)?,
        ZSET => {
            let score = |input: &mut Input<'_>| input.array().map(f64::from_le_bytes);
            not_empty(read_zset(input, score)?)?
        }
        ZSET_LISTPACK => not_empty(read_zset_listpack(&input.string()?)?)?,
        number => match streams::Form::of(number) {
            Some(form) => streams::read_rdb(input, form).map(Stream::into_collection)?,
            None => return Err(bad_data()),
        },
    };
    Ok(Owned::Collection(collection))
}

fn not_empty<T: Kind>(value: T) -> Result<Collection, Reply> {
    if value.len() == 0 { Err(bad_data()) } else { Ok(value.into_collection()) }
}

fn read_list(input: &mut Input<'_>) -> Result<List, Reply> {
    (0..input.length()?).map(|_| input.string()).collect()
}

fn read_nodes(input: &mut Input<'_>) -> Result<List, Reply> {
    let mut list = List::default();
    for _ in 0..input.length()? {
        let kind = input.length()?;
        let node = input.string()?;
        match kind {
            NODE_ELEMENT => list.append(&node),
            NODE_LISTPACK => {
                let mut entries = Listpack::new(&node)?;
                while let Some(element) = entries.next()? {
                    list.append(&element.text());
                }
            }
            _ => return Err(bad_data()),
        }
    }
    Ok(list)
}

fn read_set(input: &mut Input<'_>) -> Result<Set, Reply> {
    let mut set = Set::default();
    for _ in 0..input.length()? {
        if !set.add(&input.string()?) {
            return Err(bad_data());
        }
    }
    Ok(set)
}

fn read_intset(bytes: &[u8]) -> Result<Set, Reply> {
    let (header, numbers) = bytes.split_first_chunk::<8>().ok_or_else(bad_data)?;
    let header = u64::from_le_bytes(*header);
    let (width, count) = (header as u32 as usize, header >> 32);
    let is_whole =
        matches!(width, 2 | 4 | 8) && count.checked_mul(width as u64) == Some(numbers.len() as u64);
    if !is_whole {
        return Err(bad_data());
    }
    let mut set = Set::default();
    let mut last = None;
    for digits in numbers.chunks_exact(width) {
        let mut high = [0; 8];
        high[8 - width..].copy_from_slice(digits);
        let number = i64::from_le_bytes(high) >> (8 * (8 - width));
        if last >= Some(number) {
            return Err(bad_data());
        }
        last = Some(number);
        set.add(number.to_string().as_bytes());
    }
    Ok(set)
}

fn read_hash(input: &mut Input<'_>) -> Result<Hash, Reply> {
    let mut hash = Hash::default();
    for _ in 0..input.length()? {
        let field = input.string()?;
        if !hash.set(&field, &input.string()?) {
            return Err(bad_data());
        }
    }
    Ok(hash)
}

fn read_hash_listpack(bytes: &[u8]) -> Result<Hash, Reply> {
    let mut entries = Listpack::new(bytes)?;
    let mut hash = Hash::default();
    while let Some(field) = entries.next()? {
        if !hash.set(&field.text(), &entries.expect()?.text()) {
            return Err(bad_data());
        }
    }
    Ok(hash)
}

fn read_zset(
    input: &mut Input<'_>,
    score: impl Fn(&mut Input<'_>) -> Result<f64, Reply>,
) -> Result<Zset, Reply> {
    let mut members = Vec::new();
    for _ in 0..input.length()? {
        let name = input.string()?;
        members.push((score(input)?, name));
    }
    zset_of(members)
}

fn read_score_text(input: &mut Input<'_>) -> Result<f64, Reply> {
    match input.byte()? {
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        length => double::parse(input.bytes(length.into())?).ok_or_else(bad_data),
    }
}

fn read_zset_listpack(bytes: &[u8]) -> Result<Zset, Reply> {
    let mut entries = Listpack::new(bytes)?;
    let mut members = Vec::new();
    while let Some(name) = entries.next()? {
        let score = match entries.expect()? {
            Entry::Number(score) => score as f64,
            Entry::String(text) => double::parse(text).ok_or_else(bad_data)?,
        };
        members.push((score, name.text()));
    }
    zset_of(members)
}

/// Puts members in order, each of which must be there once.
fn zset_of<N: AsRef<[u8]>>(mut members: Vec<(f64, N)>) -> Result<Zset, Reply> {
    if members.iter().any(|(score, _)| score.is_nan()) {
        return Err(bad_data());
    }
    let mut names: Vec<&[u8]> = members.iter().map(|(_, name)| name.as_ref()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(bad_data());
    }
    members.sort_unstable_by(|a, b| zsets::compare((a.0, a.1.as_ref()), (b.0, b.1.as_ref())));
    Ok(Zset::from_ordered(members))
}
