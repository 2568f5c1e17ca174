//! Sorted sets: members in the order of their scores.

mod value;

use super::command::Spec;
pub(super) use value::Zset;

/// The commands of zsets.
pub(super) const ROWS: &[Spec] = &[];
