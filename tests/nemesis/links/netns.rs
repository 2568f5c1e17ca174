//! A network namespace for each node and one for all clients, and a packet filter in each.
//!
//! ```text
//!   node A ── eth0 ┐              ┌ eth0 ── node C        10.77.0.1 …
//!   node B ── eth0 ┴── switch ────┴ eth0 ── clients       10.77.0.100
//! ```
//!
//! The switch is a bridge in a namespace of its own, so nothing of this is seen from outside. Rules
//! stand where packets arrive, by where they come from: that makes every direction of its own. The
//! kernel here may have no netem, so a slow link is a narrow one: what queues, waits.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Links, Map, Weather};
use crate::process::{End, Host, Port};

/// How the names of all namespaces begin; the process id follows.
const PREFIX: &str = "raftkv-";
/// What passes through a slow link, and how long it waits there at the most.
const NARROW: [&str; 7] = ["tbf", "rate", "400kbit", "burst", "4kb", "latency", "300ms"];

/// The namespaces of one run. They are gone when this is dropped.
pub(crate) struct Netns {
    nodes: usize,
    addresses: Vec<[SocketAddr; 3]>,
    /// The weather that the kernel was told last, and how it is said.
    told: Vec<(String, bool)>,
}

fn name(part: &str) -> String {
    format!("{PREFIX}{}-{part}", std::process::id())
}

fn name_of(end: End) -> String {
    match end {
        End::Node(at) => name(&format!("n{at}")),
        End::Clients => name("clients"),
    }
}

fn address_of(end: End) -> Ipv4Addr {
    match end {
        End::Node(at) => Ipv4Addr::new(10, 77, 0, u8::try_from(at + 1).unwrap()),
        End::Clients => Ipv4Addr::new(10, 77, 0, 100),
    }
}

/// Runs a program to its end; what it says on standard error is the error.
fn run(words: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", words[0]))?;
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let error = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || written.is_err() {
        return Err(format!("{}: {}", words.join(" "), error.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `ip` with words that are separated by spaces.
fn ip(words: &str) -> Result<String, String> {
    run(&["ip"].into_iter().chain(words.split(' ')).collect::<Vec<_>>(), "")
}

/// Removes what runs have left that did not end well.
fn clean_up() -> Result<(), String> {
    for line in ip("netns list")?.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let pid = rest.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(pid).exists() {
            let _ = ip(&format!("netns del {name}"));
        }
    }
    Ok(())
}

impl Netns {
    /// Makes the namespaces and moves this process to where clients are. No other thread may have
    /// been started.
    pub(crate) fn new(nodes: usize) -> Result<Self, String> {
        clean_up()?;
        // From here on what has been made is removed, however this ends.
        let this = Self { nodes, addresses: Vec::new(), told: vec![Default::default(); nodes + 1] };
        let switch = name("switch");
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add switch type bridge"))?;
        ip(&format!("-n {switch} link set switch up"))?;
        for (at, end) in this.ends().enumerate() {
            let space = name_of(end);
            ip(&format!("netns add {space}"))?;
            ip(&format!("-n {switch} link add port{at} type veth peer name eth0 netns {space}"))?;
            ip(&format!("-n {switch} link set port{at} master switch up"))?;
            ip(&format!("-n {space} address add {}/24 dev eth0", address_of(end)))?;
            ip(&format!("-n {space} link set eth0 up"))?;
            ip(&format!("-n {space} link set lo up"))?;
            filter(end, "")?;
        }
        let clients = Path::new("/var/run/netns").join(name_of(End::Clients));
        let file = std::fs::File::open(&clients).map_err(|error| error.to_string())?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| format!("setns: {error}"))?;
        Ok(this)
    }

    /// Returns the machine of a node.
    pub(crate) fn host(&self, at: usize, variables: Vec<(String, String)>) -> Host {
        let end = End::Node(at);
        let enter = ["ip", "netns", "exec", &name_of(end)].map(ToOwned::to_owned).to_vec();
        Host { address: address_of(end), enter, variables }
    }

    /// Returns the same network, now that it is known where the nodes listen.
    pub(crate) fn leading_to(mut self, addresses: Vec<[SocketAddr; 3]>) -> Self {
        self.addresses = addresses;
        self
    }

    fn ends(&self) -> impl Iterator<Item = End> + use<> {
        (0..self.nodes).map(End::Node).chain([End::Clients])
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        for end in self.ends() {
            let _ = ip(&format!("netns del {}", name_of(end)));
        }
        let _ = ip(&format!("netns del {}", name("switch")));
    }
}

/// Replaces the rules for what arrives at an end.
fn filter(at: End, rules: &str) -> Result<(), String> {
    let ruleset = format!(
        "table inet weather\ndelete table inet weather\ntable inet weather {{\n chain arriving {{\n  \
         type filter hook input priority 0;\n{rules} }}\n}}\n"
    );
    run(&["ip", "netns", "exec", &name_of(at), "nft", "-f", "-"], &ruleset).map(drop)
}

fn rules(from: End, weather: &Weather) -> String {
    let from = address_of(from);
    let mut rules = String::new();
    if weather.is_cut {
        rules += &format!("  ip saddr {from} drop;\n");
    }
    if weather.is_reset {
        rules += &format!("  ip saddr {from} meta l4proto tcp reject with tcp reset;\n");
    }
    if weather.loss > 0 {
        rules += &format!("  ip saddr {from} numgen random mod 100 < {} drop;\n", weather.loss);
    }
    rules
}

/// Makes all that leaves an end pass through a narrow link, or no longer.
fn narrow(from: End, is_narrow: bool) -> Result<(), String> {
    let space = name_of(from);
    let verb = if is_narrow { "replace" } else { "del" };
    let mut words = vec!["tc", "-n", &space, "qdisc", verb, "dev", "eth0", "root"];
    words.extend(NARROW.iter().filter(|_| is_narrow));
    run(&words, "").map(drop)
}

impl Links for Netns {
    fn describe(&self) -> &'static str {
        "network namespaces and a packet filter"
    }

    fn route(&self, _from: End, to: usize, port: Port) -> SocketAddr {
        self.addresses[to][port as usize]
    }

    fn set(&mut self, weather: &Map) {
        for (place, end) in self.ends().enumerate() {
            let arriving = weather.iter().filter(|((_, to), _)| *to == end);
            let rules: String =
                arriving.map(|((from, _), weather)| rules(*from, weather)).collect();
            let is_slow = weather.iter().any(|((from, _), w)| *from == end && !w.delay.is_zero());
            let told = &mut self.told[place];
            if told.0 != rules {
                filter(end, &rules).unwrap();
                told.0 = rules;
            }
            if told.1 != is_slow {
                narrow(end, is_slow).unwrap();
                told.1 = is_slow;
            }
        }
    }
}
