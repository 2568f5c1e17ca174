//! Streams: entries in the order of their IDs, and who has read them.

mod value;

use super::command::Spec;
pub(super) use value::Stream;

/// The commands of streams.
pub(super) const ROWS: &[Spec] = &[];
