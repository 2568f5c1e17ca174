//! How long clients cannot write when the leader goes: killed, and asked to stop.
//!
//! `cargo bench --bench failover [-- --rounds N]` (50). Three nodes with default settings under
//! writes; each round ends the leader and brings it back. A round's figure is the longest time
//! without an acknowledged write, among all clients. At the end every acknowledged write is looked
//! for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../tests/process/mod.rs"]
mod process;

use std::error::Error;
use std::time::{Duration, Instant};

use process::load::{Load, Mix};
use process::{Cluster, Node, wait_for};

/// A way for a node to end.
type End = fn(&mut Node);

/// How often it is looked whether anything was acknowledged.
const SAMPLE: Duration = Duration::from_micros(200);
/// Writes after which a round is over.
const WRITES: usize = 500;
/// A round takes no longer.
const ROUND_MAX: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = rounds()?;
    let stop: End = |node| assert!(node.stop().success());
    let ways: [(&str, End); 2] = [("kill -9", Node::kill), ("SIGTERM", stop)];
    for (name, end) in ways {
        let mut cluster = Cluster::start(3, &[]);
        let load = Load::start(&cluster, Mix::plain(8));
        load.wait_for_progress();
        let mut gaps: Vec<Duration> =
            (0..rounds).map(|_| round(&mut cluster, &load, end)).collect();
        let ledger = load.stop();
        ledger.check(&cluster);
        cluster.assert_converged();
        gaps.sort();
        let at =
            |share: usize| gaps[(gaps.len() * share / 100).min(gaps.len() - 1)].as_secs_f64() * 1e3;
        println!(
            "{name:<8} {rounds} times: p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, max {:.0} ms without a write; \
             {} acknowledged, none missing",
            at(50),
            at(90),
            at(99),
            at(100),
            ledger.acknowledged(),
        );
    }
    Ok(())
}

/// Ends the leader, waits until writes have been done again, and brings it back.
fn round(cluster: &mut Cluster, load: &Load, end: End) -> Duration {
    let leader = cluster.leader();
    let gap = std::thread::scope(|scope| {
        let watching = scope.spawn(|| longest_gap(load));
        end(&mut cluster.nodes[leader]);
        watching.join().unwrap()
    });
    cluster.nodes[leader].start();
    let last = |cluster: &Cluster, at: usize| cluster.nodes[at].status()?["applied_index"].as_u64();
    let reached = wait_for("the new leader", || last(cluster, cluster.leader()));
    wait_for("the node that was ended", || last(cluster, leader).filter(|last| *last >= reached));
    gap
}

/// Returns the longest time without an acknowledged write until so many were acknowledged.
fn longest_gap(load: &Load) -> Duration {
    let started = Instant::now();
    let (first, mut last) = (load.acknowledged(), started);
    let (mut known, mut longest) = (first, Duration::ZERO);
    // The end of the leader takes a moment itself.
    while known < first + WRITES || started.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(SAMPLE);
        let now = load.acknowledged();
        if now > known {
            longest = longest.max(last.elapsed());
            (known, last) = (now, Instant::now());
        }
        assert!(started.elapsed() < ROUND_MAX, "no writes are done any more");
    }
    longest
}

fn rounds() -> Result<usize, Box<dyn Error>> {
    let mut rounds = 50;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next().ok_or("--rounds needs a value")?.parse()?,
            "--bench" => {} // What cargo adds.
            _ => return Err(format!("unknown option {arg}; known: --rounds N").into()),
        }
    }
    Ok(rounds)
}
