//! A nemesis for real processes: whole clusters under load, while the network, the processes, the
//! clocks and the disks fail, and a check of all that clients saw.
//!
//! ```text
//! cargo test --profile simulation --test nemesis -- --nodes 3 --minutes 5 [--seed N]
//! ```
//!
//! A run is made of rounds. In each, clients write values that nobody else writes, by RESP and by
//! HTTP, while one thing after the other goes wrong; then all is put right, and before long
//! everything must work again. At the end of a round the history of every key must be
//! linearizable, with a last read of all of them in it, every counter must fit what was counted,
//! and all nodes must hold the same state.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod arguments;
mod clients;
#[path = "../simulation/linearizability/mod.rs"]
mod linearizability;
mod links;
mod plan;
#[path = "../process/mod.rs"]
mod process;
#[path = "../simulation/random.rs"]
#[allow(dead_code, reason = "the simulator draws more")]
mod random;
mod record;
mod run;
mod shim;
mod trouble;

fn main() -> std::process::ExitCode {
    run::main()
}
