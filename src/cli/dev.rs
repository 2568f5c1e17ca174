//! `raftkv dev`: a whole cluster on this machine, in one terminal.
//!
//! Each node is a process of its own, started with the flags that anybody would use, so that one of
//! them can be killed for real. What is shown comes from the nodes' own log lines: nothing is
//! polled. A node that dies is not started again; the line that would do it is printed.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use raftkv_storage::types::NodeId;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;

use crate::config::ReadMode;

/// How long the nodes may take to stop before they are killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// What cluster to run.
#[derive(Clone, Debug, clap::Args)]
pub struct DevArgs {
    /// How many nodes, called A, B, C, …
    #[arg(long, env = "RAFTKV_DEV_NODES", default_value_t = 3, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// Where the nodes keep their data, each in a directory of its own; what is there is used
    /// again
    #[arg(long, env = "RAFTKV_DATA_DIR", default_value = "data", value_name = "DIR")]
    data_dir: PathBuf,
    /// The gRPC port of the first node; the next ones follow
    #[arg(long, env = "RAFTKV_GRPC_PORT", default_value_t = 50051, value_name = "PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=65526))]
    grpc_port: u16,
    /// The HTTP port of the first node
    #[arg(long, env = "RAFTKV_HTTP_PORT", default_value_t = 8001, value_name = "PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=65526))]
    http_port: u16,
    /// The Redis port of the first node
    #[arg(long, env = "RAFTKV_RESP_PORT", default_value_t = 7001, value_name = "PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=65526))]
    resp_port: u16,
    /// How a leader makes sure before a read that it still leads; see `raftkv serve --help`
    #[arg(long, env = "RAFTKV_READ_MODE", value_enum, default_value_t, value_name = "MODE")]
    read_mode: ReadMode,
}

/// Signals that come closer together are one wish to stop: some programs send it to a process and
/// to its group.
const SIGNALS_APART: Duration = Duration::from_millis(500);

/// A line of a node's log, as far as it is understood.
#[derive(Debug, Deserialize)]
struct LogLine {
    #[serde(default)]
    level: String,
    #[serde(default)]
    message: String,
    role: Option<String>,
    term: Option<u64>,
    leader: Option<String>,
    error: Option<String>,
}

enum Event {
    Line(NodeId, String),
    Exited(NodeId, ExitStatus),
    Interrupted,
}

struct Node {
    flags: Vec<String>,
    addresses: [String; 3],
    pid: Option<u32>,
    role: String,
    /// Open as long as this process lives: a node whose standard input ends stops.
    _stdin: Option<tokio::process::ChildStdin>,
}

/// Runs the cluster until Ctrl-C, or until no node is left.
pub fn run(args: DevArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(run_cluster(&args))
}

async fn run_cluster(args: &DevArgs) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    let (sender, mut events) = mpsc::channel(1024);
    let mut cluster = Cluster::new(args)?;
    cluster.start(&program, &sender)?;
    say(format_args!("{cluster}"));
    say(format_args!("Ctrl-C stops all nodes."));
    tokio::spawn(async move {
        if wait_for_signal().await.is_err() || sender.send(Event::Interrupted).await.is_err() {
            return;
        }
        // A second Ctrl-C ends the patience of the first; what comes with the first is part of it.
        tokio::time::sleep(SIGNALS_APART).await;
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = sender.send(Event::Interrupted).await;
        }
    });
    while let Some(event) = events.recv().await {
        match event {
            Event::Line(id, line) => cluster.handle_line(id, &line),
            Event::Exited(id, status) => {
                cluster.handle_exit(id, status);
                if cluster.nodes.values().all(|node| node.pid.is_none()) {
                    bail!("no node is left");
                }
            }
            Event::Interrupted => break,
        }
    }
    if !cluster.stop(&mut events).await {
        bail!("some nodes did not stop by themselves and were killed");
    }
    Ok(())
}

async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

/// Refuses ports of which two nodes, or two listeners of one, would want the same.
fn check_ports(args: &DevArgs) -> anyhow::Result<()> {
    let mut taken = BTreeMap::new();
    let firsts = [
        ("--grpc-port", args.grpc_port),
        ("--http-port", args.http_port),
        ("--resp-port", args.resp_port),
    ];
    for (flag, first) in firsts {
        for port in first..first + u16::from(args.nodes) {
            if let Some(other) = taken.insert(port, flag) {
                bail!("{other} and {flag} both take port {port}: keep them {} apart", args.nodes);
            }
        }
    }
    Ok(())
}

/// The nodes, and who leads them.
struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    /// The leader of the newest term that any node has told of.
    leader: Option<String>,
    term: u64,
}

impl Cluster {
    fn new(args: &DevArgs) -> anyhow::Result<Self> {
        check_ports(args)?;
        let ids: Vec<NodeId> = (b'A'..b'A' + args.nodes)
            .map(|letter| char::from(letter).to_string().parse())
            .collect::<Result<_, _>>()?;
        let addresses = (0..).zip(&ids).map(|(at, id)| {
            let resp = format!("127.0.0.1:{}", args.resp_port + at);
            let http = format!("http://127.0.0.1:{}", args.http_port + at);
            let grpc = format!("127.0.0.1:{}", args.grpc_port + at);
            (*id, [resp, http, grpc])
        });
        let addresses: BTreeMap<NodeId, [String; 3]> = addresses.collect();
        let list = |kind: usize, without: Option<NodeId>| {
            let others = addresses.iter().filter(|(id, _)| Some(**id) != without);
            others
                .map(|(id, address)| format!("{id}={}", address[kind]))
                .collect::<Vec<_>>()
                .join(",")
        };
        let nodes = (0..).zip(&addresses).map(|(at, (id, own))| {
            let data_dir = args.data_dir.join(id.as_str());
            let flags = [
                ("--node-id", id.to_string()),
                ("--host", "127.0.0.1".to_owned()),
                ("--grpc-port", (args.grpc_port + at).to_string()),
                ("--http-port", (args.http_port + at).to_string()),
                ("--resp-port", (args.resp_port + at).to_string()),
                ("--data-dir", data_dir.display().to_string()),
                ("--grpc-peers", list(2, Some(*id))),
                ("--http-peers", list(1, None)),
                ("--resp-peers", list(0, None)),
                ("--read-mode", args.read_mode.to_string()),
            ];
            let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
            let role = "starting".to_owned();
            let node = Node {
                flags: flags.collect(),
                addresses: own.clone(),
                pid: None,
                role,
                _stdin: None,
            };
            (*id, node)
        });
        Ok(Self { nodes: nodes.collect(), leader: None, term: 0 })
    }

    fn start(&mut self, program: &Path, events: &mpsc::Sender<Event>) -> anyhow::Result<()> {
        for (id, node) in &mut self.nodes {
            let mut child = Command::new(program)
                .arg("serve")
                .args(&node.flags)
                .args(["--log-format", "json", "--log", "info", "--stop-on-stdin-end"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                // Ctrl-C is for this process, which then stops the nodes in an orderly way.
                .process_group(0)
                .spawn()
                .with_context(|| format!("starting node {id}"))?;
            node.pid = child.id();
            node._stdin = child.stdin.take();
            let stderr = child.stderr.take().context("a piped child has a standard error")?;
            tokio::spawn(follow(*id, child, stderr, events.clone()));
        }
        Ok(())
    }

    fn handle_line(&mut self, id: NodeId, line: &str) {
        let Ok(parsed) = serde_json::from_str::<LogLine>(line) else {
            say(format_args!("{id} | {line}"));
            return;
        };
        if let (Some(role), Some(term)) = (parsed.role, parsed.term) {
            if self.leader.as_deref() == Some(id.as_str()) && role != "leader" {
                self.note_leader_lost();
            }
            if let Some(node) = self.nodes.get_mut(&id) {
                node.role = role;
            }
            self.note_leader(term, parsed.leader.filter(|leader| leader != "none"));
        } else if matches!(parsed.level.as_str(), "WARN" | "ERROR") {
            let error = parsed.error.map(|error| format!(": {error}")).unwrap_or_default();
            say(format_args!("{id} | {}{error}", parsed.message));
        }
    }

    /// Prints the table when there is another leader.
    fn note_leader(&mut self, term: u64, leader: Option<String>) {
        if term < self.term || leader.is_none() {
            return;
        }
        self.term = term;
        if leader != self.leader {
            self.leader = leader;
            say(format_args!("\n{self}"));
        }
    }

    /// Says so when the leader no longer leads.
    fn note_leader_lost(&mut self) {
        self.leader = None;
        say(format_args!("\nthere is no leader; waiting for an election"));
    }

    fn handle_exit(&mut self, id: NodeId, status: ExitStatus) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.pid = None;
        node.role = "stopped".to_owned();
        say(format_args!("\nnode {id} stopped ({status}); to start it again:"));
        let program = std::env::args().next().unwrap_or_else(|| "raftkv".to_owned());
        let words = [program, "serve".to_owned()].into_iter().chain(node.flags.iter().cloned());
        say(format_args!("  {}", words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")));
        if self.leader.as_deref() == Some(id.as_str()) {
            self.note_leader_lost();
        }
    }

    /// Stops the nodes cleanly, and by force those that do not within the deadline, or before the
    /// next Ctrl-C. Returns whether no force was needed.
    async fn stop(&mut self, events: &mut mpsc::Receiver<Event>) -> bool {
        say(format_args!("\nstopping"));
        self.signal(Signal::TERM);
        let stopped = tokio::time::timeout(STOP_DEADLINE, self.wait_until_stopped(events));
        if stopped.await == Ok(true) {
            return true;
        }
        self.signal(Signal::KILL);
        while !self.wait_until_stopped(events).await {}
        false
    }

    /// Waits until no node runs any more. Returns false when interrupted.
    async fn wait_until_stopped(&mut self, events: &mut mpsc::Receiver<Event>) -> bool {
        while self.nodes.values().any(|node| node.pid.is_some()) {
            match events.recv().await {
                Some(Event::Exited(id, status)) => {
                    if let Some(node) = self.nodes.get_mut(&id) {
                        node.pid = None;
                    }
                    say(format_args!("node {id} stopped ({status})"));
                }
                Some(Event::Interrupted) => return false,
                Some(Event::Line(..)) => {}
                None => return true,
            }
        }
        true
    }

    fn signal(&self, signal: Signal) {
        for node in self.nodes.values() {
            let pid = node.pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
            if let Some(pid) = pid {
                // It may have ended by itself just now.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = ["node", "role", "redis-cli -p", "curl", "peers", "pid"];
        let [node, role, resp, http, grpc, pid] = line;
        write!(f, "{node:<5} {role:<10} {resp:<16} {http:<22} {grpc:<16} {pid}")?;
        for (id, node) in &self.nodes {
            let leads = self.leader.as_deref() == Some(id.as_str()) && node.pid.is_some();
            let role = if leads { "leader" } else { node.role.as_str() };
            let [resp, http, grpc] = &node.addresses;
            let pid = node.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            write!(f, "\n{id:<5} {role:<10} {resp:<16} {http:<22} {grpc:<16} {pid}")?;
        }
        Ok(())
    }
}

/// Prints a line. Nobody need be there to read it: the nodes go on.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Hands on a node's log lines, and then how it ended.
async fn follow(id: NodeId, mut child: Child, stderr: ChildStderr, events: mpsc::Sender<Event>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if events.send(Event::Line(id, line)).await.is_err() {
            return;
        }
    }
    if let Ok(status) = child.wait().await {
        let _ = events.send(Event::Exited(id, status)).await;
    }
}
