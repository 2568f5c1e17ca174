//! Full load for a long time: no election that nobody needs, no pause, nothing that grows.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::group::Group;
use crate::load::{Pace, measure_each};
use crate::phases::{Phase, with_gaps};
use crate::report::median;

/// All answers are looked at after so much time; then the clients come anew.
const SLICE: Duration = Duration::from_secs(10);

/// What may grow.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// Of the largest process.
    memory_mib: u64,
    /// Of all nodes.
    disk_mib: u64,
}

/// Prints what an hour, or so many minutes, of full load have done.
pub(crate) fn measure_soak(gigabytes: f64, minutes: f64) -> Fallible<()> {
    let mut group = Group::start(gigabytes)?;
    println!("\n### Full load for {minutes} minutes: 50 connections, SET in a closed loop\n");
    println!("| minute | SET/s | p99 ms | longest pause ms | RSS MiB | files MiB | term |");
    println!("|---|---|---|---|---|---|---|");
    let term = group.number("term");
    let started = Instant::now();
    let (mut slices, mut pause) = (Vec::new(), 0.0_f64);
    let length = Duration::from_secs_f64(minutes * 60.0);
    let every = (length / 12).max(SLICE);
    let mut next = every;
    while started.elapsed() < length {
        let (figures, answers) = measure_each(&group.peer, &group.load(Pace::Closed, SLICE))?;
        if figures.refused > 0 {
            group.print_logs();
            return Err(format!("{} writes were refused", figures.refused).into());
        }
        slices.push((figures.per_second, Phase::of(with_gaps(&answers))?));
        if started.elapsed() >= next || started.elapsed() >= length {
            pause = pause.max(print(&mut group, started.elapsed(), &slices)?);
            slices.clear();
            next += every;
        }
    }
    group.peer.check_leader()?;
    println!(
        "\nElections: {} (target: 0); the longest time without an acknowledged write: {pause:.0} ms",
        group.number("term") - term,
    );
    Ok(())
}

/// Prints a line for some slices, and returns the longest pause in them.
fn print(group: &mut Group, elapsed: Duration, slices: &[(f64, Phase)]) -> Fallible<f64> {
    let pause = slices.iter().map(|(_, phase)| phase.gap_ms).fold(0.0, f64::max);
    let size = size(group)?;
    println!(
        "| {:>6.1} | {:>5.0} | {:>6.2} | {pause:>16.1} | {:>7} | {:>9} | {:>4} |",
        elapsed.as_secs_f64() / 60.0,
        median(slices.iter().map(|(rate, _)| *rate).collect()),
        median(slices.iter().map(|(_, phase)| phase.p99_ms).collect()),
        size.memory_mib,
        size.disk_mib,
        group.number("term"),
    );
    Ok(pause)
}

fn size(group: &mut Group) -> Fallible<Size> {
    let mut size = Size::default();
    let (nodes, _) = group.peer.nodes().ok_or("no nodes")?;
    for node in nodes {
        size.memory_mib = size.memory_mib.max(resident_mib(node.pid())?);
        size.disk_mib += bytes_below(&node.data_dir)? >> 20;
    }
    Ok(size)
}

fn resident_mib(pid: u32) -> Fallible<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.ok_or("no VmRSS")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024)
}

/// Returns the bytes of all files below a directory. One that goes meanwhile does not count.
fn bytes_below(dir: &Path) -> Fallible<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += bytes_below(&entry.path())?,
            Ok(metadata) => bytes += metadata.len(),
            Err(_) => {}
        }
    }
    Ok(bytes)
}
