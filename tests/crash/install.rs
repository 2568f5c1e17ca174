//! A crash at every call in which the node's own writer puts a leader's snapshot in place and
//! resets the log to it: one of the two alone would be a node that has lost all it acknowledged.

use std::collections::BTreeSet;
use std::io::Read;

use raftkv::persist::{Queue, Writer};
use raftkv::raft::Write;
use raftkv_storage::Error;
use raftkv_storage::snapshot::SnapshotReceiver;
use raftkv_storage::types::{Entry, EntryId, HardState, Payload, SnapshotMeta};

use crate::disk::{SimDisk, Survival};
use crate::life::{file_of, recover, recover_and_go_on};
use crate::script::configuration;

const BEFORE: EntryId = EntryId { term: 1, index: 2 };
const SNAPSHOT: EntryId = EntryId { term: 2, index: 40 };
const AFTER: EntryId = EntryId { term: 2, index: 41 };

/// Has a node write some log, and then install a snapshot and go on behind it, in one turn.
fn install(disk: &SimDisk) -> Result<(), Error> {
    let opened = recover(disk)?;
    let snapshots = opened.data_dir.snapshot_dir();
    let mut writer = Writer::new(opened.data_dir, opened.wal);
    let mut queue = Queue::default();
    let first = Payload::Configuration(configuration());
    let first = Entry { id: EntryId { term: 1, index: 1 }, payload: first };
    let hard_state = Some(HardState { term: 1, vote: None });
    let entries = vec![first, Entry { id: BEFORE, payload: Payload::Noop }];
    let (job, _) = queue.write(Write { hard_state, entries, ..Write::default() }, None, Vec::new());
    writer.push(job.unwrap());
    writer.run()?;

    let meta = SnapshotMeta { last: SNAPSHOT, configuration: configuration() };
    let mut receiver = SnapshotReceiver::create(snapshots, &meta)?;
    receiver.write(0, &file_of(&meta))?;
    let (received, _) = receiver.finish(|reader| reader.read_to_end(&mut Vec::new()))?;
    let hard_state = Some(HardState { term: 2, vote: None });
    let entries = vec![Entry { id: AFTER, payload: Payload::Noop }];
    let write = Write { snapshot: Some(meta), hard_state, entries, recovered: false };
    let (job, _) = queue.write(write, Some(received), Vec::new());
    writer.push(job.unwrap());
    writer.run().map(drop)
}

#[test]
fn snapshot_and_log_change_together() {
    let disk = SimDisk::new(0);
    install(&disk).unwrap();
    let mut found = BTreeSet::new();
    for call in 1..=disk.calls() + 1 {
        for torn in [false, true] {
            for survival in [Survival::LoseAll, Survival::KeepAll, Survival::Random] {
                let disk = SimDisk::new(call);
                if torn {
                    disk.stop_within(call)
                } else {
                    disk.stop_at(call)
                }
                let done = install(&disk).is_ok();
                disk.crash(survival);
                let seen = recover_and_go_on(&disk, &mut 0)
                    .unwrap_or_else(|reason| panic!("call {call} {torn} {survival:?}: {reason}"));
                let whole = (seen.snapshot, seen.last());
                assert!(!done || whole == (SNAPSHOT, AFTER), "call {call}: {seen:?}");
                found.insert(whole);
            }
        }
    }
    let states = [(EntryId::default(), BEFORE), (SNAPSHOT, SNAPSHOT), (SNAPSHOT, AFTER)];
    assert!(states.iter().all(|state| found.contains(state)), "{found:?}");
}
