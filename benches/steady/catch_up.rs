//! What a leader loses of its rate while a follower catches up by a snapshot.
//!
//! Two things to compare with: two nodes, for that is what there was until the follower came back,
//! and three, for that is what there will be. On a machine that all share, the follower's own work
//! (it reads what it has, and builds up what it gets) takes its CPU from the leader; on a machine
//! of its own it would not. With `--apart` it has the lowest priority, which comes near to that:
//! what the leader loses then is what sending costs.

use std::time::{Duration, Instant};

use crate::Fallible;
use crate::group::Group;
use crate::load::{Pace, measure};
use crate::peers::cpu_of;
use crate::process::Node;
use crate::report::median;

/// How long the rate is measured each time.
const WINDOW: Duration = Duration::from_secs(1);
/// How often it is with two nodes, and with three.
const WINDOWS: usize = 5;
/// A follower that is up to date is behind by what is on its way.
const BEHIND_MAX: u64 = 20_000;
/// It takes no longer.
const CATCH_UP_MAX: Duration = Duration::from_secs(180);

/// Prints what catching up costs, and how long it takes.
pub(crate) fn measure_catch_up(gigabytes: f64, rounds: usize, apart: bool) -> Fallible<()> {
    let mut group = Group::start(gigabytes)?;
    if apart {
        let words = ["nice", "-n", "19"].map(str::to_owned);
        follower(&mut group)?.host.enter.extend(words);
    }
    println!("\n### A follower catches up by a snapshot, SET in a closed loop\n");
    println!("| round | two nodes | catching up | three nodes | of two | of three | took | MB/s |");
    println!("|---|---|---|---|---|---|---|---|");
    let (mut of_two, mut of_three) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let rates = round_of(&mut group)?;
        of_two.push(rates.catching_up / rates.two);
        of_three.push(rates.catching_up / rates.three);
        println!(
            "| {round} | {:>9.0} | {:>11.0} | {:>11.0} | {:>6.2} | {:>8.2} | {:>4.1} s | {:>4.0} |",
            rates.two,
            rates.catching_up,
            rates.three,
            rates.catching_up / rates.two,
            rates.catching_up / rates.three,
            rates.took.as_secs_f64(),
            rates.megabytes / rates.took.as_secs_f64(),
        );
    }
    group.peer.check_leader()?;
    println!(
        "\nThe rate while it catches up: {:.2} of that of two nodes, {:.2} of that of three \
         (target: at least 0.9)",
        median(of_two),
        median(of_three),
    );
    Ok(())
}

struct Rates {
    two: f64,
    catching_up: f64,
    three: f64,
    took: Duration,
    megabytes: f64,
}

fn round_of(group: &mut Group) -> Fallible<Rates> {
    group.settle()?;
    follower(group)?.kill();
    // What was written last before it was killed is in the snapshot, and no more in the log.
    group.pass_snapshot()?;
    let two = median_rate(group)?;
    let megabytes = group.snapshot_bytes()? as f64 / 1e6;
    let started = Instant::now();
    follower(group)?.start();
    let (mut windows, mut took) = (Vec::new(), None);
    while took.is_none() {
        if started.elapsed() > CATCH_UP_MAX {
            return Err("the follower does not catch up".into());
        }
        windows.push(rate(group)?);
        took = is_up_to_date(group)?.then(|| started.elapsed());
    }
    let pid = follower(group)?.pid();
    eprintln!("rates: {windows:.0?}; the follower used {:.1} s of CPU", cpu_of(pid)?.as_secs_f64());
    // In the last window there was less to do, or nothing.
    windows.truncate((windows.len() - 1).max(1));
    let catching_up = windows.iter().sum::<f64>() / windows.len() as f64;
    group.settle()?;
    let three = median_rate(group)?;
    Ok(Rates { two, catching_up, three, took: took.unwrap_or_default(), megabytes })
}

fn median_rate(group: &Group) -> Fallible<f64> {
    Ok(median((0..WINDOWS).map(|_| rate(group)).collect::<Fallible<_>>()?))
}

fn rate(group: &Group) -> Fallible<f64> {
    Ok(measure(&group.peer, &group.load(Pace::Closed, WINDOW))?.per_second)
}

/// Returns the follower that is killed.
fn follower(group: &mut Group) -> Fallible<&mut Node> {
    let (nodes, leader) = group.peer.nodes().ok_or("no nodes")?;
    let at = (leader + 1) % nodes.len();
    Ok(&mut nodes[at])
}

fn is_up_to_date(group: &mut Group) -> Fallible<bool> {
    let id = follower(group)?.id.clone();
    let status = group.status();
    let peers = status["peers"].as_array().ok_or("a status without peers")?;
    let peer = peers.iter().find(|peer| peer["id"] == id.as_str()).ok_or("no such peer")?;
    let behind = peer["behind"].as_u64().unwrap_or(u64::MAX);
    Ok(peer["state"] == "replicate" && behind < BEHIND_MAX)
}
