//! Containers: commands whose first argument names another one.
//!
//! In the log a container is one command with a number; its subcommands are rows without. HELP is
//! answered by the session.

use super::Reply;
use super::command::Spec;

/// Returns the row of the subcommand that a call means, of those that are about keys.
pub(super) fn subcommand(
    container: &str,
    rows: &'static [Spec],
    args: &[&[u8]],
) -> Result<&'static Spec, Reply> {
    let name = args.first().copied().unwrap_or_default();
    let is_meant = |row: &&Spec| row.short_name().as_bytes().eq_ignore_ascii_case(name);
    let row = rows.iter().filter(|row| row.first_key > 0).find(is_meant);
    let row = row.ok_or_else(|| Reply::unknown_subcommand(container, name))?;
    if row.accepts(args.len()) { Ok(row) } else { Err(row.wrong_arity()) }
}
