//! XCLAIM and XAUTOCLAIM: what one consumer was given becomes another's.

use super::super::command::{Args, at, from, upper};
use super::super::number::parse_i64;
use super::super::reply::SYNTAX;
use super::super::sequence::{Piece, Sharer};
use super::super::{Reply, Writer};
use super::group::Delivery;
use super::id::{self, Id};
use super::value::{self, entry, show};
use super::{Stream, edit_beside, no_group};

/// How many XAUTOCLAIM claims unless told otherwise, and how many it looks at for each of them.
const COUNT: i64 = 100;
const LOOKS: i64 = 10;
/// The most that it may be told: as many IDs as Redis could address.
const COUNT_MAX: i64 = i64::MAX / 16;

/// Returns how long an entry must have been pending to be claimed; below zero it is all one.
fn min_idle(text: &[u8], command: &str) -> Result<i64, Reply> {
    let error = || Reply::error(format!("ERR Invalid min-idle-time argument for {command}"));
    Ok(parse_i64(text).ok_or_else(error)?.max(0))
}

/// Refuses a group that is not there.
fn check_group(writer: &Writer<'_>, key: &[u8], name: &[u8]) -> Result<(), Reply> {
    let stream = writer.kind::<Stream>(key)?;
    stream.and_then(|stream| stream.group(name)).map(drop).ok_or_else(|| no_group(key, name, ""))
}

/// What XCLAIM is asked for, beside the IDs.
#[derive(Debug, Default)]
struct Options {
    is_forced: bool,
    is_id_enough: bool,
    /// When the entries are to have been delivered.
    time: Option<i64>,
    /// How often.
    count: Option<i64>,
    last_id: Id,
}

impl Options {
    /// Reads those of them that follow the IDs.
    fn parse(args: &[&[u8]], now: u64) -> Result<Self, Reply> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(option) = args.next() {
            let number = |text: &[u8]| {
                let name = String::from_utf8_lossy(option).to_ascii_uppercase();
                let error =
                    || Reply::error(format!("ERR Invalid {name} option argument for XCLAIM"));
                parse_i64(text).ok_or_else(error)
            };
            match (upper(option, &mut [0; 16]), args.as_slice()) {
                (b"FORCE", _) => options.is_forced = true,
                (b"JUSTID", _) => options.is_id_enough = true,
                (name @ (b"IDLE" | b"TIME" | b"RETRYCOUNT" | b"LASTID"), [value, ..]) => {
                    match name {
                        b"IDLE" => options.time = Some((now as i64).wrapping_sub(number(value)?)),
                        b"TIME" => options.time = Some(number(value)?),
                        b"RETRYCOUNT" => options.count = Some(number(value)?),
                        _ => options.last_id = id::parse(value, 0)?,
                    }
                    args.next();
                }
                _ => {
                    return Err(Reply::error_quoting(
                        "ERR Unrecognized XCLAIM option '",
                        option,
                        "'",
                    ));
                }
            }
        }
        Ok(options)
    }

    /// Returns when the entries are to have been delivered: not before all time, nor later than
    /// now.
    fn time(&self, now: u64) -> u64 {
        let time = self.time.and_then(|time| u64::try_from(time).ok());
        time.filter(|time| *time <= now).unwrap_or(now)
    }
}

pub(super) fn xclaim(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, name, consumer) = (args.at(0), args.at(1), args.at(2));
    check_group(writer, key, name)?;
    let min_idle = min_idle(args.at(3), "XCLAIM")?;
    let ids: Vec<Id> = args.from(4).iter().map_while(|text| id::parse(text, 0).ok()).collect();
    let now = writer.now;
    let options = Options::parse(args.from(4 + ids.len()), now)?;
    edit_beside(writer, key, |stream| {
        let (mut claimed, mut sharer) = (Vec::new(), Sharer::default());
        let Some((group, entries)) = stream.group_mut(name) else { return Reply::Array(claimed) };
        group.last_id = group.last_id.max(options.last_id);
        for id in ids {
            let Some(piece) = entry(entries, id) else {
                group.acknowledge(id);
                continue;
            };
            let delivery = match group.delivery(id) {
                Some(delivery) if min_idle == 0 || delivery.idle(now) >= min_idle => delivery,
                // As if it had been given to somebody once.
                None if options.is_forced => Delivery { id, consumer: 0, time: now, count: 1 },
                _ => continue,
            };
            let count = match options.count {
                Some(count @ 0..) => count,
                _ => delivery.count.wrapping_add(i64::from(!options.is_id_enough)),
            };
            let (time, consumer) = (options.time(now), group.see(consumer, now));
            group.deliver(Delivery { id, consumer, time, count });
            claimed.push(claim(&piece, options.is_id_enough, &mut sharer));
        }
        Reply::Array(claimed)
    })
}

/// Returns what is shown of an entry that was claimed.
fn claim(piece: &Piece<'_>, is_id_enough: bool, sharer: &mut Sharer) -> Reply {
    if is_id_enough { Id::of(piece.as_bytes()).reply() } else { show(piece, sharer) }
}

/// What XAUTOCLAIM is asked for.
#[derive(Debug)]
pub(super) struct Sweep {
    min_idle: i64,
    start: Id,
    count: i64,
    is_id_enough: bool,
}

impl Sweep {
    pub(super) fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let min_idle = min_idle(at(args, 3), "XAUTOCLAIM")?;
        let start = id::parse_start(at(args, 4))?;
        let mut sweep = Self { min_idle, start, count: COUNT, is_id_enough: false };
        let mut options = from(args, 5).iter();
        while let Some(option) = options.next() {
            match (upper(option, &mut [0; 16]), options.as_slice()) {
                (b"COUNT", [count, ..]) => {
                    let count = parse_i64(count).filter(|count| (1..=COUNT_MAX).contains(count));
                    sweep.count = count.ok_or(Reply::error("ERR COUNT must be > 0"))?;
                    options.next();
                }
                (b"JUSTID", _) => sweep.is_id_enough = true,
                _ => return Err(SYNTAX),
            }
        }
        Ok(sweep)
    }
}

pub(super) fn xautoclaim(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let (key, name, consumer) = (args.at(0), args.at(1), args.at(2));
    let sweep = Sweep::parse(args.from(0))?;
    check_group(writer, key, name)?;
    let now = writer.now;
    edit_beside(writer, key, |stream| {
        let (mut claimed, mut deleted, mut sharer) = (Vec::new(), Vec::new(), Sharer::default());
        let Some((group, entries)) = stream.group_mut(name) else { return Reply::Array(claimed) };
        let mut place = value::place(group.pending(), sweep.start).unwrap_or_else(|place| place);
        let (mut looks, mut left) = (sweep.count * LOOKS, sweep.count);
        while looks > 0 && left > 0 {
            let Some(delivery) = group.delivery_at(place) else { break };
            looks -= 1;
            let Some(piece) = entry(entries, delivery.id) else {
                group.acknowledge(delivery.id);
                deleted.push(delivery.id.reply());
                left -= 1;
                continue;
            };
            place += 1;
            if sweep.min_idle > 0 && delivery.idle(now) < sweep.min_idle {
                continue;
            }
            let count = delivery.count.wrapping_add(i64::from(!sweep.is_id_enough));
            let consumer = group.see(consumer, now);
            group.deliver(Delivery { consumer, time: now, count, ..delivery });
            claimed.push(claim(&piece, sweep.is_id_enough, &mut sharer));
            left -= 1;
        }
        let next = group.delivery_at(place).map_or(Id::MIN, |delivery| delivery.id);
        Reply::Array(vec![next.reply(), Reply::Array(claimed), Reply::Array(deleted)])
    })
}
