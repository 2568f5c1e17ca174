//! XACK and XPENDING.

use super::super::command::Args;
use super::super::number::{self, integer};
use super::super::reply::SYNTAX;
use super::super::{Reader, Reply, Writer};
use super::group::{Delivery, Group};
use super::id::{self, Id};
use super::{Stream, edit_beside, ids, no_group, value};

pub(super) fn xack(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, name) = (args.at(0), args.at(1));
    if writer.kind::<Stream>(key)?.and_then(|stream| stream.group(name)).is_none() {
        return Ok(Reply::Integer(0));
    }
    let ids = ids(args.from(2))?;
    let acknowledged = edit_beside(writer, key, |stream| {
        let Some((group, _)) = stream.group_mut(name) else { return 0 };
        ids.iter().filter(|id| group.acknowledge(**id)).count()
    })?;
    Ok(number::reply(acknowledged))
}

/// Which pending entries XPENDING lists.
struct Listing<'a> {
    idle: i64,
    start: Id,
    end: Id,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Listing<'a> {
    /// Reads what is behind key and group.
    fn parse(args: &[&'a [u8]]) -> Result<Option<Self>, Reply> {
        let (idle, rest) = match args {
            [] => return Ok(None),
            [_] | [_, _] => return Err(SYNTAX),
            [word, idle, rest @ ..] if word.eq_ignore_ascii_case(b"idle") => (integer(idle)?, rest),
            rest => (0, rest),
        };
        let [start, end, count, consumer @ ..] = rest else { return Err(SYNTAX) };
        let count = integer(count)?.max(0);
        Ok(Some(Self {
            idle,
            start: id::parse_start(start)?,
            end: id::parse_end(end)?,
            count: usize::try_from(count).unwrap_or(usize::MAX),
            consumer: consumer.first().copied(),
        }))
    }
}

pub(super) fn xpending(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, name) = (args.at(0), args.at(1));
    if args.len() > 8 {
        return Err(SYNTAX);
    }
    let listing = Listing::parse(args.from(2))?;
    let group = reader.kind::<Stream>(key)?.and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| no_group(key, name, ""))?;
    Ok(match listing {
        None => summary(group),
        Some(listing) => list(group, &listing, reader.clock),
    })
}

fn summary(group: &Group) -> Reply {
    let pending = group.pending();
    let id = |place| pending.get(place).map(|piece| Id::of(piece.as_bytes()).reply());
    let Some((first, last)) = id(0).zip(id(pending.len().saturating_sub(1))) else {
        return Reply::Array(vec![Reply::Integer(0), Reply::Null, Reply::Null, Reply::NullArray]);
    };
    let consumers = group.consumers().filter(|consumer| !consumer.pending().is_empty());
    let consumers = consumers.map(|consumer| {
        let pending = consumer.pending().len().to_string();
        Reply::Array(vec![Reply::Bulk(consumer.name.clone()), Reply::Bulk(pending.into())])
    });
    Reply::Array(vec![number::reply(pending.len()), first, last, Reply::Array(consumers.collect())])
}

fn list(group: &Group, listing: &Listing<'_>, now: u64) -> Reply {
    let pending = match listing.consumer.map(|name| group.consumer(name)) {
        None => group.pending(),
        Some(Some(consumer)) => consumer.pending(),
        Some(None) => return Reply::Array(Vec::new()),
    };
    let places = value::places(pending, listing.start, listing.end);
    let deliveries = pending.iter_from(places.start).take(places.len()).filter_map(|piece| {
        let entry = piece.as_bytes();
        match listing.consumer {
            None => Some(Delivery::of(entry)),
            Some(_) => group.delivery(Id::of(entry)),
        }
    });
    let shown = deliveries
        .filter(|delivery| listing.idle == 0 || delivery.idle(now) >= listing.idle)
        .take(listing.count)
        .map(|delivery| {
            let consumer = group.numbered(delivery.consumer).map(|consumer| consumer.name.clone());
            Reply::Array(vec![
                delivery.id.reply(),
                Reply::Bulk(consumer.unwrap_or_default()),
                Reply::Integer(delivery.idle(now)),
                Reply::Integer(delivery.count),
            ])
        });
    Reply::Array(shown.collect())
}
