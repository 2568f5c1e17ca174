//! BITOP: strings combined bit by bit.
//!
//! Shorter strings, and keys that are not there, count as if zeros followed to the length of the
//! longest.

use super::super::command::{Args, at, from};
use super::super::number;
use super::super::reply::SYNTAX;
use super::super::value::{Str, Value};
use super::super::{Reply, Writer};

/// How bits are combined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    And,
    Or,
    Xor,
    Not,
}

/// Reads what BITOP is to do.
pub(super) fn operator(args: &[&[u8]]) -> Result<Operator, Reply> {
    let is = |name: &str| at(args, 0).eq_ignore_ascii_case(name.as_bytes());
    let operators = [
        ("and", Operator::And),
        ("or", Operator::Or),
        ("xor", Operator::Xor),
        ("not", Operator::Not),
    ];
    let (_, operator) = operators.into_iter().find(|(name, _)| is(name)).ok_or(SYNTAX)?;
    if operator == Operator::Not && from(args, 2).len() != 1 {
        return Err(Reply::error("ERR BITOP NOT must be called with a single source key."));
    }
    Ok(operator)
}

impl Operator {
    /// Combines strings. The result is as long as the longest.
    fn combine(self, strings: &[&[u8]]) -> Vec<u8> {
        let length = strings.iter().map(|string| string.len()).max().unwrap_or(0);
        let mut result = Vec::with_capacity(length);
        let Some((first, others)) = strings.split_first() else { return result };
        result.extend_from_slice(first);
        result.resize(length, 0);
        if self == Self::Not {
            result.iter_mut().for_each(|byte| *byte = !*byte);
        }
        for other in others {
            // A loop for each operator, so that each goes by the width of the machine.
            let pairs = result.iter_mut().zip(*other);
            match self {
                Self::And => {
                    pairs.for_each(|(byte, other)| *byte &= other);
                    result[other.len()..].fill(0);
                }
                Self::Or => pairs.for_each(|(byte, other)| *byte |= other),
                Self::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
                Self::Not => {}
            }
        }
        result
    }
}

/// Stores what is combined, or no key if that is nothing.
pub(super) fn bitop(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let operator = operator(args.from(0))?;
    let strings = args.from(2).iter().map(|key| writer.string(key));
    let strings = strings.map(|string| Ok(string?.map_or(&[][..], Str::as_bytes)));
    let result = operator.combine(&strings.collect::<Result<Vec<_>, Reply>>()?);
    let length = result.len();
    if length == 0 {
        writer.remove(args.at(1));
    } else {
        writer.put(args.at(1), Value::Str(Str::Long(&result.into())), None);
    }
    Ok(number::reply(length))
}
