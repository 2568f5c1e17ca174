//! The rows of session commands: what a connection or the node answers without the keyspace.

use super::command::{Flags as F, Spec};

/// The commands of connections, nodes and the cluster. What they do is in the frontends.
pub(super) const ROWS: &[Spec] = &[
    Spec::session("asking", 1).with(&[F::FAST, F::CAT_CONNECTION]).doc("cluster", "3.0.0"),
    Spec::session("auth", -2)
        .with(&[
            F::NOSCRIPT,
            F::LOADING,
            F::STALE,
            F::FAST,
            F::NO_AUTH,
            F::ALLOW_BUSY,
            F::CAT_CONNECTION,
        ])
        .doc("connection", "1.0.0"),
    Spec::session("client", -2).doc("connection", "2.4.0").contains(CLIENT),
    Spec::session("cluster", -2).doc("cluster", "3.0.0").contains(CLUSTER),
    Spec::session("command", -1)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "2.8.13")
        .tips(&["nondeterministic_output_order"])
        .contains(COMMAND),
    Spec::session("config", -2).doc("server", "2.0.0").contains(CONFIG),
    Spec::session("discard", 1)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::ALLOW_BUSY, F::CAT_TRANSACTION])
        .doc("transactions", "2.0.0"),
    Spec::session("echo", 2)
        .with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION])
        .doc("connection", "1.0.0"),
    Spec::session("exec", 1)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::SKIP_SLOWLOG, F::CAT_TRANSACTION])
        .doc("transactions", "1.2.0"),
    Spec::session("function", -2).doc("scripting", "7.0.0").contains(FUNCTION),
    Spec::session("hello", -1)
        .with(&[
            F::NOSCRIPT,
            F::LOADING,
            F::STALE,
            F::FAST,
            F::NO_AUTH,
            F::ALLOW_BUSY,
            F::CAT_CONNECTION,
        ])
        .doc("connection", "6.0.0"),
    Spec::session("info", -1)
        .with(&[F::LOADING, F::STALE, F::CAT_DANGEROUS])
        .doc("server", "1.0.0")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::session("lolwut", -1).with(&[F::READONLY, F::FAST]).doc("server", "5.0.0"),
    Spec::session("multi", 1)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::ALLOW_BUSY, F::CAT_TRANSACTION])
        .doc("transactions", "1.2.0"),
    Spec::session("ping", -1)
        .with(&[F::FAST, F::CAT_CONNECTION])
        .doc("connection", "1.0.0")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("quit", -1)
        .with(&[
            F::NOSCRIPT,
            F::LOADING,
            F::STALE,
            F::FAST,
            F::NO_AUTH,
            F::ALLOW_BUSY,
            F::CAT_CONNECTION,
        ])
        .doc("connection", "1.0.0"),
    Spec::session("readonly", 1)
        .with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION])
        .doc("cluster", "3.0.0"),
    Spec::session("readwrite", 1)
        .with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION])
        .doc("cluster", "3.0.0"),
    Spec::session("reset", 1)
        .with(&[
            F::NOSCRIPT,
            F::LOADING,
            F::STALE,
            F::FAST,
            F::NO_AUTH,
            F::ALLOW_BUSY,
            F::CAT_CONNECTION,
        ])
        .doc("connection", "6.2.0"),
    Spec::session("select", 2)
        .with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION])
        .doc("connection", "1.0.0"),
    Spec::session("time", 1)
        .with(&[F::LOADING, F::STALE, F::FAST])
        .doc("server", "2.6.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("unwatch", 1)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::ALLOW_BUSY, F::CAT_TRANSACTION])
        .doc("transactions", "2.2.0"),
    Spec::session("wait", 3)
        .with(&[F::NOSCRIPT, F::CAT_CONNECTION])
        .doc("generic", "3.0.0")
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    Spec::session("watch", -2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::ALLOW_BUSY, F::CAT_TRANSACTION])
        .keys_at(1, -1, 1)
        .doc("transactions", "2.2.0"),
];

const CLIENT: &[Spec] = &[
    Spec::session("client|caching", 3)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.0.0"),
    Spec::session("client|getname", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.6.9"),
    Spec::session("client|getredir", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.0.0"),
    Spec::session("client|help", 2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "5.0.0"),
    Spec::session("client|id", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "5.0.0"),
    Spec::session("client|info", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.2.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("client|kill", -3)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.4.0"),
    Spec::session("client|list", -2)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.4.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("client|no-evict", 3)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "7.0.0"),
    Spec::session("client|pause", -3)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.9.50"),
    Spec::session("client|reply", 3)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "3.2.0"),
    Spec::session("client|setinfo", 4)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "7.2.0"),
    Spec::session("client|setname", 3)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.6.9"),
    Spec::session("client|tracking", -3)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.0.0"),
    Spec::session("client|trackinginfo", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.2.0"),
    Spec::session("client|unblock", -3)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "5.0.0"),
    Spec::session("client|unpause", 2)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.2.0"),
];

const CLUSTER: &[Spec] = &[
    Spec::session("cluster|countkeysinslot", 3).with(&[F::STALE]).doc("cluster", "3.0.0"),
    Spec::session("cluster|getkeysinslot", 4)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|help", 2).with(&[F::LOADING, F::STALE]).doc("cluster", "5.0.0"),
    Spec::session("cluster|info", 2)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|keyslot", 3).with(&[F::STALE]).doc("cluster", "3.0.0"),
    Spec::session("cluster|links", 2)
        .with(&[F::STALE])
        .doc("cluster", "7.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|myid", 2).with(&[F::STALE]).doc("cluster", "3.0.0"),
    Spec::session("cluster|myshardid", 2).with(&[F::LOADING, F::STALE]).doc("cluster", "7.2.0"),
    Spec::session("cluster|nodes", 2)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|replicas", 3)
        .with(&[F::ADMIN, F::STALE])
        .doc("cluster", "5.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|shards", 2)
        .with(&[F::STALE])
        .doc("cluster", "7.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|slaves", 3)
        .with(&[F::ADMIN, F::STALE])
        .doc("cluster", "3.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|slots", 2)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0")
        .tips(&["nondeterministic_output"]),
];

const COMMAND: &[Spec] = &[
    Spec::session("command|count", 2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "2.8.13"),
    Spec::session("command|docs", -2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "7.0.0")
        .tips(&["nondeterministic_output_order"]),
    Spec::session("command|getkeys", -4)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "2.8.13"),
    Spec::session("command|getkeysandflags", -4)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "7.0.0"),
    Spec::session("command|help", 2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "5.0.0"),
    Spec::session("command|info", -2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "2.8.13")
        .tips(&["nondeterministic_output_order"]),
    Spec::session("command|list", -2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "7.0.0")
        .tips(&["nondeterministic_output_order"]),
];

const CONFIG: &[Spec] = &[
    Spec::session("config|get", -3)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
        .doc("server", "2.0.0"),
    Spec::session("config|help", 2).with(&[F::LOADING, F::STALE]).doc("server", "5.0.0"),
    Spec::session("config|resetstat", 2)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
        .doc("server", "2.0.0"),
    Spec::session("config|rewrite", 2)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
        .doc("server", "2.8.0"),
    Spec::session("config|set", -4)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
        .doc("server", "2.0.0")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

const FUNCTION: &[Spec] = &[
    Spec::session("function|delete", 3)
        .with(&[F::WRITE, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|dump", 2)
        .with(&[F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0"),
    Spec::session("function|flush", -2)
        .with(&[F::WRITE, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|help", 2)
        .with(&[F::LOADING, F::STALE, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0"),
    Spec::session("function|kill", 2)
        .with(&[F::NOSCRIPT, F::ALLOW_BUSY, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0")
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Spec::session("function|list", -2)
        .with(&[F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0")
        .tips(&["nondeterministic_output_order"]),
    Spec::session("function|load", -3)
        .with(&[F::WRITE, F::DENYOOM, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|restore", -3)
        .with(&[F::WRITE, F::DENYOOM, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|stats", 2)
        .with(&[F::NOSCRIPT, F::ALLOW_BUSY, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
];
