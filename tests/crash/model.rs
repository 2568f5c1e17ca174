//! The simulated disk keeps its own rules: each of them, shown to bite.

use std::collections::BTreeSet;
use std::path::Path;

use raftkv_storage::fs::{FileSystem, Kind};
use rustix::io::Errno;

use crate::disk::{Fault, Rot, SECTOR, SimDisk, Survival};

const FILE: &str = "/file";
const SECTORS: usize = 16;

fn root() -> &'static Path {
    Path::new("/")
}

/// Returns a disk with one durable file, all ones.
fn disk_with_file(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    let file = disk.create(Path::new(FILE)).unwrap();
    file.write_all_at(&[1; SECTORS * SECTOR], 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(root()).unwrap();
    disk
}

/// Reads the file as a new process does.
fn read(disk: &SimDisk) -> Vec<u8> {
    let file = disk.clone().open(Path::new(FILE), false).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

fn is_there(disk: &SimDisk, path: &str) -> bool {
    disk.clone().kind(Path::new(path)).unwrap() != Kind::Absent
}

/// Returns, of each sector, the byte that it is full of.
fn sectors(disk: &SimDisk) -> Vec<u8> {
    let bytes = read(disk);
    let sectors = bytes.chunks(SECTOR);
    sectors
        .inspect(|sector| assert!(sector.iter().all(|byte| *byte == sector[0])))
        .map(|s| s[0])
        .collect()
}

#[test]
fn unsynced_bytes_are_lost_and_synced_ones_are_not() {
    let disk = disk_with_file(1);
    let file = disk.open(Path::new(FILE), true).unwrap();
    file.write_all_at(&[2; 100], 700).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(&[3; 9000], 100).unwrap();
    disk.crash(Survival::LoseAll);
    let mut expected = vec![1; SECTORS * SECTOR];
    expected[700..800].fill(2);
    assert_eq!(read(&disk), expected);
}

#[test]
fn a_killed_process_leaves_its_bytes_as_dirty_as_they_were() {
    let disk = disk_with_file(1);
    disk.open(Path::new(FILE), true).unwrap().write_all_at(&[2; 100], 0).unwrap();
    disk.crash(Survival::KeepAll);
    assert_eq!(read(&disk)[..100], [2; 100]);
    disk.crash(Survival::LoseAll);
    assert_eq!(read(&disk)[..100], [1; 100]);
}

#[test]
fn chance_tears_and_reorders_by_sector() {
    let outcomes: BTreeSet<Vec<u8>> = (0..50)
        .map(|seed| {
            let disk = disk_with_file(seed);
            let file = disk.open(Path::new(FILE), true).unwrap();
            file.write_all_at(&[2; SECTORS * SECTOR], 0).unwrap();
            disk.crash(Survival::Random);
            sectors(&disk)
        })
        .collect();
    assert!(outcomes.len() > 40, "each seed has its own fate: {}", outcomes.len());
    assert!(outcomes.iter().any(|bytes| bytes[0] == 1 && bytes[1..].contains(&2)), "reordered");
}

#[test]
fn the_same_seed_has_the_same_fate() {
    let fate = |seed| {
        let disk = disk_with_file(seed);
        disk.set_write_back(500_000);
        let file = disk.open(Path::new(FILE), true).unwrap();
        for at in 0..SECTORS as u64 {
            file.write_all_at(&[2; 700], at * 500).unwrap();
        }
        disk.crash(Survival::Random);
        read(&disk)
    };
    assert_eq!(fate(7), fate(7));
    assert_ne!(fate(7), fate(8));
}

#[test]
fn a_flush_covers_the_pages_of_its_range_alone() {
    let disk = disk_with_file(1);
    let file = disk.open(Path::new(FILE), true).unwrap();
    let mut map = file.map(SECTORS * SECTOR).unwrap();
    map.store(0, &[2; SECTORS * SECTOR]);
    map.flush(10, 1).unwrap();
    disk.crash(Survival::LoseAll);
    assert_eq!(sectors(&disk), [[2; 8], [1; 8]].concat());
}

#[test]
fn a_name_needs_a_sync_of_its_directory() {
    let disk = disk_with_file(1);
    disk.create_dir(Path::new("/dir")).unwrap();
    disk.create(Path::new("/dir/a")).unwrap().sync_all().unwrap();
    disk.sync_dir(Path::new("/dir")).unwrap();
    disk.rename(Path::new(FILE), Path::new("/other")).unwrap();
    let state = disk.clone_state();
    disk.crash(Survival::LoseAll);
    assert!(!is_there(&disk, "/dir") && is_there(&disk, FILE) && !is_there(&disk, "/other"));
    disk.restore(&state);
    disk.clone().sync_dir(root()).unwrap();
    disk.crash(Survival::LoseAll);
    assert!(is_there(&disk, "/dir/a") && !is_there(&disk, FILE) && is_there(&disk, "/other"));
}

#[test]
fn of_unsynced_names_the_first_survive() {
    let mut counts = BTreeSet::new();
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        for name in ["/a", "/b", "/c"] {
            disk.create(Path::new(name)).unwrap();
        }
        disk.crash(Survival::Random);
        let there = ["/a", "/b", "/c"].map(|name| is_there(&disk, name));
        assert!(there.is_sorted_by(|before, after| before >= after), "in order: {there:?}");
        counts.insert(there);
    }
    assert_eq!(counts.len(), 4);
}

#[test]
fn nothing_of_an_earlier_life_works() {
    let disk = disk_with_file(1);
    let file = disk.open(Path::new(FILE), true).unwrap();
    let mut map = file.map(SECTORS * SECTOR).unwrap();
    let guard = disk.lock(Path::new("/lock")).unwrap();
    assert!(guard.is_some() && disk.lock(Path::new("/lock")).unwrap().is_none());
    disk.crash(Survival::KeepAll);
    map.store(0, &[9; 10]);
    assert!(map.flush(0, 10).is_err() && file.sync_all().is_err());
    assert!(file.read_at(&mut [0; 4], 0).is_err());
    assert!(disk.remove(Path::new(FILE)).is_err(), "the handle of the first life is dead too");
    assert_eq!(sectors(&disk), [1; SECTORS]);
    let next = disk.clone();
    let taken = next.lock(Path::new("/lock")).unwrap();
    assert!(taken.is_some());
    drop(guard);
    assert!(next.lock(Path::new("/lock")).unwrap().is_none(), "a dead guard gives nothing back");
}

#[test]
fn a_stopped_machine_does_nothing_more() {
    for torn in [false, true] {
        let disk = disk_with_file(3);
        let file = disk.open(Path::new(FILE), true).unwrap();
        if torn {
            disk.stop_within(2)
        } else {
            disk.stop_at(2)
        }
        file.write_all_at(&[2; SECTOR], 0).unwrap();
        assert_eq!(file.sync_data().is_ok(), !torn);
        assert!(disk.is_off());
        assert!(file.write_all_at(&[3; SECTOR], 0).is_err());
        assert!(disk.list(root()).is_err());
        disk.crash(Survival::KeepAll);
        assert_eq!(sectors(&disk)[0], 2);
    }
}

#[test]
fn a_failed_sync_leaves_clean_pages_that_the_disk_never_got() {
    let disk = disk_with_file(5);
    let file = disk.open(Path::new(FILE), true).unwrap();
    file.write_all_at(&[2; SECTORS * SECTOR], 0).unwrap();
    disk.fail_next(Fault::Sync);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(Errno::IO.raw_os_error()));
    file.sync_data().unwrap();
    assert_eq!(sectors(&disk), [2; SECTORS], "the cache knows nothing of it");
    let state = disk.clone_state();
    disk.crash(Survival::LoseAll);
    let lost = sectors(&disk);
    assert!(lost.contains(&1) && lost.contains(&2), "{lost:?}");
    disk.restore(&state);
    disk.clone().open(Path::new(FILE), true).unwrap().drop_cache();
    assert_eq!(sectors(&disk), lost, "without its cache the file is what the disk has");
}

#[test]
fn a_full_disk_says_so_and_heals() {
    let disk = disk_with_file(1);
    let file = disk.open(Path::new(FILE), true).unwrap();
    disk.set_capacity(Some(disk.used()));
    let no_space =
        |error: std::io::Error| assert_eq!(error.raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
    no_space(file.allocate(100_000).unwrap_err());
    no_space(file.write_all_at(&[1; 10], (SECTORS * SECTOR) as u64).unwrap_err());
    no_space(disk.create(Path::new("/more")).unwrap_err());
    file.write_all_at(&[1; 10], 0).unwrap();
    disk.set_capacity(None);
    file.allocate(100_000).unwrap();
    disk.create(Path::new("/more")).unwrap();
}

#[test]
fn calls_fail_by_kind_by_rate_and_by_number() {
    let disk = disk_with_file(1);
    let file = disk.open(Path::new(FILE), true).unwrap();
    disk.fail_next(Fault::Open);
    let error = disk.open(Path::new(FILE), false).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
    disk.set_rate(Fault::Read, 500_000);
    let failed = (0..100).filter(|_| file.read_at(&mut [0; 1], 0).is_err()).count();
    assert!((30..70).contains(&failed), "{failed}");
    disk.heal();
    disk.fail_next(Fault::Rename);
    assert!(disk.rename(Path::new(FILE), Path::new("/b")).is_err() && is_there(&disk, FILE));
    disk.fail_at(2, Errno::NOSPC);
    file.write_all_at(&[1], 0).unwrap();
    assert!(file.write_all_at(&[1], 0).is_err());
    file.write_all_at(&[1], 0).unwrap();
}

#[test]
fn rot_changes_one_sector_of_what_is_durable() {
    for rot in [Rot::FlipBit, Rot::Zero, Rot::Garbage] {
        let disk = disk_with_file(1);
        assert_eq!(disk.files(), [(FILE.into(), (SECTORS * SECTOR) as u64)]);
        assert!(disk.corrupt(Path::new(FILE), 3, rot));
        let bytes = read(&disk);
        let bad = (0..bytes.len()).filter(|at| bytes[*at] != 1).map(|at| at / SECTOR);
        assert_eq!(bad.collect::<BTreeSet<_>>(), BTreeSet::from([3]), "{rot:?}");
        assert!(!disk.corrupt(Path::new(FILE), SECTORS, rot), "there is no such sector");
    }
    let disk = disk_with_file(1);
    disk.remove_all();
    assert_eq!((disk.files(), disk.used()), (Vec::new(), 0));
}

#[test]
fn a_file_without_a_name_is_gone_when_it_is_closed() {
    let disk = disk_with_file(1);
    let file = disk.open(Path::new(FILE), false).unwrap();
    disk.remove(Path::new(FILE)).unwrap();
    disk.sync_dir(root()).unwrap();
    assert_eq!(file.read_at(&mut [0; 8], 0).unwrap(), 8);
    drop(file);
    disk.sync_dir(root()).unwrap();
    disk.crash(Survival::KeepAll);
    assert_eq!(disk.used(), 0);
}
