//! Keys.

use super::command::{Args, Flags as F, Spec};
use super::{Reader, Reply, Writer};
/// The commands of keys of any type.
pub(super) const ROWS: &[Spec] = &[
Spec::write(64, "del", -2, del).with(&[F::CAT_KEYSPACE]).keys_at(1, -1, 1).doc("generic", "1.0.0", "Delete a key").tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
Spec::write(65, "unlink", -2, unlink).with(&[F::FAST, F::CAT_KEYSPACE]).keys_at(1, -1, 1).doc("generic", "4.0.0", "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.").tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
Spec::read(66, "exists", -2, exists).with(&[F::FAST, F::CAT_KEYSPACE]).keys_at(1, -1, 1).doc("generic", "1.0.0", "Determine if a key exists").tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
Spec::read(67, "type", 2, type_of).with(&[F::FAST, F::CAT_KEYSPACE]).keys_at(1, 1, 1).doc("generic", "1.0.0", "Determine the type stored at key"),
Spec::read(68, "touch", -2, touch).with(&[F::FAST, F::CAT_KEYSPACE]).keys_at(1, -1, 1).doc("generic", "3.2.1", "Alters the last access time of a key(s). Returns the number of existing keys specified.").tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
Spec::read(69, "keys", 2, keys).with(&[F::CAT_KEYSPACE, F::CAT_DANGEROUS, F::HEAVY]).doc("generic", "1.0.0", "Find all keys matching the given pattern").tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
Spec::read(70, "scan", -2, scan).with(&[F::CAT_KEYSPACE]).doc("generic", "2.8.0", "Incrementally iterate the keys space").tips(&["nondeterministic_output", "request_policy:special"]),
Spec::read(71, "randomkey", 1, randomkey).with(&[F::CAT_KEYSPACE]).doc("generic", "1.0.0", "Return a random key from the keyspace").tips(&["request_policy:all_shards", "nondeterministic_output"]),
Spec::write(72, "rename", 3, rename).with(&[F::CAT_KEYSPACE]).keys_at(1, 2, 1).doc("generic", "1.0.0", "Rename a key"),
Spec::write(73, "renamenx", 3, renamenx).with(&[F::FAST, F::CAT_KEYSPACE]).keys_at(1, 2, 1).doc("generic", "1.0.0", "Rename a key, only if the new key does not exist"),
Spec::write(74, "copy", -3, copy).with(&[F::DENYOOM, F::CAT_KEYSPACE]).keys_at(1, 2, 1).doc("generic", "6.2.0", "Copy a key"),
Spec::read(75, "object", -2, object).flags_only(&[]).doc("generic", "2.2.3", "A container for object introspection commands").contains(OBJECT),
];

const OBJECT: &[Spec] = &[
    Spec::session("object|encoding", 3)
        .with(&[F::READONLY, F::CAT_KEYSPACE])
        .keys_at(2, 2, 1)
        .doc("generic", "2.2.3", "Inspect the internal encoding of a Redis object")
        .tips(&["nondeterministic_output"]),
    Spec::session("object|freq", 3)
        .with(&[F::READONLY, F::CAT_KEYSPACE])
        .keys_at(2, 2, 1)
        .doc("generic", "4.0.0", "Get the logarithmic access frequency counter of a Redis object")
        .tips(&["nondeterministic_output"]),
    Spec::session("object|help", 2).with(&[F::LOADING, F::STALE, F::CAT_KEYSPACE]).doc(
        "generic",
        "6.2.0",
        "Show helpful text about the different subcommands",
    ),
    Spec::session("object|idletime", 3)
        .with(&[F::READONLY, F::CAT_KEYSPACE])
        .keys_at(2, 2, 1)
        .doc("generic", "2.2.3", "Get the time since a Redis object was last accessed")
        .tips(&["nondeterministic_output"]),
    Spec::session("object|refcount", 3)
        .with(&[F::READONLY, F::CAT_KEYSPACE])
        .keys_at(2, 2, 1)
        .doc("generic", "2.2.3", "Get the number of references to the value of the key")
        .tips(&["nondeterministic_output"]),
];

fn del(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn unlink(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn exists(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn type_of(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn touch(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn keys(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn scan(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn randomkey(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn rename(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn renamenx(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn copy(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn object(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
