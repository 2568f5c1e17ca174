//! ZADD and ZINCRBY: scores for members, under conditions.

use super::super::Writer;
use super::super::command::{Args, at, from, upper};
use super::super::float::double;
use super::super::number;
use super::super::reply::{NOT_A_FLOAT, Reply, SYNTAX};
use super::Zset;

/// Members that are to get scores.
#[derive(Debug, Default)]
pub(in super::super) struct Request<'a> {
    pub(in super::super) conditions: Conditions,
    /// Counts those that have changed, not only those that are new.
    pub(in super::super) counts_changed: bool,
    /// Adds to the score that a member has.
    pub(in super::super) adds: bool,
    pub(in super::super) members: Vec<(f64, &'a [u8])>,
}

/// When a member gets its score.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Conditions {
    /// Only if it is not there.
    pub(in super::super) is_new: bool,
    /// Only if it is there.
    pub(in super::super) is_old: bool,
    /// Only if it is not there, or the score is greater than the one that it has.
    pub(in super::super) is_greater: bool,
    /// Only if it is not there, or the score is less than the one that it has.
    pub(in super::super) is_less: bool,
}

impl<'a> Request<'a> {
    /// Reads the arguments of ZADD, or, if scores are increments from the beginning, of ZINCRBY,
    /// whose amount is taken for an option too where it reads as one.
    fn parse(args: &[&'a [u8]], adds: bool) -> Result<Self, Reply> {
        let mut request = Self { adds, ..Self::default() };
        let mut place = 1;
        loop {
            let conditions = &mut request.conditions;
            match upper(at(args, place), &mut [0; 16]) {
                b"NX" => conditions.is_new = true,
                b"XX" => conditions.is_old = true,
                b"GT" => conditions.is_greater = true,
                b"LT" => conditions.is_less = true,
                b"CH" => request.counts_changed = true,
                b"INCR" => request.adds = true,
                _ => break,
            }
            place += 1;
        }
        let (pairs, []) = from(args, place).as_chunks::<2>() else { return Err(SYNTAX) };
        if pairs.is_empty() {
            return Err(SYNTAX);
        }
        request.conditions.check()?;
        if request.adds && pairs.len() > 1 {
            let text = "ERR INCR option supports a single increment-element pair";
            return Err(Reply::error(text));
        }
        let member = |[score, name]: &[&'a [u8]; 2]| {
            double::parse(score).map(|score| (score, *name)).ok_or(NOT_A_FLOAT)
        };
        request.members = pairs.iter().map(member).collect::<Result<_, _>>()?;
        Ok(request)
    }

    /// Gives the members of a key their scores.
    pub(in super::super) fn apply(
        &self,
        writer: &mut Writer<'_>,
        key: &[u8],
    ) -> Result<Reply, Reply> {
        if writer.kind::<Zset>(key)?.is_none() && self.conditions.is_old {
            return Ok(if self.adds { Reply::Null } else { Reply::Integer(0) });
        }
        let (reply, _) = writer.edit(key, |zset: &mut Zset| {
            let result = self.change(zset);
            let has_changed = result.as_ref().is_ok_and(|(_, has_changed)| *has_changed);
            (result, has_changed)
        })??;
        Ok(reply)
    }

    /// Returns the reply, and whether anything has changed.
    fn change(&self, zset: &mut Zset) -> Result<(Reply, bool), Reply> {
        let (mut added, mut updated, mut last) = (0, 0, Reply::Null);
        for (score, name) in &self.members {
            let old = zset.score(name);
            let Some(new) = self.new_score(old, *score)? else { continue };
            if old.is_none_or(|old| old != new) {
                zset.set(name, new);
                *(if old.is_none() { &mut added } else { &mut updated }) += 1;
            }
            last = Reply::Double(new);
        }
        let counted = if self.counts_changed { added + updated } else { added };
        let reply = if self.adds { last } else { number::reply(counted) };
        Ok((reply, added + updated > 0))
    }

    /// Returns the score that a member gets, if it gets any.
    fn new_score(&self, old: Option<f64>, score: f64) -> Result<Option<f64>, Reply> {
        let conditions = self.conditions;
        let Some(old) = old else { return Ok((!conditions.is_old).then_some(score)) };
        if conditions.is_new {
            return Ok(None);
        }
        let new = if self.adds { old + score } else { score };
        if new.is_nan() {
            return Err(Reply::error("ERR resulting score is not a number (NaN)"));
        }
        let is_kept = conditions.is_less && new >= old || conditions.is_greater && new <= old;
        Ok((!is_kept).then_some(new))
    }
}

impl Conditions {
    fn check(self) -> Result<(), Reply> {
        let Self { is_new, is_old, is_greater, is_less } = self;
        if is_new && is_old {
            let text = "ERR XX and NX options at the same time are not compatible";
            return Err(Reply::error(text));
        }
        if (is_greater || is_less) && is_new || is_greater && is_less {
            let text = "ERR GT, LT, and/or NX options at the same time are not compatible";
            return Err(Reply::error(text));
        }
        Ok(())
    }
}

/// Refuses wrong arguments of ZADD.
pub(super) fn check_zadd(args: &[&[u8]]) -> Result<(), Reply> {
    Request::parse(args, false).map(drop)
}

pub(super) fn zadd(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Request::parse(args.from(0), false)?.apply(writer, args.at(0))
}

/// Refuses wrong arguments of ZINCRBY.
pub(super) fn check_zincrby(args: &[&[u8]]) -> Result<(), Reply> {
    Request::parse(args, true).map(drop)
}

pub(super) fn zincrby(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    Request::parse(args.from(0), true)?.apply(writer, args.at(0))
}
