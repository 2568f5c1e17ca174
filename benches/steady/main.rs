//! Whether clients notice what goes on behind their backs: snapshots of a large keyspace, a
//! follower that catches up by one, an hour of full load.
//!
//! `cargo bench --bench steady [-- --part PART] [--gigabytes N] [--rounds N] [--apart] [--minutes
//! N]`. A cluster of three on this machine, with everything that it does in the background at its
//! real size. All nodes and the clients share the cores, so what a node does in the background is
//! paid by all three at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod catch_up;
#[path = "../compare/clients/mod.rs"]
mod clients;
mod group;
#[allow(dead_code, reason = "a comparison asks for more")]
#[path = "../compare/load.rs"]
mod load;
#[allow(dead_code, reason = "a comparison writes it down")]
#[path = "../compare/machine.rs"]
mod machine;
#[path = "../compare/pacer.rs"]
mod pacer;
#[allow(dead_code, reason = "a comparison has more of them")]
#[path = "../compare/peers.rs"]
mod peers;
mod phases;
#[path = "../../tests/process/mod.rs"]
mod process;
#[allow(dead_code, reason = "the simulator draws more from it")]
#[path = "../../tests/simulation/random.rs"]
mod random;
#[allow(dead_code, reason = "a comparison makes tables of it")]
#[path = "../compare/report.rs"]
mod report;
mod snapshot;
mod soak;

use std::error::Error;

use clap::{Parser, ValueEnum};
use machine::Machine;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// A raftkv cluster under load while something happens. Without a part: snapshot and catch-up.
#[derive(Clone, Debug, Parser)]
#[command(name = "steady")]
struct Options {
    /// Only these parts
    #[arg(long = "part", value_name = "PART", value_delimiter = ',')]
    parts: Vec<Part>,
    /// The size of the keyspace
    #[arg(long, default_value_t = 1.0)]
    gigabytes: f64,
    /// How often a snapshot is awaited, and a follower killed
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A follower that catches up gets only the CPU that nobody else wants
    #[arg(long)]
    apart: bool,
    /// How long full load lasts
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Latency at half the peak rate while snapshots are written
    Snapshot,
    /// The leader's rate while a follower catches up by a snapshot
    CatchUp,
    /// Elections, pauses and growth under full load
    Soak,
}

fn main() -> Fallible<()> {
    let mut options = Options::parse();
    if options.parts.is_empty() {
        options.parts = vec![Part::Snapshot, Part::CatchUp];
    }
    println!("{}", Machine::this()?.sentence());
    for part in &options.parts {
        match part {
            Part::Snapshot => snapshot::measure_snapshots(options.gigabytes, options.rounds)?,
            Part::CatchUp => {
                catch_up::measure_catch_up(options.gigabytes, options.rounds, options.apart)?;
            }
            Part::Soak => soak::measure_soak(options.gigabytes, options.minutes)?,
        }
    }
    Ok(())
}
