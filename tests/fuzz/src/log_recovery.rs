//! The log after its files were damaged: it opens as what it once was, or says which file is bad.
//!
//! The input is a life of a log on a simulated disk, and then what happens to the files. Damage
//! that changes bytes blindly must be found by the checksums; forged records, with right ones,
//! must at least harm nobody.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use raftkv_storage::fs::{FileReader, FileSystem};
use raftkv_storage::types::{Entry, EntryId, HardState, NodeId, Payload};
use raftkv_storage::wal::{self, Record, Recovered, SEGMENT_BYTES_MIN, Wal, WalOptions};

use super::disk::{SimDisk, Survival};
use super::input::Input;

const DIR: &str = "/wal";
const HEADER: usize = 4096;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut author = Author::new();
    for _ in 0..input.below(24) {
        author.step(&mut input);
    }
    let Author { disk, states, synced, wal, .. } = author;
    drop(wal);
    disk.crash(input.pick(&[Survival::LoseAll, Survival::KeepAll, Survival::Random]));
    let disk = disk.clone();
    match input.below(4) {
        0 => {
            let recovered = open(&disk).expect("a crash harms nothing");
            assert!(states[synced..].iter().any(|state| state.is(&recovered)), "{recovered:?}");
            goes_on(&disk, recovered);
        }
        1 => {
            forge(&disk, &mut input);
            if let Some(recovered) = open(&disk) {
                goes_on(&disk, recovered);
            }
        }
        _ => {
            damage(&disk, &mut input);
            if let Some(recovered) = open(&disk) {
                assert!(states.iter().any(|state| state.is(&recovered)), "{recovered:?} never was");
                goes_on(&disk, recovered);
            }
        }
    }
}

fn node() -> NodeId {
    "A".parse().unwrap()
}

fn open_wal(disk: &SimDisk) -> Result<(Wal, Recovered), raftkv_storage::Error> {
    let (segment_bytes, prepare_ahead) = (SEGMENT_BYTES_MIN, false);
    Wal::open(
        disk.place(DIR),
        WalOptions { segment_bytes, prepare_ahead, ..WalOptions::new(node()) },
    )
}

/// Opens the log; `None` when it is refused, in words that say which file it is.
fn open(disk: &SimDisk) -> Option<Recovered> {
    let inspected = wal::inspect(disk.place(DIR), &mut Vec::new());
    match open_wal(disk) {
        Ok((_, recovered)) => Some(recovered),
        Err(error) => {
            assert!(inspected.is_err() || error.to_string().contains("this node is"), "{error}");
            assert!(error.to_string().contains(DIR), "{error} names no file");
            None
        }
    }
}

/// What was recovered is durable, and the log can be continued from there.
fn goes_on(disk: &SimDisk, mut expected: Recovered) {
    disk.crash(Survival::LoseAll);
    let (mut wal, again) = open_wal(disk).expect("what was opened once can be opened");
    assert_eq!(again, expected, "recovered, and then lost");
    let last = expected.entries.last().map_or(expected.base, |entry| entry.id);
    let Some(index) = last.index.checked_add(1) else { return };
    let entry = Entry { id: EntryId { term: last.term, index }, payload: Payload::Noop };
    if wal.append(&[Record::Entry(&entry)]).and_then(|()| wal.sync()).is_err() {
        return; // Only forged numbers are used up.
    }
    drop(wal);
    disk.crash(Survival::LoseAll);
    expected.entries.push(entry);
    assert_eq!(open_wal(disk).expect("a log that was continued").1, expected);
}

/// What the log holds, as if nothing were ever compacted.
#[derive(Clone, Default)]
struct State {
    hard_state: HardState,
    base: EntryId,
    entries: Vec<Entry>,
}

impl State {
    fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    /// Returns whether this was recovered, from wherever it begins.
    fn is(&self, recovered: &Recovered) -> bool {
        let Some(skip) = recovered.base.index.checked_sub(self.base.index) else { return false };
        let skip = skip as usize;
        let before =
            skip.checked_sub(1).map_or(Some(self.base), |at| Some(self.entries.get(at)?.id));
        self.hard_state == recovered.hard_state
            && before == Some(recovered.base)
            && self.entries[skip..] == recovered.entries
    }
}

/// A log, and what it held after each record.
struct Author {
    disk: SimDisk,
    wal: Option<Wal>,
    states: Vec<State>,
    /// Which of them is durable for certain.
    synced: usize,
    /// Nothing up to here is ever replaced.
    floor: u64,
    term: u64,
}

impl Author {
    fn new() -> Self {
        let disk = SimDisk::new(1);
        let wal = Some(open_wal(&disk).unwrap().0);
        Self { disk, wal, states: vec![State::default()], synced: 0, floor: 0, term: 1 }
    }

    fn state(&self) -> &State {
        self.states.last().unwrap()
    }

    fn wal(&mut self) -> &mut Wal {
        self.wal.as_mut().unwrap()
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(10) {
            0..=2 => {
                let next = self.state().last().index + 1;
                self.entries(next, input);
            }
            3 => {
                let last = self.state().last().index;
                self.term += 1;
                self.entries(
                    last + 1 - input.below((last - self.floor + 1) as usize) as u64,
                    input,
                );
            }
            4 => {
                self.term += 1;
                let hard_state = HardState { term: self.term, vote: input.coin().then(node) };
                let state = State { hard_state, ..self.state().clone() };
                self.append(&[Record::HardState(hard_state)], [state]);
            }
            5 => {
                let index = self.state().last().index + input.below(20) as u64;
                let base = EntryId { term: self.term, index };
                let state = State { base, entries: Vec::new(), ..self.state().clone() };
                self.append(&[Record::Reset(base)], [state]);
                self.floor = index;
                self.sync();
            }
            6 => {
                // A snapshot holds only what is durable.
                self.sync();
                let span = self.state().last().index - self.floor;
                self.floor += span * input.below(101) as u64 / 100;
                let floor = self.floor;
                self.wal().compact(floor).unwrap();
            }
            7 => {
                self.wal().mark().unwrap();
                self.synced = self.states.len() - 1;
            }
            _ => self.sync(),
        }
    }

    fn entries(&mut self, first: u64, input: &mut Input<'_>) {
        let mut state = self.state().clone();
        let mut states = Vec::new();
        for index in first..=first + input.below(4) as u64 {
            let id = EntryId { term: self.term, index };
            let mut bytes = format!("{id}:").into_bytes();
            bytes.resize(bytes.len() + 14 * usize::from(input.byte()), index as u8);
            let entry = Entry { id, payload: Payload::Command(Bytes::from(bytes)) };
            state.entries.retain(|kept| kept.id.index < index);
            state.entries.push(entry);
            states.push(state.clone());
        }
        let added: Vec<Entry> =
            states.iter().map(|state| state.entries.last().unwrap().clone()).collect();
        let records: Vec<Record<'_>> = added.iter().map(Record::Entry).collect();
        self.append(&records, states);
    }

    fn append(&mut self, records: &[Record<'_>], states: impl IntoIterator<Item = State>) {
        self.wal().append(records).unwrap();
        self.states.extend(states);
    }

    fn sync(&mut self) {
        self.wal().sync().unwrap();
        self.synced = self.states.len() - 1;
    }
}

/// Returns the segments with their bytes.
fn segments(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let names = disk.list(Path::new(DIR)).unwrap();
    let mut paths: Vec<PathBuf> = names.iter().map(|name| Path::new(DIR).join(name)).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
    paths.sort();
    let read = |path: PathBuf| {
        let mut bytes = Vec::new();
        let mut file = FileReader::new(disk.open(&path, false).unwrap());
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// Replaces a file by one with these bytes.
fn put(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let _ = disk.remove(path);
    let file = disk.create(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
}

/// Changes bytes and files blindly: whoever could choose the bytes would find the checksums that
/// go with them.
fn damage(disk: &SimDisk, input: &mut Input<'_>) {
    for _ in 0..=input.below(4) {
        let mut files = segments(disk);
        if files.is_empty() {
            return;
        }
        let at = input.below(files.len());
        let (path, bytes) = &mut files[at];
        let offset = input.below(SEGMENT_BYTES_MIN).min(bytes.len().saturating_sub(1));
        let end = (offset + 1 + 8 * usize::from(input.byte())).min(bytes.len());
        match input.below(8) {
            0 => bytes[offset..end].fill(0),
            1 => bytes[offset / 512 * 512..].fill(0),
            2 => bytes.truncate(offset),
            3 => bytes.extend_from_slice(input.bytes()),
            4 => bytes.copy_within(offset..end, input.below(SEGMENT_BYTES_MIN).min(offset)),
            5 => {
                disk.remove(path).unwrap();
                disk.sync_dir(Path::new(DIR)).unwrap();
                continue;
            }
            _ => {
                let mask = input.byte();
                bytes[offset..end.min(offset + 8)].iter_mut().for_each(|byte| *byte ^= mask);
            }
        }
        put(disk, path, bytes);
    }
}

/// Writes what the input says into files, with the checksums that go with it.
fn forge(disk: &SimDisk, input: &mut Input<'_>) {
    for (path, mut bytes) in segments(disk) {
        for _ in 0..input.below(3) {
            let in_header = input.coin();
            let offset = if in_header { input.below(160) } else { HEADER + input.below(4096) };
            let patch = input.bytes();
            bytes[offset..offset + patch.len()].copy_from_slice(patch);
        }
        checksum_header(&mut bytes);
        let end = checksum_batches(&mut bytes);
        // And a batch of its own.
        let records = input.bytes();
        if end + 16 + records.len() <= bytes.len() && !records.is_empty() {
            bytes[end..end + 4].copy_from_slice(&(records.len() as u32).to_le_bytes());
            let sequence = u64::from(input.byte());
            bytes[end + 8..end + 16].copy_from_slice(&sequence.to_le_bytes());
            bytes[end + 16..end + 16 + records.len()].copy_from_slice(records);
            checksum_batches(&mut bytes);
        }
        put(disk, &path, &bytes);
    }
}

fn checksum_header(bytes: &mut [u8]) {
    bytes[12..16].fill(0);
    let crc = crc32fast::hash(&bytes[..HEADER]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// Writes the checksum of each batch, and returns where they end.
fn checksum_batches(bytes: &mut [u8]) -> usize {
    let (salt, segment) = (bytes[32..40].to_vec(), bytes[16..24].to_vec());
    let mut offset = HEADER;
    while offset + 16 <= bytes.len() {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = word(offset) as usize;
        let start = offset + 16;
        let end = (start + length).next_multiple_of(8);
        if length == 0 || end > bytes.len() {
            break;
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&[&salt[..], &segment, &(offset as u64).to_le_bytes()].concat());
        crc.update(&bytes[offset + 8..end]);
        crc.update(&(length as u64).to_le_bytes());
        bytes[offset + 4..offset + 8].copy_from_slice(&crc.finalize().to_le_bytes());
        offset = end;
    }
    offset.min(bytes.len())
}
