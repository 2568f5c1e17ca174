//! The internal commands behind HTTP.

use super::command::{Args, Flags as F, Spec};
use super::{Reader, Reply, Writer};

/// The commands that only the HTTP frontend calls.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(128, "http.put", 5, put_command).with(&[F::INTERNAL]).keys_at(1, 1, 1),
    Spec::read(129, "http.get", 2, get_command).with(&[F::INTERNAL]).keys_at(1, 1, 1),
    Spec::write(130, "http.delete", 3, delete_command).with(&[F::INTERNAL]).keys_at(1, 1, 1),
    Spec::read(131, "http.list", 4, list_command).with(&[F::INTERNAL, F::HEAVY]),
];
fn put_command(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn get_command(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn delete_command(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn list_command(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
