//! A group: how far it has read, its consumers, and what they were given and have not acknowledged.
//!
//! ```text
//! pending of a group    = ID | consumer u64 | delivered u64 | deliveries i64      big-endian
//! pending of a consumer = ID
//!
//! snapshot = last ID | entries read i64 (-1: nobody knows)
//!          | number of consumers u64 | (name | seen u64)*      in the order of their names
//!          | sequence of the group's pending, each consumer as its place in that order
//! ```
//!
//! What is pending in a group is pending in the one consumer that it names, and the other way
//! round. Both lists are in the order of IDs, so whatever is done to one ID takes logarithmic time,
//! however many are pending. Names may be long, and so consumers have numbers; no client sees them.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use bytes::Bytes;
use triomphe::Arc;

use super::super::sequence::Sequence;
use super::super::snapshot::{invalid, read_array, read_bytes, read_u64, write_bytes};
use super::id::{ID_BYTES, Id};
use super::value::{entry, place};

/// The bytes of an entry of the group's list.
const PENDING_BYTES: usize = ID_BYTES + 24;
/// How an unknown number of entries read is written.
const UNKNOWN: i64 = -1;

/// Readers who share the entries of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// The last entry that was given to anybody.
    pub(super) last_id: Id,
    /// How many entries there were up to that one, if anybody knows.
    pub(super) entries_read: Option<i64>,
    pending: Sequence,
    consumers: Arc<Consumers>,
}

#[derive(Clone, Debug, Default)]
struct Consumers {
    numbers: BTreeMap<Bytes, u64>,
    by_number: BTreeMap<u64, Consumer>,
}

/// One of the readers.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) name: Bytes,
    /// When it last asked for something, by the time in the log.
    pub(super) seen: u64,
    pending: Sequence,
}

impl Consumer {
    /// Returns the IDs that it was given and has not acknowledged.
    pub(super) fn pending(&self) -> &Sequence {
        &self.pending
    }
}

/// An entry that was given to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) id: Id,
    /// The number of the consumer.
    pub(super) consumer: u64,
    /// When, by the time in the log.
    pub(super) time: u64,
    /// How often.
    pub(super) count: i64,
}

impl Delivery {
    /// Returns what an entry of a group's list says.
    pub(super) fn of(entry: &[u8]) -> Self {
        let bytes = entry.first_chunk().expect("an entry that is made here, or was checked");
        Self::from_bytes(bytes)
    }

    fn from_bytes(bytes: &[u8; PENDING_BYTES]) -> Self {
        let number = |index: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[ID_BYTES + 8 * index..][..8]);
            u64::from_be_bytes(number)
        };
        let (consumer, time, count) = (number(0), number(1), number(2) as i64);
        Self { id: Id::of(bytes), consumer, time, count }
    }

    fn to_bytes(self) -> [u8; PENDING_BYTES] {
        let mut bytes = [0; PENDING_BYTES];
        bytes[..ID_BYTES].copy_from_slice(&self.id.to_bytes());
        for (index, number) in [self.consumer, self.time, self.count as u64].iter().enumerate() {
            bytes[ID_BYTES + 8 * index..][..8].copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Returns for how long it has been pending.
    pub(super) fn idle(&self, now: u64) -> i64 {
        i64::try_from(now.saturating_sub(self.time)).unwrap_or(i64::MAX)
    }
}

impl Group {
    pub(super) fn new(last_id: Id, entries_read: Option<i64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    /// Returns what is pending, as [`Delivery`] reads it.
    pub(super) fn pending(&self) -> &Sequence {
        &self.pending
    }

    /// Returns what is pending under an ID.
    pub(super) fn delivery(&self, id: Id) -> Option<Delivery> {
        entry(&self.pending, id).map(|piece| Delivery::of(piece.as_bytes()))
    }

    /// Returns what is pending at a place in the order.
    pub(super) fn delivery_at(&self, place: usize) -> Option<Delivery> {
        self.pending.get(place).map(|piece| Delivery::of(piece.as_bytes()))
    }

    /// Returns how many consumers there are.
    pub(super) fn consumers_len(&self) -> usize {
        self.consumers.numbers.len()
    }

    /// Returns the consumers in the order of their names.
    pub(super) fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers.numbers.values().filter_map(|number| self.numbered(*number))
    }

    /// Returns the consumer of a number.
    pub(super) fn numbered(&self, number: u64) -> Option<&Consumer> {
        self.consumers.by_number.get(&number)
    }

    pub(super) fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.numbered(*self.consumers.numbers.get(name)?)
    }

    /// Notes that a consumer asks for something, and returns its number. It need not have been
    /// there.
    pub(super) fn see(&mut self, name: &[u8], now: u64) -> u64 {
        let consumers = Arc::make_mut(&mut self.consumers);
        if let Some(number) = consumers.numbers.get(name) {
            let consumer = consumers.by_number.get_mut(number);
            consumer.expect("every name has a consumer").seen = now;
            return *number;
        }
        consumers.add(Bytes::copy_from_slice(name), now)
    }

    /// Removes a consumer with all that it has pending, and returns how much that was.
    pub(super) fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let number = *self.consumers.numbers.get(name)?;
        let consumers = Arc::make_mut(&mut self.consumers);
        consumers.numbers.remove(name);
        let consumer = consumers.by_number.remove(&number)?;
        for piece in consumer.pending.iter() {
            remove(&mut self.pending, Id::of(piece.as_bytes()));
        }
        Some(consumer.pending.len())
    }

    /// Makes an ID pending as is said, whether it is already or not.
    ///
    /// # Panics
    ///
    /// If there is no consumer of that number.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let Delivery { id, consumer, .. } = delivery;
        match place(&self.pending, id) {
            Ok(place) => {
                let old = self.delivery_at(place).expect("an entry at the place of one").consumer;
                self.pending.replace(place, &delivery.to_bytes());
                if old != consumer {
                    remove(self.pending_of(old), id);
                    insert(self.pending_of(consumer), id);
                }
            }
            Err(place) => {
                self.pending.insert(place, &delivery.to_bytes());
                insert(self.pending_of(consumer), id);
            }
        }
    }

    /// Makes an ID pending no more, and returns whether it was.
    pub(super) fn acknowledge(&mut self, id: Id) -> bool {
        let Some(delivery) = self.delivery(id) else { return false };
        remove(&mut self.pending, id);
        remove(self.pending_of(delivery.consumer), id);
        true
    }

    fn pending_of(&mut self, number: u64) -> &mut Sequence {
        let consumer = Arc::make_mut(&mut self.consumers).by_number.get_mut(&number);
        &mut consumer.expect("what is pending belongs to a consumer").pending
    }

    pub(super) fn write_to(&self, output: &mut dyn Write) -> io::Result<()> {
        output.write_all(&self.last_id.to_bytes())?;
        output.write_all(&self.entries_read.unwrap_or(UNKNOWN).to_le_bytes())?;
        output.write_all(&(self.consumers_len() as u64).to_le_bytes())?;
        let mut places = BTreeMap::new();
        for (place, consumer) in self.consumers().enumerate() {
            places.insert(self.consumers.numbers[&consumer.name], place as u64);
            write_bytes(&consumer.name, output)?;
            output.write_all(&consumer.seen.to_le_bytes())?;
        }
        output.write_all(&(self.pending.len() as u64).to_le_bytes())?;
        self.pending.iter().try_for_each(|piece| {
            let delivery = Delivery::of(piece.as_bytes());
            let delivery = Delivery { consumer: places[&delivery.consumer], ..delivery };
            write_bytes(&delivery.to_bytes(), output)
        })
    }

    pub(super) fn read_from(input: &mut dyn Read) -> io::Result<Self> {
        let last_id = Id::from_bytes(read_array(input)?);
        let entries_read = Some(i64::from_le_bytes(read_array(input)?));
        let mut consumers = Consumers::default();
        for _ in 0..read_u64(input)? {
            let name = Bytes::from(read_bytes(input, usize::MAX)?);
            if consumers.numbers.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(invalid("a stream with consumers out of order"));
            }
            consumers.add(name, read_u64(input)?);
        }
        let mut group = Self::new(last_id, entries_read.filter(|read| *read != UNKNOWN));
        group.consumers = Arc::new(consumers);
        let mut last = None;
        Sequence::read_from(input, |entry| {
            let Ok(bytes) = entry.try_into() else {
                return Err(invalid("a stream with something pending that is no delivery"));
            };
            let delivery = Delivery::from_bytes(bytes);
            if last >= Some(delivery.id) {
                return Err(invalid("a stream with pending entries out of order"));
            }
            if group.numbered(delivery.consumer).is_none() {
                return Err(invalid("a stream with something pending that is nobody's"));
            }
            last = Some(delivery.id);
            group.pending.push(entry);
            group.pending_of(delivery.consumer).push(&delivery.id.to_bytes());
            Ok(())
        })?;
        Ok(group)
    }
}

impl Consumers {
    /// Adds a consumer of a new name, and returns its number: one that nobody has.
    fn add(&mut self, name: Bytes, seen: u64) -> u64 {
        let number = self.by_number.last_key_value().map_or(0, |(last, _)| last + 1);
        self.numbers.insert(name.clone(), number);
        self.by_number.insert(number, Consumer { name, seen, pending: Sequence::default() });
        number
    }
}

fn insert(pending: &mut Sequence, id: Id) {
    if let Err(place) = place(pending, id) {
        pending.insert(place, &id.to_bytes());
    }
}

fn remove(pending: &mut Sequence, id: Id) {
    if let Ok(place) = place(pending, id) {
        pending.remove(place);
    }
}
