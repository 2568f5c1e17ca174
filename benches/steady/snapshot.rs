//! Latency at half the peak rate, before, while and after all three nodes write a snapshot.
//!
//! Nobody can ask for a snapshot. So the log is filled up to some seconds before one is due, and
//! the load brings it about: all three nodes write theirs at about the same time, to one disk. What
//! comes after it belongs to it: the log and an old snapshot are removed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::group::Group;
use crate::load::{Answer, Pace, measure, measure_each};
use crate::phases::{Phase, Span, Watch, with_gaps};
use crate::report::median;

/// What is measured before a snapshot begins, about, and after it.
const BEFORE: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(10);
/// How long the peak rate is looked for, each time.
const PEAK_TIME: Duration = Duration::from_secs(3);
/// A time without an answer that is worth mentioning.
const PAUSE: Duration = Duration::from_millis(15);
/// An answer that is worth mentioning.
const SLOW: Duration = Duration::from_millis(30);
/// More log than the search for the peak rate writes.
const PEAK_LOG_BYTES: u64 = 100 << 20;

/// Prints what clients see of a snapshot.
pub(crate) fn measure_snapshots(gigabytes: f64, rounds: usize) -> Fallible<()> {
    let mut group = Group::start(gigabytes)?;
    let written = write_one(&mut group)?;
    let peak = peak(&mut group, rounds)?;
    let bytes = group.snapshot_bytes()? as f64 / 1e6;
    println!(
        "\n### A snapshot of {bytes:.0} MB on each node, under {:.0} SET/s, half of the peak\n",
        peak.per_second / 2.0
    );
    println!("| round | phase {}", Phase::HEAD);
    println!("|---|---|---|---|---|---|---|---|");
    let (mut ratios, mut stalls) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let phases = round_of(&mut group, &peak, written, round)?;
        ratios.push(phases.during.p99_ms / phases.before.p99_ms);
        stalls.push(phases.during.max_ms.max(phases.after.max_ms));
    }
    group.peer.check_leader()?;
    let stall = stalls.iter().copied().fold(0.0, f64::max);
    println!(
        "\np99 while they are written: {:.2} times that before, the median of {ratios:.2?} \
         (target: at most 2); the longest stall: {stall:.1} ms (target: at most 50)",
        median(ratios.clone()),
    );
    Ok(())
}

/// Has a snapshot written while nothing else happens, and returns how long that takes.
fn write_one(group: &mut Group) -> Fallible<Duration> {
    let watch = Watch::start(group.snapshot_dirs());
    group.pass_snapshot()?;
    let spans = watch.stop().concat();
    let longest = spans.iter().map(|span| span.until - span.from).max();
    longest.ok_or_else(|| "no snapshot was seen".into())
}

/// What the cluster can do at the most.
struct Peak {
    per_second: f64,
    log_bytes_per_second: f64,
}

fn peak(group: &mut Group, rounds: usize) -> Fallible<Peak> {
    group.approach_snapshot(PEAK_LOG_BYTES)?;
    let (mut rates, mut log_rates) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (log_bytes, index) = (group.log_bytes(), group.number("last_log_index"));
        let figures = measure(&group.peer, &group.load(Pace::Closed, PEAK_TIME))?;
        eprintln!("peak: {:.0} SET/s", figures.per_second);
        rates.push(figures.per_second);
        assert!(group.number("last_log_index") > index, "writes are in the log");
        // The generator warms up for a moment longer, which makes for a little more.
        let grown = group.log_bytes().saturating_sub(log_bytes);
        log_rates.push(grown as f64 / PEAK_TIME.as_secs_f64());
    }
    Ok(Peak { per_second: median(rates), log_bytes_per_second: median(log_rates) })
}

struct Phases {
    before: Phase,
    during: Phase,
    after: Phase,
}

fn round_of(group: &mut Group, peak: &Peak, written: Duration, round: usize) -> Fallible<Phases> {
    let missing = peak.log_bytes_per_second / 2.0 * BEFORE.as_secs_f64();
    group.approach_snapshot(missing as u64)?;
    let watch = Watch::start(group.snapshot_dirs());
    // A snapshot may take its time until the log is half as long again.
    let log_seconds = group.limit()? as f64 / peak.log_bytes_per_second;
    let time = BEFORE * 2 + written.max(Duration::from_secs_f64(log_seconds)) + AFTER;
    let load = group.load(Pace::Open(peak.per_second / 2.0), time);
    let (figures, answers) = measure_each(&group.peer, &load)?;
    let spans = watch.stop();
    if figures.refused > 0 {
        return Err(format!("{} writes were refused", figures.refused).into());
    }
    let phases = split(&answers, &spans.concat())?;
    let nodes = spans.iter().filter(|spans| !spans.is_empty()).count();
    eprintln!("round {round}: {nodes} of {} nodes wrote a whole snapshot", spans.len());
    for (name, phase) in
        [("before", phases.before), ("snapshots", phases.during), ("after", phases.after)]
    {
        println!("| {round} | {name:<9} {}", phase.cells());
    }
    say_when(&answers, &spans.concat());
    eprintln!(
        "the generator was late by {:.2} ms at the p99, and used {:.2} of a core",
        figures.late_p99_us.unwrap_or_default() / 1e3,
        figures.generator_share.unwrap_or_default(),
    );
    Ok(phases)
}

/// Says when snapshots were written, and when there was no answer, in seconds from the first one.
fn say_when(answers: &[Answer], spans: &[Span]) {
    let Some(first) = answers.first() else { return };
    let after = |at: Instant| at.saturating_duration_since(first.done).as_secs_f64();
    let written = spans.iter().map(|span| (after(span.from), after(span.until)));
    let pauses = with_gaps(answers).filter(|(_, gap)| *gap > PAUSE);
    let pauses = pauses.map(|(answer, gap)| (after(answer.done), gap));
    let mut slowest = BTreeMap::<u64, Duration>::new();
    for answer in answers {
        let second = slowest.entry(after(answer.due) as u64).or_default();
        *second = (*second).max(answer.done - answer.due);
    }
    slowest.retain(|_, latency| *latency > SLOW);
    eprintln!(
        "snapshots: {:.1?}; pauses: {:.2?}; the slowest of each second: {slowest:.0?}",
        written.collect::<Vec<_>>(),
        pauses.collect::<Vec<_>>()
    );
}

/// Sorts answers by whether they came before all of these spans, had to do with one, or neither.
fn split(answers: &[Answer], spans: &[Span]) -> Fallible<Phases> {
    let first = spans.iter().map(|span| span.from).min().ok_or("no snapshot was written")?;
    let meets = |answer: &Answer| spans.iter().any(|span| span.meets(answer));
    let answers = || with_gaps(answers);
    let before = answers().filter(|(answer, _)| answer.done < first);
    let during = answers().filter(|(answer, _)| meets(answer));
    let after = answers().filter(|(answer, _)| answer.done >= first && !meets(answer));
    Ok(Phases { before: Phase::of(before)?, during: Phase::of(during)?, after: Phase::of(after)? })
}
