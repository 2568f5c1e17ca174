//! Bitmaps: strings as rows of bits.

use super::command::Spec;

/// The commands of bitmaps.
pub(super) const ROWS: &[Spec] = &[];
