//! Snapshots that are damaged, forged, or come in pieces: what is read is what was written, or an
//! error that names the file.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use raftkv::persist;
use raftkv_storage::Error;
use raftkv_storage::fs::{FileReader, FileSystem, Place};
use raftkv_storage::keyspace::Keyspace;
use raftkv_storage::keyspace::command::Stamp;
use raftkv_storage::snapshot::{self, Latest, SnapshotReader, SnapshotReceiver, SnapshotWriter};
use raftkv_storage::types::{ClusterId, Configuration, EntryId, SnapshotMeta};

use super::commands;
use super::disk::SimDisk;
use super::input::Input;

const DIR: &str = "/snapshots";

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(4) {
        0 => damaged(&mut input),
        1 => received(&mut input),
        2 => forged(&mut input),
        _ => raw(input.rest()),
    }
}

fn meta(index: u64) -> SnapshotMeta {
    let mut configuration = Configuration::bootstrap(["A", "B"].map(|name| name.parse().unwrap()));
    configuration.cluster = Some(ClusterId(7));
    SnapshotMeta { last: EntryId { term: 3, index }, configuration }
}

/// Writes a snapshot of a few commands, and returns its file and the bytes of it.
fn written(disk: &SimDisk, input: &mut Input<'_>, index: u64) -> (Place, Vec<u8>) {
    let mut keyspace = Keyspace::default();
    let (_, payload) = commands::batch(input).into_parts(Stamp { time_ms: 1, seed: 1 });
    if let Some(payload) = payload {
        keyspace.apply(index, &payload);
    }
    let place = persist::write_snapshot(disk.place(DIR), &meta(index), &keyspace.view()).unwrap();
    let mut bytes = Vec::new();
    FileReader::new(place.open().unwrap()).read_to_end(&mut bytes).unwrap();
    (place, bytes)
}

/// Replaces a file by one with these bytes.
fn put(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let _ = disk.remove(path);
    let file = disk.create(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
}

/// Returns all that a snapshot holds.
fn read(place: &Place) -> Result<(SnapshotMeta, Vec<u8>), String> {
    let mut reader = SnapshotReader::open(place).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok((reader.meta().clone(), bytes))
}

/// Changes bytes, and returns whether it has. Only by masks and by repetition: whoever could choose
/// the bytes would find the checksums that go with them.
fn damage(bytes: &mut Vec<u8>, input: &mut Input<'_>) -> bool {
    let before = bytes.clone();
    for _ in 0..=input.below(4) {
        let at = input.below(1 << 16) % bytes.len().max(1);
        match input.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.resize(bytes.len() + input.below(256), input.byte()),
            2 => {
                let length = input.below(64).min(bytes.len() - at);
                bytes.copy_within(at..at + length, 0);
            }
            3 => drop(bytes.drain(at..(at + input.below(8)).min(bytes.len()))),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= input.byte();
                }
            }
        }
    }
    *bytes != before
}

/// A file that is not what it was is an error, and the one before it is used.
fn damaged(input: &mut Input<'_>) {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new(DIR)).unwrap();
    let older = input.coin().then(|| written(&disk, input, 4).0);
    let (place, whole) = written(&disk, input, 9);
    let content = read(&place).unwrap();
    let mut bytes = whole;
    let is_damaged = damage(&mut bytes, input);
    put(&disk, &place, &bytes);

    let latest = snapshot::latest(disk.place(DIR));
    if !is_damaged {
        assert_eq!(read(&place), Ok(content));
        assert_eq!(latest.unwrap().unwrap().place.as_ref() as &Path, place.as_ref() as &Path);
        return;
    }
    names(&place, &read(&place).expect_err("damage is not read"));
    names(&place, &snapshot::inspect(&place, &mut Vec::new()).unwrap_err().to_string());
    match (older, latest) {
        (Some(older), Ok(Some(Latest { place, meta, newest }))) => {
            assert_eq!(place.as_ref() as &Path, older.as_ref() as &Path);
            assert_eq!((meta.last.index, newest.index), (4, 9));
        }
        (None, Err(error)) => names(&place, &error.to_string()),
        (older, latest) => panic!("{latest:?} with {older:?} before it"),
    }
}

fn names(path: &Path, error: &str) {
    assert!(error.contains(path.to_str().unwrap()), "{error:?} does not name {}", path.display());
}

/// A leader's file, in pieces: what is put in place is the leader's file.
fn received(input: &mut Input<'_>) {
    let disk = SimDisk::new(1);
    let (_, whole) = written(&SimDisk::new(2), input, 9);
    let mut bytes = whole.clone();
    if input.coin() {
        damage(&mut bytes, input);
    }
    let mut receiver = SnapshotReceiver::create(disk.place(DIR), &meta(9)).unwrap();
    let mut rest = &bytes[..];
    while !rest.is_empty() && !input.is_empty() {
        let next = receiver.offset();
        let length = (1 + input.below(200)).min(rest.len());
        let offset = if input.below(4) == 0 { input.number() } else { next };
        match receiver.write(offset, &rest[..length]) {
            Ok(()) if offset == next => rest = &rest[length..],
            other => assert!(other.is_err() && offset != next && receiver.offset() == next),
        }
    }
    // Damage that has not arrived is none: the leader's file with more behind it, of which only the
    // file has come.
    let is_whole = bytes[..bytes.len() - rest.len()] == whole;
    match receiver.finish(|reader| reader.read_to_end(&mut Vec::new())) {
        Ok((received, _)) => {
            assert!(is_whole, "what has arrived is not the leader's file");
            let place = received.install().unwrap();
            let latest = snapshot::latest(disk.place(DIR)).unwrap().unwrap();
            assert_eq!(latest.place.as_ref() as &Path, place.as_ref() as &Path);
        }
        Err(error) => assert!(!is_whole, "{error}"),
    }
    let names = disk.list(Path::new(DIR)).unwrap();
    assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");
}

/// Right checksums around what no server of ours has written: it is refused, or it is a keyspace
/// that can go on.
fn forged(input: &mut Input<'_>) {
    let disk = SimDisk::new(1);
    let meta = meta(1 + input.number() % (u64::MAX / 2));
    let later = commands::batch(input);
    let content = input.rest();
    let mut writer = SnapshotWriter::create(disk.place(DIR), &meta).unwrap();
    writer.write_all(content).unwrap();
    let place = writer.finish().unwrap();
    let mut reader = SnapshotReader::open(&place).unwrap();
    let Ok(mut keyspace) = persist::restore(&mut reader) else { return };
    let mut again = Vec::new();
    keyspace.view().write_to(&mut again).unwrap();
    assert!(again == content, "there is one way to write a keyspace");
    let (reads, payload) = later.into_parts(Stamp { time_ms: 1, seed: 1 });
    drop(keyspace.read(&reads, u64::MAX));
    if let Some(payload) = payload {
        keyspace.apply(meta.last.index + 1, &payload);
    }
    let _ = keyspace.view().digest();
}

/// Any bytes at all.
fn raw(bytes: &[u8]) {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new(DIR)).unwrap();
    let path = PathBuf::from(DIR).join("snap-00000000000000000009-00000000000000000003");
    put(&disk, &path, bytes);
    let is_good = |result: &Result<(), Error>| match result {
        Ok(()) => true,
        Err(error) => {
            names(&path, &error.to_string());
            false
        }
    };
    let inspected = is_good(&snapshot::inspect(disk.place(&path), &mut Vec::new()));
    let latest = is_good(&snapshot::latest(disk.place(DIR)).map(drop));
    assert!(inspected || !latest, "what is used can be shown");
    assert_eq!(read(&disk.place(&path)).is_ok(), inspected);
}
