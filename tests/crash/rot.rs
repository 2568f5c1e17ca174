//! Rot at rest: every sector of every file of a closed node, decayed in every way.
//!
//! Recovery refuses, or what it finds is no less than what was acknowledged. The only exception is
//! the one that the log documents: damage to the very last batch with nothing behind it. A node
//! that is closed in good order writes a mark behind it, and then there is no exception.
//!
//! What was refused is repaired: the node comes back with its term and vote, knows that it has not
//! all it acknowledged, and knows it still when it is started again.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use raftkv_storage::{Error, snapshot, wal};

use crate::disk::{DiskState, Rot, SECTOR, SimDisk, Survival};
use crate::life::{Life, Seen, recover, repair};
use crate::script::Script;

const WAL: &str = "/data/A/wal";
const SNAPSHOTS: &str = "/data/A/snapshots";
const IDENTITY: &str = "/data/A/IDENTITY";
const VOTE: &str = "/data/A/VOTE";

/// What has decayed, and how.
#[derive(Debug)]
struct Decay {
    path: PathBuf,
    sectors: Range<usize>,
    rot: Rot,
}

impl fmt::Display for Decay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, sectors, rot } = self;
        write!(formatter, "{rot:?} in sectors {sectors:?} of {}", path.display())
    }
}

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

    /// Puts the disk back, but for what has decayed; false if that changes nothing.
    fn damage(&self, decay: &Decay) -> bool {
        self.disk.restore(&self.state);
        let corrupt = |sector| self.disk.corrupt(&decay.path, sector, decay.rot);
        decay.sectors.clone().map(corrupt).fold(false, |any, changed| any | changed)
    }

    /// Lets sectors decay, and returns whether that lost anything without a word.
    fn decay(&self, decay: &Decay) -> Outcome {
        if !self.damage(decay) {
            return Outcome::Untouched;
        }
        let opened = match recover(&self.disk) {
            Ok(opened) => opened,
            Err(error) => {
                self.repair(decay);
                return Outcome::Refused(error);
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
    /// Returns the files as they were left, with their lengths.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        self.disk.restore(&self.state);
        self.disk.files()
    }

    /// Returns damage that is refused: to a file of each kind, if there is one.
    fn refused(&self) -> Vec<(&'static str, Decay)> {
        let files = self.files();
        let refused = |kind: &'static str| {
            let files = files.iter().filter(|(path, _)| path.starts_with(kind));
            let mut decays = files.map(|(path, bytes)| {
                // A vote is lost only with both of its slots.
                let sectors = if kind == VOTE { *bytes as usize / SECTOR } else { 1 };
                Decay { path: path.clone(), sectors: 0..sectors, rot: Rot::Garbage }
            });
            decays.find(|decay| matches!(self.decay(decay), Outcome::Refused(_)))
        };
        let kinds = [WAL, SNAPSHOTS, IDENTITY, VOTE].into_iter();
        kinds.filter_map(|kind| Some((kind, refused(kind)?))).collect()
    }

    /// Returns where the parts of a file begin, which are its header and each batch or block behind
    /// that, and where it ends.
    fn parts(&self, path: &Path, bytes: u64) -> Vec<u64> {
        self.disk.restore(&self.state);
        let (place, mut text) = (self.disk.place(path), Vec::new());
        let shown = match path {
            path if path.starts_with(WAL) => wal::inspect(place, &mut text),
            path if path.starts_with(SNAPSHOTS) => snapshot::inspect(place, &mut text),
            _ => return vec![0, bytes],
        };
        shown.unwrap();
        let text = String::from_utf8(text).unwrap();
        let offset = |line: &str| line.trim_start().split_once("  ")?.0.parse().ok();
        let mut parts: Vec<u64> = text.lines().filter_map(offset).collect();
        assert!(!parts.is_empty(), "{text}");
        parts.insert(0, 0);
        parts.push(bytes);
        parts
    }

    /// Repairs what was refused.
    fn repair(&self, decay: &Decay) {
        let (what, path) = (decay, &decay.path);
        self.damage(decay);
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
    Refused(Error),
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

/// Returns whether the error says where the damage is: in the part of the file in which it is, or
/// in one that the sector reaches into, too.
fn is_told(decay: &Decay, parts: &[u64], error: &Error) -> bool {
    let Error::Corrupt { path, offset, .. } = error else { return false };
    let behind = parts.partition_point(|start| start <= offset);
    let (start, Some(end)) = (parts[behind - 1], parts.get(behind)) else { return false };
    let byte = |sector: usize| (sector * SECTOR) as u64;
    *path == decay.path && start < byte(decay.sectors.end) && byte(decay.sectors.start) < *end
}

/// Lets every sector of every file decay; returns those whose loss nobody noticed.
fn losses(closed: &Closed) -> Vec<Decay> {
    let (mut refused, mut harmless, mut lost) = (0, 0, Vec::new());
    for (path, bytes) in closed.files() {
        let parts = closed.parts(&path, bytes);
        for sector in 0..(bytes as usize).div_ceil(SECTOR) {
            for rot in [Rot::FlipBit, Rot::Zero, Rot::Garbage] {
                let decay = Decay { path: path.clone(), sectors: sector..sector + 1, rot };
                match closed.decay(&decay) {
                    Outcome::Untouched => {}
                    Outcome::Harmless => harmless += 1,
                    Outcome::Lost => lost.push(decay),
                    Outcome::Refused(error) => {
                        refused += 1;
                        let is_told = is_told(&decay, &parts, &error);
                        assert!(is_told, "{decay}, with parts at {parts:?}, is told as: {error}");
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
        let files = closed.files().into_iter().map(|(path, _)| path);
        let last = files.filter(|path| path.extension().is_some_and(|name| name == "wal")).max();
        for decay in losses(&closed) {
            assert!(
                Some(&decay.path) == last.as_ref()
                    && (start / SECTOR..=(end - 1) / SECTOR).contains(&decay.sectors.start),
                "seed {seed}: {decay} was not noticed; the last batch is {start}..{end} of {last:?}",
            );
            exceptions += 1;
        }
    }
    assert!(exceptions > 0, "the exception is there, and is documented");
}

/// A repair that is cut off at any call is taken up again by the next one.
#[test]
fn a_crash_at_any_call_of_a_repair_loses_no_vote() {
    let mut repairs = BTreeMap::new();
    for seed in seeds() {
        let closed = Closed::new(seed, true);
        for (kind, decay) in closed.refused() {
            let damaged = || {
                closed.damage(&decay);
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
                    let what = format!("seed {seed}, {decay}, call {call}, {survival:?}");
                    let opened = repair(&closed.disk);
                    let opened = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_eq!(opened.recovered.hard_state, closed.truth.hard_state, "{what}");
                    assert!(opened.recovered.is_recovering || kind == IDENTITY, "{what}");
                    *repairs.entry(kind).or_insert(0) += 1;
                }
            }
        }
    }
    println!("repairs after a crash in a repair: {repairs:?}");
    assert_eq!(repairs.len(), 4, "each kind of file was repaired: {repairs:?}");
}
