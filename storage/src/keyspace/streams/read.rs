//! XREAD and XREADGROUP: what is behind an ID in some streams, or what nobody else in a group has
//! been given.
//!
//! Here is one attempt, which answers a null array where there is nothing. Who is to wait
//! ([`block_ms`]) tries again with the same arguments ([`pinned`]) when a stream has changed.

use super::super::command::{Args, from, upper};
use super::super::number::{integer, parse_i64};
use super::super::reply::SYNTAX;
use super::super::sequence::{Piece, Sequence, Sharer};
use super::super::{Reader, Reply, Writer};
use super::group::{Delivery, Group};
use super::id::{self, Id};
use super::past::Past;
use super::value::{entry, places, show};
use super::{Stream, edit_beside, no_group};

/// What is asked for.
pub(super) struct Call<'s, 'a> {
    block_ms: Option<u64>,
    /// How many entries of each stream at the most.
    count: usize,
    /// Whether what is read counts as acknowledged.
    is_acknowledged: bool,
    /// The names of the group and of the consumer.
    group: Option<[&'a [u8]; 2]>,
    keys: &'s [&'a [u8]],
    /// For each key, behind which ID.
    ids: &'s [&'a [u8]],
}

impl<'s, 'a> Call<'s, 'a> {
    /// Reads the arguments of XREADGROUP, or of XREAD, which has fewer options.
    pub(super) fn parse(args: &'s [&'a [u8]], in_group: bool) -> Result<Self, Reply> {
        let mut call = Self {
            block_ms: None,
            count: usize::MAX,
            is_acknowledged: false,
            group: None,
            keys: &[],
            ids: &[],
        };
        let mut place = 0;
        while call.keys.is_empty() {
            let option = args.get(place).ok_or(SYNTAX)?;
            place += 1 + match (upper(option, &mut [0; 16]), from(args, place + 1)) {
                (b"BLOCK", [text, ..]) => {
                    call.block_ms = Some(timeout(text)?);
                    1
                }
                (b"COUNT", [text, ..]) => {
                    let count = usize::try_from(integer(text)?).ok().filter(|count| *count > 0);
                    call.count = count.unwrap_or(usize::MAX);
                    1
                }
                (b"STREAMS", streams @ [_, ..]) => {
                    if !streams.len().is_multiple_of(2) {
                        return Err(Reply::error(
                            "ERR Unbalanced XREAD list of streams: for each stream key an ID or \
                             '$' must be specified.",
                        ));
                    }
                    (call.keys, call.ids) = streams.split_at(streams.len() / 2);
                    streams.len()
                }
                (b"GROUP", [_, _, ..]) if !in_group => return Err(only_in_group("GROUP")),
                (b"GROUP", [group, consumer, ..]) => {
                    call.group = Some([group, consumer]);
                    2
                }
                (b"NOACK", _) if !in_group => return Err(only_in_group("NOACK")),
                (b"NOACK", _) => {
                    call.is_acknowledged = true;
                    0
                }
                _ => return Err(SYNTAX),
            };
        }
        if in_group && call.group.is_none() {
            return Err(Reply::error("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(call)
    }

    /// Returns each key with the text of its ID.
    fn streams(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.keys.iter().copied().zip(self.ids.iter().copied())
    }
}

fn timeout(text: &[u8]) -> Result<u64, Reply> {
    let error = Reply::error("ERR timeout is not an integer or out of range");
    let milliseconds = parse_i64(text).ok_or(error)?;
    u64::try_from(milliseconds).map_err(|_| Reply::error("ERR timeout is negative"))
}

fn only_in_group(option: &str) -> Reply {
    Reply::error(format!(
        "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
    ))
}

/// Returns for how many milliseconds a call of XREAD or XREADGROUP is to wait, if it is; zero: for
/// ever.
pub(in super::super) fn block_ms(args: &[&[u8]]) -> Option<u64> {
    read_either(args)?.block_ms
}

/// Returns the group for which a call reads, if it does for one.
pub(in super::super) fn group<'a>(args: &[&'a [u8]]) -> Option<&'a [u8]> {
    read_either(args)?.group.map(|[group, _]| group)
}

/// Returns the arguments of a call of XREAD with each `$` replaced by the last ID of its stream as
/// it is now, so that the same call can be made again later.
pub(in super::super) fn pinned(reader: &Reader<'_>, args: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut pinned: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
    let Some(call) = read_either(args).filter(|call| call.group.is_none()) else { return pinned };
    let ids_at = args.len() - call.ids.len();
    for (arg, (key, id)) in pinned[ids_at..].iter_mut().zip(call.streams()) {
        // What is of another type is for the call to find.
        if let (b"$", Ok(stream)) = (id, reader.kind::<Stream>(key)) {
            *arg = stream.map_or(Id::MIN, |stream| stream.last_id).text().into_bytes();
        }
    }
    pinned
}

/// Reads a call of XREAD or of XREADGROUP, if nothing is wrong with it.
fn read_either<'s, 'a>(args: &'s [&'a [u8]]) -> Option<Call<'s, 'a>> {
    Call::parse(args, false).or_else(|_| Call::parse(args, true)).ok()
}

pub(super) fn xread(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let call = Call::parse(args.from(0), false)?;
    let mut wanted = Vec::new();
    for (key, id) in call.streams() {
        let stream = reader.kind::<Stream>(key)?;
        let id = match id {
            b"$" => stream.map_or(Id::MIN, |stream| stream.last_id),
            b">" => {
                return Err(Reply::error(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                     <group> <consumer> option.",
                ));
            }
            text => id::parse(text, 0)?,
        };
        wanted.extend(stream.zip(id.next()).map(|(stream, start)| (key, stream, start)));
    }
    let mut found = Vec::new();
    for (key, stream, start) in wanted {
        let places = stream.places(start, Id::MAX);
        if !places.is_empty() {
            let mut sharer = Sharer::default();
            let entries = stream.iter(places).take(call.count);
            let entries = entries.map(|piece| show(&piece, &mut sharer)).collect();
            found.push((Reply::bulk(key), Reply::Array(entries)));
        }
    }
    Ok(if found.is_empty() { Reply::NullArray } else { Reply::ByKey(found) })
}

/// What a consumer asks for.
#[derive(Clone, Copy)]
enum Wanted {
    /// What nobody in the group has been given.
    New,
    /// What it was given itself behind an ID, and has not acknowledged.
    Own(Id),
}

pub(super) fn xreadgroup(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let call = Call::parse(args.from(0), true)?;
    let [name, consumer] = call.group.unwrap_or_default();
    let mut wanted = Vec::new();
    for (key, id) in call.streams() {
        let stream = writer.kind::<Stream>(key)?;
        if stream.and_then(|stream| stream.group(name)).is_none() {
            return Err(no_group(key, name, " in XREADGROUP with GROUP option"));
        }
        wanted.push((key, wanted_by(id)?));
    }
    let (now, mut found) = (writer.now, Vec::new());
    for (key, wanted) in wanted {
        let entries = edit_beside(writer, key, |stream| {
            let past = stream.past();
            let (group, entries) = stream.group_mut(name)?;
            let reading = Reading { group, entries, past, consumer, now, count: call.count };
            match wanted {
                Wanted::New => reading.give_new(call.is_acknowledged),
                Wanted::Own(start) => Some(reading.give_own(start)),
            }
        })?;
        found.extend(entries.map(|entries| (Reply::bulk(key), Reply::Array(entries))));
    }
    Ok(if found.is_empty() { Reply::NullArray } else { Reply::ByKey(found) })
}

fn wanted_by(text: &[u8]) -> Result<Wanted, Reply> {
    match text {
        b">" => Ok(Wanted::New),
        b"$" => Err(Reply::error(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the \
             history of this consumer by specifying a proper ID, or use the > ID to get new \
             messages. The $ ID would just return an empty result set.",
        )),
        // Redis takes the greatest ID for the sign.
        text => Ok(id::parse(text, 0)?.next().map_or(Wanted::New, Wanted::Own)),
    }
}

/// A consumer that reads a stream for its group.
struct Reading<'a> {
    group: &'a mut Group,
    entries: &'a Sequence,
    past: Past,
    consumer: &'a [u8],
    now: u64,
    count: usize,
}

impl Reading<'_> {
    /// Gives it what nobody in the group has been given, if there is anything. If there is not,
    /// nobody has seen the consumer either.
    fn give_new(self, is_acknowledged: bool) -> Option<Vec<Reply>> {
        let Self { group, entries, past, now, .. } = self;
        let places = places(entries, group.last_id.next()?, Id::MAX);
        if places.is_empty() {
            return None;
        }
        let (consumer, mut sharer) = (group.see(self.consumer, now), Sharer::default());
        let give = |piece: Piece<'_>| {
            let id = Id::of(piece.as_bytes());
            group.entries_read = past.read_one(group.entries_read, id);
            group.last_id = id;
            if !is_acknowledged {
                group.deliver(Delivery { id, consumer, time: now, count: 1 });
            }
            show(&piece, &mut sharer)
        };
        Some(entries.iter_from(places.start).take(self.count).map(give).collect())
    }

    /// Gives it again what it was given behind an ID and has not acknowledged; of what was deleted,
    /// the IDs.
    fn give_own(self, start: Id) -> Vec<Reply> {
        let Self { group, entries, now, .. } = self;
        let consumer = group.see(self.consumer, now);
        let own = group.numbered(consumer).map(|consumer| consumer.pending().clone());
        let (own, mut sharer) = (own.unwrap_or_default(), Sharer::default());
        let give = |piece: Piece<'_>| {
            let id = Id::of(piece.as_bytes());
            let Some(piece) = entry(entries, id) else {
                return Reply::Array(vec![id.reply(), Reply::NullArray]);
            };
            if let Some(delivery) = group.delivery(id) {
                let count = delivery.count.wrapping_add(1);
                group.deliver(Delivery { time: now, count, ..delivery });
            }
            show(&piece, &mut sharer)
        };
        let places = places(&own, start, Id::MAX);
        own.iter_from(places.start).take(self.count).map(give).collect()
    }
}
