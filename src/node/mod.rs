//! The process: open and recover, serve, stop.
//!
//! ```text
//!  RESP, HTTP ──requests──▶            ──writes──▶ disk thread ──done──▶
//!  gRPC       ──messages──▶  the loop  ──messages──▶ transport
//!             ◀──replies───  (driver)  ──views──▶ snapshot, heavy reads (blocking threads)
//! ```
//!
//! Everything but the disk and the blocking threads runs on one runtime thread: handing a request
//! to another thread costs more than carrying it out.

mod accept;
mod clock;
mod connections;
mod disk;
mod driver;
mod followers;
mod frames;
mod handle;
mod snapshots;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use raftkv_frontends::{Cluster, Role, http, resp};
use raftkv_storage::data_dir::DataDir;
use raftkv_storage::types::{Configuration, NodeId};
use raftkv_storage::wal::WalOptions;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tonic::transport::Endpoint;

use crate::config::{Config, ReadMode};
use crate::persist::{self, Writer};
use crate::raft::{Options, Recovered};
use crate::replica::Replica;
use crate::transport::Transport;
use disk::Disk;
use driver::{Driver, Sources, TICK};
use handle::{Handle, Observed};
use snapshots::{LOG_BYTES_MAX, Snapshots};

/// Messages from peers that wait for the loop; when it is full, the peers' streams wait.
const INBOUND_MAX: usize = 4096;
/// Connections that wait to be accepted: a burst of clients, such as all of them after a failover.
const BACKLOG: u32 = 4096;
/// How long clients' last requests may take when the node stops.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Runs a node until `stop` resolves, or something happens after which it must not go on.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let data_dir = if config.repair {
        DataDir::open_for_repair(&config.data_dir, config.node)
    } else {
        DataDir::open(&config.data_dir, config.node)
    };
    let data_dir = data_dir.map_err(|error| advise(error, &config))?;
    let resp_listener = listen(&config, config.resp_port, "--resp-port").await?;
    let http_listener = listen(&config, config.http_port, "--http-port").await?;
    let grpc_listener = listen(&config, config.grpc_port, "--grpc-port").await?;

    let (stop_frontends, frontends_stop) = watch::channel(false);
    let (stop_driver, driver_stop) = watch::channel(false);
    let (cluster, known) = watch::channel(Arc::new(loading(&config)));
    let (handle, requests) = Handle::new(known);
    let observed = handle.observed();
    // Clients that come while the log is replayed are told so, rather than left waiting.
    let connections = connections::limits()?;
    let resp_options =
        resp::Options { max_connections: connections.resp, ..resp::Options::default() };
    let resp = tokio::spawn(resp::serve(
        resp_listener,
        handle.clone(),
        resp_options,
        stopped(frontends_stop.clone()),
    ));
    let http_options =
        http::Options { max_connections: connections.http, ..http::Options::default() };
    let http = tokio::spawn(http::serve(
        http_listener,
        handle.clone(),
        http_options,
        stopped(frontends_stop),
    ));

    tokio::pin!(stop);
    let (mut driver, sources) = tokio::select! {
        opened = open(&config, data_dir, cluster, observed, requests) => opened?,
        () = &mut stop => return Ok(()),
    };
    let service = driver.transport.service();
    let grpc = tokio::spawn(accept::serve_grpc(grpc_listener, service));
    driver.cluster.send_modify(|cluster| Arc::make_mut(cluster).loading = false);
    tracing::info!(
        node = %config.node, grpc = config.grpc_port, http = config.http_port,
        resp = config.resp_port, "serving"
    );

    let stopping = async {
        stop.await;
        tracing::info!("stopping");
        // Clients that are still connected are told who leads then.
        handle.hand_over().await;
        let _ = stop_frontends.send(true);
        end_in_time(async { tokio::join!(resp, http) }).await;
        let _ = stop_driver.send(true);
    };
    {
        let running = driver.run(sources, driver_stop);
        tokio::pin!(running);
        tokio::select! {
            ended = &mut running => ended?,
            error = grpc => return Err(error?.context("the gRPC server ended")),
            () = stopping => running.await?,
        }
    }
    let closed = tokio::task::spawn_blocking(move || driver.disk.close()).await;
    if !closed.context("closing the log")? {
        bail!("the last writes could not be made durable");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn end_in_time<T>(frontends: impl Future<Output = T>) {
    if tokio::time::timeout(STOP_DEADLINE, frontends).await.is_err() {
        tracing::warn!("clients' last requests were cut off");
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error says that the node has gone, which is as good a reason to stop.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn listen(config: &Config, port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    let host = config.host.as_str();
    let bind = async {
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        for address in tokio::net::lookup_host((host, port)).await? {
            let socket =
                if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    bind.await.with_context(|| format!("cannot listen on {host}:{port} ({flag})"))
}

/// What the frontends know while the log is replayed.
fn loading(config: &Config) -> Cluster {
    Cluster {
        node: config.node,
        role: Role::Follower,
        term: 0,
        leader: None,
        last_leader: None,
        loading: true,
        cluster: None,
        members: config.members.clone(),
    }
}

/// Recovers the node from its data directory and puts its parts together.
async fn open(
    config: &Config,
    data_dir: DataDir,
    cluster: watch::Sender<Arc<Cluster>>,
    observed: Observed,
    requests: mpsc::Receiver<handle::Request>,
) -> anyhow::Result<(Driver, Sources)> {
    let snapshot_dir = data_dir.snapshot_dir();
    let wal_options =
        WalOptions { segment_bytes: config.wal_segment_bytes, ..WalOptions::new(config.node) };
    let recover = if config.repair { persist::repair } else { persist::recover };
    let options = options(config);
    let promise_us = options.promise_us();
    let open = move || {
        let mut opened = recover(data_dir, wal_options)?;
        opened.data_dir.record_promise(promise_us)?;
        Ok(opened)
    };
    let opened = tokio::task::spawn_blocking(open)
        .await
        .context("recovering")?
        .map_err(|error| advise(error, config))?;
    let bootstrap = Configuration::bootstrap(config.members.iter().map(|member| member.id));
    check_members(config, &opened.recovered, &bootstrap)?;

    let (inbound_sender, inbound) = mpsc::channel(INBOUND_MAX);
    let (done_sender, done) = mpsc::unbounded_channel();
    let (taken_sender, taken) = mpsc::unbounded_channel();
    let last = opened.snapshot.as_ref();
    let snapshots =
        Snapshots::new(snapshot_dir.clone(), config.snapshot_log_bytes, last, taken_sender);
    let newest = opened.snapshot.zip(opened.recovered.snapshot.clone());
    let replica =
        Replica::new(config.node, options, bootstrap, opened.recovered, opened.keyspace, seed());
    // What the directory says: a log without a snapshot has to be committed anew before it counts.
    let identity = opened.data_dir.cluster();
    let endpoints = endpoints(config)?;
    let transport = Transport::new(config.node, identity, endpoints, snapshot_dir, inbound_sender);
    if let Some((path, meta)) = newest {
        transport.set_snapshot(path, meta);
    }
    let disk = Disk::start(Writer::new(opened.data_dir, opened.wal), done_sender)
        .context("starting the disk thread")?;
    if let Some(cluster) = identity {
        disk.set_cluster(cluster);
    }
    let driver = Driver::new(replica, disk, transport, snapshots, cluster, observed, identity);
    Ok((driver, Sources { requests, inbound, done, taken }))
}

/// Says what can be done about a disk that has not kept what it was given.
fn advise(error: raftkv_storage::Error, config: &Config) -> anyhow::Error {
    if !error.is_damage() {
        return error.into();
    }
    let advice = if config.repair {
        "and term and vote cannot be read from anywhere else: this node must not come back under \
         its name; nothing was changed"
    } else if config.peers.is_empty() {
        "there is no other node to take it from: restore the data directory from a copy"
    } else {
        "nothing was served or changed; if a majority of the other nodes is well, start this one \
         once with --repair: it sets aside what is damaged, takes everything from the leader, and \
         votes again when it has it"
    };
    anyhow::anyhow!("{error}; {advice}")
}

/// Refuses flags that name other nodes than the data directory's cluster has.
fn check_members(
    config: &Config,
    recovered: &Recovered,
    flags: &Configuration,
) -> anyhow::Result<()> {
    let Some(known) = persist::last_configuration(recovered) else { return Ok(()) };
    let names = |configuration: &Configuration| {
        let members = configuration.members();
        members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    if known.members() != flags.members() {
        bail!(
            "{}: this data directory is of a cluster of {}, but the flags name {}",
            config.data_dir.display(),
            names(known),
            names(flags),
        );
    }
    Ok(())
}

fn endpoints(config: &Config) -> anyhow::Result<BTreeMap<NodeId, Endpoint>> {
    let endpoint = |(id, address): (&NodeId, &String)| {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .with_context(|| format!("--grpc-peers: {id}={address} is not an address"))?;
        Ok((*id, endpoint))
    };
    config.peers.iter().map(endpoint).collect()
}

fn options(config: &Config) -> Options {
    let tick_ms = u32::try_from(TICK.as_millis()).expect("a tick is a few milliseconds");
    let least = config.election_timeout_ms / tick_ms;
    Options {
        tick_us: u64::from(tick_ms) * 1_000,
        lease_reads: config.read_mode == ReadMode::Lease,
        election_ticks: least..least * 2,
        heartbeat_ticks: (least / 8).max(1),
        // From one snapshot to the next but one, and some more: a follower that is sent the first
        // has all the time until there is a third.
        catch_up_bytes: config.snapshot_log_bytes.max(LOG_BYTES_MAX).saturating_mul(5) / 2,
        ..Options::default()
    }
}

/// Draws the seed of this run: different on each node and in each run, which is all that elections
/// need.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(SystemTime::now())
}
