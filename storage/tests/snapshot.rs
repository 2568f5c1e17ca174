//! Snapshots: what is read is what was written, or an error, whatever has happened to the file.

mod common;

use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{directory, id, node};
use raftkv_storage::Error;
use raftkv_storage::snapshot::{self, Received, SnapshotReader, SnapshotReceiver, SnapshotWriter};
use raftkv_storage::types::{ClusterId, Configuration, SnapshotMeta};

fn meta(index: u64) -> SnapshotMeta {
    let mut configuration = Configuration::bootstrap(["A", "B", "C"].map(node));
    configuration.cluster = Some(ClusterId(7));
    configuration.learners.insert(node("D"));
    SnapshotMeta { last: id(index, 3), configuration }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn write(dir: &Path, index: u64, bytes: &[u8]) -> PathBuf {
    let mut writer = SnapshotWriter::create(dir, &meta(index)).expect("create");
    writer.write_all(bytes).expect("write");
    writer.finish().expect("finish").to_path_buf()
}

fn latest(dir: &Path) -> Result<Option<(PathBuf, SnapshotMeta)>, Error> {
    Ok(snapshot::latest(dir)?.map(|latest| (latest.place.to_path_buf(), latest.meta)))
}

fn read(path: &Path) -> Result<(SnapshotMeta, Vec<u8>), String> {
    let mut reader = SnapshotReader::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok((reader.meta().clone(), bytes))
}

fn names(dir: &Path) -> Vec<String> {
    let items = std::fs::read_dir(dir).expect("the directory");
    let mut names: Vec<_> =
        items.map(|item| item.expect("an item").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn who_writes_may_rest_after_each_block_and_when_it_is_read_back() {
    let dir = directory();
    let (sender, told) = std::sync::mpsc::channel();
    let mut writer = SnapshotWriter::create(dir.path(), &meta(12))
        .expect("create")
        .with_rest(move |bytes| sender.send(bytes).expect("somebody listens"));
    writer.write_all(&bytes(300_000)).expect("write");
    writer.finish().expect("finish");
    let once = [256 * 1024, 300_000 - 256 * 1024];
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [once, once].concat());
}

#[test]
fn reads_what_was_written() {
    const BLOCK: usize = 256 * 1024;
    for count in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
        let dir = directory();
        assert_eq!(latest(dir.path()).unwrap(), None);
        let path = write(dir.path(), 12, &bytes(count));
        assert_eq!(read(&path).unwrap(), (meta(12), bytes(count)));
        assert_eq!(latest(dir.path()).unwrap(), Some((path, meta(12))));
        assert_eq!(names(dir.path()), ["snap-00000000000000000012-00000000000000000003"]);
    }
}

#[test]
fn directory_that_is_not_there_has_no_snapshot() {
    assert_eq!(latest(&directory().path().join("none")).unwrap(), None);
}

/// Writers, pieces of any size: the bytes are what counts.
#[test]
fn pieces_make_no_difference() {
    let (dir, other) = (directory(), directory());
    let data = bytes(600_000);
    let whole = write(dir.path(), 1, &data);
    let mut writer = SnapshotWriter::create(other.path(), &meta(1)).unwrap();
    for piece in data.chunks(977) {
        writer.write_all(piece).unwrap();
    }
    let pieces = writer.finish().unwrap();
    assert_eq!(std::fs::read(whole).unwrap(), std::fs::read(pieces).unwrap());
}

#[test]
fn cut_at_every_byte_is_an_error() {
    let dir = directory();
    let path = write(dir.path(), 5, &bytes(700));
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(read(&path).is_err(), "{length} of {} bytes", whole.len());
        assert!(matches!(latest(dir.path()), Err(Error::Corrupt { .. })), "{length}");
    }
    std::fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    assert!(read(&path).is_err(), "a byte too many");
}

#[test]
fn every_flipped_bit_is_an_error() {
    let dir = directory();
    let data = bytes(700);
    let path = write(dir.path(), 5, &data);
    let whole = std::fs::read(&path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            file.write_all_at(&[whole[at] ^ 1 << bit], at as u64).unwrap();
            assert!(read(&path).is_err(), "bit {bit} of {at}");
        }
        file.write_all_at(&whole[at..=at], at as u64).unwrap();
    }
    assert_eq!(read(&path).unwrap().1, data);
}

/// No byte of a bad block is handed out, and blocks cannot change places.
#[test]
fn blocks_are_checked_before_they_are_seen() {
    const BLOCK: usize = 256 * 1024;
    let dir = directory();
    let data = bytes(3 * BLOCK);
    let path = write(dir.path(), 5, &data);
    let mut whole = std::fs::read(&path).unwrap();
    let end = whole.len() - 36;
    let block = BLOCK + 8;
    let (first, second) = (end - 3 * block, end - 2 * block);
    let copied = whole[second..second + block].to_vec();
    whole.copy_within(first..second, second);
    whole[first..second].copy_from_slice(&copied);
    std::fs::write(&path, &whole).unwrap();
    let mut seen = vec![0; BLOCK];
    let moved = SnapshotReader::open(&path).unwrap().read(&mut seen);
    assert!(moved.is_err(), "no byte of a block in another place is handed out");

    whole.copy_within(second..second + block, first);
    whole[second..second + block].copy_from_slice(&copied);
    whole[second + block - 1] ^= 1;
    std::fs::write(&path, &whole).unwrap();
    let mut reader = SnapshotReader::open(&path).unwrap();
    reader.read_exact(&mut seen).unwrap();
    assert_eq!(seen, data[..BLOCK]);
    assert_eq!(reader.read(&mut seen).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn bad_newest_falls_back_to_the_one_before() {
    let dir = directory();
    let older = write(dir.path(), 5, &bytes(10));
    let newest = write(dir.path(), 9, &bytes(20));
    std::fs::write(&newest, "nothing").unwrap();
    assert_eq!(latest(dir.path()).unwrap(), Some((older.clone(), meta(5))));
    std::fs::write(&older, "nothing").unwrap();
    match latest(dir.path()) {
        Err(Error::Corrupt { path, .. }) => assert_eq!(path, newest, "the newest counts"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn snapshot_under_another_name_is_bad() {
    let dir = directory();
    let path = write(dir.path(), 5, &bytes(10));
    let renamed = dir.path().join("snap-00000000000000000006-00000000000000000003");
    std::fs::rename(path, renamed).unwrap();
    assert!(matches!(latest(dir.path()), Err(Error::Corrupt { .. })));
}

#[test]
fn two_are_kept_and_what_is_not_finished_is_not_there() {
    let dir = directory();
    for index in [3, 8, 11, 10_000_000_000_000_000_000] {
        write(dir.path(), index, &bytes(10));
    }
    let kept = [
        "snap-00000000000000000011-00000000000000000003",
        "snap-10000000000000000000-00000000000000000003",
    ];
    assert_eq!(names(dir.path()), kept);
    let mut writer = SnapshotWriter::create(dir.path(), &meta(u64::MAX)).unwrap();
    writer.write_all(&bytes(300_000)).unwrap();
    assert_eq!(names(dir.path()).len(), 3);
    assert_eq!(latest(dir.path()).unwrap().unwrap().1.last.index, 10_000_000_000_000_000_000);
    drop(writer);
    assert_eq!(names(dir.path()), kept);
}

fn receive(dir: &Path, file: &[u8]) -> Result<(Received, Vec<u8>), Error> {
    let mut receiver = SnapshotReceiver::create(dir, &meta(9))?;
    for chunk in file.chunks(1000) {
        receiver.write(receiver.offset(), chunk)?;
    }
    receiver.finish(read_out)
}

fn read_out(reader: &mut SnapshotReader) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn received_snapshot_is_installed_when_it_is_whole() {
    let (leader, dir) = (directory(), directory());
    let data = bytes(300_000);
    let file = std::fs::read(write(leader.path(), 9, &data)).unwrap();
    write(dir.path(), 2, &bytes(1));
    let (received, seen) = receive(dir.path(), &file).unwrap();
    assert_eq!(received.meta, meta(9));
    assert_eq!(seen, data);
    assert_eq!(latest(dir.path()).unwrap().unwrap().1, meta(2), "not before it is installed");
    let path = received.install().unwrap();
    assert_eq!(latest(dir.path()).unwrap(), Some((path.to_path_buf(), meta(9))));
    assert_eq!(std::fs::read(path).unwrap(), file);
}

#[test]
fn received_snapshot_that_is_dropped_leaves_nothing() {
    let (leader, dir) = (directory(), directory());
    let file = std::fs::read(write(leader.path(), 9, &bytes(3000))).unwrap();
    drop(receive(dir.path(), &file).unwrap());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn bad_received_snapshots_are_refused_and_removed() {
    let (leader, dir) = (directory(), directory());
    let file = std::fs::read(write(leader.path(), 9, &bytes(3000))).unwrap();
    let mut flipped = file.clone();
    flipped[2000] ^= 4;
    let other = std::fs::read(write(leader.path(), 10, &bytes(3000))).unwrap();
    for (bad, what) in [
        (&file[..file.len() - 1], "cut"),
        (&flipped[..], "flipped"),
        (&other[..], "not the one that was announced"),
        (&[][..], "empty"),
    ] {
        assert!(receive(dir.path(), bad).is_err(), "{what}");
        assert!(names(dir.path()).is_empty(), "{what}");
    }
}

#[test]
fn what_nobody_has_read_to_its_end_is_not_installed() {
    let (leader, dir) = (directory(), directory());
    let file = std::fs::read(write(leader.path(), 9, &bytes(3000))).unwrap();
    let mut receiver = SnapshotReceiver::create(dir.path(), &meta(9)).unwrap();
    receiver.write(0, &file).unwrap();
    let refused = receiver.finish(|reader| reader.read_exact(&mut [0; 3000]));
    assert!(matches!(refused, Err(Error::Refused { .. })), "the footer was not seen");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn chunks_must_follow_and_stay_below_the_limit() {
    let (leader, dir) = (directory(), directory());
    let file = std::fs::read(write(leader.path(), 9, &bytes(3000))).unwrap();
    let limit = file.len() as u64;
    let mut receiver = SnapshotReceiver::with_limit(dir.path(), &meta(9), limit).unwrap();
    receiver.write(0, &file[..100]).unwrap();
    for offset in [0, 99, 101, u64::MAX] {
        let refused = receiver.write(offset, &file[100..200]);
        assert!(matches!(refused, Err(Error::Refused { .. })), "{offset}");
    }
    receiver.write(100, &file[100..]).unwrap();
    let refused = receiver.write(limit, &[0]);
    assert!(matches!(refused, Err(Error::Refused { .. })), "beyond the limit");
    // What was refused has changed nothing.
    assert_eq!(receiver.finish(read_out).unwrap().0.meta, meta(9));
}

#[test]
fn inspect_shows_blocks_and_the_first_bad_one() {
    let dir = directory();
    let path = write(dir.path(), 9, &bytes(300_000));
    let mut out = Vec::new();
    snapshot::inspect(&path, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("last=9@3") && text.contains("footer: 2 blocks, 300000 bytes"), "{text}");
    let mut file = std::fs::read(&path).unwrap();
    let at = file.len() - 100;
    file[at] ^= 1;
    std::fs::write(&path, file).unwrap();
    let mut out = Vec::new();
    assert!(snapshot::inspect(&path, &mut out).is_err());
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("block 0") && text.contains("BAD"), "{text}");
}
