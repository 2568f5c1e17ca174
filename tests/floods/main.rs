//! Floods: what floods one node of three, while others' requests are timed.
//!
//! ```text
//! cargo test --profile simulation --test floods -- --full [--timed] [--only NAME]
//! ```
//!
//! A flood must have sent what it is there to send. It must cause no election, and leave the memory
//! of every node within what the README allows; half requests must come near that and then be
//! refused. The 99th percentile of the others is always told. With `--timed`, on a machine that
//! does nothing else, it must stay within three times of what it was just before, or 5 ms; but not
//! under redirects, pipelines, slow readers and half requests, whose own work is as much as the
//! others'.
//!
//! A plain `cargo test` floods less and for a short time: it looks that something is sent, at
//! memory, and at the answers of the others. What it runs beside is not known.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod attack;
mod floods;
mod foreground;
mod http2;
#[path = "../process/mod.rs"]
mod process;

use std::process::ExitCode;
use std::time::Duration;

use floods::{ALL, Flood, Scale};
use foreground::{Foreground, Measured};
use process::command_line::{self, Words};
use process::{Cluster, Host, wait_for};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the 99th percentile may be in any case: where the flood comes from the same two cores,
/// whose scheduler's tick is 4 ms, it is as high when the flood goes to somebody else.
const FLOOR: Duration = Duration::from_millis(5);
/// How much larger it may be than without the flood.
const FACTOR: u32 = 3;
/// What a node may hold while it is flooded, in MiB, as the README has it.
const MEMORY_MIB: u64 = 512;

const FULL: Scale = Scale { idle: 10_000, many: 500, few: 8 };
const SHORT: Scale = Scale { idle: 300, many: 50, few: 2 };

struct Arguments {
    is_full: bool,
    /// Whether a percentile that is too high is a failure: on a machine that does nothing else.
    is_timed: bool,
    only: Option<String>,
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments { is_full: false, is_timed: false, only: None };
    let names = ALL.map(|flood| flood.name).join(", ");
    let usage = format!("usage: floods [--full] [--timed] [--only NAME]\nfloods: {names}");
    let mut words = Words::of("floods", usage);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--full" => arguments.is_full = true,
            "--timed" => arguments.is_timed = true,
            "--only" => {
                let name = words.value(&word)?;
                if !ALL.iter().any(|flood| flood.name == name) {
                    return Err(words.error(&format!("there is no flood {name}")));
                }
                arguments.only = Some(name);
            }
            word if !words.pass(word)? => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(arguments))
}

fn main() -> ExitCode {
    command_line::run(arguments(), flood)
}

fn flood(arguments: Arguments) -> ExitCode {
    raise_open_files();
    let mut failures = Vec::new();
    println!("{HEAD}");
    for flood in &ALL {
        if arguments.only.as_ref().is_none_or(|only| only == flood.name)
            && let Err(failure) = run(flood, &arguments)
        {
            failures.push(format!("FAILED {}: {failure}", flood.name));
        }
    }
    failures.iter().for_each(|failure| println!("{failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const HEAD: &str = "\
| flood | sent | p50 before | p99 before | p50 during | p99 during | worst | MiB |
|---|---|---|---|---|---|---|---|";

/// Ten thousand connections have two ends, and one of them is here.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// Floods a cluster of its own: what one flood leaves is not to be seen in the next.
fn run(flood: &Flood, arguments: &Arguments) -> Result<(), String> {
    let is_full = arguments.is_full;
    let (scale, time) =
        if is_full { (FULL, Duration::from_secs(8)) } else { (SHORT, Duration::from_millis(500)) };
    let mut cluster = Cluster::on(vec![host(); 3], directory());
    cluster.connect_directly(&[]);
    cluster.start_all();
    let leader = cluster.leader();
    let foreground = Foreground::start(cluster.nodes[leader].resp);
    // The first requests open what later ones find open.
    foreground.measure(Duration::from_millis(500))?;
    let before = foreground.measure(time)?;
    let term = term(&cluster, leader)?;
    let attack = (flood.start)(&cluster, leader, scale)?;
    let during = foreground.measure(time);
    let memory = (0..3).map(|at| memory_mib(&cluster, at)).max().unwrap_or(0);
    if !is_full {
        // Beside other tests it may get no turn for a while.
        wait_for("the flood to send something", || (attack.sent() > 0).then_some(()));
    }
    let (sent, refused) = (attack.sent(), attack.refused());
    drop(attack);
    let elections = self::term(&cluster, leader)? - term;
    for node in &cluster.nodes {
        if node.log().contains("panicked") {
            return Err(format!("{} panicked: {}", node.id, node.log()));
        }
    }
    if elections > 0 && is_full {
        return Err(format!("{elections} elections"));
    }
    let during = during?;
    report(flood, sent, &before, &during, memory);
    if is_full {
        check_full(flood, sent, refused, memory)?;
    }
    let memory_max = MEMORY_MIB + flood.held_mib;
    if memory > memory_max {
        return Err(format!("a node held {memory} MiB, and may hold {memory_max}"));
    }
    let most = FLOOR.max(before.p99 * FACTOR);
    if arguments.is_timed && flood.is_cheap && during.p99 > most {
        return Err(format!("p99 {:?}, more than {most:?}", during.p99));
    }
    Ok(())
}

/// Checks that a flood at its full scale was one.
fn check_full(flood: &Flood, sent: u64, refused: u64, memory: u64) -> Result<(), String> {
    if sent < flood.least {
        return Err(format!("only {sent} were sent, and it should be {} or more", flood.least));
    }
    if flood.held_mib > 0 {
        println!("{}: {refused} refused because too much is held", flood.name);
        if refused == 0 {
            return Err("nothing was refused, however much was held".into());
        }
        if memory < flood.held_mib * 3 / 4 {
            return Err(format!("refused when a node held {memory} MiB, far from what it may"));
        }
    }
    Ok(())
}

/// A flood comes from elsewhere, and takes the processor of others: here, where all share two or
/// so, the nodes come first. Who may not have it so gets a warning from `nice`, and goes on.
fn host() -> Host {
    let enter = ["nice", "-n", "-10"].map(ToOwned::to_owned).to_vec();
    Host { enter, ..Host::default() }
}

/// Returns a directory in memory, if there is such a thing: how long others keep the disk busy is
/// not to be measured.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn report(flood: &Flood, sent: u64, before: &Measured, during: &Measured, mib: u64) {
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    println!(
        "| {} | {sent} | {} | {} | {} | {} | {} | {mib} |",
        flood.name,
        ms(before.p50),
        ms(before.p99),
        ms(during.p50),
        ms(during.p99),
        ms(during.worst),
    );
}

fn term(cluster: &Cluster, at: usize) -> Result<u64, String> {
    let status = cluster.nodes[at].status().ok_or("the leader does not answer")?;
    status["term"].as_u64().ok_or_else(|| format!("{status}"))
}

/// Returns the most memory that the process has had.
fn memory_mib(cluster: &Cluster, at: usize) -> u64 {
    let pid = cluster.nodes[at].pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
