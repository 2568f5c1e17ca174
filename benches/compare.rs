//! Three raftkv nodes against one redis-server that syncs every write, in turns, on this machine,
//! under the same load.
//!
//! `cargo bench --bench compare` needs `redis-server` and `redis-benchmark` on the PATH. On a
//! machine that other work shares, only the ratios mean something. Options after `--`: `--rounds N`
//! (3), `--requests N` (scaled to each test by default), `--check`, which fails if a ratio has
//! collapsed: below half of the one that is recorded here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../tests/process/mod.rs"]
mod process;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::{Child, Command, Stdio};

use process::{Cluster, free_port, wait_for};

/// One load: a command at a pipeline depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    command: &'static str,
    clients: u32,
    pipeline: u32,
    requests: u32,
    /// Our rate in hundredths of Redis's, when it was last measured with three rounds.
    recorded: u32,
}

const LOADS: [Load; 6] = [
    load("set", 50, 1, 100_000, 51),
    load("set", 50, 16, 500_000, 60),
    load("get", 50, 1, 200_000, 66),
    load("get", 50, 16, 1_000_000, 74),
    load("set", 1, 1, 5_000, 38),
    load("get", 1, 1, 20_000, 45),
];

const fn load(
    command: &'static str,
    clients: u32,
    pipeline: u32,
    requests: u32,
    recorded: u32,
) -> Load {
    Load { command, clients, pipeline, requests, recorded }
}

/// What redis-benchmark said of one run.
#[derive(Clone, Copy, Debug)]
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options { rounds, requests, check } = options()?;
    let mut results: BTreeMap<(Load, &str), Vec<Figures>> = BTreeMap::new();
    for round in 1..=rounds {
        for peer in ["redis", "raftkv"] {
            eprintln!("round {round} of {rounds}: {peer}");
            let measured = match peer {
                "redis" => with_redis(|port| run_all(port, requests))?,
                _ => with_raftkv(|port| run_all(port, requests))?,
            };
            for (load, figures) in measured {
                results.entry((load, peer)).or_default().push(figures);
            }
        }
    }
    println!(
        "medians of {rounds} rounds; -d 64 -r 100000; redis: appendonly yes, appendfsync always"
    );
    println!(
        "{:<18} {:>10} {:>10} {:>6}   {:>19}   {:>19}",
        "load", "redis/s", "raftkv/s", "ratio", "redis p50/p99 ms", "raftkv p50/p99 ms"
    );
    let mut collapsed = Vec::new();
    for load in LOADS {
        let [redis, raftkv] = ["redis", "raftkv"].map(|peer| median(&results[&(load, peer)]));
        let ratio = raftkv.per_second / redis.per_second;
        let name = format!("{} -c {} -P {}", load.command, load.clients, load.pipeline);
        let latency = |figures: Figures| format!("{:.3} / {:.3}", figures.p50_ms, figures.p99_ms);
        println!(
            "{name:<18} {:>10.0} {:>10.0} {:>6.2}   {:>19}   {:>19}",
            redis.per_second,
            raftkv.per_second,
            ratio,
            latency(redis),
            latency(raftkv)
        );
        let recorded = f64::from(load.recorded) / 100.0;
        if ratio < recorded / 2.0 {
            collapsed.push(format!("{name}: {ratio:.2}, and it was {recorded:.2}"));
        }
    }
    if check && !collapsed.is_empty() {
        return Err(format!("collapsed: {}", collapsed.join("; ")).into());
    }
    Ok(())
}

struct Options {
    rounds: usize,
    requests: Option<u32>,
    check: bool,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options { rounds: 3, requests: None, check: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--rounds" => options.rounds = value()?.parse()?,
            "--requests" => options.requests = Some(value()?.parse()?),
            "--check" => options.check = true,
            "--bench" => {} // What cargo adds.
            _ => {
                let known = "--rounds N, --requests N, --check";
                return Err(format!("unknown option {arg}; known: {known}").into());
            }
        }
    }
    Ok(options)
}

fn run_all(port: u16, requests: Option<u32>) -> Result<Vec<(Load, Figures)>, Box<dyn Error>> {
    // The keys are there before anything is measured, so that every GET finds one.
    run(port, load("set", 50, 64, 300_000, 0), None)?;
    LOADS.iter().map(|load| Ok((*load, run(port, *load, requests)?))).collect()
}

fn run(port: u16, load: Load, requests: Option<u32>) -> Result<Figures, Box<dyn Error>> {
    let output = Command::new("redis-benchmark")
        .args(["-p", &port.to_string(), "-t", load.command])
        .args(["-c", &load.clients.to_string(), "-P", &load.pipeline.to_string()])
        .args(["-n", &requests.unwrap_or(load.requests).to_string()])
        .args(["-d", "64", "-r", "100000", "--csv"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line =
        text.lines().find(|line| line.to_lowercase().starts_with(&format!("\"{}\"", load.command)));
    let line = line.ok_or_else(|| format!("redis-benchmark said {text:?}"))?;
    let fields: Vec<f64> =
        line.split(',').skip(1).filter_map(|field| field.trim_matches('"').parse().ok()).collect();
    let [per_second, _, _, p50_ms, _, p99_ms, ..] = fields[..] else {
        return Err(format!("redis-benchmark said {line:?}").into());
    };
    Ok(Figures { per_second, p50_ms, p99_ms })
}

fn with_raftkv<T>(measure: impl Fn(u16) -> Result<T, Box<dyn Error>>) -> Result<T, Box<dyn Error>> {
    let cluster = Cluster::start(3, &["--wal-segment-bytes", "67108864"]);
    let leader = cluster.leader();
    let result = measure(cluster.nodes[leader].resp)?;
    if cluster.leader() != leader {
        return Err("the leader changed during the run".into());
    }
    Ok(result)
}

fn with_redis<T>(measure: impl Fn(u16) -> Result<T, Box<dyn Error>>) -> Result<T, Box<dyn Error>> {
    /// Ends the process however the measurement ends.
    struct Server(Child);
    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let dir = tempfile::tempdir()?;
    let port = free_port();
    let server = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .spawn()?;
    let _server = Server(server);
    wait_for("redis-server", || process::client::Resp::connect(port).ok());
    measure(port)
}

fn median(figures: &[Figures]) -> Figures {
    let middle = |value: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Figures {
        per_second: middle(|figures| figures.per_second),
        p50_ms: middle(|figures| figures.p50_ms),
        p99_ms: middle(|figures| figures.p99_ms),
    }
}
