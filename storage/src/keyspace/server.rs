//! The keyspace as a whole.

use super::command::{Args, Flags as F, Spec};
use super::{Reader, Reply, Writer};
/// The commands of the whole keyspace.
pub(super) const ROWS: &[Spec] = &[
    Spec::read(112, "dbsize", 1, dbsize)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .doc("server", "1.0.0", "Return the number of keys in the selected database")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Spec::write(113, "flushall", -1, flushall)
        .with(&[F::CAT_KEYSPACE, F::CAT_DANGEROUS])
        .doc("server", "1.0.0", "Remove all keys from all databases")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::write(114, "flushdb", -1, flushdb)
        .with(&[F::CAT_KEYSPACE, F::CAT_DANGEROUS])
        .doc("server", "1.0.0", "Remove all keys from the current database")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
];
fn dbsize(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn flushall(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn flushdb(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
