//! Real processes: a cluster of the built program on loopback, and plain clients for both
//! protocols.
//!
//! Everything is bounded in time. Nodes are killed by their own process id when the cluster is
//! dropped.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod client;
pub(crate) mod command_line;
pub(crate) mod load;

use std::borrow::BorrowMut;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use client::{Resp, Value, http_get};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

/// The longest anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `probe` returns something, and fails with `what` when it takes too long.
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns a port that nobody listens on, below the range from which the system takes ports for
/// clients.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1_000).unwrap() * 12;
    loop {
        let port = 18_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// The machine that a node believes to be on.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) address: Ipv4Addr,
    /// What the program is started by, such as `ip netns exec NAME`.
    pub(crate) enter: Vec<String>,
    /// What its environment has beside that of the test.
    pub(crate) variables: Vec<(String, String)>,
}

impl Default for Host {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, enter: Vec::new(), variables: Vec::new() }
    }
}

/// Who is at an end of a link: a node, by its place, or all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Node(usize),
    Clients,
}

/// What a node listens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Port {
    Grpc,
    Http,
    Resp,
}

/// One node: its flags, and its process while it runs.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) host: Host,
    pub(crate) grpc: u16,
    pub(crate) http: u16,
    pub(crate) resp: u16,
    pub(crate) data_dir: PathBuf,
    /// What it says on standard error.
    log: PathBuf,
    /// How much of that is of earlier runs.
    log_before: usize,
    flags: Vec<String>,
    child: Option<Child>,
}

/// A cluster in a directory of its own.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    dir: tempfile::TempDir,
}

impl Cluster {
    /// Starts `size` nodes with small log segments and `extra` flags.
    pub(crate) fn start(size: usize, extra: &[&str]) -> Self {
        let mut cluster = Self::on(vec![Host::default(); size], tempfile::tempdir().unwrap());
        cluster.connect_directly(extra);
        cluster.start_all();
        cluster
    }

    /// Returns a cluster with a node for each of these directories. None of them runs yet.
    pub(crate) fn in_data_dirs(data_dirs: &[PathBuf], extra: &[&str]) -> Self {
        let hosts = vec![Host::default(); data_dirs.len()];
        let mut cluster = Self::on(hosts, tempfile::tempdir().unwrap());
        for (node, data_dir) in cluster.nodes.iter_mut().zip(data_dirs) {
            node.data_dir.clone_from(data_dir);
        }
        cluster.connect_directly(extra);
        cluster
    }

    /// Lets the nodes know each other by where they listen.
    pub(crate) fn connect_directly(&mut self, extra: &[&str]) {
        let addresses: Vec<_> = self.nodes.iter().map(Node::addresses).collect();
        self.connect(extra, |_, to, port| addresses[to][port as usize]);
    }

    /// Starts the nodes that do not run.
    pub(crate) fn start_all(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.child.is_none()) {
            node.start();
        }
    }

    /// Returns a node for each host, with their data in `dir`, none of which knows the others or
    /// runs.
    pub(crate) fn on(hosts: Vec<Host>, dir: tempfile::TempDir) -> Self {
        let node = |(at, host)| {
            let id = char::from(b'A' + u8::try_from(at).unwrap()).to_string();
            let data_dir = dir.path().join(&id);
            let (log, log_before) = (data_dir.with_extension("log"), 0);
            let [grpc, http, resp] = [free_port(), free_port(), free_port()];
            let (flags, child) = (Vec::new(), None);
            Node { id, host, grpc, http, resp, data_dir, log, log_before, flags, child }
        };
        let nodes = hosts.into_iter().enumerate().map(node).collect();
        Self { nodes, dir }
    }

    /// Tells every node where it reaches the others, and where clients reach each: by `route`, from
    /// whom, to which node, and for what.
    pub(crate) fn connect(
        &mut self,
        extra: &[&str],
        route: impl Fn(End, usize, Port) -> SocketAddr,
    ) {
        let ids: Vec<String> = self.nodes.iter().map(|node| node.id.clone()).collect();
        let list = |from, port, scheme: &str| {
            let item =
                |(to, id): (usize, &String)| format!("{id}={scheme}{}", route(from, to, port));
            ids.iter().enumerate().map(item).collect::<Vec<_>>().join(",")
        };
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let ports = [node.grpc, node.http, node.resp].map(|port| port.to_string());
            let flags = [
                ["--node-id", &node.id],
                ["--host", &node.host.address.to_string()],
                ["--grpc-port", &ports[0]],
                ["--http-port", &ports[1]],
                ["--resp-port", &ports[2]],
                ["--data-dir", node.data_dir.to_str().unwrap()],
                ["--grpc-peers", &list(End::Node(at), Port::Grpc, "")],
                ["--http-peers", &list(End::Clients, Port::Http, "http://")],
                ["--resp-peers", &list(End::Clients, Port::Resp, "")],
            ];
            node.flags =
                flags.as_flattened().iter().chain(extra).map(ToString::to_string).collect();
            if !node.host.address.is_loopback() {
                node.flags.push("--insecure-listen".to_owned());
            }
            if !extra.contains(&"--wal-segment-bytes") {
                node.flags.extend(["--wal-segment-bytes".to_owned(), (48 << 20).to_string()]);
            }
        }
    }

    /// Keeps the directory, with all data and logs, when the test is over, and says where it is.
    pub(crate) fn keep(&mut self) -> &Path {
        self.dir.disable_cleanup(true);
        self.dir.path()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until a leader takes writes, and returns where it stands in `nodes`.
    pub(crate) fn leader(&self) -> usize {
        wait_for("a leader that takes writes", || {
            (0..self.nodes.len()).find(|at| {
                let node = &self.nodes[*at];
                let Some(mut resp) = node.try_resp() else { return false };
                resp.call(&["SET", "leader?", "yes"]) == Ok(Value::Simple("OK".into()))
            })
        })
    }

    /// Returns a node that does not lead.
    pub(crate) fn follower(&self) -> usize {
        (self.leader() + 1) % self.nodes.len()
    }

    /// Waits until all running nodes have applied the same index, and checks that their digests
    /// agree there.
    pub(crate) fn assert_converged(&self) {
        wait_for("equal digests at an equal index", || {
            let running = self.nodes.iter().filter(|node| node.child.is_some());
            let states: Option<Vec<(u64, String)>> = running.map(Node::digest).collect();
            let states = states?;
            let indexes: BTreeSet<u64> = states.iter().map(|state| state.0).collect();
            if indexes.len() > 1 {
                return None;
            }
            let digests: BTreeSet<&String> = states.iter().map(|state| &state.1).collect();
            assert_eq!(digests.len(), 1, "replicas differ at one index: {states:?}");
            Some(())
        });
    }
}

impl Node {
    /// Starts the node's process.
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.id);
        let mut options = std::fs::OpenOptions::new();
        let log = options.create(true).append(true).open(&self.log).unwrap();
        self.log_before = usize::try_from(log.metadata().unwrap().len()).unwrap();
        let mut command = self.command();
        self.child = Some(command.stderr(log).spawn().unwrap());
    }

    /// Starts the node with this flag from now on.
    pub(crate) fn add_flag(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// Starts the node without this flag from now on.
    pub(crate) fn remove_flag(&mut self, flag: &str) {
        self.flags.retain(|known| known != flag);
    }

    /// Returns the command that starts the node.
    pub(crate) fn command(&self) -> Command {
        self.command_with(&[])
    }

    /// Returns the command that starts the node with other values for some flags.
    pub(crate) fn command_with(&self, changed: &[(&str, &str)]) -> Command {
        let mut flags = self.flags.clone();
        for (flag, value) in changed {
            let at = flags.iter().position(|known| known == flag).unwrap();
            flags[at + 1] = (*value).to_owned();
        }
        let program = env!("CARGO_BIN_EXE_raftkv").to_owned();
        let words = [self.host.enter.as_slice(), &[program]].concat();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("serve").args(flags);
        command.envs(self.host.variables.iter().cloned());
        // Who is to stop with us holds an end of a pipe whose other end is ours.
        let is_bound = self.flags.iter().any(|flag| flag == "--stop-on-stdin-end");
        let stdin = if is_bound { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::null());
        command
    }

    /// Returns where the node listens, in the order of [`Port`].
    pub(crate) fn addresses(&self) -> [SocketAddr; 3] {
        [self.grpc, self.http, self.resp].map(|port| (self.host.address, port).into())
    }

    /// Returns where the node listens for something.
    pub(crate) fn address(&self, port: Port) -> SocketAddr {
        self.addresses()[port as usize]
    }

    /// Returns whether the process is to run, and how it has ended all the same.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }

    /// Returns whether the process was started and has not been seen to end.
    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Returns the id of the process, which was started.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Kills the process as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.take().unwrap().wait().unwrap();
    }

    /// Asks the process to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        wait_for("the end of the process", || child.try_wait().unwrap())
    }

    /// Connects a Redis client, if the node accepts.
    pub(crate) fn try_resp(&self) -> Option<Resp> {
        Resp::connect(self.address(Port::Resp)).ok()
    }

    /// Connects a Redis client, waiting until the node accepts.
    pub(crate) fn resp(&self) -> Resp {
        wait_for("the RESP port", || self.try_resp())
    }

    /// Returns `/status`, if the node answers.
    pub(crate) fn status(&self) -> Option<Json> {
        let (status, body) = http_get(self.address(Port::Http), "/status").ok()?;
        (status == 200).then(|| serde_json::from_slice(&body).unwrap())
    }

    /// Returns the index that is applied and the digest of the keyspace there.
    pub(crate) fn digest(&self) -> Option<(u64, String)> {
        let (_, body) = http_get(self.address(Port::Http), "/status?digest=true").ok()?;
        let status: Json = serde_json::from_slice(&body).ok()?;
        Some((status["applied_index"].as_u64()?, status["digest"].as_str()?.to_owned()))
    }

    /// Returns what the node has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Returns what it has logged since it was started last.
    pub(crate) fn log_of_this_run(&self) -> String {
        self.log().split_off(self.log_before)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking()
            && let Ok(log) = std::fs::read_to_string(&self.log)
        {
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            // A second panic would end the process at once, and leave the other nodes running.
            let (id, tail) = (&self.id, tail.join("\n"));
            let _ = writeln!(io::stderr(), "--- the last lines of {id}, newest first:\n{tail}");
        }
    }
}

/// Runs a command that is expected to end by itself.
pub(crate) fn run_to_end(mut command: impl BorrowMut<Command>) -> Output {
    let command = command.borrow_mut();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the command did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}
