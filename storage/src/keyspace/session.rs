//! The rows of session commands: what a connection or the node answers without the keyspace.

use super::command::{Flags as F, Spec};

/// The commands of connections, nodes and the cluster. What they do is in the frontends.
pub(super) const ROWS: &[Spec] = &[
    Spec::session("asking", 1).with(&[F::FAST, F::CAT_CONNECTION]).doc(
        "cluster",
        "3.0.0",
        "Follows up on a redirection of a moving slot",
    ),
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
        .doc("connection", "1.0.0", "Proves who the client is"),
    Spec::session("client", -2)
        .doc("connection", "2.4.0", "Commands about connections")
        .contains(CLIENT),
    Spec::session("cluster", -2)
        .doc("cluster", "3.0.0", "Commands about the cluster")
        .contains(CLUSTER),
    Spec::session("command", -1)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "2.8.13", "Describes all commands")
        .tips(&["nondeterministic_output_order"])
        .contains(COMMAND),
    Spec::session("config", -2)
        .doc("server", "2.0.0", "Commands about the configuration")
        .contains(CONFIG),
    Spec::session("echo", 2).with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION]).doc(
        "connection",
        "1.0.0",
        "Returns its argument",
    ),
    Spec::session("function", -2)
        .doc("scripting", "7.0.0", "Commands about functions")
        .contains(FUNCTION),
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
        .doc("connection", "6.0.0", "Chooses the protocol, and introduces both sides"),
    Spec::session("info", -1)
        .with(&[F::LOADING, F::STALE, F::CAT_DANGEROUS])
        .doc("server", "1.0.0", "Describes the server")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Spec::session("lolwut", -1).with(&[F::READONLY, F::FAST]).doc(
        "server",
        "5.0.0",
        "Draws a picture, and tells the version",
    ),
    Spec::session("ping", -1)
        .with(&[F::FAST, F::CAT_CONNECTION])
        .doc("connection", "1.0.0", "Answers, to show that the server is there")
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
        .doc("connection", "1.0.0", "Closes the connection"),
    Spec::session("readonly", 1).with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION]).doc(
        "cluster",
        "3.0.0",
        "Allows reads from this replica",
    ),
    Spec::session("readwrite", 1).with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION]).doc(
        "cluster",
        "3.0.0",
        "Forbids reads from this replica",
    ),
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
        .doc("connection", "6.2.0", "Forgets all that the connection was told"),
    Spec::session("select", 2).with(&[F::LOADING, F::STALE, F::FAST, F::CAT_CONNECTION]).doc(
        "connection",
        "1.0.0",
        "Chooses a database",
    ),
    Spec::session("time", 1)
        .with(&[F::LOADING, F::STALE, F::FAST])
        .doc("server", "2.6.0", "Returns the server's time")
        .tips(&["nondeterministic_output"]),
    Spec::session("wait", 3)
        .with(&[F::NOSCRIPT, F::CAT_CONNECTION])
        .doc("generic", "3.0.0", "Waits until replicas have what was written")
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
];

const CLIENT: &[Spec] = &[
    Spec::session("client|caching", 3)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.0.0", "Says whether the next command's keys are tracked"),
    Spec::session("client|getname", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.6.9", "Returns the connection's name"),
    Spec::session("client|getredir", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.0.0", "Returns where invalidations are sent"),
    Spec::session("client|help", 2).with(&[F::LOADING, F::STALE, F::CAT_CONNECTION]).doc(
        "connection",
        "5.0.0",
        "Explains the subcommands",
    ),
    Spec::session("client|id", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "5.0.0", "Returns the connection's number"),
    Spec::session("client|info", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.2.0", "Describes this connection")
        .tips(&["nondeterministic_output"]),
    Spec::session("client|kill", -3)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.4.0", "Closes connections"),
    Spec::session("client|list", -2)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.4.0", "Describes all connections")
        .tips(&["nondeterministic_output"]),
    Spec::session("client|no-evict", 3)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "7.0.0", "Spares the connection when memory is short"),
    Spec::session("client|pause", -3)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.9.50", "Holds commands back for a time"),
    Spec::session("client|reply", 3)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "3.2.0", "Switches replies on or off"),
    Spec::session("client|setinfo", 4)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "7.2.0", "Says which library the client is"),
    Spec::session("client|setname", 3)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "2.6.9", "Names the connection"),
    Spec::session("client|tracking", -3)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.0.0", "Switches help for client-side caching on or off"),
    Spec::session("client|trackinginfo", 2)
        .with(&[F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.2.0", "Describes the help for client-side caching"),
    Spec::session("client|unblock", -3)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "5.0.0", "Wakes a connection that waits"),
    Spec::session("client|unpause", 2)
        .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("connection", "6.2.0", "Ends a pause of commands"),
];

const CLUSTER: &[Spec] = &[
    Spec::session("cluster|countkeysinslot", 3).with(&[F::STALE]).doc(
        "cluster",
        "3.0.0",
        "Counts the keys of a slot",
    ),
    Spec::session("cluster|getkeysinslot", 4)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0", "Lists keys of a slot")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|help", 2).with(&[F::LOADING, F::STALE]).doc(
        "cluster",
        "5.0.0",
        "Explains the subcommands",
    ),
    Spec::session("cluster|info", 2)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0", "Describes the cluster's state")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|keyslot", 3).with(&[F::STALE]).doc(
        "cluster",
        "3.0.0",
        "Returns the slot of a key",
    ),
    Spec::session("cluster|links", 2)
        .with(&[F::STALE])
        .doc("cluster", "7.0.0", "Lists the connections between nodes")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|myid", 2).with(&[F::STALE]).doc(
        "cluster",
        "3.0.0",
        "Returns this node's id",
    ),
    Spec::session("cluster|myshardid", 2).with(&[F::LOADING, F::STALE]).doc(
        "cluster",
        "7.2.0",
        "Returns the id of this node's shard",
    ),
    Spec::session("cluster|nodes", 2)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0", "Describes all nodes, a line each")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|replicas", 3)
        .with(&[F::ADMIN, F::STALE])
        .doc("cluster", "5.0.0", "Lists the replicas of a node")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|shards", 2)
        .with(&[F::STALE])
        .doc("cluster", "7.0.0", "Maps slots to shards and their nodes")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|slaves", 3)
        .with(&[F::ADMIN, F::STALE])
        .doc("cluster", "3.0.0", "Lists the replicas of a node (old name)")
        .tips(&["nondeterministic_output"]),
    Spec::session("cluster|slots", 2)
        .with(&[F::STALE])
        .doc("cluster", "3.0.0", "Maps slots to nodes")
        .tips(&["nondeterministic_output"]),
];

const COMMAND: &[Spec] = &[
    Spec::session("command|count", 2).with(&[F::LOADING, F::STALE, F::CAT_CONNECTION]).doc(
        "server",
        "2.8.13",
        "Counts all commands",
    ),
    Spec::session("command|docs", -2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "7.0.0", "Documents commands")
        .tips(&["nondeterministic_output_order"]),
    Spec::session("command|getkeys", -4).with(&[F::LOADING, F::STALE, F::CAT_CONNECTION]).doc(
        "server",
        "2.8.13",
        "Finds the keys in a command",
    ),
    Spec::session("command|getkeysandflags", -4)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "7.0.0", "Finds the keys in a command, and their uses"),
    Spec::session("command|help", 2).with(&[F::LOADING, F::STALE, F::CAT_CONNECTION]).doc(
        "server",
        "5.0.0",
        "Explains the subcommands",
    ),
    Spec::session("command|info", -2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "2.8.13", "Describes some commands")
        .tips(&["nondeterministic_output_order"]),
    Spec::session("command|list", -2)
        .with(&[F::LOADING, F::STALE, F::CAT_CONNECTION])
        .doc("server", "7.0.0", "Lists the names of commands")
        .tips(&["nondeterministic_output_order"]),
];

const CONFIG: &[Spec] =
    &[
        Spec::session("config|get", -3).with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE]).doc(
            "server",
            "2.0.0",
            "Returns settings",
        ),
        Spec::session("config|help", 2).with(&[F::LOADING, F::STALE]).doc(
            "server",
            "5.0.0",
            "Explains the subcommands",
        ),
        Spec::session("config|resetstat", 2)
            .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
            .doc("server", "2.0.0", "Sets statistics to zero"),
        Spec::session("config|rewrite", 2)
            .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
            .doc("server", "2.8.0", "Writes the settings back to their file"),
        Spec::session("config|set", -4)
            .with(&[F::ADMIN, F::NOSCRIPT, F::LOADING, F::STALE])
            .doc("server", "2.0.0", "Changes settings")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    ];

const FUNCTION: &[Spec] = &[
    Spec::session("function|delete", 3)
        .with(&[F::WRITE, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Deletes a library")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|dump", 2).with(&[F::NOSCRIPT, F::CAT_SCRIPTING]).doc(
        "scripting",
        "7.0.0",
        "Returns all libraries as bytes",
    ),
    Spec::session("function|flush", -2)
        .with(&[F::WRITE, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Deletes all libraries")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|help", 2).with(&[F::LOADING, F::STALE, F::CAT_SCRIPTING]).doc(
        "scripting",
        "7.0.0",
        "Explains the subcommands",
    ),
    Spec::session("function|kill", 2)
        .with(&[F::NOSCRIPT, F::ALLOW_BUSY, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Stops the function that is running")
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Spec::session("function|list", -2)
        .with(&[F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Lists the libraries")
        .tips(&["nondeterministic_output_order"]),
    Spec::session("function|load", -3)
        .with(&[F::WRITE, F::DENYOOM, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Adds a library")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|restore", -3)
        .with(&[F::WRITE, F::DENYOOM, F::NOSCRIPT, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Adds libraries from bytes")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Spec::session("function|stats", 2)
        .with(&[F::NOSCRIPT, F::ALLOW_BUSY, F::CAT_SCRIPTING])
        .doc("scripting", "7.0.0", "Describes what is running")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
];
