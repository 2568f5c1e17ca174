//! Crashes at every byte, damage of every bit: what opens is what was written, up to some sync, or
//! it does not open.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{HEADER, batches, command, directory, id, node, noop, open, segments, vote};
use raftkv_storage::Error;
use raftkv_storage::types::{ClusterId, Configuration, Entry, Payload};
use raftkv_storage::wal::{Record, Recovered};

/// A log of one segment with every kind of record, and what it held after each of its batches.
struct Log {
    dir: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    batches: Vec<(usize, usize)>,
    /// One more than there are batches: at first it is empty.
    states: Vec<Recovered>,
}

fn configuration(index: u64, term: u64) -> Entry {
    let mut configuration = Configuration::bootstrap(["A", "B", "C"].map(node));
    configuration.cluster = Some(ClusterId(0xfeed));
    configuration.learners.insert(node("D-4"));
    Entry { id: id(index, term), payload: Payload::Configuration(configuration) }
}

impl Log {
    fn new() -> Self {
        let dir = directory();
        let (mut wal, recovered) = open(dir.path()).unwrap();
        let mut states = vec![recovered.clone()];
        let mut state = recovered;
        let entries = |from: u64, count: u64, term, bytes| -> Vec<Entry> {
            (from..from + count).map(|index| command(index, term, bytes)).collect()
        };
        let writes: Vec<(Option<_>, Option<_>, Vec<Entry>)> = vec![
            (Some(vote(1, "A")), None, vec![]),
            (None, None, vec![configuration(1, 1), noop(2, 1)]),
            (None, None, entries(3, 3, 1, 5)),
            (None, None, entries(6, 1, 1, 700)),
            (Some(vote(2, "B")), None, entries(5, 2, 2, 3)),
            (None, None, entries(7, 2, 2, 0)),
            (None, None, entries(7, 1, 3, 30)),
            (Some(vote(4, "C")), Some(id(40, 4)), entries(41, 2, 4, 40)),
            (None, None, entries(43, 4, 4, 20)),
        ];
        for (hard_state, reset, entries) in &writes {
            let mut records = Vec::new();
            if let Some(id) = reset {
                records.push(Record::Reset(*id));
                (state.base, state.entries) = (*id, Vec::new());
            }
            if let Some(hard_state) = hard_state {
                records.push(Record::HardState(*hard_state));
                state.hard_state = *hard_state;
            }
            for entry in entries {
                records.push(Record::Entry(entry));
                state.entries.retain(|old| old.id.index < entry.id.index);
                state.entries.push(entry.clone());
            }
            wal.append(&records).unwrap();
            wal.sync().unwrap();
            states.push(state.clone());
        }
        drop(wal);
        let path = segments(dir.path()).remove(0);
        let bytes = std::fs::read(&path).unwrap();
        let batches = batches(&bytes);
        assert_eq!(batches.len() + 1, states.len(), "one batch for each sync");
        Self { dir, path, bytes, batches, states }
    }

    fn end(&self) -> usize {
        self.batches.last().unwrap().1
    }

    fn recover(&self) -> Result<Recovered, Error> {
        open(self.dir.path()).map(|(_, recovered)| recovered)
    }

    /// How many batches from the first on are what they were.
    fn intact(&self, bytes: &[u8]) -> usize {
        let same = |(start, end): &&(usize, usize)| bytes[*start..*end] == self.bytes[*start..*end];
        self.batches.iter().take_while(same).count()
    }
}

fn put(file: &File, at: usize, bytes: &[u8]) {
    file.write_all_at(bytes, at as u64).unwrap();
}

fn writable(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn whole_log_opens_as_it_was_written() {
    let log = Log::new();
    assert_eq!(log.recover().unwrap(), *log.states.last().unwrap());
}

/// The disk has got the first bytes and nothing behind them.
#[test]
fn cut_at_every_byte_gives_the_batches_before() {
    let log = Log::new();
    let file = writable(&log.path);
    for length in HEADER..=log.end() {
        let mut bytes = log.bytes.clone();
        bytes[length..].fill(0);
        put(&file, HEADER, &bytes[HEADER..]);
        let recovered = log.recover().unwrap_or_else(|error| panic!("cut at {length}: {error}"));
        assert_eq!(recovered, log.states[log.intact(&bytes)], "cut at {length}");
        let after = std::fs::read(&log.path).unwrap();
        let end = log.intact(&bytes).checked_sub(1).map_or(HEADER, |last| log.batches[last].1);
        assert!(after[end..].iter().all(|byte| *byte == 0), "cut at {length}: the rest is erased");
    }
}

/// The disk has got the last batch but for one sector, which may be any.
#[test]
fn lost_sectors_of_the_last_batch_cut_it() {
    let log = Log::new();
    let file = writable(&log.path);
    let (start, end) = *log.batches.last().unwrap();
    for at in (start..end).step_by(8) {
        let mut bytes = log.bytes.clone();
        bytes[at..at + 8].fill(0);
        put(&file, HEADER, &bytes[HEADER..]);
        let recovered = log.recover().unwrap();
        assert_eq!(recovered, log.states[log.intact(&bytes)], "zeros at {at}");
    }
}

/// A file that is shorter than its header says was never left by a crash.
#[test]
fn truncated_file_is_refused_at_every_length() {
    let log = Log::new();
    for length in (0..log.bytes.len()).rev() {
        // Every length near what was written; far behind it there are only zeros, all alike.
        if length > log.end() + 64 && length % 61 != 0 {
            continue;
        }
        writable(&log.path).set_len(length as u64).unwrap();
        let error = log.recover().expect_err("a truncated file");
        assert!(matches!(error, Error::Corrupt { .. }), "{length}: {error}");
    }
}

/// No bit of the header can change unnoticed.
#[test]
fn every_flipped_bit_of_the_header_is_refused() {
    let log = Log::new();
    let file = writable(&log.path);
    for at in 0..HEADER {
        for bit in 0..8 {
            put(&file, at, &[log.bytes[at] ^ 1 << bit]);
            let error = log.recover().expect_err("a damaged header");
            assert!(matches!(error, Error::Corrupt { .. } | Error::Refused { .. }), "{error}");
        }
        put(&file, at, &log.bytes[at..=at]);
    }
    assert_eq!(log.recover().unwrap(), *log.states.last().unwrap());
}

/// A batch with a good one behind it was promised, so damage is refused. The last one cannot be
/// told from one that was torn.
#[test]
fn every_flipped_bit_of_the_batches_is_refused_or_cut() {
    let log = Log::new();
    let file = writable(&log.path);
    let (last_start, _) = *log.batches.last().unwrap();
    let all = log.states.len() - 1;
    for at in HEADER..log.bytes.len() {
        // Behind the end there are only zeros, all alike: one bit in each eighth byte.
        let bits = if at < log.end() + 16 { 0..8 } else { 0..u32::from(at % 8 == 0) };
        for bit in bits {
            put(&file, at, &[log.bytes[at] ^ 1 << bit]);
            match log.recover() {
                Ok(recovered) if at >= log.end() => assert_eq!(recovered, log.states[all]),
                Ok(recovered) if at >= last_start => assert_eq!(recovered, log.states[all - 1]),
                Ok(_) => panic!("bit {bit} of {at} went unnoticed"),
                Err(Error::Corrupt { path, offset, .. }) => {
                    let bad = log.batches.iter().find(|(_, end)| at < *end).unwrap().0;
                    assert_eq!((path, offset), (log.path.clone(), bad as u64));
                    assert!(at < last_start, "bit {bit} of {at}: the torn end is cut");
                }
                Err(error) => panic!("bit {bit} of {at}: {error}"),
            }
            put(&file, at, &log.bytes[at..=at]);
            if at >= last_start {
                put(&file, last_start, &log.bytes[last_start..]);
            }
        }
    }
}

/// A batch that was right in another log, at the same place and with the same sequence, is wrong
/// here.
#[test]
fn batch_of_another_log_is_never_taken() {
    let (log, other) = (Log::new(), Log::new());
    let file = writable(&log.path);
    for (at, (start, end)) in log.batches.iter().enumerate() {
        assert_eq!(other.batches[at], (*start, *end), "both logs were written alike");
        put(&file, *start, &other.bytes[*start..*end]);
        match log.recover() {
            Ok(recovered) => {
                assert_eq!(at + 1, log.batches.len(), "only the end is cut");
                assert_eq!(recovered, log.states[at]);
            }
            Err(error) => assert!(matches!(error, Error::Corrupt { .. }), "{error}"),
        }
        put(&file, HEADER, &log.bytes[HEADER..]);
    }
}

/// A batch that was right at another offset is wrong here, also as the next one behind the end.
#[test]
fn batch_in_another_place_is_never_taken() {
    let log = Log::new();
    let file = writable(&log.path);
    for (start, end) in &log.batches {
        put(&file, log.end(), &log.bytes[*start..*end]);
        assert_eq!(log.recover().unwrap(), *log.states.last().unwrap());
        put(&file, HEADER, &log.bytes[HEADER..]);
    }
}

/// Segments before the last were synced to their end: every damage is refused, also to what was
/// never written.
#[test]
fn flipped_bits_of_a_full_segment_are_refused() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    let mut index = 0;
    while segments(dir.path()).len() < 2 {
        index += 1;
        common::write(&mut wal, &[command(index, 1, 1500)]);
    }
    drop(wal);
    let path = segments(dir.path()).remove(0);
    let bytes = std::fs::read(&path).unwrap();
    let file = writable(&path);
    for at in 0..bytes.len() {
        put(&file, at, &[bytes[at] ^ 1 << (at % 8)]);
        let error = open(dir.path()).map(drop).expect_err("a damaged segment");
        assert!(matches!(error, Error::Corrupt { .. } | Error::Refused { .. }), "{error}");
        put(&file, at, &bytes[at..=at]);
    }
    assert!(open(dir.path()).is_ok());
}
