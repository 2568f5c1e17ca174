//! Streams as RDB files have them, for DUMP and RESTORE.
//!
//! ```text
//! stream   = length | (string: ID of a node | string: listpack)* | number of entries | last ID
//!          | first ID | greatest deleted ID | entries ever added        not in the older form
//!          | length | group*
//! node     = entries | deleted entries | fields | name* | 0 | entry*
//! entry    = flags | ms | sequence, both less those of the node | fields? | (name? | value)*
//!          | how many elements of the listpack these were
//!            flags: 1 deleted · 2 its fields are those of the node, and not named again
//! group    = string: name | last ID | entries read (not in the older form)
//!          | length | (ID | delivered u64 | deliveries)*
//!          | length | (string: name of a consumer | seen u64 | length | ID*)*
//! ID       = two lengths; of nodes and of what is pending 16 bytes
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::collection::Content;
use super::super::rdb::{Builder, Entry, Input, Listpack, bad_data, put_length, put_string};
use super::super::reply::Reply;
use super::super::sequence::{Piece, Ranges};
use super::Stream;
use super::group::{Delivery, Group};
use super::id::{ID_BYTES, Id};

/// The type that is written.
pub(in super::super) const RDB_TYPE: u8 = 19;
const OLDER_RDB_TYPE: u8 = 15;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// A node is full with so many entries or bytes: Redis' stream-node-max-entries and -bytes.
const NODE_ENTRIES: usize = 100;
const NODE_BYTES: usize = 4096;
/// How an unknown number of entries read is written.
const UNKNOWN: i64 = -1;

/// In which of its forms a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Form {
    /// That of Redis 7.0.
    Whole,
    /// That of Redis 5.0: without what is known of entries that are gone.
    Older,
}

impl Form {
    /// Returns the form of a type, if it is a stream.
    pub(in super::super) fn of(rdb_type: u8) -> Option<Self> {
        match rdb_type {
            RDB_TYPE => Some(Self::Whole),
            OLDER_RDB_TYPE => Some(Self::Older),
            _ => None,
        }
    }
}

/// Writes a stream.
pub(in super::super) fn put(output: &mut Vec<u8>, stream: &Stream) {
    let mut nodes = Vec::new();
    let mut count = 0;
    let mut pieces = stream.iter(0..stream.len()).peekable();
    while pieces.peek().is_some() {
        let mut node = Node::default();
        while let Some(piece) = pieces.next_if(|_| !node.is_full()) {
            node.push(&piece);
        }
        node.put(&mut nodes);
        count += 1;
    }
    put_length(output, count);
    output.append(&mut nodes);
    put_length(output, stream.len() as u64);
    for id in [stream.last_id, stream.first_id(), stream.max_deleted_id] {
        put_id(output, id);
    }
    put_length(output, stream.entries_added);
    put_length(output, stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        put_string(output, name);
        put_group(output, group);
    }
}

/// Entries that are written together.
#[derive(Default)]
struct Node<'a> {
    id: Id,
    /// The names of the first entry's fields.
    names: Vec<&'a [u8]>,
    count: usize,
    entries: Vec<(Id, Vec<&'a [u8]>)>,
    bytes: usize,
}

impl<'a> Node<'a> {
    fn is_full(&self) -> bool {
        self.count >= NODE_ENTRIES || self.bytes >= NODE_BYTES
    }

    fn push(&mut self, piece: &Piece<'a>) {
        let entry = piece.as_bytes();
        let texts: Vec<&[u8]> = Ranges::from(entry, ID_BYTES).map(|part| &entry[part]).collect();
        if self.count == 0 {
            self.id = Id::of(entry);
            self.names = texts.iter().step_by(2).copied().collect();
        }
        self.count += 1;
        self.bytes += entry.len();
        self.entries.push((Id::of(entry), texts));
    }

    fn put(&self, output: &mut Vec<u8>) {
        let mut node = Builder::default();
        for number in [self.count, 0, self.names.len()] {
            node.push_number(number as i64);
        }
        self.names.iter().for_each(|name| node.push(name));
        node.push_number(0);
        for (id, texts) in &self.entries {
            let is_same = texts.iter().step_by(2).eq(self.names.iter());
            let fields = texts.len() / 2;
            node.push_number(if is_same { SAME_FIELDS } else { 0 });
            node.push_number(id.ms.wrapping_sub(self.id.ms).cast_signed());
            node.push_number(id.sequence.wrapping_sub(self.id.sequence).cast_signed());
            if is_same {
                texts.iter().skip(1).step_by(2).for_each(|value| node.push(value));
            } else {
                node.push_number(fields as i64);
                texts.iter().for_each(|text| node.push(text));
            }
            node.push_number(elements(fields, is_same));
        }
        put_string(output, &self.id.to_bytes());
        put_string(output, &node.finish());
    }
}

/// Returns how many elements of the listpack an entry has, but for the one that tells.
fn elements(fields: usize, is_same: bool) -> i64 {
    3 + if is_same { fields as i64 } else { 1 + 2 * fields as i64 }
}

fn put_id(output: &mut Vec<u8>, id: Id) {
    put_length(output, id.ms);
    put_length(output, id.sequence);
}

fn put_group(output: &mut Vec<u8>, group: &Group) {
    put_id(output, group.last_id);
    put_length(output, group.entries_read.unwrap_or(UNKNOWN).cast_unsigned());
    put_length(output, group.pending().len() as u64);
    for piece in group.pending().iter() {
        let Delivery { id, time, count, .. } = Delivery::of(piece.as_bytes());
        output.extend(id.to_bytes());
        output.extend(time.to_le_bytes());
        put_length(output, count.cast_unsigned());
    }
    put_length(output, group.consumers_len() as u64);
    for consumer in group.consumers() {
        put_string(output, &consumer.name);
        output.extend(consumer.seen.to_le_bytes());
        put_length(output, consumer.pending().len() as u64);
        consumer.pending().iter().for_each(|id| output.extend_from_slice(id.as_bytes()));
    }
}

/// Reads a stream.
pub(in super::super) fn read(input: &mut Input<'_>, form: Form) -> Result<Stream, Reply> {
    let mut stream = Stream::default();
    for _ in 0..input.length()? {
        let id = input.string()?;
        let id = id.as_ref().try_into().map(Id::from_bytes).map_err(|_| bad_data())?;
        let node = input.string()?;
        read_node(input, id, Listpack::new(&node)?, &mut stream)?;
    }
    let count = input.length()?;
    let last_id = read_id(input)?;
    let is_whole = count == stream.len() as u64 && last_id >= stream.last_id;
    stream.last_id = last_id;
    stream.entries_added = count;
    if form == Form::Whole {
        // The first ID is that of the first entry.
        read_id(input)?;
        stream.max_deleted_id = read_id(input)?;
        stream.entries_added = input.length()?;
    }
    // As many as a client may say there were (XSETID).
    let is_countable = i64::try_from(stream.entries_added).is_ok();
    if !is_whole || !is_countable || stream.entries_added < count {
        return Err(bad_data());
    }
    for _ in 0..input.length()? {
        let name = input.string()?;
        let group = read_group(input, form, &stream)?;
        if stream.group(&name).is_some() {
            return Err(bad_data());
        }
        stream.add_group(&name, group);
    }
    Ok(stream)
}

fn read_id(input: &mut Input<'_>) -> Result<Id, Reply> {
    Ok(Id { ms: input.length()?, sequence: input.length()? })
}

/// Adds the entries of a node to a stream.
fn read_node(
    input: &mut Input<'_>,
    node: Id,
    mut entries: Listpack<'_>,
    stream: &mut Stream,
) -> Result<(), Reply> {
    let (count, deleted) = (entries.number()?, entries.number()?);
    let (mut found, mut found_deleted) = (0, 0);
    let mut names = Vec::new();
    for _ in 0..entries.number()? {
        names.push(entries.expect()?.text());
    }
    if entries.number()? != 0 {
        return Err(bad_data());
    }
    while let Some(flags) = entries.next()? {
        let Entry::Number(flags) = flags else { return Err(bad_data()) };
        let id = Id {
            ms: node.ms.wrapping_add(entries.number()?.cast_unsigned()),
            sequence: node.sequence.wrapping_add(entries.number()?.cast_unsigned()),
        };
        let is_same = flags & SAME_FIELDS != 0;
        let mut texts: Vec<Cow<'_, [u8]>> = Vec::new();
        if is_same {
            for name in &names {
                input.spend(name.len())?;
                texts.push(Cow::Borrowed(name));
                texts.push(entries.expect()?.text());
            }
        } else {
            for _ in 0..entries.number()? {
                texts.push(entries.expect()?.text());
                texts.push(entries.expect()?.text());
            }
        }
        if entries.number()? != elements(texts.len() / 2, is_same) {
            return Err(bad_data());
        }
        if flags & DELETED != 0 {
            found_deleted += 1;
            continue;
        }
        found += 1;
        // While it is read, the last ID is that of the last entry.
        if texts.is_empty() || id <= stream.last_id {
            return Err(bad_data());
        }
        let texts: Vec<&[u8]> = texts.iter().map(|text| &text[..]).collect();
        stream.append(id, &texts);
    }
    if (count, deleted) == (found, found_deleted) { Ok(()) } else { Err(bad_data()) }
}

fn read_group(input: &mut Input<'_>, form: Form, stream: &Stream) -> Result<Group, Reply> {
    let last_id = read_id(input)?;
    let entries_read = match form {
        Form::Whole => Some(input.length()?.cast_signed()).filter(|read| *read != UNKNOWN),
        Form::Older => stream.past().count_to(last_id),
    };
    if entries_read.is_some_and(i64::is_negative) {
        return Err(bad_data());
    }
    let mut group = Group::new(last_id, entries_read);
    let mut pending = BTreeMap::new();
    for _ in 0..input.length()? {
        let id = Id::from_bytes(input.array()?);
        let time = u64::from_le_bytes(input.array()?);
        if pending.insert(id, (time, input.length()?.cast_signed())).is_some() {
            return Err(bad_data());
        }
    }
    for _ in 0..input.length()? {
        let name = input.string()?;
        let seen = u64::from_le_bytes(input.array()?);
        if group.consumer(&name).is_some() {
            return Err(bad_data());
        }
        let consumer = group.see(&name, seen);
        for _ in 0..input.length()? {
            let id = Id::from_bytes(input.array()?);
            let (time, count) = pending.remove(&id).ok_or_else(bad_data)?;
            group.deliver(Delivery { id, consumer, time, count });
        }
    }
    // What is pending is somebody's.
    if pending.is_empty() { Ok(group) } else { Err(bad_data()) }
}
