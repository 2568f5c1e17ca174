//! Sets: members, each once.

mod value;

use super::command::Spec;
pub(super) use value::Set;

/// The commands of sets.
pub(super) const ROWS: &[Spec] = &[];
