//! The simulated disk keeps its own rules: each of them, shown to bite.

use std::path::Path;

use raftkv_storage::fs::FileSystem;

use crate::disk::{SimDisk, Survival};

const FILE: &str = "/file";

/// Returns a disk with one durable file of this length, all ones.
fn disk_with_file(seed: u64, length: usize) -> SimDisk {
    let disk = SimDisk::new(seed);
    let file = disk.create(Path::new(FILE)).unwrap();
    file.write_all_at(&vec![1; length], 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// Reads the file as a new process does.
fn read(disk: &SimDisk) -> Vec<u8> {
    let file = disk.clone().open(Path::new(FILE), false).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

#[test]
fn unsynced_bytes_are_lost_and_synced_ones_are_not() {
    let disk = disk_with_file(1, 2048);
    let file = disk.open(Path::new(FILE), true).unwrap();
    file.write_all_at(&[2; 100], 700).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(&[3; 3000], 100).unwrap();
    disk.crash(Survival::LoseAll);
    let mut expected = vec![1; 2048];
    expected[700..800].fill(2);
    assert_eq!(read(&disk), expected);
}
