//! What libFuzzer runs, as plain functions of bytes: each plays its input against the real code,
//! and panics when something holds no longer.
//!
//! `tests/corpus.rs` plays the committed inputs in a plain `cargo test`; `.ci/fuzz` looks for more.

#![allow(unreachable_pub, reason = "public for the programs in targets")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

pub mod commands;
#[path = "../../simulation/disk/mod.rs"]
mod disk;
pub mod http_bodies;
#[path = "../../../frontends/tests/http_support/mod.rs"]
mod http_support;
#[allow(dead_code, reason = "the harness uses all of it")]
#[path = "../../harness/disk.rs"]
mod image;
mod input;
pub mod log_recovery;
pub mod raft_messages;
pub mod resp_scanner;
pub mod snapshot_reader;

/// A target.
pub type Target = fn(&[u8]);

/// All targets, by the names of their programs and corpora.
pub const TARGETS: [(&str, Target); 6] = [
    ("resp_scanner", resp_scanner::run),
    ("http_bodies", http_bodies::run),
    ("raft_messages", raft_messages::run),
    ("log_recovery", log_recovery::run),
    ("snapshot_reader", snapshot_reader::run),
    ("commands", commands::run),
];
