//! INFO: what a node says of itself, in the fields that tools look for.

use std::fmt::{self, Write};

use raftkv_storage::keyspace::Reply;

use super::registry::Seen;
use super::{Server, cluster};
use crate::{Cluster, Kv, Role, Status};

/// The Redis whose protocol and commands this is.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// What a node that leads is called in Redis, and what all others are.
pub(super) fn role(cluster: &Cluster) -> &'static str {
    if cluster.role == Role::Leader { "master" } else { "slave" }
}

/// What sections are made from.
struct Facts<'a, K> {
    server: &'a Server<K>,
    cluster: Cluster,
    status: Status,
}

type Section<K> = (&'static str, fn(&Facts<'_, K>, &mut String) -> fmt::Result);

/// All sections in the order they are shown in.
fn sections<K: Kv>() -> [Section<K>; 11] {
    [
        ("Server", server),
        ("Clients", clients),
        ("Memory", memory),
        ("Persistence", persistence),
        ("Stats", stats),
        ("Replication", replication),
        ("CPU", |_, _| Ok(())),
        ("Modules", |_, _| Ok(())),
        ("Cluster", |_, text| write!(text, "cluster_enabled:1\r\n")),
        ("Keyspace", keyspace),
        ("Raftkv", raftkv),
    ]
}

/// INFO [section ...]: without one, or with `default`, `all`, `everything`, all there are; unknown
/// ones are empty.
pub(super) async fn run<K: Kv>(server: &Server<K>, args: &[&[u8]]) -> Reply {
    let status = server.kv.status(false).await.unwrap_or(UNKNOWN);
    let cluster = Cluster::clone(&server.kv.cluster().borrow());
    let facts = Facts { server, cluster, status };
    let everything: [&[u8]; 3] = [b"default", b"all", b"everything"];
    let is_everything = |arg: &&[u8]| everything.iter().any(|name| name.eq_ignore_ascii_case(arg));
    let all = args.is_empty() || args.iter().any(is_everything);
    let mut text = String::new();
    for (name, write) in sections() {
        if !all && !args.iter().any(|arg| arg.eq_ignore_ascii_case(name.as_bytes())) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str("# ");
        text.push_str(name);
        text.push_str("\r\n");
        write(&facts, &mut text).expect("a string takes all that is written to it");
    }
    Reply::Verbatim(text.into())
}

/// What is shown when the node is too busy stopping to say.
const UNKNOWN: Status = Status {
    commit_index: 0,
    applied_index: 0,
    last_log_index: 0,
    snapshot_index: 0,
    log_bytes: 0,
    recovering: false,
    lease: None,
    keys: 0,
    expiring_keys: 0,
    peers: Vec::new(),
    digest: None,
};

fn server<K: Kv>(facts: &Facts<'_, K>, text: &mut String) -> fmt::Result {
    let server = facts.server;
    let uptime = server.started.elapsed().as_secs();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    write!(
        text,
        "redis_version:{REDIS_VERSION}\r\n\
         redis_git_sha1:00000000\r\n\
         redis_git_dirty:0\r\n\
         redis_build_id:0\r\n\
         redis_mode:cluster\r\n\
         os:{} {}\r\n\
         arch_bits:{}\r\n\
         multiplexing_api:tokio\r\n\
         process_id:{}\r\n\
         run_id:{}\r\n\
         tcp_port:{}\r\n\
         server_time_usec:{}\r\n\
         uptime_in_seconds:{uptime}\r\n\
         uptime_in_days:{}\r\n\
         hz:10\r\n\
         configured_hz:10\r\n\
         executable:\r\n\
         config_file:\r\n",
        std::env::consts::OS,
        std::env::consts::ARCH,
        usize::BITS,
        std::process::id(),
        cluster::node_id(facts.cluster.node),
        server.port,
        now.unwrap_or_default().as_micros(),
        uptime / 86_400,
    )
}

fn clients<K: Kv>(facts: &Facts<'_, K>, text: &mut String) -> fmt::Result {
    let clients = facts.server.clients.all();
    let count =
        |is_one: fn(&Seen) -> bool| clients.iter().filter(|client| is_one(&client.seen())).count();
    write!(
        text,
        "connected_clients:{}\r\n\
         cluster_connections:0\r\n\
         maxclients:{}\r\n\
         blocked_clients:{}\r\n\
         tracking_clients:{}\r\n\
         watching_clients:{}\r\n\
         clients_in_timeout_table:0\r\n",
        clients.len(),
        facts.server.options.max_connections,
        count(|seen| seen.is_blocked),
        facts.server.tracking.figures().clients,
        count(|seen| seen.watched > 0),
    )
}

fn memory<K: Kv>(facts: &Facts<'_, K>, text: &mut String) -> fmt::Result {
    // One line about the process that is always there and never blocks; elsewhere the log is the
    // best guess.
    let resident = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(facts.status.log_bytes as u64, |pages| pages.saturating_mul(4096));
    let megabytes = resident as f64 / f64::from(1 << 20);
    write!(
        text,
        "used_memory:{resident}\r\n\
         used_memory_human:{megabytes:.2}M\r\n\
         used_memory_rss:{resident}\r\n\
         used_memory_rss_human:{megabytes:.2}M\r\n\
         used_memory_lua:0\r\n\
         maxmemory:0\r\n\
         maxmemory_human:0B\r\n\
         maxmemory_policy:noeviction\r\n\
         mem_fragmentation_ratio:1.00\r\n\
         mem_allocator:system\r\n\
         lazyfree_pending_objects:0\r\n\
         raft_log_bytes:{}\r\n",
        facts.status.log_bytes,
    )
}

fn persistence<K: Kv>(facts: &Facts<'_, K>, text: &mut String) -> fmt::Result {
    let unsaved = facts.status.applied_index.saturating_sub(facts.status.snapshot_index);
    write!(
        text,
        "loading:{}\r\n\
         async_loading:0\r\n\
         rdb_changes_since_last_save:{unsaved}\r\n\
         rdb_bgsave_in_progress:0\r\n\
         rdb_last_bgsave_status:ok\r\n\
         aof_enabled:1\r\n\
         aof_rewrite_in_progress:0\r\n\
         aof_rewrite_scheduled:0\r\n\
         aof_last_bgrewrite_status:ok\r\n\
         aof_last_write_status:ok\r\n",
        u8::from(facts.cluster.loading),
    )
}

fn stats<K: Kv>(facts: &Facts<'_, K>, text: &mut String) -> fmt::Result {
    let (stats, tracking) = (&facts.server.stats, facts.server.tracking.figures());
    write!(
        text,
        "total_connections_received:{}\r\n\
         total_commands_processed:{}\r\n\
         instantaneous_ops_per_sec:0\r\n\
         total_net_input_bytes:{}\r\n\
         total_net_output_bytes:{}\r\n\
         rejected_connections:{}\r\n\
         sync_full:0\r\n\
         sync_partial_ok:0\r\n\
         sync_partial_err:0\r\n\
         evicted_keys:0\r\n\
         pubsub_channels:0\r\n\
         pubsub_patterns:0\r\n\
         migrate_cached_sockets:0\r\n\
         tracking_total_keys:{}\r\n\
         tracking_total_items:{}\r\n\
         tracking_total_prefixes:{}\r\n\
         total_error_replies:{}\r\n\
         total_batches:{}\r\n",
        stats.connections_received.value(),
        stats.commands_processed.value(),
        stats.input_bytes.value(),
        stats.output_bytes.value(),
        stats.connections_rejected.value(),
        tracking.keys,
        tracking.items,
        tracking.prefixes,
        stats.error_replies.value(),
        stats.batches.value(),
    )
}

fn replication<K: Kv>(facts: &Facts<'_, K>, text: &mut String) -> fmt::Result {
    let (cluster, status) = (&facts.cluster, &facts.status);
    write!(text, "role:{}\r\n", role(cluster))?;
    let offset = status.applied_index;
    if cluster.role == Role::Leader {
        let replicas = cluster.members.iter().filter(|member| member.id != cluster.node);
        let live: Vec<_> = replicas.filter(|member| member.live).collect();
        write!(text, "connected_slaves:{}\r\n", live.len())?;
        for (number, member) in live.iter().enumerate() {
            let peer = status.peers.iter().find(|peer| peer.id == member.id);
            let offset = peer.and_then(|peer| peer.match_index).unwrap_or(0);
            let (host, port) = (&member.resp_host, member.resp_port);
            write!(
                text,
                "slave{number}:ip={host},port={port},state=online,offset={offset},lag=0\r\n"
            )?;
        }
    } else {
        let master = cluster::master(cluster);
        let link = if cluster.leader.is_some() { "up" } else { "down" };
        write!(
            text,
            "master_host:{}\r\n\
             master_port:{}\r\n\
             master_link_status:{link}\r\n\
             master_last_io_seconds_ago:0\r\n\
             master_sync_in_progress:0\r\n\
             slave_read_repl_offset:{offset}\r\n\
             slave_repl_offset:{offset}\r\n\
             slave_priority:100\r\n\
             slave_read_only:1\r\n\
             replica_announced:1\r\n\
             connected_slaves:0\r\n",
            master.map_or("", |member| member.resp_host.as_str()),
            master.map_or(0, |member| member.resp_port),
        )?;
    }
    write!(
        text,
        "master_failover_state:no-failover\r\n\
         master_replid:{}\r\n\
         master_replid2:0000000000000000000000000000000000000000\r\n\
         master_repl_offset:{offset}\r\n\
         second_repl_offset:-1\r\n\
         repl_backlog_active:1\r\n\
         repl_backlog_size:{}\r\n\
         repl_backlog_first_byte_offset:{}\r\n\
         repl_backlog_histlen:{}\r\n",
        cluster::shard_id(cluster),
        status.log_bytes,
        status.snapshot_index,
        status.last_log_index.saturating_sub(status.snapshot_index),
    )
}

fn keyspace<K: Kv>(facts: &Facts<'_, K>, text: &mut String) -> fmt::Result {
    let (keys, expires) = (facts.status.keys, facts.status.expiring_keys);
    if keys == 0 {
        return Ok(());
    }
    write!(text, "db0:keys={keys},expires={expires},avg_ttl=0\r\n")
}

fn raftkv<K: Kv>(facts: &Facts<'_, K>, text: &mut String) -> fmt::Result {
    let (cluster, status) = (&facts.cluster, &facts.status);
    let leader = cluster.leader.as_ref().map_or("", |leader| leader.as_str());
    let identity = cluster.cluster.map(|identity| identity.to_string()).unwrap_or_default();
    write!(
        text,
        "raftkv_version:{}\r\n\
         node:{}\r\n\
         cluster:{identity}\r\n\
         raft_role:{}\r\n\
         term:{}\r\n\
         leader:{leader}\r\n\
         members:{}\r\n\
         commit_index:{}\r\n\
         applied_index:{}\r\n\
         last_log_index:{}\r\n\
         snapshot_index:{}\r\n",
        facts.server.options.version,
        cluster.node,
        cluster.role.as_str(),
        cluster.term,
        cluster.members.len(),
        status.commit_index,
        status.applied_index,
        status.last_log_index,
        status.snapshot_index,
    )?;
    let Some(lease) = status.lease else { return write!(text, "read_mode:read-index\r\n") };
    write!(
        text,
        "read_mode:lease\r\n\
         lease_held:{}\r\n\
         lease_reads:{}\r\n\
         lease_reads_too_late:{}\r\n",
        u8::from(lease.held),
        lease.reads,
        lease.reads_too_late,
    )
}
