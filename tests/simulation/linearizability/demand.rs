//! What an operation must meet to be answered as it was, and whether a guess can lead there.
//!
//! At a dead end every operation of unknown outcome might be what is missing, and so might every
//! chain of them. Most cannot: a read that saw `x` is helped only by what writes `x`, or a
//! beginning of it to which something is appended, or a smaller number that is counted up. What is
//! ruled out here is ruled out for certain; the rest the search has to try.
//!
//! Behind a guess no write comes that does not look at what is there: it would make the guess idle.
//! So a value grows from the one that the guess left, or from one that was written on a condition.

use std::borrow::Cow;

use super::model::State;
use super::search::Item;
use super::{Condition, Op, Reply, Seen};

/// What an operation must meet, any one of these.
#[derive(Clone, Debug, Default)]
struct Wanted<'a> {
    nothing: bool,
    value: Option<Cow<'a, [u8]>>,
    length: Option<usize>,
    not_a_number: bool,
    /// Something that is not as easily said.
    other: bool,
    /// Whether a value that is written on each kind of condition can grow into it.
    if_present: bool,
    if_absent: bool,
    if_version: bool,
    if_value: bool,
    /// Whether a value that begins where there was none can grow into it.
    from_nothing: bool,
}

/// Whether a guess may help an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Help {
    /// It, or others behind it, may.
    Possible,
    /// No.
    Impossible,
    /// If the operation now fits, or would fit another value, but not if it fitted anyway.
    Ask,
}

/// What there was since the last operation that is no guess. What could follow on one of these need
/// not wait for another guess.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    nothing: bool,
    value: bool,
    /// A value whose version nobody knows yet, so that it may be any.
    unversioned: bool,
}

impl Chain {
    pub(super) fn new(states: impl Iterator<Item = State>) -> Self {
        states.fold(Self::default(), |chain, state| Self {
            nothing: chain.nothing || state.is_none(),
            value: chain.value || state.is_some(),
            unversioned: chain.unversioned || state.is_some_and(|life| life.version.is_none()),
        })
    }
}

/// What all operations of a key must meet.
#[derive(Debug)]
pub(super) struct Demands<'a> {
    wanted: Vec<Wanted<'a>>,
    growth: Growth,
    /// Whether a value may be deleted behind a guess, or end by itself.
    can_vanish: bool,
    is_timed: bool,
}

/// What operations of unknown outcome may do to a value.
#[derive(Clone, Copy, Debug, Default)]
struct Growth {
    appends: bool,
    counts: bool,
    counts_down: bool,
    /// Whether something is appended that is no digit.
    spoils: bool,
    /// How many digits are appended, and how far is counted, all in all.
    digits: usize,
    distance: i128,
}

impl<'a> Demands<'a> {
    pub(super) fn new(items: &[Item<'a>], is_timed: bool) -> Self {
        let unknown = || items.iter().filter(|item| item.done.is_none()).map(|item| item.op);
        let mut growth = Growth::default();
        let mut can_vanish = false;
        // The values written on a condition, and those that appear where there was none.
        let mut written: Vec<(&Condition, &[u8])> = Vec::new();
        let mut begun: Vec<Cow<'_, [u8]>> = Vec::new();
        for op in unknown() {
            match op {
                Op::Append(tail) => {
                    growth.appends = true;
                    growth.spoils |= !tail.iter().all(u8::is_ascii_digit);
                    growth.digits += tail.len();
                    begun.push(Cow::Borrowed(tail));
                }
                Op::Increment(by) => {
                    growth.counts = true;
                    growth.counts_down |= *by < 0;
                    growth.distance += i128::from(by.unsigned_abs());
                    begun.push(number(*by));
                }
                Op::Set { condition: Condition::None, .. } => {}
                Op::Set { value, condition, .. } => written.push((condition, value)),
                Op::Delete { condition } => can_vanish |= *condition != Condition::None,
                Op::Get | Op::GetDelete => {}
            }
        }
        begun.sort_unstable();
        begun.dedup();
        let wanted = items.iter().map(|item| {
            let mut wanted = Wanted::new(item);
            wanted.from_nothing = begun.iter().any(|value| growth.starts(value, &wanted));
            for (condition, value) in &written {
                let leads = growth.starts(value, &wanted);
                match condition {
                    Condition::None => {}
                    Condition::Present => wanted.if_present |= leads,
                    Condition::Absent => wanted.if_absent |= leads,
                    Condition::Version(_) => wanted.if_version |= leads,
                    Condition::Value(_) => wanted.if_value |= leads,
                }
            }
            wanted
        });
        Self { wanted: wanted.collect(), growth, can_vanish, is_timed }
    }

    /// Returns whether a guess that left this value may help an operation.
    pub(super) fn help(&self, left: Option<&[u8]>, chain: Chain, place: usize) -> Help {
        let wanted = &self.wanted[place];
        // A chain of guesses that comes back to nothing would do without what is between.
        let is_nothing = left.is_none() || self.is_timed || (self.can_vanish && !chain.nothing);
        let is_possible = left.is_some_and(|value| self.growth.leads(value, wanted))
            || (is_nothing && (wanted.nothing || wanted.from_nothing))
            || (is_nothing && wanted.if_absent && !chain.nothing)
            || (wanted.if_present && !chain.value)
            || (wanted.if_version && !chain.unversioned)
            || wanted.if_value
            || (self.is_timed && (wanted.if_absent || wanted.if_present || wanted.if_version));
        if is_possible {
            Help::Possible
        } else if wanted.other {
            Help::Ask
        } else {
            Help::Impossible
        }
    }
}

impl<'a> Wanted<'a> {
    fn new(item: &Item<'a>) -> Self {
        let nothing = Self { nothing: true, ..Self::default() };
        let other = Self { other: true, ..Self::default() };
        let of = |value| Self { value: Some(value), ..Self::default() };
        let Some(reply) = item.reply() else { return Self::default() };
        match (item.op, reply) {
            (_, Reply::Found { value, .. }) => {
                value.as_ref().map_or(nothing, |value| of(Cow::Borrowed(value.as_slice())))
            }
            (_, Reply::Refused(Seen::Absent) | Reply::Deleted(false)) => nothing,
            (_, Reply::Written { .. }) => match item.op.condition() {
                Condition::None => Self::default(),
                Condition::Absent => nothing,
                Condition::Value(value) => of(Cow::Borrowed(value.as_slice())),
                Condition::Present | Condition::Version(_) => other,
            },
            (Op::Increment(by), Reply::Number(sum)) => {
                let value = sum.checked_sub(*by).map(number);
                Self { nothing: sum == by, value, ..Self::default() }
            }
            (Op::Append(tail), Reply::Length(length)) => {
                let length = usize::try_from(*length).ok();
                let length = length.and_then(|length| length.checked_sub(tail.len()));
                Self { nothing: length == Some(0), length, ..Self::default() }
            }
            (Op::Increment(_), Reply::NotANumber) => {
                Self { not_a_number: true, other: true, ..Self::default() }
            }
            _ => other,
        }
    }
}

impl Growth {
    /// Returns whether a value that is still to be written is what is wanted, or can be made so.
    fn starts(self, value: &[u8], wanted: &Wanted<'_>) -> bool {
        let is_number = leading_number(value).is_some_and(|(length, _)| length == value.len());
        self.leads(value, wanted) || (wanted.not_a_number && !is_number)
    }

    /// Returns whether a value that is there can be made what is wanted, or is that, which for no
    /// number is not asked here.
    fn leads(self, from: &[u8], wanted: &Wanted<'_>) -> bool {
        wanted.value.as_ref().is_some_and(|to| self.leads_to_value(from, to))
            || wanted.length.is_some_and(|to| self.leads_to_length(from, to))
            || (wanted.not_a_number && self.leads_to_no_number(from))
    }

    fn leads_to_value(self, from: &[u8], to: &[u8]) -> bool {
        if from == to || (self.appends && to.starts_with(from)) {
            return true;
        }
        if from == b"-" {
            return self.appends && self.counts;
        }
        let (true, Some(number)) = (self.counts, leading_number(from)) else { return false };
        // Neither counting up nor more digits make a number smaller that is not negative.
        number.0 == from.len()
            && (self.counts_down
                || number.1 < 0
                || leading_number(to).is_some_and(|(_, to)| number.1 <= to))
    }

    fn leads_to_length(self, from: &[u8], to: usize) -> bool {
        from.len() == to
            || (self.appends && from.len() < to)
            || (self.counts
                && leading_number(from).is_some()
                && (from.len() < to || self.counts_down || from[0] == b'-'))
    }

    /// Returns whether what may be a number can be made none, or too large.
    fn leads_to_no_number(self, from: &[u8]) -> bool {
        let Some((_, number)) = leading_number(from) else { return false };
        let far = i128::from(number.unsigned_abs()) + self.distance;
        self.spoils || from.len() + self.digits >= DIGITS_MAX || far > i128::from(i64::MAX)
    }
}

/// A number of so many digits may be too large.
const DIGITS_MAX: usize = 19;

fn number(number: i64) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

/// Returns the longest number that a value begins with, and its length. A number too large to count
/// is as good as the largest.
fn leading_number(value: &[u8]) -> Option<(usize, i64)> {
    let sign = usize::from(value.first() == Some(&b'-'));
    let digits = value[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let text = std::str::from_utf8(&value[..sign + digits]).ok()?;
    Some((sign + digits, text.parse().unwrap_or(i64::MAX)))
}
