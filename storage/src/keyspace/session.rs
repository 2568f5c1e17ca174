//! The rows of session commands: what a connection or the node answers without the keyspace.

use super::command::{Flags as F, Spec};

/// The commands of connections, nodes and the cluster. What they do is in the frontends.
pub(super) const ROWS: &[Spec] = &[
Spec::session("asking", 1).with(&[F::FAST, F::CAT_CONNECTION]).doc("cluster", "3.0.0", "Sent by cluster clients after an -ASK redirect"),
Spec::session("auth", -2).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::NO_AUTH, F::ALLOW_BUSY, F::CAT_CONNECTION]).doc("connection", "1.0.0", "Authenticate to the server"),
Spec::session("client", -2).doc("connection", "2.4.0", "A container for client connection commands").contains(CLIENT),
Spec::session("cluster", -2).doc("cluster", "3.0.0", "A container for cluster commands").contains(CLUSTER),
Spec::session("command", -1).with(&[F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("server", "2.8.13", "Get array of Redis command details").tips(&["nondeterministic_output_order"]).contains(COMMAND),
Spec::session("config", -2).doc("server", "2.0.0", "A container for server configuration commands").contains(CONFIG),
Spec::session("echo", 2).with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION]).doc("connection", "1.0.0", "Echo the given string"),
Spec::session("function", -2).doc("scripting", "7.0.0", "A container for function commands").contains(FUNCTION),
Spec::session("hello", -1).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::NO_AUTH, F::ALLOW_BUSY, F::CAT_CONNECTION]).doc("connection", "6.0.0", "Handshake with Redis"),
Spec::session("info", -1).with(&[F::LOADING, F::STALE, F::CAT_DANGEROUS]).doc("server", "1.0.0", "Get information and statistics about the server").tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
Spec::session("lolwut", -1).with(&[F::READONLY, F::FAST]).doc("server", "5.0.0", "Display some computer art and the Redis version"),
Spec::session("ping", -1).with(&[F::FAST, F::CAT_CONNECTION]).doc("connection", "1.0.0", "Ping the server").tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
Spec::session("quit", -1).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::NO_AUTH, F::ALLOW_BUSY, F::CAT_CONNECTION]).doc("connection", "1.0.0", "Close the connection"),
Spec::session("readonly", 1).with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION]).doc("cluster", "3.0.0", "Enables read queries for a connection to a cluster replica node"),
Spec::session("readwrite", 1).with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION]).doc("cluster", "3.0.0", "Disables read queries for a connection to a cluster replica node"),
Spec::session("reset", 1).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::FAST, F::NO_AUTH, F::ALLOW_BUSY, F::CAT_CONNECTION]).doc("connection", "6.2.0", "Reset the connection"),
Spec::session("select", 2).with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION]).doc("connection", "1.0.0", "Change the selected database for the current connection"),
Spec::session("time", 1).with(&[F::LOADING, F::STALE, F::FAST]).doc("server", "2.6.0", "Return the current server time").tips(&["nondeterministic_output"]),
Spec::session("wait", 3).with(&[F::NOSCRIPT, F::CAT_CONNECTION]).doc("generic", "3.0.0", "Wait for the synchronous replication of all the write commands sent in the context of the current connection").tips(&["request_policy:all_shards", "response_policy:agg_min"]),
];

const CLIENT: &[Spec] = &[
Spec::session("client|caching", 3).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "6.0.0", "Instruct the server about tracking or not keys in the next request"),
Spec::session("client|getname", 2).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "2.6.9", "Get the current connection name"),
Spec::session("client|getredir", 2).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "6.0.0", "Get tracking notifications redirection client ID if any"),
Spec::session("client|help", 2).with(&[F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "5.0.0", "Show helpful text about the different subcommands"),
Spec::session("client|id", 2).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "5.0.0", "Returns the client ID for the current connection"),
Spec::session("client|info", 2).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "6.2.0", "Returns information about the current client connection.").tips(&["nondeterministic_output"]),
Spec::session("client|kill", -3).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "2.4.0", "Kill the connection of a client"),
Spec::session("client|list", -2).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "2.4.0", "Get the list of client connections").tips(&["nondeterministic_output"]),
Spec::session("client|no-evict", 3).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "7.0.0", "Set client eviction mode for the current connection"),
Spec::session("client|pause", -3).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "2.9.50", "Stop processing commands from clients for some time"),
Spec::session("client|reply", 3).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "3.2.0", "Instruct the server whether to reply to commands"),
Spec::session("client|setinfo", 4).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "7.2.0", "Sets information specific to the client or connection."),
Spec::session("client|setname", 3).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "2.6.9", "Set the current connection name"),
Spec::session("client|tracking", -3).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "6.0.0", "Enable or disable server assisted client side caching support"),
Spec::session("client|trackinginfo", 2).with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "6.2.0", "Return information about server assisted client side caching for the current connection"),
Spec::session("client|unblock", -3).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "5.0.0", "Unblock a client blocked in a blocking command from a different connection"),
Spec::session("client|unpause", 2).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION]).doc("connection", "6.2.0", "Resume processing of clients that were paused"),
];

const CLUSTER: &[Spec] = &[
    Spec::session("cluster|countkeysinslot", 3).with(&[F::STALE]).doc(
        "cluster",
        "3.0.0",
        "Return the number of local keys in the specified hash slot",
    ),
    Spec::session("cluster|getkeysinslot", 4)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0", "Return local key names in the specified hash slot")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|help", 2).with(&[F::LOADING, F::STALE]).doc(
        "cluster",
        "5.0.0",
        "Show helpful text about the different subcommands",
    ),
    Spec::session("cluster|info", 2)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0", "Provides info about Redis Cluster node state")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|keyslot", 3).with(&[F::STALE]).doc(
        "cluster",
        "3.0.0",
        "Returns the hash slot of the specified key",
    ),
    Spec::session("cluster|links", 2)
        .with(&[F::STALE])
        .doc(
            "cluster",
            "7.0.0",
            "Returns a list of all TCP links to and from peer nodes in cluster",
        )
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|myid", 2).with(&[F::STALE]).doc(
        "cluster",
        "3.0.0",
        "Return the node id",
    ),
    Spec::session("cluster|myshardid", 2).with(&[F::LOADING, F::STALE]).doc(
        "cluster",
        "7.2.0",
        "Returns the shard ID of a node.",
    ),
    Spec::session("cluster|nodes", 2)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0", "Get Cluster config for the node")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|replicas", 3)
        .with(&[F::ADMIN, F::STALE])
        .doc("cluster", "5.0.0", "List replica nodes of the specified master node")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|shards", 2)
        .with(&[F::STALE])
        .doc("cluster", "7.0.0", "Get array of cluster slots to node mappings")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|slaves", 3)
        .with(&[F::ADMIN, F::STALE])
        .doc("cluster", "3.0.0", "List replica nodes of the specified master node")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|slots", 2)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0", "Get array of Cluster slot to node mappings")
        .tips(&["nondeterministic_output"]),
];

const COMMAND: &[Spec] = &[
    Spec::session("command|count", 2).with(&[F::LOADING, F::STALE, F::CAT_CONNECTION]).doc(
        "server",
        "2.8.13",
        "Get total number of Redis commands",
    ),
    Spec::session("command|docs", -2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "7.0.0", "Get array of specific Redis command documentation")
        .tips(&["nondeterministic_output_order"]),
    Spec::session("command|getkeys", -4).with(&[F::LOADING, F::STALE, F::CAT_CONNECTION]).doc(
        "server",
        "2.8.13",
        "Extract keys given a full Redis command",
    ),
    Spec::session("command|getkeysandflags", -4)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "7.0.0", "Extract keys and access flags given a full Redis command"),
    Spec::session("command|help", 2).with(&[F::LOADING, F::STALE, F::CAT_CONNECTION]).doc(
        "server",
        "5.0.0",
        "Show helpful text about the different subcommands",
    ),
    Spec::session("command|info", -2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc(
            "server",
            "2.8.13",
            "Get array of specific Redis command details, or all when no argument is given.",
        )
        .tips(&["nondeterministic_output_order"]),
    Spec::session("command|list", -2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "7.0.0", "Get an array of Redis command names")
        .tips(&["nondeterministic_output_order"]),
];

const CONFIG: &[Spec] = &[
    Spec::session("config|get", -3).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE]).doc(
        "server",
        "2.0.0",
        "Get the values of configuration parameters",
    ),
    Spec::session("config|help", 2).with(&[F::LOADING, F::STALE]).doc(
        "server",
        "5.0.0",
        "Show helpful text about the different subcommands",
    ),
    Spec::session("config|resetstat", 2).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE]).doc(
        "server",
        "2.0.0",
        "Reset the stats returned by INFO",
    ),
    Spec::session("config|rewrite", 2).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE]).doc(
        "server",
        "2.8.0",
        "Rewrite the configuration file with the in memory configuration",
    ),
    Spec::session("config|set", -4)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
        .doc("server", "2.0.0", "Set configuration parameters to the given values")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

const FUNCTION: &[Spec] = &[
    Spec::session("function|delete", 3)
        .with(&[F::WRITE, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Delete a function by name")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|dump", 2).with(&[F::NOSCRIPT, F::CAT_SCRIPTING]).doc(
        "scripting",
        "7.0.0",
        "Dump all functions into a serialized binary payload",
    ),
    Spec::session("function|flush", -2)
        .with(&[F::WRITE, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Deleting all functions")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|help", 2).with(&[F::LOADING, F::STALE, F::CAT_SCRIPTING]).doc(
        "scripting",
        "7.0.0",
        "Show helpful text about the different subcommands",
    ),
    Spec::session("function|kill", 2)
        .with(&[F::NOSCRIPT, F::ALLOW_BUSY, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Kill the function currently in execution.")
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Spec::session("function|list", -2)
        .with(&[F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "List information about all the functions")
        .tips(&["nondeterministic_output_order"]),
    Spec::session("function|load", -3)
        .with(&[F::WRITE, F::DENYOOM, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc(
            "scripting",
            "7.0.0",
            "Create a function with the given arguments (name, code, description)",
        )
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|restore", -3)
        .with(&[F::WRITE, F::DENYOOM, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Restore all the functions on the given payload")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|stats", 2)
        .with(&[F::NOSCRIPT, F::ALLOW_BUSY, F::CAT_SCRIPTING])
        .doc(
            "scripting",
            "7.0.0",
            "Return information about the function currently running (name, description, duration)",
        )
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
];
