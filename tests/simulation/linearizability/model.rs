//! One key, as a single store would keep it: what an operation may have met, given what it was
//! answered, and what it leaves.
//!
//! Two things are not told to every client, and the model carries them as unknown until somebody
//! sees them: the version that a write gave the key, and the moment at which a deadline passes.

use std::collections::HashMap;

use super::search::Item;
use super::{Condition, Op, Reply, Seen};

/// How far the clock that decides about deadlines may be from the clock of the history.
///
/// A value written with a time to live, called at `c` and returned at `r`, must be there before
/// `c + ttl - early`, may be gone from then on, and must be gone after `r + ttl + late`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// How much too early a value may go.
    pub(crate) early: u64,
    /// How much too late a value may still be read; `None` if nothing is promised.
    pub(crate) late: Option<u64>,
}

/// A key: nothing, or a value. Values are numbered by [`Model`].
pub(crate) type State = Option<Life>;

/// A value, from one write to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(super) value: u32,
    /// Its version, once somebody was told.
    pub(super) version: Option<u64>,
    /// From when on it may be gone; `MAX` without a deadline.
    pub(super) gone_from: u64,
    /// Until when it may be there; `MAX` for ever.
    pub(super) gone_by: u64,
}

/// What is known of the moment at which an operation takes effect, from what is ordered before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// It is not before this: the latest call so far.
    pub(crate) now: u64,
    /// It is not after this: the earliest return to come.
    pub(crate) until: u64,
    /// The highest version that anybody has been told: versions only rise.
    pub(crate) version: u64,
}

impl Moment {
    /// Returns the moment of the next operation.
    pub(crate) fn at(self, item: &Item<'_>, until: u64) -> Self {
        Self { now: self.now.max(item.call.time), until, version: self.version }
    }

    /// Returns what is known once the operation has taken effect.
    pub(crate) fn after(self, item: &Item<'_>) -> Self {
        Self { version: self.version.max(version_told(item)), ..self }
    }
}

/// Returns the highest version that the key certainly had when the operation took effect.
fn version_told(item: &Item<'_>) -> u64 {
    let compared = match (item.op.condition(), item.reply()) {
        (Condition::Version(version), Some(Reply::Written { .. } | Reply::Deleted(_)) | None) => {
            *version
        }
        _ => 0,
    };
    let replied = match item.reply() {
        Some(
            Reply::Found { version: Some(version), .. }
            | Reply::Written { version: Some(version) }
            | Reply::Refused(Seen::Version(version)),
        ) => *version,
        _ => 0,
    };
    compared.max(replied)
}

/// The values of one key, numbered so that a state is small.
#[derive(Debug)]
pub(crate) struct Model {
    values: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u32>,
    clock: Clock,
}

impl Model {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { values: Vec::new(), numbers: HashMap::new(), clock }
    }

    /// Returns the bytes of a value.
    pub(super) fn value(&self, life: Life) -> &[u8] {
        &self.values[life.value as usize]
    }

    /// Returns the state with this value, of which nothing else is known.
    pub(super) fn start(&mut self, value: Option<&[u8]>) -> State {
        let value = self.number(value?);
        Some(Life { value, version: None, gone_from: 0, gone_by: u64::MAX })
    }

    fn number(&mut self, value: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).expect("fewer values than steps");
        self.values.push(value.to_vec());
        self.numbers.insert(value.to_vec(), number);
        number
    }

    /// Adds to `next` the states that the operation may leave, if it takes effect now and was
    /// answered as it was. With an unknown end only those that differ from what it met: an effect
    /// that changes nothing is as good as none.
    pub(crate) fn step(
        &mut self,
        state: State,
        item: &Item<'_>,
        moment: Moment,
        next: &mut Vec<State>,
    ) {
        next.clear();
        let is_gone = state.is_some_and(|life| life.gone_from <= moment.until);
        let is_there = state.is_none_or(|life| moment.now <= life.gone_by);
        for met in [is_there.then_some(state), is_gone.then_some(None)].into_iter().flatten() {
            if let Some(left) = self.act(met, item, moment.version)
                && (item.done.is_some() || left != met)
                && !next.contains(&left)
            {
                next.push(left);
            }
        }
    }

    /// Returns what the operation leaves of what it met, `None` if it would have been answered
    /// otherwise. `told` is the highest version so far.
    fn act(&mut self, met: State, item: &Item<'_>, told: u64) -> Option<State> {
        match (item.op, item.reply()) {
            (Op::Get, Some(Reply::Found { value, version })) => {
                self.found(met, value.as_deref(), *version, told)
            }
            (Op::GetDelete, Some(Reply::Found { value, version })) => {
                self.found(met, value.as_deref(), *version, told).map(|_| None)
            }
            (Op::GetDelete, None) => Some(None),
            (Op::Set { condition, .. } | Op::Delete { condition }, Some(Reply::Refused(seen))) => {
                self.refused(met, condition, *seen, told)
            }
            (Op::Set { value, ttl, condition }, reply) => {
                let version = match reply {
                    None => None,
                    Some(Reply::Written { version }) => *version,
                    Some(_) => return None,
                };
                let older = version_told_by(condition).max(told);
                let fits = self.holds(met, condition, told) && version.is_none_or(|v| v > older);
                fits.then(|| Some(self.written(value, *ttl, version, item)))
            }
            (Op::Delete { condition }, None | Some(Reply::Deleted(true))) => {
                (met.is_some() && self.holds(met, condition, told)).then_some(None)
            }
            (Op::Delete { condition }, Some(Reply::Deleted(false))) => {
                (met.is_none() && self.holds(met, condition, told)).then_some(None)
            }
            (Op::Increment(by), reply) => {
                let sum = self.sum(met, *by);
                let left = sum.map(|sum| Some(self.rewritten(met, sum.to_string().as_bytes())));
                match reply {
                    None => left,
                    Some(Reply::Number(number)) if sum == Some(*number) => left,
                    Some(Reply::NotANumber) if sum.is_none() => Some(met),
                    Some(_) => None,
                }
            }
            (Op::Append(tail), reply) => {
                let mut value = met.map_or_else(Vec::new, |life| self.value(life).to_vec());
                value.extend_from_slice(tail);
                let fits = match reply {
                    None => true,
                    Some(Reply::Length(length)) => *length == value.len() as u64,
                    Some(_) => false,
                };
                fits.then(|| Some(self.rewritten(met, &value)))
            }
            _ => None,
        }
    }

    /// Returns what a SET leaves.
    fn written(
        &mut self,
        value: &[u8],
        ttl: Option<u64>,
        version: Option<u64>,
        item: &Item<'_>,
    ) -> Life {
        let (gone_from, gone_by) = match ttl {
            None => (u64::MAX, u64::MAX),
            Some(ttl) => {
                let from = item.call.time.saturating_add(ttl).saturating_sub(self.clock.early);
                let done = item.done.map(|(event, _)| event.time);
                let by = done
                    .zip(self.clock.late)
                    .map_or(u64::MAX, |(done, late)| done.saturating_add(ttl).saturating_add(late));
                (from, by)
            }
        };
        Life { value: self.number(value), version, gone_from, gone_by }
    }

    /// Returns what an operation leaves that changes a value and keeps its deadline.
    fn rewritten(&mut self, met: State, value: &[u8]) -> Life {
        let (gone_from, gone_by) =
            met.map_or((u64::MAX, u64::MAX), |life| (life.gone_from, life.gone_by));
        Life { value: self.number(value), version: None, gone_from, gone_by }
    }

    fn sum(&self, met: State, by: i64) -> Option<i64> {
        let Some(life) = met else { return Some(by) };
        let text = std::str::from_utf8(self.value(life)).ok()?;
        let number: i64 = text.parse().ok()?;
        // As Redis has it, a number has one way to be written.
        (number.to_string() == text).then(|| number.checked_add(by)).flatten()
    }

    /// Returns the state, now that this was read of it.
    fn found(
        &self,
        met: State,
        value: Option<&[u8]>,
        version: Option<u64>,
        told: u64,
    ) -> Option<State> {
        if met.map(|life| self.value(life)) != value {
            return None;
        }
        match (met, version) {
            (Some(life), Some(version)) => told_version(life, version, told).map(Some),
            (None, Some(_)) => None,
            (_, None) => Some(met),
        }
    }

    /// Returns whether a condition may have held.
    fn holds(&self, met: State, condition: &Condition, told: u64) -> bool {
        match condition {
            Condition::None => true,
            Condition::Absent => met.is_none(),
            Condition::Present => met.is_some(),
            Condition::Version(version) => {
                met.is_some_and(|life| told_version(life, *version, told).is_some())
            }
            Condition::Value(value) => met.is_some_and(|life| self.value(life) == value),
        }
    }

    /// Returns the state, now that the condition did not hold for it. A version that nobody was
    /// told of may always be another one.
    fn refused(&self, met: State, condition: &Condition, seen: Seen, told: u64) -> Option<State> {
        let left = match (met, seen) {
            (_, Seen::Untold) | (None, Seen::Absent) => met,
            (Some(life), Seen::Version(version)) => Some(told_version(life, version, told)?),
            (Some(_), Seen::Absent) | (None, Seen::Version(_)) => return None,
        };
        let held = match condition {
            Condition::None => true,
            Condition::Absent => left.is_none(),
            Condition::Present => left.is_some(),
            Condition::Version(version) => left.is_some_and(|life| life.version == Some(*version)),
            Condition::Value(value) => left.is_some_and(|life| self.value(life) == value),
        };
        (!held).then_some(left)
    }
}

fn version_told_by(condition: &Condition) -> u64 {
    if let Condition::Version(version) = condition { *version } else { 0 }
}

/// Returns the value with its version, now that somebody was told of it; `None` if it cannot be.
fn told_version(life: Life, version: u64, told: u64) -> Option<Life> {
    match life.version {
        Some(known) => (known == version).then_some(life),
        None => (version > told).then_some(Life { version: Some(version), ..life }),
    }
}
