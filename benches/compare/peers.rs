//! The systems that are compared: how each is started on loopback, reached, and stopped, and the
//! CPU time that its processes have used.
//!
//! All of a table's peers run side by side, with load on one of them at a time, so that what is
//! compared was measured within seconds. Before each measurement all of them must have come to
//! rest: what one does behind its replies (a snapshot, a rewrite of the AOF) is not to be paid by
//! another.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::Fallible;
use crate::process::client::{Resp, http};
use crate::process::{Cluster, Node, free_port, wait_for};

/// A system, in the way it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    /// A cluster of this project.
    Raftkv,
    /// The same, reading on leases.
    RaftkvLease,
    /// One Redis that syncs every write.
    RedisAlways,
    /// One Redis that keeps nothing.
    RedisMemory,
    /// A cluster of etcd.
    Etcd,
}

impl System {
    /// Those of the tables where every system takes part.
    pub(crate) const ALL: [Self; 4] =
        [Self::Raftkv, Self::RedisAlways, Self::RedisMemory, Self::Etcd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raftkv => "raftkv",
            Self::RaftkvLease => "raftkv, lease reads",
            Self::RedisAlways => "redis, fsync always",
            Self::RedisMemory => "redis, memory only",
            Self::Etcd => "etcd",
        }
    }

    /// Returns what the system says of its version, or nothing if it is not installed.
    pub(crate) fn version(self) -> Fallible<Option<String>> {
        let program = match self {
            Self::Raftkv | Self::RaftkvLease => {
                return Ok(Some(env!("CARGO_PKG_VERSION").to_owned()));
            }
            Self::RedisAlways | Self::RedisMemory => "redis-server",
            Self::Etcd => "etcd",
        };
        match Command::new(program).arg("--version").output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{program} --version: {error}").into()),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                let mut words = text.split_whitespace().map(|word| word.trim_start_matches("v="));
                let number = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
                Ok(Some(number.unwrap_or("of an unknown version").to_owned()))
            }
        }
    }
}

/// How a system is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The Redis protocol.
    Resp,
    /// Our HTTP API.
    Http,
    /// etcd's own API.
    EtcdGrpc,
    /// The same through etcd's JSON gateway.
    EtcdJson,
}

/// A system that runs, and ends when this is dropped.
pub(crate) struct Peer {
    pub(crate) system: System,
    processes: Processes,
}

enum Processes {
    Raftkv { cluster: Cluster, leader: usize },
    Redis { server: Server, port: u16, _dir: tempfile::TempDir },
    Etcd { servers: Vec<Server>, leader: u16, _dir: tempfile::TempDir },
}

/// A process that is killed however the measurement ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// Starts the system with so many nodes, and waits until it takes writes. What is not installed
    /// is said, and nothing is started.
    pub(crate) fn start(system: System, nodes: usize) -> Fallible<Option<Self>> {
        if system.version()?.is_none() {
            eprintln!("{}: not installed, left out", system.name());
            return Ok(None);
        }
        let processes = match system {
            System::Raftkv => start_raftkv(nodes, "read-index"),
            System::RaftkvLease => start_raftkv(nodes, "lease"),
            System::RedisAlways => start_redis(&["--appendonly", "yes", "--appendfsync", "always"]),
            System::RedisMemory => start_redis(&["--appendonly", "no"]),
            System::Etcd => start_etcd(nodes),
        }?;
        Ok(Some(Self { system, processes }))
    }

    /// Starts those of the systems that are installed, with three nodes where there can be more
    /// than one.
    pub(crate) fn start_all(systems: &[System]) -> Fallible<Vec<Self>> {
        let started = systems.iter().map(|system| Self::start(*system, 3));
        started.filter_map(Result::transpose).collect()
    }

    /// Returns where the leader listens for a protocol.
    pub(crate) fn address(&self, protocol: Protocol) -> Fallible<SocketAddr> {
        let port = match (&self.processes, protocol) {
            (Processes::Raftkv { cluster, leader }, Protocol::Resp) => cluster.nodes[*leader].resp,
            (Processes::Raftkv { cluster, leader }, Protocol::Http) => cluster.nodes[*leader].http,
            (Processes::Redis { port, .. }, Protocol::Resp) => *port,
            (Processes::Etcd { leader, .. }, Protocol::EtcdGrpc | Protocol::EtcdJson) => *leader,
            _ => return Err(format!("{} does not speak {protocol:?}", self.system.name()).into()),
        };
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Returns the protocol that the system is known for.
    pub(crate) fn own_protocol(&self) -> Protocol {
        match self.system {
            System::Etcd => Protocol::EtcdGrpc,
            _ => Protocol::Resp,
        }
    }

    /// Returns our nodes, and which of them has led since the start, if these are ours.
    pub(crate) fn nodes(&mut self) -> Option<(&mut [Node], usize)> {
        match &mut self.processes {
            Processes::Raftkv { cluster, leader } => Some((&mut cluster.nodes, *leader)),
            _ => None,
        }
    }

    /// Fails if the leader is not the one that was there at the start.
    pub(crate) fn check_leader(&self) -> Fallible<()> {
        match &self.processes {
            Processes::Raftkv { cluster, leader } if cluster.leader() != *leader => {
                Err("the leader changed during the run".into())
            }
            _ => Ok(()),
        }
    }

    /// Returns what our leader says of itself, if it is ours.
    pub(crate) fn status(&self) -> Option<Json> {
        match &self.processes {
            Processes::Raftkv { cluster, leader } => cluster.nodes[*leader].status(),
            _ => None,
        }
    }

    /// Returns how many entries the log has had, where the system tells.
    pub(crate) fn log_length(&self) -> Option<u64> {
        self.status()?["applied_index"].as_u64()
    }

    /// Returns the CPU time that all processes of the system have used.
    pub(crate) fn cpu(&self) -> Fallible<Duration> {
        let pids: Vec<u32> = match &self.processes {
            Processes::Raftkv { cluster, .. } => {
                let running = cluster.nodes.iter().filter(|node| node.is_running());
                running.map(Node::pid).collect()
            }
            Processes::Redis { server, .. } => vec![server.0.id()],
            Processes::Etcd { servers, .. } => servers.iter().map(|server| server.0.id()).collect(),
        };
        pids.into_iter().map(cpu_of).sum()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.system.name())
    }
}

/// Waits until none of the systems has work to do, but not for long.
pub(crate) fn settle(peers: &[Peer]) -> Fallible<()> {
    const STEP: Duration = Duration::from_millis(100);
    const PATIENCE: Duration = Duration::from_secs(5);
    let used = || peers.iter().map(Peer::cpu).sum::<Fallible<Duration>>();
    let deadline = Instant::now() + PATIENCE;
    let mut before = used()?;
    while Instant::now() < deadline {
        std::thread::sleep(STEP);
        let now = used()?;
        if now - before <= STEP / 5 {
            break;
        }
        before = now;
    }
    Ok(())
}

/// Returns the CPU time of a process, and of its children that have ended.
pub(crate) fn cpu_of(pid: u32) -> Fallible<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|error| format!("process {pid} is gone: {error}"))?;
    // The name stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')').ok_or("a stat file without a name")?;
    let times: Vec<u64> =
        fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    if times.len() < 4 {
        return Err(format!("process {pid} has a stat file of another kind").into());
    }
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let ticks: u64 = times.iter().sum();
    Ok(Duration::from_micros(ticks * 1_000_000 / ticks_per_second))
}

fn start_raftkv(nodes: usize, read_mode: &str) -> Fallible<Processes> {
    let flags = ["--wal-segment-bytes", "67108864", "--read-mode", read_mode];
    let cluster = Cluster::start(nodes, &flags);
    let leader = cluster.leader();
    Ok(Processes::Raftkv { cluster, leader })
}

fn start_redis(flags: &[&str]) -> Fallible<Processes> {
    let dir = tempfile::tempdir()?;
    let port = free_port();
    let server = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(flags)
        .arg("--dir")
        .arg(dir.path())
        .stdout(Stdio::null())
        .spawn()?;
    let server = Server(server);
    wait_for("redis-server", || Resp::connect(port).ok());
    Ok(Processes::Redis { server, port, _dir: dir })
}

fn start_etcd(nodes: usize) -> Fallible<Processes> {
    let dir = tempfile::tempdir()?;
    let ports: Vec<[u16; 2]> = (0..nodes).map(|_| [free_port(), free_port()]).collect();
    let members = ports.iter().enumerate();
    let members: Vec<String> =
        members.map(|(at, [_, peers])| format!("n{at}=http://127.0.0.1:{peers}")).collect();
    let members = members.join(",");
    let servers: Fallible<Vec<Server>> = ports
        .iter()
        .enumerate()
        .map(|(at, ports)| start_etcd_node(at, *ports, &members, dir.path()))
        .collect();
    let servers = servers?;
    let leader = wait_for("a leader of etcd", || {
        ports.iter().map(|[clients, _]| *clients).find(|port| leads_etcd(*port).unwrap_or(false))
    });
    Ok(Processes::Etcd { servers, leader, _dir: dir })
}

fn start_etcd_node(at: usize, ports: [u16; 2], members: &str, dir: &Path) -> Fallible<Server> {
    let [clients, peers] = ports.map(|port| format!("http://127.0.0.1:{port}"));
    let child = Command::new("etcd")
        .args(["--name", &format!("n{at}"), "--data-dir"])
        .arg(dir.join(format!("n{at}")))
        .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
        .args(["--initial-cluster", members, "--initial-cluster-state", "new"])
        // It keeps every version of every key: that is not to end a long run.
        .args(["--quota-backend-bytes", &(8_u64 << 30).to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Server(child))
}

fn leads_etcd(port: u16) -> Option<bool> {
    let (status, body) = http(port, "POST", "/v3/maintenance/status", b"{}").ok()?;
    let body: Json = serde_json::from_slice(&body).ok()?;
    Some(
        status == 200
            && body["leader"].is_string()
            && body["leader"] == body["header"]["member_id"],
    )
}
