//! Rot at rest: every sector of every file of a closed node, decayed in every way.
//!
//! Recovery refuses, or what it finds is no less than what was acknowledged. The only exception is
//! the one that the log documents: damage to the very last batch with nothing behind it. A node
//! that is closed in good order writes a mark behind it, and then there is no exception.

use std::path::{Path, PathBuf};

use crate::disk::{DiskState, Rot, SECTOR, SimDisk, Survival};
use crate::life::{Life, Seen, recover};
use crate::script::Script;

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
            Err(error) => return Outcome::Refused(format!("{error:#}")),
        };
        if Seen::new(&opened).is_no_less_than(&self.truth) {
            Outcome::Harmless
        } else {
            Outcome::Lost
        }
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
