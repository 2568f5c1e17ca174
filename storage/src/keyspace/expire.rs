//! Deadlines.

use super::command::{Args, Flags as F, Spec};
use super::{Reader, Reply, Writer};
/// The commands of deadlines.
pub(super) const ROWS: &[Spec] =
    &[
        Spec::write(96, "expire", -3, expire)
            .with(&[F::FAST, F::CAT_KEYSPACE])
            .keys_at(1, 1, 1)
            .doc("generic", "1.0.0", "Set a key's time to live in seconds"),
        Spec::write(97, "pexpire", -3, pexpire)
            .with(&[F::FAST, F::CAT_KEYSPACE])
            .keys_at(1, 1, 1)
            .doc("generic", "2.6.0", "Set a key's time to live in milliseconds"),
        Spec::write(98, "expireat", -3, expireat)
            .with(&[F::FAST, F::CAT_KEYSPACE])
            .keys_at(1, 1, 1)
            .doc("generic", "1.2.0", "Set the expiration for a key as a UNIX timestamp"),
        Spec::write(99, "pexpireat", -3, pexpireat)
            .with(&[F::FAST, F::CAT_KEYSPACE])
            .keys_at(1, 1, 1)
            .doc(
                "generic",
                "2.6.0",
                "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
            ),
        Spec::read(100, "ttl", 2, ttl)
            .with(&[F::FAST, F::CAT_KEYSPACE])
            .keys_at(1, 1, 1)
            .doc("generic", "1.0.0", "Get the time to live for a key in seconds")
            .tips(&["nondeterministic_output"]),
        Spec::read(101, "pttl", 2, pttl)
            .with(&[F::FAST, F::CAT_KEYSPACE])
            .keys_at(1, 1, 1)
            .doc("generic", "2.6.0", "Get the time to live for a key in milliseconds")
            .tips(&["nondeterministic_output"]),
        Spec::read(102, "expiretime", 2, expiretime)
            .with(&[F::FAST, F::CAT_KEYSPACE])
            .keys_at(1, 1, 1)
            .doc("generic", "7.0.0", "Get the expiration Unix timestamp for a key"),
        Spec::read(103, "pexpiretime", 2, pexpiretime)
            .with(&[F::FAST, F::CAT_KEYSPACE])
            .keys_at(1, 1, 1)
            .doc("generic", "7.0.0", "Get the expiration Unix timestamp for a key in milliseconds"),
        Spec::write(104, "persist", 2, persist)
            .with(&[F::FAST, F::CAT_KEYSPACE])
            .keys_at(1, 1, 1)
            .doc("generic", "2.2.0", "Remove the expiration from a key"),
    ];
fn expire(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn pexpire(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn expireat(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn pexpireat(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn ttl(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn pttl(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn expiretime(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn pexpiretime(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn persist(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
