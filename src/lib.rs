//! raftkv: three layers.

pub mod raft;
