//! The keyspace as a whole: DBSIZE, FLUSHALL, FLUSHDB.

use super::command::{Args, Flags as F, Spec};
use super::number;
use super::reply::SYNTAX;
use super::{Reader, Reply, Writer};

/// The commands of the whole keyspace.
pub(super) const ROWS: &[Spec] = &[
    Spec::read(112, "dbsize", 1, dbsize)
        .with(&[F::FAST, F::CAT_KEYSPACE])
        .doc("server", "1.0.0")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Spec::write(113, "flushall", -1, flushall)
        .with(&[F::CAT_KEYSPACE, F::CAT_DANGEROUS])
        .doc("server", "1.0.0")
        .validated_by(validate_flush)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::write(114, "flushdb", -1, flushall)
        .with(&[F::CAT_KEYSPACE, F::CAT_DANGEROUS])
        .doc("server", "1.0.0")
        .validated_by(validate_flush)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
];

/// As in Redis, dead keys count until they are removed; see the module's head.
fn dbsize(reader: &Reader<'_>, _: &Args<'_>) -> Result<Reply, Reply> {
    Ok(number::reply(reader.store.len()))
}

/// ASYNC and SYNC make no difference: the keys are gone at once, their memory is given back by
/// another thread.
fn flushall(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    validate_flush(args.from(0))?;
    writer.database.clear();
    Ok(Reply::Ok)
}

fn validate_flush(args: &[&[u8]]) -> Result<(), Reply> {
    let is_mode =
        |mode: &&[u8]| mode.eq_ignore_ascii_case(b"async") || mode.eq_ignore_ascii_case(b"sync");
    if args.len() > 1 || !args.iter().all(is_mode) {
        return Err(SYNTAX);
    }
    Ok(())
}
