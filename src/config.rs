//! From flags and environment to one checked [`Config`].
//!
//! Everything that can be wrong with what the operator said is found here, before a file is touched
//! or a port is opened, and said in one line that names the flag.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use raftkv_frontends::Member;
use raftkv_storage::types::NodeId;

/// What `raftkv serve` was told. Every flag can also be given by an environment variable:
/// `--node-id` by `RAFTKV_NODE_ID`, and so on.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// This node's name, unique in its cluster: 1 to 32 characters out of A-Z a-z 0-9 _ . -
    #[arg(long, env = "RAFTKV_NODE_ID", value_name = "ID")]
    pub node_id: NodeId,
    /// The address to listen on, for all three ports
    #[arg(long, env = "RAFTKV_HOST", default_value = "127.0.0.1", value_name = "HOST")]
    pub host: String,
    /// The port for the other nodes
    #[arg(long, env = "RAFTKV_GRPC_PORT", default_value_t = 50051, value_name = "PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub grpc_port: u16,
    /// The port for HTTP clients
    #[arg(long, env = "RAFTKV_HTTP_PORT", default_value_t = 8001, value_name = "PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub http_port: u16,
    /// The port for Redis clients
    #[arg(long, env = "RAFTKV_RESP_PORT", default_value_t = 7001, value_name = "PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub resp_port: u16,
    /// Where this node keeps its log and snapshots; created if it is not there
    #[arg(long, env = "RAFTKV_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The other nodes: ID=HOST:PORT of their gRPC ports, separated by commas; none for a cluster
    /// of one
    #[arg(long, env = "RAFTKV_GRPC_PEERS", default_value = "", value_name = "ID=HOST:PORT,…")]
    pub grpc_peers: String,
    /// Where HTTP clients reach each node (this one may be among them), for redirects: ID=URL,
    /// separated by commas
    #[arg(long, env = "RAFTKV_HTTP_PEERS", default_value = "", value_name = "ID=URL,…")]
    pub http_peers: String,
    /// Where Redis clients reach each node (this one may be among them), for redirects:
    /// ID=HOST:PORT, separated by commas
    #[arg(long, env = "RAFTKV_RESP_PEERS", default_value = "", value_name = "ID=HOST:PORT,…")]
    pub resp_peers: String,
    /// Allow a --host that is not loopback: anyone who reaches the ports can read and write
    /// everything
    #[arg(long, env = "RAFTKV_INSECURE_LISTEN", value_parser = FalseyValueParser::new())]
    pub insecure_listen: bool,
    /// The size of one segment of the log, in bytes: 48 MiB (the largest request fits twice) to 1
    /// GiB
    #[arg(long, env = "RAFTKV_WAL_SEGMENT_BYTES", default_value_t = 64 << 20, value_name = "BYTES")]
    #[arg(value_parser = clap::value_parser!(u64).range((48 << 20)..=(1 << 30)))]
    pub wal_segment_bytes: u64,
    /// Take a snapshot after this many bytes of log (later, when the last snapshot was larger than
    /// that)
    #[arg(long, env = "RAFTKV_SNAPSHOT_LOG_BYTES", default_value_t = 1 << 20, value_name = "BYTES")]
    #[arg(value_parser = clap::value_parser!(u64).range((64 << 10)..=(1 << 40)))]
    pub snapshot_log_bytes: u64,
    /// A node campaigns after this many to twice as many milliseconds without a leader
    #[arg(long, env = "RAFTKV_ELECTION_TIMEOUT_MS", default_value_t = 400, value_name = "MS")]
    #[arg(value_parser = clap::value_parser!(u32).range(100..=60_000))]
    pub election_timeout_ms: u32,
    /// How a leader makes sure before a read that it still leads: by a round of messages, or by
    /// a lease, which costs none but relies on clocks that run alike within 10 %, and delays
    /// failover by up to an election timeout
    #[arg(long, env = "RAFTKV_READ_MODE", value_enum, default_value_t, value_name = "MODE")]
    pub read_mode: ReadMode,
    /// If the log or a snapshot is damaged or gone, set it aside and take everything from the
    /// leader; without damage this changes nothing
    #[arg(long, env = "RAFTKV_REPAIR", value_parser = FalseyValueParser::new())]
    pub repair: bool,
    /// The format of the log lines on standard error
    #[arg(long, env = "RAFTKV_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as raftkv=debug,h2=warn
    #[arg(long, env = "RAFTKV_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// Stop when standard input ends, as it does when the program that started this one is gone
    #[arg(long, hide = true)]
    pub stop_on_stdin_end: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How a leader makes sure, before it answers a read, that it still leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ReadMode {
    /// It asks, and a majority answers.
    #[default]
    ReadIndex,
    /// A majority has promised it some time. Without that, it asks.
    Lease,
}

impl fmt::Display for ReadMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ReadIndex => "read-index",
            Self::Lease => "lease",
        })
    }
}

/// A node's configuration: complete, and free of contradictions.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: NodeId,
    /// The address of all three listeners.
    pub host: String,
    /// Port for peers.
    pub grpc_port: u16,
    /// Port for HTTP.
    pub http_port: u16,
    /// Port for RESP.
    pub resp_port: u16,
    /// The data directory.
    pub data_dir: PathBuf,
    /// gRPC addresses of the other nodes, `host:port`.
    pub peers: BTreeMap<NodeId, String>,
    /// All nodes, with where clients reach them.
    pub members: Vec<Member>,
    /// Bytes of one log segment.
    pub wal_segment_bytes: usize,
    /// Bytes of log after which a snapshot is due.
    pub snapshot_log_bytes: usize,
    /// The least election timeout in milliseconds.
    pub election_timeout_ms: u32,
    /// How reads are made sure of.
    pub read_mode: ReadMode,
    /// Whether what is damaged on the disk is set aside and taken from the leader.
    pub repair: bool,
}

/// What is wrong with the flags.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value cannot be understood.
    #[error("{flag}: {reason}")]
    Invalid {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The address could be reached by others, and nothing protects it.
    #[error(
        "--host {0} is not a loopback address, and there is no TLS and no password yet: anyone \
         who reaches the ports can read and write everything; give --insecure-listen to allow it"
    )]
    Exposed(String),
}

fn invalid(flag: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { flag, reason: reason.into() }
}

impl ServeArgs {
    /// Checks all flags, each alone and all together.
    pub fn check(self) -> Result<Config, ConfigError> {
        check_exposure(&self.host, self.insecure_listen)?;
        let ports = [self.grpc_port, self.http_port, self.resp_port];
        if ports[0] == ports[1] || ports[0] == ports[2] || ports[1] == ports[2] {
            let reason = "the three ports --grpc-port, --http-port and --resp-port must differ";
            return Err(invalid("--resp-port", reason));
        }
        let mut peers = parse_peers("--grpc-peers", &self.grpc_peers, parse_host_port)?;
        if let Some((_, port)) = peers.remove(&self.node_id)
            && port != self.grpc_port
        {
            let reason = format!("names this node, {}, with another port", self.node_id);
            return Err(invalid("--grpc-peers", reason));
        }
        if self.repair && peers.is_empty() {
            let reason = "there is no other node to take anything from (--grpc-peers)";
            return Err(invalid("--repair", reason));
        }
        let resp = parse_peers("--resp-peers", &self.resp_peers, parse_host_port)?;
        let http = parse_peers("--http-peers", &self.http_peers, parse_url)?;
        let own_host = url_host(&self.host);
        let own_resp = (self.host.clone(), self.resp_port);
        let own_http = format!("http://{own_host}:{}", self.http_port);
        let resp = complete("--resp-peers", resp, self.node_id, &peers, own_resp)?;
        let http = complete("--http-peers", http, self.node_id, &peers, own_http)?;
        let own_grpc = [(self.node_id, (self.host.clone(), self.grpc_port))];
        check_distinct(
            "--grpc-peers",
            peers.iter().chain(own_grpc.iter().map(|(id, at)| (id, at))),
        )?;
        check_distinct("--resp-peers", resp.iter())?;
        check_distinct("--http-peers", http.iter())?;
        let members = resp.into_iter().zip(http.into_values()).map(|((id, resp), http_url)| {
            let (resp_host, resp_port) = resp;
            Member { id, resp_host, resp_port, http_url, live: id == self.node_id }
        });
        Ok(Config {
            node: self.node_id,
            host: self.host.clone(),
            grpc_port: self.grpc_port,
            http_port: self.http_port,
            resp_port: self.resp_port,
            data_dir: self.data_dir,
            members: members.collect(),
            peers: peers
                .into_iter()
                .map(|(id, (host, port))| (id, format!("{}:{port}", url_host(&host))))
                .collect(),
            wal_segment_bytes: to_usize("--wal-segment-bytes", self.wal_segment_bytes)?,
            snapshot_log_bytes: to_usize("--snapshot-log-bytes", self.snapshot_log_bytes)?,
            election_timeout_ms: self.election_timeout_ms,
            read_mode: self.read_mode,
            repair: self.repair,
        })
    }
}

fn to_usize(flag: &'static str, bytes: u64) -> Result<usize, ConfigError> {
    usize::try_from(bytes).map_err(|_| invalid(flag, "too large for this machine"))
}

/// Refuses an address that others may reach, unless the operator says so. A name counts as loopback
/// only if it is `localhost`: what another one resolves to can change.
fn check_exposure(host: &str, allowed: bool) -> Result<(), ConfigError> {
    let loopback = match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) if host.is_empty() || host.contains([':', '/', ' ', '[']) => {
            return Err(invalid("--host", format!("{host:?} is not an address or a name")));
        }
        Err(_) => host == "localhost",
    };
    if loopback || allowed { Ok(()) } else { Err(ConfigError::Exposed(host.to_owned())) }
}

/// Writes a host as it stands in a URL: IPv6 in brackets.
fn url_host(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn parse_peers<T>(
    flag: &'static str,
    list: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<BTreeMap<NodeId, T>, ConfigError> {
    let mut peers = BTreeMap::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let Some((id, address)) = item.split_once('=') else {
            return Err(invalid(flag, format!("{item:?} is not of the form ID=ADDRESS")));
        };
        let id: NodeId = id.trim().parse().map_err(|error| invalid(flag, format!("{error}")))?;
        let address = parse(address.trim()).map_err(|reason| invalid(flag, reason))?;
        if peers.insert(id, address).is_some() {
            return Err(invalid(flag, format!("names {id} twice")));
        }
    }
    Ok(peers)
}

fn parse_host_port(text: &str) -> Result<(String, u16), String> {
    let error = || format!("{text:?} is not of the form HOST:PORT");
    let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner,
        None if host.contains(':') => return Err(format!("{text:?}: IPv6 needs brackets")),
        None => host,
    };
    let port: u16 = port.parse().map_err(|_| error())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
    if host.is_empty() || port == 0 || !host.bytes().all(plain) {
        return Err(error());
    }
    Ok((host.to_owned(), port))
}

fn parse_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let parsed = url.parse::<tonic::transport::Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    match parsed {
        Some(_) if !url.contains(['"', '#']) => Ok(url.to_owned()),
        _ => Err(format!("{text:?} is not an http:// URL")),
    }
}

/// Makes a list of client addresses name exactly the nodes of the cluster, or says which it misses
/// or has too many.
fn complete<T, P>(
    flag: &'static str,
    mut addresses: BTreeMap<NodeId, T>,
    node: NodeId,
    peers: &BTreeMap<NodeId, P>,
    own: T,
) -> Result<BTreeMap<NodeId, T>, ConfigError> {
    addresses.entry(node).or_insert(own);
    if let Some(missing) = peers.keys().find(|id| !addresses.contains_key(id)) {
        return Err(invalid(flag, format!("does not name {missing}, which --grpc-peers does")));
    }
    let extra = addresses.keys().find(|id| **id != node && !peers.contains_key(id));
    if let Some(extra) = extra {
        return Err(invalid(flag, format!("names {extra}, which --grpc-peers does not")));
    }
    Ok(addresses)
}

/// Refuses a list in which two nodes have one address.
fn check_distinct<'a, T: Ord + 'a>(
    flag: &'static str,
    addresses: impl Iterator<Item = (&'a NodeId, &'a T)>,
) -> Result<(), ConfigError> {
    let mut seen = BTreeMap::new();
    for (id, address) in addresses {
        if let Some(other) = seen.insert(address, id) {
            return Err(invalid(flag, format!("{other} and {id} have the same address")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn check(flags: &str) -> Result<Config, String> {
        let base = "raftkv --node-id A --data-dir d";
        let flags = base.split(' ').chain(flags.split_whitespace());
        let command = Command::try_parse_from(flags).map_err(|error| error.to_string())?;
        command.args.check().map_err(|error| error.to_string())
    }

    const THREE: &str = "--grpc-peers B=127.0.0.1:50052,C=127.0.0.1:50053 \
        --http-peers A=http://127.0.0.1:8001,B=http://127.0.0.1:8002,C=http://127.0.0.1:8003/ \
        --resp-peers A=127.0.0.1:7001,B=127.0.0.1:7002,C=[::1]:7003";

    #[test]
    fn a_cluster_of_one_needs_no_peers() {
        let config = check("").unwrap();
        assert!(config.peers.is_empty());
        assert_eq!(config.members.len(), 1);
        assert_eq!(config.members[0].http_url, "http://127.0.0.1:8001");
    }

    #[test]
    fn three_nodes_name_each_other() {
        let config = check(THREE).unwrap();
        assert_eq!(config.peers.len(), 2);
        let c = &config.members[2];
        assert_eq!((c.resp_host.as_str(), c.resp_port), ("::1", 7003));
        assert_eq!(c.http_url, "http://127.0.0.1:8003");
    }

    #[test]
    fn each_contradiction_names_its_flag() {
        let cases = [
            ("--host 0.0.0.0", "--host 0.0.0.0 is not a loopback address"),
            ("--host example.com", "--host example.com is not a loopback address"),
            ("--http-port 7001", "must differ"),
            ("--grpc-peers B=1.2.3.4:5", "--resp-peers: does not name B"),
            ("--grpc-peers B", "--grpc-peers: \"B\" is not of the form ID=ADDRESS"),
            ("--grpc-peers B=:5", "--grpc-peers: \":5\" is not of the form HOST:PORT"),
            ("--grpc-peers B=x:70000", "not of the form HOST:PORT"),
            ("--grpc-peers B=::1:5", "IPv6 needs brackets"),
            ("--grpc-peers B=x:1,B=y:2", "--grpc-peers: names B twice"),
            (
                "--grpc-peers B=127.0.0.1:50051 --http-peers B=http://x --resp-peers B=x:1",
                "--grpc-peers: B and A have the same address",
            ),
            ("--grpc-peers A=127.0.0.1:9", "names this node, A, with another port"),
            ("--http-peers Z=http://x", "--http-peers: names Z, which --grpc-peers does not"),
            ("--http-peers A=ftp://x", "is not an http:// URL"),
            ("--http-peers A=http://[bad", "is not an http:// URL"),
            ("--http-peers A=http://", "is not an http:// URL"),
            ("--grpc-port 0", "--grpc-port"),
            ("--resp-peers a/b=x:1", "invalid node id"),
        ];
        for (flags, expected) in cases {
            let error = check(flags).expect_err(flags);
            assert!(error.contains(expected), "{flags}: {error}");
        }
        assert!(check("--host 0.0.0.0 --insecure-listen").is_ok());
        assert!(check("--host ::1").is_ok());
    }
}
