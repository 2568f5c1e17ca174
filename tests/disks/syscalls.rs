//! System calls that fail once, injected by strace into a running node: a call that is made again
//! would succeed, so this shows what is not made again.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::lab::{Lab, Machines, must};
use crate::process::load::{Load, Mix};
use crate::process::{Node, wait_for};

const MIX: Mix =
    Mix { resp: 3, http: 1, pipeline: 8, ballast: 64 << 10, pause: Duration::from_millis(4) };

/// A sync of the log that fails once ends the node; one of a file that nothing depends on does not.
pub(crate) fn injected(lab: &Lab) {
    must("strace", &["-V"]);
    let mut machines = Machines::start(lab, 512 << 20);
    let load = Load::start(&machines.cluster, MIX);
    load.wait_for_progress();
    let leader = machines.cluster.leader();
    let trace = tempfile::NamedTempFile::new().unwrap();

    let node = &machines.cluster.nodes[leader];
    let strace = inject(node, "fsync:error=EIO:when=1", trace.path());
    wait_for("a snapshot that could not be synced", || {
        node.log().contains("no snapshot was taken").then_some(())
    });
    load.wait_for_progress();
    drop(strace);

    let strace = inject(node, "msync:error=EIO:when=3", trace.path());
    let why = machines.end_of(leader);
    assert!(why.contains("sync ") && why.contains(".wal: Input/output error"), "{why}");
    drop(strace);
    let syncs = std::fs::read_to_string(trace.path()).unwrap();
    let failed = syncs.find("(INJECTED)").expect("a sync that failed");
    assert!(!syncs[failed..].contains("msync("), "no sync is made after it: {syncs}");
    load.wait_for_progress();
    machines.cluster.nodes[leader].start();
    load.wait_for_progress();
    load.stop().check(&machines.cluster);
    machines.cluster.assert_converged();
}

/// A strace that is ended when it is dropped.
struct Strace(Child);

fn inject(node: &Node, what: &str, trace: &Path) -> Strace {
    let call = what.split(':').next().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-q", "-e", &format!("trace={call}"), "-e", &format!("inject={what}")]);
    command.arg("-o").arg(trace).args(["-p", &node.pid().to_string()]);
    Strace(command.stdin(Stdio::null()).spawn().unwrap())
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
