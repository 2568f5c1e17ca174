//! A disk that has lost sectors: a sync that fails, a page that cannot be read, a log that cannot.

use std::time::Duration;

use rustix::fs::{Advice, fadvise};

use crate::disk::Disk;
use crate::lab::{Lab, Machines, must};
use crate::process::client::Value;
use crate::process::load::{Load, Mix};

const DISK_BYTES: u64 = 512 << 20;
const MIX: Mix =
    Mix { resp: 3, http: 1, pipeline: 8, ballast: 64 << 10, pause: Duration::from_millis(2) };

/// What the leader has in memory cannot be written: the sync fails, and the node ends. The page
/// cache calls the pages clean and holds what the disk has not, so a second try would succeed.
pub(crate) fn writeback(lab: &Lab) {
    let mut machines = Machines::start(lab, DISK_BYTES);
    let load = Load::start(&machines.cluster, MIX);
    load.wait_for_progress();
    // Nothing but this one write is under way when the disk has broken.
    let pause = load.pause();
    let broken = machines.cluster.leader();
    machines.cluster.assert_converged();
    let mut client = machines.cluster.nodes[broken].resp();
    let segment = machines.disks[broken].segments().pop().unwrap();
    machines.disks[broken].break_from(&segment);
    // It may have been committed by the others before the leader's own sync has failed.
    let _ = client.call(&["SET", "last", "v"]);
    drop(pause);
    let why = machines.end_of(broken);
    assert!(why.contains("sync ") && why.contains(".wal: Input/output error"), "{why}");
    load.wait_for_progress();

    // It may be started, and then either comes back or says what is bad.
    machines.disks[broken].mend();
    come_back(machines, load, broken);
}

/// The store behind the disk has less room than the disk says: what was promised when the file was
/// allocated cannot be kept.
pub(crate) fn backing_store(lab: &Lab) {
    let room = lab.room();
    let small = room.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let small = Small(small);
    must("mount", &["-t", "tmpfs", "-o", "size=120m", "none", small.0.to_str().unwrap()]);
    let mut disks = vec![Disk::create(&small.0, "disk0", DISK_BYTES)];
    disks.extend((1..3).map(|at| Disk::create(room.path(), &format!("disk{at}"), DISK_BYTES)));
    let mut machines = Machines::on(disks, room);
    let load = Load::start(&machines.cluster, MIX);
    let why = machines.end_of(0);
    assert!(why.contains("; the node stops"), "{why}");
    load.wait_for_progress();

    must("mount", &["-o", "remount,size=2g", small.0.to_str().unwrap()]);
    machines.remount(0);
    come_back(machines, load, 0);
    drop(small);
}

/// A tmpfs that is unmounted when it is dropped, after the disk in it.
struct Small(std::path::PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let _ = crate::lab::finish(std::process::Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

/// A page of the active segment that is no longer in memory cannot be read back for the store that
/// is to go to it: SIGBUS.
pub(crate) fn page(lab: &Lab) {
    let mut machines = Machines::start(lab, DISK_BYTES);
    let load = Load::start(&machines.cluster, MIX);
    load.wait_for_progress();
    let broken = machines.cluster.follower();
    // What it has stored is on disk before it breaks, and the next write takes other pages too.
    let pause = load.pause();
    let leader = machines.cluster.leader();
    machines.cluster.assert_converged();
    let segment = machines.disks[broken].segments().pop().unwrap();
    machines.disks[broken].break_from(&segment);
    let file = std::fs::File::open(&segment).unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    let mut client = machines.cluster.nodes[leader].resp();
    let reply = client.call(&["SET", "large", &"x".repeat(64 << 10)]);
    assert_eq!(reply, Ok(Value::Simple("OK".into())), "the others are a majority");
    drop(pause);
    let why = machines.end_of(broken);
    assert!(why.contains("(SIGBUS)"), "{why}");
    load.wait_for_progress();
    machines.disks[broken].mend();
    come_back(machines, load, broken);
}

/// A node whose log cannot be read does not start, and says what it could not read and where.
pub(crate) fn at_start(lab: &Lab) {
    let mut machines = Machines::start(lab, DISK_BYTES);
    let load = Load::start(&machines.cluster, MIX);
    load.wait_for_progress();
    let broken = machines.cluster.follower();
    assert!(machines.cluster.nodes[broken].stop().success());
    // Nothing of it is in memory any more.
    machines.remount(broken);
    let segment = machines.disks[broken].segments().pop().unwrap();
    machines.disks[broken].break_from(&segment);
    machines.cluster.nodes[broken].start();
    let why = machines.end_of(broken);
    // Not only the log is bad: which file is met first is the file system's choice.
    let file = format!("read {}/", machines.disks[broken].data_dir().display());
    assert!(why.contains(&file) && why.contains(": at offset "), "{why}");
    assert!(why.contains("Input/output error"), "{why}");
    load.wait_for_progress();
    machines.disks[broken].mend();
    come_back(machines, load, broken);
}

/// Starts a node again whose disk was repaired, and checks that all is well.
fn come_back(mut machines: Machines, load: Load, at: usize) {
    machines.cluster.nodes[at].start();
    load.wait_for_progress();
    let ledger = load.stop();
    ledger.check(&machines.cluster);
    machines.cluster.assert_converged();
}
