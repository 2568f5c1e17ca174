//! Strings.

use super::command::{Args, Flags as F, Spec};
use super::{Reader, Reply, Writer};
/// The commands of strings.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(1, "set", -3, set).with(&[F::DENYOOM, F::CAT_STRING]).keys_at(1, 1, 1).doc(
        "string",
        "1.0.0",
        "Set the string value of a key",
    ),
    Spec::read(2, "get", 2, get).with(&[F::FAST, F::CAT_STRING]).keys_at(1, 1, 1).doc(
        "string",
        "1.0.0",
        "Get the value of a key",
    ),
    Spec::write(3, "getdel", 2, getdel).with(&[F::FAST, F::CAT_STRING]).keys_at(1, 1, 1).doc(
        "string",
        "6.2.0",
        "Get the value of a key and delete the key",
    ),
    Spec::write(4, "getex", -2, getex).with(&[F::FAST, F::CAT_STRING]).keys_at(1, 1, 1).doc(
        "string",
        "6.2.0",
        "Get the value of a key and optionally set its expiration",
    ),
    Spec::write(5, "getset", 3, getset)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "1.0.0", "Set the string value of a key and return its old value"),
    Spec::write(6, "setnx", 3, setnx)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "1.0.0", "Set the value of a key, only if the key does not exist"),
    Spec::write(7, "setex", 4, setex).with(&[F::DENYOOM, F::CAT_STRING]).keys_at(1, 1, 1).doc(
        "string",
        "2.0.0",
        "Set the value and expiration of a key",
    ),
    Spec::write(8, "psetex", 4, psetex).with(&[F::DENYOOM, F::CAT_STRING]).keys_at(1, 1, 1).doc(
        "string",
        "2.6.0",
        "Set the value and expiration in milliseconds of a key",
    ),
    Spec::read(9, "mget", -2, mget)
        .with(&[F::FAST, F::CAT_STRING])
        .keys_at(1, -1, 1)
        .doc("string", "1.0.0", "Get the values of all the given keys")
        .tips(&["request_policy:multi_shard"]),
    Spec::write(10, "mset", -3, mset)
        .with(&[F::DENYOOM, F::CAT_STRING])
        .keys_at(1, -1, 2)
        .doc("string", "1.0.1", "Set multiple keys to multiple values")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    Spec::write(11, "msetnx", -3, msetnx)
        .with(&[F::DENYOOM, F::CAT_STRING])
        .keys_at(1, -1, 2)
        .doc(
            "string",
            "1.0.1",
            "Set multiple keys to multiple values, only if none of the keys exist",
        )
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"]),
    Spec::write(12, "append", 3, append)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "2.0.0", "Append a value to a key"),
    Spec::read(13, "strlen", 2, strlen).with(&[F::FAST, F::CAT_STRING]).keys_at(1, 1, 1).doc(
        "string",
        "2.2.0",
        "Get the length of the value stored in a key",
    ),
    Spec::read(14, "getrange", 4, getrange).with(&[F::CAT_STRING]).keys_at(1, 1, 1).doc(
        "string",
        "2.4.0",
        "Get a substring of the string stored at a key",
    ),
    Spec::read(15, "substr", 4, substr).with(&[F::CAT_STRING]).keys_at(1, 1, 1).doc(
        "string",
        "1.0.0",
        "Get a substring of the string stored at a key",
    ),
    Spec::write(16, "setrange", 4, setrange)
        .with(&[F::DENYOOM, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc(
            "string",
            "2.2.0",
            "Overwrite part of a string at key starting at the specified offset",
        ),
    Spec::write(17, "incr", 2, incr)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "1.0.0", "Increment the integer value of a key by one"),
    Spec::write(18, "decr", 2, decr)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "1.0.0", "Decrement the integer value of a key by one"),
    Spec::write(19, "incrby", 3, incrby)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "1.0.0", "Increment the integer value of a key by the given amount"),
    Spec::write(20, "decrby", 3, decrby)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "1.0.0", "Decrement the integer value of a key by the given number"),
    Spec::write(21, "incrbyfloat", 3, incrbyfloat)
        .with(&[F::DENYOOM, F::FAST, F::CAT_STRING])
        .keys_at(1, 1, 1)
        .doc("string", "2.6.0", "Increment the float value of a key by the given amount"),
    Spec::read(22, "lcs", -3, lcs).with(&[F::CAT_STRING, F::HEAVY]).keys_at(1, 2, 1).doc(
        "string",
        "7.0.0",
        "Find longest common substring",
    ),
];
fn set(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn get(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn getdel(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn getex(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn getset(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn setnx(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn setex(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn psetex(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn mget(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn mset(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn msetnx(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn append(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn strlen(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn getrange(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn substr(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn setrange(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn incr(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn decr(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn incrby(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn decrby(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn incrbyfloat(_: &mut Writer<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
fn lcs(_: &Reader<'_>, _: &Args<'_>) -> Reply {
    Reply::error("ERR not built yet")
}
