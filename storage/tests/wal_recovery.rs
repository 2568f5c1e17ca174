//! What a log holds after it was closed, crashed, cut, compacted, or damaged, one case after the
//! other.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use std::os::unix::fs::FileExt;
use std::path::Path;

use common::{
    HEADER, batches, command, copy, directory, id, ids, node, noop, open, options, segments, vote,
    write,
};
use raftkv_storage::Error;
use raftkv_storage::types::{ClusterId, Entry, HardState};
use raftkv_storage::wal::{self, Record, Recovered, SEGMENT_BYTES_MIN, Wal, WalOptions};

fn recover(dir: &Path) -> Recovered {
    open(dir).expect("the log opens").1
}

fn refusal(dir: &Path) -> Error {
    open(dir).map(drop).expect_err("the log must not open")
}

fn overwrite(path: &Path, offset: usize, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("open");
    file.write_all_at(bytes, offset as u64).expect("write");
}

/// Entries of 1500 bytes from index one on, until the log has so many segments. Returns the last
/// index.
fn fill(wal: &mut Wal, dir: &Path, count: usize) -> u64 {
    let mut index = 0;
    while segments(dir).len() < count {
        index += 1;
        write(wal, &[command(index, 1, 1500)]);
    }
    index
}

#[test]
fn new_log_is_empty() {
    let dir = directory();
    let dir = dir.path().join("data/wal");
    let empty = Recovered { hard_state: HardState::default(), base: id(0, 0), entries: Vec::new() };
    assert_eq!(open(&dir).unwrap().1, empty);
    assert_eq!(recover(&dir), empty);
}

#[test]
fn nothing_that_was_not_synced_is_recovered() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    write(&mut wal, &[command(1, 1, 10)]);
    wal.append(&[Record::Entry(&command(2, 1, 10))]).unwrap();
    drop(wal);
    let (mut wal, recovered) = open(dir.path()).unwrap();
    assert_eq!(ids(&recovered), [id(1, 1)]);
    write(&mut wal, &[noop(2, 2)]);
    drop(wal);
    assert_eq!(recover(dir.path()).entries, [command(1, 1, 10), noop(2, 2)]);
}

/// Several appends before a sync are one batch. Were they several, a crash could leave a later one
/// whole behind a torn one, and recovery would take that for damage.
#[test]
fn appends_before_a_sync_are_one_batch() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    for index in 1..=3 {
        wal.append(&[Record::Entry(&command(index, 1, 100))]).unwrap();
    }
    wal.sync().unwrap();
    wal.sync().unwrap();
    drop(wal);
    let path = segments(dir.path()).remove(0);
    assert_eq!(batches(&std::fs::read(&path).unwrap()).len(), 1);
    overwrite(&path, HEADER + 16, &[0; 64]);
    assert_eq!(ids(&recover(dir.path())), []);
}

#[test]
fn writing_goes_on_behind_a_torn_batch() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    write(&mut wal, &[command(1, 1, 10)]);
    write(&mut wal, &[command(2, 1, 3000), command(3, 1, 3000)]);
    drop(wal);
    let path = segments(dir.path()).remove(0);
    let (torn, _) = batches(&std::fs::read(&path).unwrap())[1];
    overwrite(&path, torn + 3000, &[0; 512]);
    let (mut wal, recovered) = open(dir.path()).unwrap();
    assert_eq!(ids(&recovered), [id(1, 1)]);
    write(&mut wal, &[noop(2, 2)]);
    write(&mut wal, &[noop(3, 2)]);
    drop(wal);
    assert_eq!(ids(&recover(dir.path())), [id(1, 1), id(2, 2), id(3, 2)]);
}

#[test]
fn bad_batch_before_a_good_one_is_refused_and_named() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    for index in 1..=3 {
        write(&mut wal, &[command(index, 1, 100)]);
    }
    drop(wal);
    let path = segments(dir.path()).remove(0);
    let (bad, end) = batches(&std::fs::read(&path).unwrap())[1];
    let before = std::fs::read(&path).unwrap();
    // One damaged byte, and a batch that has vanished without a trace.
    for damage in [vec![0xff], vec![0; end - bad]] {
        overwrite(&path, bad, &damage);
        let damaged = std::fs::read(&path).unwrap();
        match refusal(dir.path()) {
            Error::Corrupt { path: named, offset, .. } => {
                assert_eq!((named, offset), (path.clone(), bad as u64));
            }
            error => panic!("{error}"),
        }
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "what is refused is left as it is");
        overwrite(&path, 0, &before);
    }
    assert_eq!(recover(dir.path()).entries.len(), 3);
}

/// Zeros at the end of a full segment are its end only if the next one begins with the batch that
/// follows.
#[test]
fn lost_end_of_a_full_segment_is_refused() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    fill(&mut wal, dir.path(), 2);
    drop(wal);
    let path = segments(dir.path()).remove(0);
    let (start, end) = *batches(&std::fs::read(&path).unwrap()).last().unwrap();
    overwrite(&path, start, &vec![0; end - start]);
    assert!(matches!(refusal(dir.path()), Error::Corrupt { .. }));
}

/// Even a batch that has changed nothing is missed.
#[test]
fn lost_batch_is_missed_by_its_sequence() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    write(&mut wal, &[command(1, 1, 8000)]);
    write_hard_state(&mut wal, 7);
    write_hard_state(&mut wal, 7);
    write(&mut wal, &[command(2, 1, 8000)]);
    drop(wal);
    let path = segments(dir.path()).remove(0);
    let (start, end) = batches(&std::fs::read(&path).unwrap())[2];
    overwrite(&path, start, &vec![0; end - start]);
    let error = refusal(dir.path()).to_string();
    assert!(error.contains("batch 3 is missing; the next file begins with 4"), "{error}");
}

#[test]
fn missing_segment_is_refused() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    fill(&mut wal, dir.path(), 4);
    drop(wal);
    std::fs::remove_file(&segments(dir.path())[1]).unwrap();
    let error = refusal(dir.path()).to_string();
    assert!(error.contains("a file is missing"), "{error}");
}

#[test]
fn foreign_and_renamed_segments_are_refused() {
    let dir = directory();
    drop(open(dir.path()).unwrap());
    let foreign = Wal::open(dir.path(), WalOptions { node: node("B"), ..options() });
    let error = foreign.map(drop).expect_err("the log of A").to_string();
    assert!(error.contains("the log of node A"), "{error}");

    let path = segments(dir.path()).remove(0);
    let renamed = dir.path().join("0000000000000001-00000000000000000007.wal");
    std::fs::rename(&path, &renamed).unwrap();
    assert!(matches!(refusal(dir.path()), Error::Corrupt { .. }));
    std::fs::rename(&renamed, dir.path().join("1-0.wal")).unwrap();
    assert!(matches!(refusal(dir.path()), Error::Refused { .. }));
    std::fs::rename(dir.path().join("1-0.wal"), &path).unwrap();

    // Another version of the format with a right checksum is one; with a wrong one it is damage.
    overwrite(&path, 8, &[2]);
    assert!(matches!(refusal(dir.path()), Error::Corrupt { .. }));
    let mut page = std::fs::read(&path).unwrap();
    page.truncate(4096);
    page[12..16].fill(0);
    overwrite(&path, 12, &crc32fast::hash(&page).to_le_bytes());
    let error = refusal(dir.path());
    assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains("version 2")));
}

#[test]
fn segment_of_another_cluster_is_refused() {
    let (dir, other) = (directory(), directory());
    for (dir, cluster) in [(&dir, 1), (&other, 2)] {
        let (mut wal, _) = open(dir.path()).unwrap();
        fill(&mut wal, dir.path(), 2);
        wal.set_cluster(ClusterId(cluster));
        assert_eq!(wal.cluster(), Some(ClusterId(cluster)));
        let last = 1 + segments(dir.path()).len() as u64;
        let mut index = recover_last(dir.path(), &wal);
        while segments(dir.path()).len() as u64 <= last + 1 {
            index += 1;
            write(&mut wal, &[command(index, 1, 1500)]);
        }
    }
    let (wal, _) = open(dir.path()).unwrap();
    assert_eq!(wal.cluster(), Some(ClusterId(1)), "it is known again after a start");
    drop(wal);
    let newest = segments(other.path()).pop().unwrap();
    std::fs::copy(&newest, dir.path().join(newest.file_name().unwrap())).unwrap();
    let error = refusal(dir.path()).to_string();
    assert!(error.contains("another cluster"), "{error}");
}

/// The last index of an open log, seen through its files.
fn recover_last(dir: &Path, _open: &Wal) -> u64 {
    let seen = directory();
    copy(dir, seen.path());
    recover(seen.path()).entries.last().map_or(0, |entry| entry.id.index)
}

/// etcd #22442: what was replaced must not come back, whatever a snapshot holds, and the last term
/// decides elections.
#[test]
fn replaced_entries_never_come_back() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    let old: Vec<Entry> = (1..=9).map(|index| command(index, 1, 50)).collect();
    write(&mut wal, &old);
    write(&mut wal, &[command(4, 2, 60)]);
    wal.compact(8).unwrap();
    drop(wal);
    let recovered = recover(dir.path());
    assert_eq!(ids(&recovered), [id(1, 1), id(2, 1), id(3, 1), id(4, 2)]);
    assert_eq!(recovered.entries[3], command(4, 2, 60));
}

/// Entries of one call may replace each other too.
#[test]
fn replacing_works_within_one_batch_and_across_segments() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    let last = fill(&mut wal, dir.path(), 3);
    write(&mut wal, &[noop(3, 2), noop(4, 2), noop(4, 3), noop(5, 3), noop(2, 4)]);
    assert!(last > 5);
    drop(wal);
    let recovered = recover(dir.path());
    assert_eq!(recovered.entries, [command(1, 1, 1500), noop(2, 4)]);
}

/// The segment with the entries before a cut is gone; the cut itself says what they ended with.
#[test]
fn cut_before_the_first_segment_that_is_left() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    let last = fill(&mut wal, dir.path(), 2);
    let before = last - 3;
    write(&mut wal, &[noop(before + 1, 2), noop(before + 2, 2), noop(before + 3, 2)]);
    write(&mut wal, &[noop(before + 4, 2), noop(before + 5, 2)]);
    wal.compact(last).unwrap();
    assert_eq!(segments(dir.path()).len(), 1, "all of the first segment is in the snapshot");
    drop(wal);
    let recovered = recover(dir.path());
    assert_eq!(recovered.base, id(before, 1));
    assert_eq!(recovered.entries[0], noop(before + 1, 2));
    assert_eq!(recovered.entries.len(), 5);
}

#[test]
fn reset_replaces_everything() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    write(&mut wal, &[noop(1, 1), noop(2, 1), noop(3, 1)]);
    wal.append(&[Record::Reset(id(100, 4)), Record::HardState(vote(5, "C"))]).unwrap();
    wal.sync().unwrap();
    let (copied, after) = (directory(), directory());
    copy(dir.path(), copied.path());
    let reset = Recovered { hard_state: vote(5, "C"), base: id(100, 4), entries: Vec::new() };
    assert_eq!(recover(copied.path()), reset);
    write(&mut wal, &[noop(101, 5)]);
    copy(dir.path(), after.path());
    assert_eq!(recover(after.path()), Recovered { entries: vec![noop(101, 5)], ..reset });
    // A reset may also go back, and in the same batch as entries on both sides of it.
    let (a, b) = (noop(102, 5), noop(51, 6));
    wal.append(&[Record::Entry(&a), Record::Reset(id(50, 3)), Record::Entry(&b)]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let recovered = recover(dir.path());
    assert_eq!((recovered.base, ids(&recovered)), (id(50, 3), vec![id(51, 6)]));
}

/// A record that leaves nothing, or less than a batch needs, of its segment.
#[test]
fn rolls_at_exact_boundaries() {
    let free = SEGMENT_BYTES_MIN - HEADER;
    // Two batches of two heads each; the second ends right before, at, or behind the end of the
    // segment.
    let first = 6000;
    for last in (free - 2 * 40 - first - 80)..=(free - 2 * 40 - first + 9) {
        let dir = directory();
        let (mut wal, _) = open(dir.path()).unwrap();
        write(&mut wal, &[command(1, 1, first)]);
        write(&mut wal, &[command(2, 1, last)]);
        let rolled = segments(dir.path()).len();
        let end = HEADER + 40 + first + (40 + last).next_multiple_of(8);
        assert_eq!(rolled, if end <= SEGMENT_BYTES_MIN { 1 } else { 2 }, "{last} bytes");
        write(&mut wal, &[command(3, 1, 9), command(4, 1, 9)]);
        drop(wal);
        let (mut wal, recovered) = open(dir.path()).unwrap();
        let expected =
            [command(1, 1, first), command(2, 1, last), command(3, 1, 9), command(4, 1, 9)];
        assert_eq!(recovered.entries, expected);
        write(&mut wal, &[command(5, 1, first)]);
        drop(wal);
        assert_eq!(recover(dir.path()).entries.len(), 5);
    }
}

/// The full segment is synced before the next one begins, even if nobody asked: only the last one
/// may be torn.
#[test]
fn append_over_many_segments_is_synced_but_for_the_last() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    let entries: Vec<Entry> = (1..=40).map(|index| command(index, 1, 2000)).collect();
    let records: Vec<_> = entries.iter().map(Record::Entry).collect();
    wal.append(&records).unwrap();
    assert!(segments(dir.path()).len() > 5);
    drop(wal);
    let recovered = recover(dir.path());
    let synced = recovered.entries.len();
    assert!((34..40).contains(&synced), "{synced} entries");
    assert_eq!(recovered.entries, entries[..synced]);
}

#[test]
fn compaction_at_every_index_leaves_a_log_that_opens() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    wal.append(&[Record::HardState(vote(1, "B"))]).unwrap();
    let last = fill(&mut wal, dir.path(), 5);
    drop(wal);
    let mut kept = 5;
    for through in 0..=last + 1 {
        let copied = directory();
        copy(dir.path(), copied.path());
        let (mut wal, whole) = open(copied.path()).unwrap();
        wal.compact(through).unwrap();
        drop(wal);
        let left = segments(copied.path()).len();
        assert!(left <= kept && left >= 1, "the active segment stays");
        kept = left;
        let (mut wal, recovered) = open(copied.path()).unwrap();
        assert_eq!(recovered.hard_state, vote(1, "B"), "it is in every header");
        assert!(recovered.base.index <= through, "only what the snapshot holds is gone");
        let gone = usize::try_from(recovered.base.index).unwrap();
        assert_eq!(recovered.entries, whole.entries[gone..]);
        write(&mut wal, &[noop(last + 1, 2)]);
        drop(wal);
        assert_eq!(recover(copied.path()).entries.last(), Some(&noop(last + 1, 2)));
    }
    assert_eq!(kept, 1);
}

#[test]
fn leftovers_of_a_crash_are_removed() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    write(&mut wal, &[noop(1, 1)]);
    drop(wal);
    let leftover = dir.path().join("prepared-9.tmp");
    std::fs::write(&leftover, [7; 5000]).unwrap();
    assert_eq!(recover(dir.path()).entries, [noop(1, 1)]);
    assert!(!leftover.exists());
}

/// A crash right after a new segment got its name leaves it empty.
#[test]
fn last_segment_may_be_empty() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    wal.append(&[Record::HardState(vote(3, "C"))]).unwrap();
    let last = fill(&mut wal, dir.path(), 3);
    drop(wal);
    let path = segments(dir.path()).remove(2);
    overwrite(&path, HEADER, &vec![0; SEGMENT_BYTES_MIN - HEADER]);
    let (mut wal, recovered) = open(dir.path()).unwrap();
    assert_eq!(ids(&recovered).last(), Some(&id(last - 1, 1)));
    assert_eq!(recovered.hard_state, vote(3, "C"));
    wal.compact(last - 1).unwrap();
    drop(wal);
    let recovered = recover(dir.path());
    assert_eq!((recovered.base, recovered.entries.len()), (id(last - 1, 1), 0));
    assert_eq!(recovered.hard_state, vote(3, "C"));
}

#[test]
fn too_large_an_entry_is_refused_before_anything_is_written() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    let most = wal.max_record_bytes();
    let (small, large) = (command(1, 1, most), command(2, 1, most + 25));
    let error = wal.append(&[Record::Entry(&small), Record::Entry(&large)]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    wal.sync().unwrap();
    write(&mut wal, std::slice::from_ref(&small));
    write(&mut wal, &[command(1, 2, most)]);
    drop(wal);
    assert_eq!(recover(dir.path()).entries, [command(1, 2, most)]);
}

fn write_hard_state(wal: &mut Wal, term: u64) {
    wal.append(&[Record::HardState(vote(term, "A"))]).unwrap();
    wal.sync().unwrap();
}

/// The usual segment, and the largest entries that the frontends let through.
#[test]
fn entries_of_20_mib_fit() {
    let dir = directory();
    let options = WalOptions::new(node("A"));
    let (mut wal, _) = Wal::open(dir.path(), options.clone()).unwrap();
    for index in 1..=4 {
        write(&mut wal, &[command(index, 1, 20 * 1024 * 1024)]);
    }
    drop(wal);
    assert_eq!(segments(dir.path()).len(), 2);
    let (wal, recovered) = Wal::open(dir.path(), options).unwrap();
    assert_eq!(ids(&recovered), [id(1, 1), id(2, 1), id(3, 1), id(4, 1)]);
    assert_eq!(recovered.entries[3], command(4, 1, 20 * 1024 * 1024));
    assert!(wal.max_record_bytes() > 20 * 1024 * 1024);
}

#[test]
#[should_panic(expected = "neither follows 2@1 nor replaces one")]
fn gap_is_a_bug_of_the_caller() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    write(&mut wal, &[noop(1, 1), noop(2, 1), noop(4, 1)]);
}

#[test]
fn inspect_shows_the_log_and_its_first_bad_byte() {
    let dir = directory();
    let (mut wal, _) = open(dir.path()).unwrap();
    wal.append(&[Record::HardState(vote(2, "B")), Record::Entry(&noop(1, 1))]).unwrap();
    wal.sync().unwrap();
    write(&mut wal, &[command(2, 1, 10)]);
    write(&mut wal, &[command(2, 2, 10)]);
    drop(wal);
    let path = segments(dir.path()).remove(0);
    let show = |path: &Path| {
        let mut out = Vec::new();
        let result = wal::inspect(path, &mut out);
        (String::from_utf8(out).unwrap(), result)
    };
    let (text, result) = show(dir.path());
    result.unwrap();
    for line in ["node=A", "term=2 vote=B", "1@1 no-op", "2@2 command, 10 bytes", "cut after 1@1"] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert_eq!(show(&path).0, text);

    let whole = std::fs::read(&path).unwrap();
    let found = batches(&whole);
    overwrite(&path, found[2].0 + 20, &[0xff]);
    let damaged = std::fs::read(&path).unwrap();
    let (text, result) = show(&path);
    result.unwrap();
    assert!(text.contains(&format!("{}  torn", found[2].0)), "{text}");
    assert_eq!(std::fs::read(&path).unwrap(), damaged, "looking changes nothing");
    overwrite(&path, 0, &whole);
    overwrite(&path, found[1].0 + 20, &[0xff]);
    let (text, result) = show(&path);
    assert!(matches!(result, Err(Error::Corrupt { .. })));
    assert!(text.contains(&format!("corrupt at offset {}", found[1].0)), "{text}");
}
