//! Deadlines: EXPIRE and its relatives, TTL and its.
//!
//! A relative time to live counts from the time of the entry, so the deadline is the same on every
//! server. A deadline that is reached already removes the key on the spot.

use super::command::{Args, Flags as F, Spec, at, from, upper};
use super::item::Item;
use super::number::{self, integer};
use super::{Reader, Reply, Writer};

/// The commands of deadlines.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(96, "expire", -3, |writer, args| EXPIRE.apply(writer, args))
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "1.0.0")
        .validated_by(|args| EXPIRE.validate(args)),
    Spec::write(97, "pexpire", -3, |writer, args| PEXPIRE.apply(writer, args))
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "2.6.0")
        .validated_by(|args| PEXPIRE.validate(args)),
    Spec::write(98, "expireat", -3, |writer, args| EXPIREAT.apply(writer, args))
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "1.2.0")
        .validated_by(|args| EXPIREAT.validate(args)),
    Spec::write(99, "pexpireat", -3, |writer, args| PEXPIREAT.apply(writer, args))
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "2.6.0")
        .validated_by(|args| PEXPIREAT.validate(args)),
    Spec::read(100, "ttl", 2, ttl)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "1.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::read(101, "pttl", 2, pttl)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "2.6.0")
        .tips(&["nondeterministic_output"]),
    Spec::read(102, "expiretime", 2, expiretime)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "7.0.0"),
    Spec::read(103, "pexpiretime", 2, pexpiretime)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "7.0.0"),
    Spec::write(104, "persist", 2, persist)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .keys_at(1, 1, 1)
        .doc("generic", "2.2.0"),
];

/// The time to validate at: an amount that is no deadline counted from the beginning of time is
/// none counted from any later moment.
pub(super) const ANY_TIME: u64 = 0;

/// In what a command counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// A time to live as an option gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ttl<'a> {
    /// The unit of the amount.
    pub(super) unit: Unit,
    /// Whether it counts from 1970, not from now.
    pub(super) is_absolute: bool,
    /// The number, as text.
    pub(super) amount: &'a [u8],
}

/// Returns the deadline that SET and its relatives ask for: it must lie ahead of 1970, as Redis has
/// it.
pub(super) fn deadline(ttl: Ttl<'_>, now: u64, command: &str) -> Result<u64, Reply> {
    let amount = integer(ttl.amount)?;
    let deadline = if amount > 0 { instant(amount, ttl.unit, ttl.is_absolute, now) } else { None };
    deadline.and_then(|at| u64::try_from(at).ok()).ok_or_else(|| invalid_expire(command))
}

fn invalid_expire(command: &str) -> Reply {
    Reply::error(format!("ERR invalid expire time in '{command}' command"))
}

/// Returns an amount of time as milliseconds since 1970, if there is such a number.
fn instant(amount: i64, unit: Unit, is_absolute: bool, now: u64) -> Option<i64> {
    let milliseconds = match unit {
        Unit::Seconds => amount.checked_mul(1000)?,
        Unit::Milliseconds => amount,
    };
    let base = if is_absolute { 0 } else { i64::try_from(now).ok()? };
    milliseconds.checked_add(base)
}

/// EXPIRE and its relatives, and what they differ in.
struct Expire {
    unit: Unit,
    is_absolute: bool,
    name: &'static str,
}

const EXPIRE: Expire = Expire { unit: Unit::Seconds, is_absolute: false, name: "expire" };
const PEXPIRE: Expire = Expire { unit: Unit::Milliseconds, is_absolute: false, name: "pexpire" };
const EXPIREAT: Expire = Expire { unit: Unit::Seconds, is_absolute: true, name: "expireat" };
const PEXPIREAT: Expire = Expire { unit: Unit::Milliseconds, is_absolute: true, name: "pexpireat" };

impl Expire {
    /// Reads the arguments: when something is to be done, and the new deadline.
    fn parse(&self, args: &[&[u8]], now: u64) -> Result<(Condition, i64), Reply> {
        let condition = Condition::parse(from(args, 2))?;
        let amount = integer(at(args, 1))?;
        let deadline = instant(amount, self.unit, self.is_absolute, now);
        Ok((condition, deadline.ok_or_else(|| invalid_expire(self.name))?))
    }

    fn validate(&self, args: &[&[u8]]) -> Result<(), Reply> {
        self.parse(args, ANY_TIME).map(drop)
    }

    fn apply(&self, writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
        let (condition, deadline) = self.parse(args.from(0), writer.now)?;
        let Some(item) = writer.get(args.at(0)) else { return Ok(Reply::Integer(0)) };
        if !condition.holds(item.deadline(), deadline) {
            return Ok(Reply::Integer(0));
        }
        // Before 1970 is as much in the past as 1970.
        writer.set_deadline(args.at(0), Some(u64::try_from(deadline).unwrap_or(0)));
        Ok(Reply::Integer(1))
    }
}

/// When EXPIRE is to do something.
#[derive(Default)]
struct Condition {
    if_none: bool,
    if_some: bool,
    if_later: bool,
    if_earlier: bool,
}

impl Condition {
    fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let mut condition = Self::default();
        for option in args {
            match upper(option, &mut [0; 16]) {
                b"NX" => condition.if_none = true,
                b"XX" => condition.if_some = true,
                b"GT" => condition.if_later = true,
                b"LT" => condition.if_earlier = true,
                _ => return Err(Reply::error_quoting("ERR Unsupported option ", option, "")),
            }
        }
        let Self { if_none, if_some, if_later, if_earlier } = condition;
        if if_none && (if_some || if_later || if_earlier) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(Reply::error(text));
        }
        if if_later && if_earlier {
            let text = "ERR GT and LT options at the same time are not compatible";
            return Err(Reply::error(text));
        }
        Ok(condition)
    }

    /// Returns whether to replace a deadline by a new one. No deadline counts as the latest of all.
    fn holds(&self, old: Option<u64>, new: i64) -> bool {
        let old = old.map(|old| i64::try_from(old).unwrap_or(i64::MAX));
        (!self.if_none || old.is_none())
            && (!self.if_some || old.is_some())
            && (!self.if_later || old.is_some_and(|old| new > old))
            && (!self.if_earlier || old.is_none_or(|old| new < old))
    }
}

fn persist(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let has_deadline = writer.get(args.at(0)).is_some_and(|item| item.deadline().is_some());
    if has_deadline {
        writer.set_deadline(args.at(0), None);
    }
    Ok(Reply::Integer(i64::from(has_deadline)))
}

fn ttl(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(time_of(reader, args.at(0), |deadline| rounded_seconds(reader.left(deadline))))
}

fn pttl(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(time_of(reader, args.at(0), |deadline| reader.left(deadline)))
}

fn expiretime(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(time_of(reader, args.at(0), rounded_seconds))
}

fn pexpiretime(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Ok(time_of(reader, args.at(0), |deadline| deadline))
}

/// Answers -2 for no key, -1 for no deadline.
fn time_of(reader: &Reader<'_>, key: &[u8], time: impl FnOnce(u64) -> u64) -> Reply {
    match reader.get(key).map(Item::deadline) {
        None => Reply::Integer(-2),
        Some(None) => Reply::Integer(-1),
        Some(Some(deadline)) => number::reply(time(deadline)),
    }
}

fn rounded_seconds(milliseconds: u64) -> u64 {
    milliseconds.saturating_add(500) / 1000
}

impl Reader<'_> {
    /// Returns how many milliseconds are left until a deadline. None are, if the clock is past it
    /// and only the log has still to say so.
    pub(super) fn left(&self, deadline: u64) -> u64 {
        deadline.saturating_sub(self.clock)
    }
}
