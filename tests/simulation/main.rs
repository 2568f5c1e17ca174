//! Deterministic simulation: whole clusters of the real code, on a simulated network, disk and
//! clock, in one thread, from one seed.
//!
//! ```text
//! cargo test --profile simulation --test simulation -- --seeds 5000 [--first 1] [--minutes 10]
//! cargo test --profile simulation --test simulation -- --seed 17    one run, with all that happens
//! cargo test --profile simulation --test simulation -- --rot        each sector of one node decays
//! ```
//!
//! A run that fails is shrunk: as many faults and clients as possible are left out as long as it
//! still fails, and the shortest is printed with the command that plays it again.
//!
//! That it would find what is wrong is shown by bugs that are planted: `bugs/` has them as patches,
//! and `.ci/planted-bugs` plays with one after the other.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod check;
mod clients;
mod disk;
mod faults;
mod leases;
mod linearizability;
mod network;
mod plan;
mod process;
mod queue;
mod random;
mod requests;
mod runner;
mod server;
mod snapshots;
mod trace;
mod world;

fn main() -> std::process::ExitCode {
    runner::main()
}
