//! Places on the globe, as scores of sorted sets.

use super::command::Spec;

/// The commands of geo.
pub(super) const ROWS: &[Spec] = &[];
