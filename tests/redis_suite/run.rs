//! One file of the suite, run against a node of its own.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::known::Known;
use crate::process::{Cluster, free_port};
use crate::report::{End, Report, Verdict};
use crate::source::Source;

/// For so long a test may do nothing that can be seen.
const SILENCE: Duration = Duration::from_secs(60);
/// For so long all tests of a file may take.
const FILE_TIME: Duration = Duration::from_secs(20 * 60);
/// How many tests of a file may hang, and be left out when it is run once more.
const HUNG_MAX: usize = 5;

/// Tests of what is not there by design: DEBUG and PFDEBUG, replication and persistence as Redis
/// has them, eviction.
const TAGS: &str = "-needs:debug -needs:pfdebug -needs:repl -needs:save -needs:config-maxmemory";
const OPTIONS: [&str; 5] =
    ["--singledb", "--ignore-encoding", "--ignore-digest", "--durable", "--dont-clean"];

/// Runs a file. Whatever becomes of it, a test that hangs does not take the others with it.
pub(crate) fn file(source: &Source, file: &str, known: &Known, is_verbose: bool) -> Report {
    let mut hung: Vec<String> = Vec::new();
    loop {
        let skipped: Vec<&str> = known.not_run().chain(hung.iter().map(String::as_str)).collect();
        let mut report = run(source, file, &skipped, is_verbose);
        for test in &mut report.tests {
            if hung.contains(&test.name) {
                test.verdict = Verdict::Failed(format!("hangs for {SILENCE:?}"));
            }
        }
        match report.end.clone() {
            End::Done => return report,
            End::Hung(name) if hung.len() < HUNG_MAX && !hung.contains(&name) => hung.push(name),
            end => {
                report.push("the end of the file", Verdict::Failed(format!("{end:?}")));
                return report;
            }
        }
    }
}

fn run(source: &Source, file: &str, skipped: &[&str], is_verbose: bool) -> Report {
    let dir = tempfile::tempdir().unwrap();
    source.link_into(dir.path());
    let skip_file = dir.path().join("skip.txt");
    std::fs::write(&skip_file, skipped.join("\n")).unwrap();
    let mut cluster = Cluster::start(1, &[]);
    let leader = cluster.leader();
    let node = &mut cluster.nodes[leader];
    let mut command = Command::new("tclsh");
    command.arg("tests/test_helper.tcl").args(["--host", "127.0.0.1"]).args(OPTIONS);
    command.args(["--port", &node.resp.to_string()]).args(["--tags", TAGS]);
    // Where the suite listens itself: 32 ports below, of which it takes the first that is free.
    let base_port = u32::from(free_port()) + 32;
    command.args(["--baseport", &base_port.to_string()]);
    command.args(["--timeout", &SILENCE.as_secs().to_string()]);
    command.arg("--skipfile").arg(&skip_file).args(["--single", file]);
    let output = output(command.current_dir(dir.path()), dir.path());
    if is_verbose {
        println!("{output}");
    }
    let mut report = Report::read(&output);
    if report.end == End::Aborted {
        let tail: Vec<&str> = output.lines().rev().take(20).collect();
        let tail: String = tail.into_iter().rev().map(|line| format!("{line}\n")).collect();
        report.push("the last words of the suite", Verdict::Failed(tail));
    }
    let log = node.log();
    if log.contains("panicked") || node.status().is_none() {
        report.push("the node does not live", Verdict::Failed(log));
    }
    report
}

/// Returns what a command has said when it has ended, or its time.
fn output(command: &mut Command, dir: &Path) -> String {
    let path = dir.join("output.txt");
    let log = File::create(&path).unwrap();
    let command = command.env("TERM", "dumb").stdin(Stdio::null()).process_group(0);
    let command = command.stdout(log.try_clone().unwrap()).stderr(log);
    let suite = Group(command.spawn().unwrap());
    let deadline = Instant::now() + FILE_TIME;
    while !suite.has_ended() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(suite);
    // Names and values of tests are bytes.
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// A process and all that it has started; they end with it.
struct Group(Child);

impl Group {
    /// Returns whether the process has ended. Its id, which is the group's, stays taken.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.0)), options).unwrap().is_some()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}
