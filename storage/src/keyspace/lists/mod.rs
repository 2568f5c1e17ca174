//! Lists: elements in a row, reached from either end.

mod value;

use super::command::Spec;
pub(super) use value::List;

/// The commands of lists.
pub(super) const ROWS: &[Spec] = &[];
