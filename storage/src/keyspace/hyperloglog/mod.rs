//! HyperLogLogs: how many different things there were, about, in 12 KiB.

use super::command::Spec;

/// The commands of hyperloglog.
pub(super) const ROWS: &[Spec] = &[];
