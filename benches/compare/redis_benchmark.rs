//! Six loads of redis-benchmark, the tool that others know, with the ratios that were recorded and
//! those that are aimed at.

use std::process::Command;

use crate::Fallible;
use crate::peers::{Peer, Protocol, System, settle};
use crate::report::{Figures, Ratio, Row, Table};

/// One load: a command at a pipeline depth.
#[derive(Clone, Copy, Debug)]
struct Load {
    command: &'static str,
    clients: u32,
    pipeline: u32,
    requests: u32,
    /// Our rate in hundredths of Redis's, when it was last measured with three rounds.
    recorded: u32,
    target: Option<Ratio>,
}

const LOADS: [Load; 6] = [
    load("set", 50, 1, 100_000, 58, Some(Ratio::RateAtLeast(1.0))),
    load("set", 50, 16, 500_000, 75, Some(Ratio::RateAtLeast(1.0))),
    load("get", 50, 1, 200_000, 74, Some(Ratio::RateAtLeast(0.8))),
    load("get", 50, 16, 1_000_000, 97, Some(Ratio::RateAtLeast(0.7))),
    load("set", 1, 1, 5_000, 44, Some(Ratio::MedianAtMost(1.3))),
    load("get", 1, 1, 20_000, 46, None),
];

/// What the keys are made with before anything is measured, so that every GET finds one.
const FILL: Load = load("set", 50, 64, 300_000, 0, None);

const fn load(
    command: &'static str,
    clients: u32,
    pipeline: u32,
    requests: u32,
    recorded: u32,
    target: Option<Ratio>,
) -> Load {
    Load { command, clients, pipeline, requests, recorded, target }
}

/// Measures every load on our cluster and on Redis, in turns.
pub(crate) fn table(systems: &[System], rounds: usize, requests: Option<u32>) -> Fallible<Table> {
    let peers = Peer::start_all(systems)?;
    let base = peers.iter().any(|peer| peer.system == System::RedisAlways);
    if !base {
        return Err("this comparison needs redis-server and redis-benchmark on the PATH".into());
    }
    for peer in &peers {
        run(peer, FILL, None)?;
    }
    let mut rows = Vec::new();
    for load in LOADS {
        let name =
            format!("{} -c {} -P {}", load.command.to_uppercase(), load.clients, load.pipeline);
        let mut row = Row::new(name);
        row.base = Some(System::RedisAlways.name());
        (row.target, row.recorded) = (load.target, Some(f64::from(load.recorded) / 100.0));
        for round in 0..rounds {
            eprintln!("redis-benchmark {}: round {} of {rounds}", row.load, round + 1);
            for at in 0..peers.len() {
                // Nobody is always the first.
                let peer = &peers[(at + round) % peers.len()];
                settle(&peers)?;
                row.add(peer.system.name(), run(peer, load, requests)?);
            }
        }
        rows.push(row);
    }
    Ok(Table {
        name: "redis-benchmark",
        title: "redis-benchmark -d 64 -r 100000".to_owned(),
        axis: None,
        rows,
    })
}

fn run(peer: &Peer, load: Load, requests: Option<u32>) -> Fallible<Figures> {
    let port = peer.address(Protocol::Resp)?.port();
    let requests = requests.unwrap_or(load.requests);
    let before = peer.cpu()?;
    let output = Command::new("redis-benchmark")
        .args(["-p", &port.to_string(), "-t", load.command])
        .args(["-c", &load.clients.to_string(), "-P", &load.pipeline.to_string()])
        .args(["-n", &requests.to_string()])
        .args(["-d", "64", "-r", "100000", "--csv"])
        .output()
        .map_err(|error| format!("redis-benchmark: {error}"))?;
    let cpu = peer.cpu()? - before;
    peer.check_leader()?;
    let text = String::from_utf8(output.stdout)?;
    let line =
        text.lines().find(|line| line.to_lowercase().starts_with(&format!("\"{}\"", load.command)));
    let line = line.ok_or_else(|| format!("redis-benchmark said {text:?}"))?;
    let fields: Vec<f64> =
        line.split(',').skip(1).filter_map(|field| field.trim_matches('"').parse().ok()).collect();
    let [per_second, _, _, p50_ms, _, p99_ms, ..] = fields[..] else {
        return Err(format!("redis-benchmark said {line:?}").into());
    };
    Ok(Figures {
        per_second,
        p50_us: p50_ms * 1e3,
        p99_us: p99_ms * 1e3,
        cpu_us: cpu.as_secs_f64() * 1e6 / f64::from(requests),
        ..Figures::default()
    })
}
