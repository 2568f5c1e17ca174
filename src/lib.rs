//! raftkv: a replicated key-value store that Redis clients, curl and browsers can talk to.
//!
//! Three layers, each of which can be read, and tested, without the ones above it:
//!
//! 1. [`raft::Raft`] *decides*. Pure: no clock, disk, network, thread, or randomness but a seed.
//!    Knows nothing of keys.
//! 2. [`replica::Replica`] is one deterministic replica: a `Raft`, the keyspace it feeds, and the
//!    clients that wait.
//! 3. [`node`] is the process: sockets, a clock, a disk thread, and one small loop that feeds
//!    events to the replica and carries out what it decides. [`persist`] is what it does with its
//!    disk, [`transport`] its way to the peers, [`cli`] and [`config`] its way in.
//!
//! Below them are two crates: `raftkv_storage` (the log and the snapshots on disk, and the keyspace
//! they rebuild) and `raftkv_frontends` (RESP and HTTP, written against one trait). Begin with
//! [`raft`].

pub mod cli;
pub mod config;
pub mod node;
pub mod persist;
pub mod raft;
pub mod replica;
pub mod transport;
