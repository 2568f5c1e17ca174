//! Ranges of members: by rank, by score, and by name where all scores are the same.
//!
//! Whatever they are given by, they come down to a range of places, and so take logarithmic time
//! to find, to count and to skip in.

use std::ops::Range as Places;

use super::super::collection::Content;
use super::super::float::double;
use super::super::number::integer;
use super::super::reply::Reply;
use super::Zset;

/// What a range is given by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Name,
}

/// A range that members may be in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Range<'a> {
    /// From a rank to a rank; negative ones count from the end.
    Rank(i64, i64),
    /// From a score to a score.
    Score(ScoreBound, ScoreBound),
    /// From a name to a name.
    Name(NameBound<'a>, NameBound<'a>),
}

/// An end of a range of scores.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoreBound {
    score: f64,
    is_exclusive: bool,
}

/// An end of a range of names.
#[derive(Clone, Copy, Debug)]
pub(super) enum NameBound<'a> {
    /// Before all names.
    First,
    /// Behind all names.
    Last,
    Including(&'a [u8]),
    Excluding(&'a [u8]),
}

impl<'a> Range<'a> {
    /// Reads a range from its lower and its upper end.
    pub(super) fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, Reply> {
        match by {
            By::Rank => Ok(Self::Rank(integer(min)?, integer(max)?)),
            By::Score => {
                let error = Reply::error("ERR min or max is not a float");
                let ends = ScoreBound::parse(min).zip(ScoreBound::parse(max));
                ends.map(|(min, max)| Self::Score(min, max)).ok_or(error)
            }
            By::Name => {
                let error = Reply::error("ERR min or max not valid string range item");
                let ends = NameBound::parse(min).zip(NameBound::parse(max));
                ends.map(|(min, max)| Self::Name(min, max)).ok_or(error)
            }
        }
    }

    /// Returns the places of the members in the range. `is_back` tells from where they are walked
    /// over: ranks count from there.
    pub(super) fn places(&self, zset: &Zset, is_back: bool) -> Places<usize> {
        match self {
            &Self::Rank(start, stop) => {
                let len = zset.len();
                let ranks = ranks(start, stop, len);
                if is_back { len - ranks.end..len - ranks.start } else { ranks }
            }
            Self::Score(min, max) => {
                let start = zset.partition_point(|score, _| !min.is_before(score));
                let end = zset.partition_point(|score, _| max.is_behind(score));
                start..end.max(start)
            }
            Self::Name(min, max) => names(zset, *min, *max, is_back),
        }
    }
}

/// Returns the ranks of a range whose ends may count from the end.
fn ranks(start: i64, stop: i64, len: usize) -> Places<usize> {
    let from_start = |rank: i64| {
        let rank = if rank < 0 { rank.saturating_add_unsigned(len as u64) } else { rank };
        usize::try_from(rank).ok()
    };
    let start = from_start(start).unwrap_or(0);
    let end = from_start(stop).map_or(0, |stop| stop.saturating_add(1).min(len));
    if start < end { start..end } else { 0..0 }
}

/// Where scores are not all the same there is no order by name. Of a small set Redis then still has
/// an answer that it always gives: it walks from the end at which it begins to the first member in
/// range, and on until there is one that is not.
fn names(zset: &Zset, min: NameBound<'_>, max: NameBound<'_>, is_back: bool) -> Places<usize> {
    if zset.ordered().is_some() {
        let start = zset.partition_point(|_, name| !min.is_before(name));
        let end = zset.partition_point(|_, name| max.is_behind(name));
        return start..end.max(start);
    }
    let len = zset.len();
    let is_outside = |place, is_inside: &dyn Fn(&[u8]) -> bool| {
        zset.at(place).is_none_or(|member| !is_inside(member.name()))
    };
    let (is_low, is_high) = (|name: &[u8]| max.is_behind(name), |name: &[u8]| min.is_before(name));
    if is_outside(len.wrapping_sub(1), &is_high) || is_outside(0, &is_low) {
        return 0..0;
    }
    if is_back {
        let mut below = zset.iter_back(0..len).map(|member| is_low(member.name()));
        let end = len - below.position(|is_low| is_low).unwrap_or(len);
        let run = zset.iter_back(0..end).take_while(|member| is_high(member.name())).count();
        return end - run..end;
    }
    let start = zset.iter(0..len).position(|member| is_high(member.name())).unwrap_or(len);
    let run = zset.iter(start..len).take_while(|member| is_low(member.name())).count();
    start..start + run
}

impl ScoreBound {
    fn parse(text: &[u8]) -> Option<Self> {
        let (number, is_exclusive) = match text {
            [b'(', number @ ..] => (number, true),
            number => (number, false),
        };
        Some(Self { score: double::parse_bound(number)?, is_exclusive })
    }

    /// Returns whether a score is within a range that begins here.
    fn is_before(&self, score: f64) -> bool {
        if self.is_exclusive { self.score < score } else { self.score <= score }
    }

    /// Returns whether a score is within a range that ends here.
    fn is_behind(&self, score: f64) -> bool {
        if self.is_exclusive { score < self.score } else { score <= self.score }
    }
}

impl<'a> NameBound<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            [b'-'] | [b'-', 0, ..] => Some(Self::First),
            [b'+'] | [b'+', 0, ..] => Some(Self::Last),
            [b'[', name @ ..] => Some(Self::Including(name)),
            [b'(', name @ ..] => Some(Self::Excluding(name)),
            _ => None,
        }
    }

    /// Returns whether a name is within a range that begins here.
    fn is_before(&self, name: &[u8]) -> bool {
        match self {
            Self::First => true,
            Self::Last => false,
            Self::Including(bound) => *bound <= name,
            Self::Excluding(bound) => *bound < name,
        }
    }

    /// Returns whether a name is within a range that ends here.
    fn is_behind(&self, name: &[u8]) -> bool {
        match self {
            Self::First => false,
            Self::Last => true,
            Self::Including(bound) => name <= *bound,
            Self::Excluding(bound) => name < *bound,
        }
    }
}
