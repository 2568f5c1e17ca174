//! The tables without an axis: what rate 50 connections reach, and how long requests take at a rate
//! that all can bear.

use std::time::Duration;

use crate::Fallible;
use crate::load::{Load, Pace, fill, measure};
use crate::peers::{Peer, Protocol, System, settle};
use crate::report::{Ratio, Row, Table};

/// Systems that are compared, each by a protocol of its own.
#[derive(Clone, Copy, Debug)]
struct Contest {
    name: &'static str,
    entrants: &'static [(System, Protocol)],
    base: System,
    /// For both writes and reads.
    target: Option<Ratio>,
}

const CONTESTS: [Contest; 3] = [
    Contest {
        name: "RESP",
        entrants: &[
            (System::RedisAlways, Protocol::Resp),
            (System::Raftkv, Protocol::Resp),
            (System::RedisMemory, Protocol::Resp),
        ],
        base: System::RedisAlways,
        target: None,
    },
    Contest {
        name: "HTTP",
        entrants: &[(System::Etcd, Protocol::EtcdJson), (System::Raftkv, Protocol::Http)],
        base: System::Etcd,
        target: Some(Ratio::RateAtLeast(8.0)),
    },
    Contest {
        name: "RESP, gRPC",
        entrants: &[(System::Etcd, Protocol::EtcdGrpc), (System::Raftkv, Protocol::Resp)],
        base: System::Etcd,
        target: None,
    },
];

const CONNECTIONS: usize = 50;
pub(crate) const KEYS: u64 = 100_000;
pub(crate) const VALUE_BYTES: usize = 64;
/// Writes only, and reads only: the percentage of reads.
pub(crate) const KINDS: [(&str, u64); 2] = [("SET", 0), ("GET", 100)];

/// Returns the load of which all others are variations.
pub(crate) fn plain(seconds: f64) -> Load {
    Load {
        protocol: Protocol::Resp,
        connections: CONNECTIONS,
        pipeline: 1,
        reads_percent: 0,
        value_bytes: VALUE_BYTES,
        keys: KEYS,
        pace: Pace::Closed,
        time: Duration::from_secs_f64(seconds),
    }
}

/// Puts a load on one peer after the other, `rounds` times, and adds what came of it.
pub(crate) fn in_turns(
    peers: &[Peer],
    entrants: &[(&Peer, Protocol)],
    load: &Load,
    rounds: usize,
    row: &mut Row,
) -> Fallible<()> {
    for round in 0..rounds {
        for at in 0..entrants.len() {
            // Nobody is always the first.
            let (peer, protocol) = entrants[(at + round) % entrants.len()];
            settle(peers)?;
            let figures = measure(peer, &Load { protocol, ..load.clone() })?;
            row.add(peer.system.name(), figures);
        }
    }
    Ok(())
}

/// Measures closed loops.
pub(crate) fn rates(rounds: usize, seconds: f64) -> Fallible<Table> {
    let peers = filled()?;
    let mut rows = Vec::new();
    for contest in CONTESTS {
        for (kind, reads_percent) in KINDS {
            let entrants = entrants_of(&contest, &peers);
            let mut row = Row::new(format!("{kind}, {}", contest.name));
            (row.base, row.target) = (Some(contest.base.name()), contest.target);
            eprintln!("rates: {}", row.load);
            let load = Load { reads_percent, ..plain(seconds) };
            in_turns(&peers, &entrants, &load, rounds, &mut row)?;
            rows.push(row);
        }
    }
    let title = format!("Rates: {CONNECTIONS} connections, closed loop, values of {VALUE_BYTES} B");
    Ok(Table { name: "rates", title, axis: None, rows })
}

/// Measures open loops, at shares of the rate that the slowest of a contest reaches in a closed
/// one.
pub(crate) fn latency(rounds: usize, seconds: f64) -> Fallible<Table> {
    let peers = filled()?;
    let mut rows = Vec::new();
    for contest in CONTESTS {
        for (kind, reads_percent) in KINDS {
            let entrants = entrants_of(&contest, &peers);
            let closed = Load { reads_percent, ..plain(seconds) };
            let mut reached = Row::new("");
            in_turns(&peers, &entrants, &closed, 1, &mut reached)?;
            let reached = reached.peers().filter_map(|peer| reached.figures(peer));
            let slowest = reached.map(|figures| figures.per_second).fold(f64::INFINITY, f64::min);
            for percent in [50.0, 80.0] {
                let per_second = slowest * percent / 100.0;
                let name = contest.name;
                let mut row =
                    Row::new(format!("{kind}, {name}, {per_second:.0}/s ({percent:.0} %)"));
                eprintln!("latency: {}", row.load);
                let load = Load { pace: Pace::Open(per_second), ..closed.clone() };
                in_turns(&peers, &entrants, &load, rounds, &mut row)?;
                rows.push(row);
            }
        }
    }
    let title = format!(
        "Latency: {CONNECTIONS} connections, open loop at shares of what the slowest can do"
    );
    Ok(Table { name: "latency", title, axis: None, rows })
}

/// Starts all systems and makes the keys in each.
fn filled() -> Fallible<Vec<Peer>> {
    let peers = Peer::start_all(&System::ALL)?;
    for peer in &peers {
        eprintln!("{}: {KEYS} keys", peer.system.name());
        fill(peer, VALUE_BYTES, 0, KEYS)?;
    }
    Ok(peers)
}

/// Returns those of a contest that run.
fn entrants_of<'a>(contest: &Contest, peers: &'a [Peer]) -> Vec<(&'a Peer, Protocol)> {
    let running = contest.entrants.iter().filter_map(|(system, protocol)| {
        Some((peers.iter().find(|peer| peer.system == *system)?, *protocol))
    });
    running.collect()
}
