//! Rot at rest: every sector of every file of a closed node, decayed in every way.
//!
//! Recovery refuses, or what it finds is no less than what was acknowledged. The only exception is
//! the one that the log documents: damage to the very last batch with nothing behind it. A node
//! that is closed in good order writes a mark behind it, and then there is no exception.
//!
//! What was refused is repaired: the node comes back with its term and vote, knows that it has not
//! all it acknowledged, and knows it still when it is started again.

use std::path::{Path, PathBuf};

use crate::disk::{DiskState, Rot, SECTOR, SimDisk, Survival};
use crate::life::{Life, Seen, recover, repair};
use crate::script::Script;

const WAL: &str = "/data/A/wal";
const SNAPSHOTS: &str = "/data/A/snapshots";

/// A node that has ended, and what it holds.
struct Closed {
    disk: SimDisk,
    state: DiskState,
    truth: Seen,
    /// The bytes of the last batch, which stand in the last segment.
    last_batch: (usize, usize),
}

impl Closed {
    fn new(seed: u64, marked: bool) -> Self {
        let script = Script::new(seed, 30);
        let disk = SimDisk::new(seed);
        disk.start_trace();
        let mut life = Life::new(&disk, &script);
        life.run().unwrap();
        let mut opened = life.opened.take().unwrap();
        if marked {
            opened.wal.mark().unwrap();
        }
        drop(opened);
        let last_batch = last_flush(&disk.take_trace());
        disk.crash(Survival::LoseAll);
        let state = disk.clone_state();
        let truth = Seen::new(&recover(&disk).unwrap());
        Self { disk, state, truth, last_batch }
    }

    /// Lets one sector decay, and returns whether that lost anything without a word.
    fn decay(&self, path: &Path, sector: usize, rot: Rot) -> Outcome {
        self.disk.restore(&self.state);
        if !self.disk.corrupt(path, sector, rot) {
            return Outcome::Untouched;
        }
        let opened = match recover(&self.disk) {
            Ok(opened) => opened,
            Err(error) => {
                self.repair(path, sector, rot);
                return Outcome::Refused(error.to_string());
            }
        };
        if Seen::new(&opened).is_no_less_than(&self.truth) {
            Outcome::Harmless
        } else {
            Outcome::Lost
        }
    }
}

impl Closed {
    /// Returns a place in a segment and one in a snapshot where damage is refused.
    fn refused_places(&self) -> Vec<(PathBuf, usize)> {
        self.disk.restore(&self.state);
        let files = self.disk.files().into_iter().map(|(path, _)| path);
        let files = files.filter(|path| path.starts_with(WAL) || path.starts_with(SNAPSHOTS));
        let is_refused =
            |path: &PathBuf| matches!(self.decay(path, 0, Rot::Garbage), Outcome::Refused(_));
        let refused: Vec<_> = files.filter(is_refused).collect();
        let of = |dir: &str| refused.iter().find(|path| path.starts_with(dir)).cloned();
        [of(WAL), of(SNAPSHOTS)].into_iter().flatten().map(|path| (path, 0)).collect()
    }

    /// Repairs what was refused.
    fn repair(&self, path: &Path, sector: usize, rot: Rot) {
        let what = format!("{rot:?} in sector {sector} of {}", path.display());
        self.disk.restore(&self.state);
        self.disk.corrupt(path, sector, rot);
        let repaired = repair(&self.disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        let seen = Seen::new(&repaired);
        let is_recovering = repaired.recovered.is_recovering;
        drop(repaired);
        self.disk.crash(Survival::LoseAll);
        assert_eq!(seen.hard_state, self.truth.hard_state, "{what}");
        // Who IDENTITY said that we are, the log knows too; everything else was lost in part.
        assert!(is_recovering || path.ends_with("IDENTITY"), "{what}");
        if !is_recovering {
            // Which cluster it is of it may have to hear anew.
            let known = Seen { cluster: self.truth.cluster, ..seen.clone() };
            assert!(known.is_no_less_than(&self.truth), "{what}");
        }
        let again = recover(&self.disk).unwrap_or_else(|error| panic!("{what}, again: {error}"));
        assert_eq!(again.recovered.is_recovering, is_recovering, "{what}");
        assert_eq!(Seen::new(&again), seen, "{what}");
    }
}

#[derive(Debug)]
enum Outcome {
    Untouched,
    Refused(String),
    Harmless,
    Lost,
}

/// Returns what the last flush of a segment has made durable: the last batch.
fn last_flush(trace: &[String]) -> (usize, usize) {
    let line = trace.iter().rev().find(|line| line.starts_with("flush ")).unwrap();
    let (offset, length) = line.rsplit(' ').next().unwrap().split_once('+').unwrap();
    let offset: usize = offset.parse().unwrap();
    (offset, offset + length.parse::<usize>().unwrap())
}

/// Lets every sector of every file decay; returns those whose loss nobody noticed.
fn losses(closed: &Closed) -> Vec<(PathBuf, usize, Rot)> {
    let (mut refused, mut harmless, mut lost) = (0, 0, Vec::new());
    let files = {
        closed.disk.restore(&closed.state);
        closed.disk.files()
    };
    for (path, bytes) in files {
        for sector in 0..(bytes as usize).div_ceil(SECTOR) {
            for rot in [Rot::FlipBit, Rot::Zero, Rot::Garbage] {
                match closed.decay(&path, sector, rot) {
                    Outcome::Untouched => {}
                    Outcome::Harmless => harmless += 1,
                    Outcome::Lost => lost.push((path.clone(), sector, rot)),
                    Outcome::Refused(error) => {
                        refused += 1;
                        assert!(
                            error.contains(&path.display().to_string()),
                            "damage to {} is told as: {error}",
                            path.display(),
                        );
                    }
                }
            }
        }
    }
    println!("{refused} refused, {harmless} harmless, {} lost", lost.len());
    assert!(refused > 0 && harmless > 0);
    lost
}

fn seeds() -> std::ops::Range<u64> {
    if cfg!(debug_assertions) { 100..103 } else { 100..130 }
}

#[test]
fn rot_on_a_node_that_was_closed_is_refused_or_harmless() {
    for seed in seeds() {
        let lost = losses(&Closed::new(seed, true));
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
    }
}

#[test]
fn without_a_mark_only_damage_to_the_last_batch_is_taken_for_a_torn_write() {
    let mut exceptions = 0;
    for seed in seeds() {
        let closed = Closed::new(seed, false);
        let (start, end) = closed.last_batch;
        let files = closed.disk.files().into_iter().map(|(path, _)| path);
        let last = files.filter(|path| path.extension().is_some_and(|name| name == "wal")).max();
        for (path, sector, rot) in losses(&closed) {
            assert!(
                Some(&path) == last.as_ref()
                    && (start / SECTOR..=(end - 1) / SECTOR).contains(&sector),
                "seed {seed}: {rot:?} in sector {sector} of {} was not noticed; the last batch is \
                 {start}..{end} of {last:?}",
                path.display(),
            );
            exceptions += 1;
        }
    }
    assert!(exceptions > 0, "the exception is there, and is documented");
}

/// A repair that is cut off at any call is taken up again by the next one.
#[test]
fn a_crash_at_any_call_of_a_repair_loses_no_vote() {
    let mut repairs = 0;
    for seed in seeds() {
        let closed = Closed::new(seed, true);
        for (path, sector) in closed.refused_places() {
            let damaged = || {
                closed.disk.restore(&closed.state);
                closed.disk.corrupt(&path, sector, Rot::Garbage);
                closed.disk.calls()
            };
            let start = damaged();
            drop(repair(&closed.disk).unwrap());
            for call in 1..=closed.disk.calls() - start {
                for survival in [Survival::LoseAll, Survival::KeepAll, Survival::Random] {
                    damaged();
                    closed.disk.reseed(call);
                    closed.disk.stop_within(call);
                    drop(repair(&closed.disk));
                    closed.disk.crash(survival);
                    let what =
                        format!("seed {seed}, {}, call {call}, {survival:?}", path.display());
                    let opened = repair(&closed.disk);
                    let opened = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_eq!(opened.recovered.hard_state, closed.truth.hard_state, "{what}");
                    assert!(opened.recovered.is_recovering, "{what}");
                    repairs += 1;
                }
            }
        }
    }
    println!("{repairs} repairs after a crash in a repair");
    assert!(repairs > 0);
}
