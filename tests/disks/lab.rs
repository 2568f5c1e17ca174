//! A place for disks of which nothing is left, whatever happens.
//!
//! The program goes on in a mount namespace of its own, and everything it mounts is on a tmpfs in
//! there. When its last process ends, be it by kill -9, the kernel unmounts all of it, which gives
//! back the loop devices. Nodes end with the thread that started them, by the parent-death signal.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::disk::Disk;
use crate::process::{Cluster, run_to_end};

/// Says that the program is in its namespace already.
const INSIDE: &str = "RAFTKV_DISKS_INSIDE";

/// The tmpfs on which the disks are.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    /// Enters the namespace: starts this program anew in one, and returns there. An error is why
    /// that cannot be.
    pub(crate) fn enter() -> Result<Self, String> {
        let unshare = |then: &Path| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "--"]).arg(then);
            command
        };
        if std::env::var_os(INSIDE).is_none() {
            finish(&mut unshare(Path::new("true")))?;
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            let mut command = unshare(&program);
            let error = command.args(std::env::args_os().skip(1)).env(INSIDE, "1").exec();
            return Err(error.to_string());
        }
        let lab = Self { dir: tempfile::tempdir().map_err(|error| error.to_string())? };
        finish(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(lab.dir.path()))?;
        // Whatever else is needed shows here.
        Disk::try_create(lab.dir.path(), "probe", 16 << 20).map(drop)?;
        Ok(lab)
    }

    /// Returns a new directory for the disks of one case, which is removed when it is dropped.
    pub(crate) fn room(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(self.dir.path()).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = finish(Command::new("umount").arg("--lazy").arg(self.dir.path()));
    }
}

/// Runs a command to its end, and returns its output, or what it complained of.
pub(crate) fn finish(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(&name).is_file()));
    if !found {
        return Err(format!("there is no {name}"));
    }
    let output = run_to_end(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        // Such a command begins what it says with its name.
        false => Err(text(&output.stderr).replace('\n', " ")),
    }
}

/// Runs a command that must succeed.
pub(crate) fn must(program: &str, arguments: &[&str]) -> String {
    finish(Command::new(program).args(arguments)).unwrap()
}

/// Some nodes, each with its data on a disk of its own.
pub(crate) struct Machines {
    /// Dropped first: a disk cannot be unmounted under a process that uses it.
    pub(crate) cluster: Cluster,
    pub(crate) disks: Vec<Disk>,
    _room: tempfile::TempDir,
}

impl Machines {
    /// Starts three nodes that take snapshots often, on disks of this size.
    pub(crate) fn start(lab: &Lab, disk_bytes: u64) -> Self {
        let room = lab.room();
        let disks = (0..3).map(|at| Disk::create(room.path(), &format!("disk{at}"), disk_bytes));
        Self::on(disks.collect(), room)
    }

    /// Starts a node on each of these disks, which are in this room.
    pub(crate) fn on(disks: Vec<Disk>, room: tempfile::TempDir) -> Self {
        let data_dirs: Vec<PathBuf> = disks.iter().map(Disk::data_dir).collect();
        let flags = ["--snapshot-log-bytes", "262144"];
        let mut cluster = Cluster::in_data_dirs(&data_dirs, &flags);
        for node in &mut cluster.nodes {
            node.host.enter = ["setpriv", "--pdeathsig", "KILL"].map(str::to_owned).to_vec();
        }
        cluster.start_all();
        cluster.leader();
        Self { cluster, disks, _room: room }
    }

    /// Unmounts the disk of a node that has ended and mounts it again: what was only in memory is
    /// gone.
    pub(crate) fn remount(&self, at: usize) {
        self.disks[at].unmount();
        self.disks[at].mount();
    }

    /// Waits until the node has ended by itself, because of its disk, and returns the one line in
    /// which it says why. A failing disk is no bug: nothing may look like one.
    pub(crate) fn end_of(&mut self, at: usize) -> String {
        let node = &mut self.cluster.nodes[at];
        let status = node.end();
        let log = node.log_of_this_run();
        assert_eq!(status.code(), Some(1), "{log}");
        one_line(&log)
    }
}

/// Returns the one line in which a node says why it does not go on.
pub(crate) fn one_line(log: &str) -> String {
    assert!(!log.contains("panicked"), "{log}");
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("raftkv: ")).collect();
    assert_eq!(lines.len(), 1, "one line says why: {log}");
    lines[0].to_owned()
}
