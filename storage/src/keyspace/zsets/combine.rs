//! ZUNION, ZINTER and ZDIFF: sorted sets made of others, shown or kept.
//!
//! Members are not copied on the way: a result refers to the memory of its sources.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use super::super::command::{Args, at, from, upper};
use super::super::float::double;
use super::super::number::{self, integer, parse_i64};
use super::super::reply::{Reply, SYNTAX};
use super::super::{Reader, Writer};
use super::source::{Source, source_members};
use super::value::compare;
use super::{Zset, numbered_keys, store};

/// How sets are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Show,
    Count,
    Store,
}

/// What becomes of the scores of a member of several sets.
#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

/// Members with their scores, in no order.
pub(in super::super) type Members = Vec<(f64, Bytes)>;

/// Sources and options.
struct Request<'a> {
    /// Each with what its scores count.
    sources: Vec<(Source<'a>, f64)>,
    aggregate: Aggregate,
    with_scores: bool,
    /// The most members to be counted; zero is no limit.
    limit: usize,
}

/// Returns how many sources there are: what is checked before any is looked at.
fn source_count(args: &[&[u8]], command: &str) -> Result<i64, Reply> {
    let count = integer(at(args, 0))?;
    if count < 1 {
        let text = format!("ERR at least 1 input key is needed for '{command}' command");
        return Err(Reply::error(text));
    }
    numbered_keys(args, count)?;
    Ok(count)
}

/// Refuses wrong numbers of sources of a command that stores. What follows the sources is looked at
/// behind them, also by Redis.
pub(super) fn check_sources(args: &[&[u8]], command: &str) -> Result<(), Reply> {
    source_count(from(args, 1), command).map(drop)
}

impl<'a> Request<'a> {
    /// Reads arguments from the number of sources on.
    fn parse(
        reader: &Reader<'a>,
        args: &[&[u8]],
        (operation, purpose): (Operation, Use),
        command: &str,
    ) -> Result<Self, Reply> {
        let count = source_count(args, command)?;
        let (keys, mut options) = numbered_keys(args, count)?;
        let source = |key: &&[u8]| source_members(reader, key).map(|source| (source, 1.0));
        let sources: Vec<_> = keys.iter().map(source).collect::<Result<_, _>>()?;
        let aggregate = Aggregate::Sum;
        let mut request = Self { sources, aggregate, with_scores: false, limit: 0 };
        let has_weights = operation != Operation::Difference && purpose != Use::Count;
        while let Some((option, rest)) = options.split_first() {
            options = match upper(option, &mut [0; 16]) {
                b"WEIGHTS" if has_weights && rest.len() >= keys.len() => request.weigh(rest)?,
                b"AGGREGATE" if has_weights && !rest.is_empty() => {
                    request.aggregate = Aggregate::parse(rest[0])?;
                    &rest[1..]
                }
                b"WITHSCORES" if purpose == Use::Show => {
                    request.with_scores = true;
                    rest
                }
                b"LIMIT" if purpose == Use::Count && !rest.is_empty() => {
                    let error = Reply::error("ERR LIMIT can't be negative");
                    let limit = parse_i64(rest[0]).and_then(|limit| usize::try_from(limit).ok());
                    request.limit = limit.ok_or(error)?;
                    &rest[1..]
                }
                _ => return Err(SYNTAX),
            };
        }
        Ok(request)
    }

    /// Reads a weight for each source, and returns what follows.
    fn weigh<'s, 'b>(&mut self, args: &'s [&'b [u8]]) -> Result<&'s [&'b [u8]], Reply> {
        let (weights, rest) = args.split_at(self.sources.len());
        for ((_, weight), text) in self.sources.iter_mut().zip(weights) {
            let error = Reply::error("ERR weight value is not a float");
            *weight = double::parse(text).ok_or(error)?;
        }
        Ok(rest)
    }

    /// Puts the sources together.
    fn members(&mut self, operation: Operation) -> Members {
        match operation {
            Operation::Union => self.union(),
            Operation::Intersection => self.intersection().collect(),
            Operation::Difference => self.difference(),
        }
    }

    /// Begins with the smallest source, as Redis does: the order in which scores are added shows
    /// in their last digits.
    fn smallest_first(&mut self) {
        self.sources.sort_by_key(|(source, _)| source.len());
    }

    fn union(&mut self) -> Members {
        self.smallest_first();
        let mut union = BTreeMap::new();
        for (source, weight) in &self.sources {
            for (score, name) in source.members() {
                let score = number_or_zero(score * weight);
                match union.entry(name) {
                    Entry::Vacant(entry) => drop(entry.insert(score)),
                    Entry::Occupied(mut entry) => {
                        let sum = self.aggregate.of(*entry.get(), score);
                        entry.insert(sum);
                    }
                }
            }
        }
        union.into_iter().map(|(name, score)| (score, name)).collect()
    }

    fn intersection(&mut self) -> impl Iterator<Item = (f64, Bytes)> {
        self.smallest_first();
        let (first, others) = self.sources.split_first().expect("there is at least one source");
        let ((first, weight), aggregate) = (*first, self.aggregate);
        first.members().filter_map(move |(score, name)| {
            let mut score = number_or_zero(score * weight);
            for (other, weight) in others {
                score = aggregate.of(score, other.score(&name)? * weight);
            }
            Some((score, name))
        })
    }

    fn difference(&self) -> Members {
        let (first, others) = self.sources.split_first().expect("there is at least one source");
        let is_left =
            |(_, name): &(f64, Bytes)| others.iter().all(|(other, _)| other.score(name).is_none());
        first.0.members().filter(is_left).collect()
    }
}

impl Aggregate {
    fn parse(text: &[u8]) -> Result<Self, Reply> {
        match upper(text, &mut [0; 16]) {
            b"SUM" => Ok(Self::Sum),
            b"MIN" => Ok(Self::Min),
            b"MAX" => Ok(Self::Max),
            _ => Err(SYNTAX),
        }
    }

    /// Returns what two scores are together. The second may be NaN, which is neither less nor
    /// greater.
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => number_or_zero(a + b),
            Self::Min if b < a => b,
            Self::Max if b > a => b,
            Self::Min | Self::Max => a,
        }
    }
}

/// Infinity times zero, or less itself, counts as zero.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// Puts members into the order of their scores.
pub(in super::super) fn in_order(mut members: Members) -> Members {
    let order =
        |a: &(f64, Bytes), b: &(f64, Bytes)| -> Ordering { compare((a.0, &a.1), (b.0, &b.1)) };
    members.sort_unstable_by(order);
    members
}

fn show(
    reader: &Reader<'_>,
    args: &Args<'_>,
    operation: Operation,
    command: &str,
) -> Result<Reply, Reply> {
    let mut request = Request::parse(reader, args.from(0), (operation, Use::Show), command)?;
    let members = in_order(request.members(operation)).into_iter();
    Ok(if request.with_scores {
        Reply::Pairs(
            members.map(|(score, name)| (Reply::Bulk(name), Reply::Double(score))).collect(),
        )
    } else {
        Reply::Array(members.map(|(_, name)| Reply::Bulk(name)).collect())
    })
}

fn keep(
    writer: &mut Writer<'_>,
    args: &Args<'_>,
    operation: Operation,
    command: &str,
) -> Result<Reply, Reply> {
    let reader = writer.reader();
    let mut request = Request::parse(&reader, args.from(1), (operation, Use::Store), command)?;
    let zset = Zset::from_ordered(in_order(request.members(operation)));
    Ok(store(writer, args.at(0), zset))
}

pub(super) fn zunion(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Operation::Union, "zunion")
}

pub(super) fn zinter(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Operation::Intersection, "zinter")
}

pub(super) fn zdiff(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Operation::Difference, "zdiff")
}

pub(super) fn zunionstore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    keep(writer, args, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    keep(writer, args, Operation::Intersection, "zinterstore")
}

pub(super) fn zdiffstore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    keep(writer, args, Operation::Difference, "zdiffstore")
}

pub(super) fn zintercard(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let purpose = (Operation::Intersection, Use::Count);
    let mut request = Request::parse(reader, args.from(0), purpose, "zintercard")?;
    let limit = if request.limit == 0 { usize::MAX } else { request.limit };
    Ok(number::reply(request.intersection().take(limit).count()))
}
