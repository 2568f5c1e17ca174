//! CLUSTER: the Raft group, told as a Redis Cluster.
//!
//! The leader is the master of all slots; the others are its replicas. While there is no leader the
//! last one is shown: clients treat an error, or a cluster without a master, as the end, and a
//! master that does not answer as something to try again.

use std::fmt::Write;

use raftkv_storage::keyspace::command::Batch;
use raftkv_storage::keyspace::{Reply, slots};
use raftkv_storage::types::NodeId;

use super::help::help;
use super::{Server, errors, scanner};
use crate::{Cluster, Kv, Member, Status};

/// How many slots there are.
const SLOTS: u16 = 16_384;
/// Redis' cluster bus is this much above the port clients use. There is none here, but the number
/// is part of the format.
const BUS_OFFSET: u32 = 10_000;

pub(super) async fn run<K: Kv>(server: &Server<K>, subcommand: &str, args: &[&[u8]]) -> Reply {
    let cluster = std::sync::Arc::clone(&server.kv.cluster().borrow());
    match subcommand {
        "slots" => slots(&cluster),
        "nodes" => Reply::Verbatim(all_nodes(&cluster).into()),
        "shards" => shards(&cluster, server.kv.status(false).await.ok().as_ref()),
        "info" => Reply::Verbatim(info(&cluster).into()),
        "myid" => Reply::bulk(node_id(cluster.node)),
        "myshardid" => Reply::bulk(shard_id(&cluster)),
        "keyslot" => Reply::Integer(errors::slot(args[0]).into()),
        "countkeysinslot" => match slot(args[0]) {
            Ok(Some(slot)) => ask(server, slot, slots::count(slot)).await,
            Ok(None) => Reply::error("ERR Invalid slot"),
            Err(error) => error,
        },
        "getkeysinslot" => match (slot(args[0]), scanner::integer(args[1])) {
            (Ok(Some(slot)), Some(count @ 0..)) => {
                let limit = usize::try_from(count).unwrap_or(usize::MAX);
                ask(server, slot, slots::keys(slot, limit)).await
            }
            (Ok(_), Some(_)) => Reply::error("ERR Invalid slot or number of keys"),
            (Err(error), _) => error,
            (_, None) => errors::not_an_integer(),
        },
        "replicas" | "slaves" => replicas(&cluster, args[0]),
        "links" => Reply::Array(Vec::new()),
        "help" => help(HELP),
        _ => Reply::unknown_subcommand("cluster", subcommand.as_bytes()),
    }
}

fn slot(text: &[u8]) -> Result<Option<u16>, Reply> {
    let number = scanner::integer(text).ok_or_else(errors::not_an_integer)?;
    Ok(u16::try_from(number).ok().filter(|slot| *slot < SLOTS))
}

/// Asks the keyspace about the keys of a slot. It is not divided by slots, since nothing is ever
/// moved by slot: this walks over all keys.
async fn ask<K: Kv>(server: &Server<K>, slot: u16, question: Batch) -> Reply {
    match server.kv.execute(question).await {
        Ok(mut replies) => replies.pop().unwrap_or(Reply::Null),
        Err(error) => errors::reply(&error, &server.kv.cluster().borrow(), slot),
    }
}

/// Returns the 40 hexadecimal digits that stand for a node: the same on every node, and for ever.
pub(super) fn node_id(node: NodeId) -> String {
    digits("node", node.as_str().as_bytes())
}

/// Returns the digits that stand for the one shard there is.
pub(super) fn shard_id(cluster: &Cluster) -> String {
    let identity = cluster.cluster.map_or(0, |identity| identity.0);
    digits("shard", &identity.to_be_bytes())
}

/// Spreads a name over 160 bits: FNV-1a from different beginnings, each finished by a mix in which
/// every bit counts.
fn digits(domain: &str, name: &[u8]) -> String {
    let mut text = String::with_capacity(48);
    for part in 0..3_u8 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in domain.bytes().chain([part]).chain(name.iter().copied()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        let _ = write!(text, "{hash:016x}");
    }
    text.truncate(40);
    text
}

/// Returns the master: who leads, or who led last, or, before the first election, the same one on
/// every node.
pub(super) fn master(cluster: &Cluster) -> Option<&Member> {
    let leader = cluster.leader.or(cluster.last_leader);
    leader.and_then(|leader| cluster.member(leader)).or(cluster.members.first())
}

/// Returns the members that are not the master.
fn others<'a>(cluster: &'a Cluster, master: &Member) -> impl Iterator<Item = &'a Member> {
    let master = master.id;
    cluster.members.iter().filter(move |member| member.id != master)
}

fn is_live(cluster: &Cluster, member: &Member) -> bool {
    member.live || member.id == cluster.node
}

fn slots(cluster: &Cluster) -> Reply {
    let Some(master) = master(cluster) else { return Reply::Array(Vec::new()) };
    let node = |member: &Member| {
        Reply::Array(vec![
            Reply::bulk(&member.resp_host),
            Reply::Integer(member.resp_port.into()),
            Reply::bulk(node_id(member.id)),
            Reply::Map(Vec::new()),
        ])
    };
    let mut range = vec![Reply::Integer(0), Reply::Integer((SLOTS - 1).into()), node(master)];
    range.extend(others(cluster, master).filter(|member| is_live(cluster, member)).map(node));
    Reply::Array(vec![Reply::Array(range)])
}

fn all_nodes(cluster: &Cluster) -> String {
    let Some(master) = master(cluster) else { return String::new() };
    let mut text = nodes_line(cluster, master, master);
    text.push('\n');
    for member in others(cluster, master) {
        text.push_str(&nodes_line(cluster, master, member));
        text.push('\n');
    }
    text
}

/// Returns a node's line in CLUSTER NODES, without its end.
fn nodes_line(cluster: &Cluster, master: &Member, member: &Member) -> String {
    let is_master = member.id == master.id;
    let myself = if member.id == cluster.node { "myself," } else { "" };
    let (role, of, slots) = if is_master {
        ("master", "-".to_owned(), " 0-16383")
    } else {
        ("slave", node_id(master.id), "")
    };
    let link = if is_live(cluster, member) { "connected" } else { "disconnected" };
    let (host, port) = (&member.resp_host, u32::from(member.resp_port));
    format!(
        "{} {host}:{port}@{} {myself}{role} {of} 0 0 {} {link}{slots}",
        node_id(member.id),
        port + BUS_OFFSET,
        cluster.term,
    )
}

fn shards(cluster: &Cluster, status: Option<&Status>) -> Reply {
    let Some(master) = master(cluster) else { return Reply::Array(Vec::new()) };
    let nodes = std::iter::once(master).chain(others(cluster, master));
    let nodes = nodes.map(|member| shard_node(cluster, status, master, member)).collect();
    let slots = vec![Reply::Integer(0), Reply::Integer((SLOTS - 1).into())];
    Reply::Array(vec![Reply::Map(vec![
        (Reply::bulk("slots"), Reply::Array(slots)),
        (Reply::bulk("nodes"), Reply::Array(nodes)),
    ])])
}

fn shard_node(
    cluster: &Cluster,
    status: Option<&Status>,
    master: &Member,
    member: &Member,
) -> Reply {
    // How far others are only the leader knows; to the others they are as far as they themselves
    // are.
    let known = |status: &Status| {
        let peer = status.peers.iter().find(|peer| peer.id == member.id);
        peer.and_then(|peer| peer.match_index).unwrap_or(status.applied_index)
    };
    let offset = status.map_or(0, known);
    let health = match (member.id == cluster.node, is_live(cluster, member)) {
        (true, _) if cluster.loading => "loading",
        (_, true) => "online",
        (_, false) => "fail",
    };
    let role = if member.id == master.id { "master" } else { "replica" };
    Reply::Map(vec![
        (Reply::bulk("id"), Reply::bulk(node_id(member.id))),
        (Reply::bulk("port"), Reply::Integer(member.resp_port.into())),
        (Reply::bulk("ip"), Reply::bulk(&member.resp_host)),
        (Reply::bulk("endpoint"), Reply::bulk(&member.resp_host)),
        (Reply::bulk("role"), Reply::bulk(role)),
        (
            Reply::bulk("replication-offset"),
            Reply::Integer(i64::try_from(offset).unwrap_or(i64::MAX)),
        ),
        (Reply::bulk("health"), Reply::bulk(health)),
    ])
}

fn replicas(cluster: &Cluster, wanted: &[u8]) -> Reply {
    let is_wanted = |member: &&Member| node_id(member.id).as_bytes().eq_ignore_ascii_case(wanted);
    let Some(found) = cluster.members.iter().find(is_wanted) else {
        return Reply::error_quoting("ERR Unknown node ", wanted, "");
    };
    let Some(master) = master(cluster).filter(|master| master.id == found.id) else {
        return Reply::error("ERR The specified node is not a master");
    };
    let line = |member| Reply::bulk(nodes_line(cluster, master, member));
    Reply::Array(others(cluster, master).map(line).collect())
}

fn info(cluster: &Cluster) -> String {
    let state = if cluster.leader.is_some() && !cluster.loading { "ok" } else { "fail" };
    let slots_ok = if cluster.leader.is_some() { SLOTS } else { 0 };
    let (members, term) = (cluster.members.len(), cluster.term);
    format!(
        "cluster_state:{state}\r\n\
         cluster_slots_assigned:{SLOTS}\r\n\
         cluster_slots_ok:{slots_ok}\r\n\
         cluster_slots_pfail:{}\r\n\
         cluster_slots_fail:0\r\n\
         cluster_known_nodes:{members}\r\n\
         cluster_size:1\r\n\
         cluster_current_epoch:{term}\r\n\
         cluster_my_epoch:{term}\r\n\
         cluster_stats_messages_sent:0\r\n\
         cluster_stats_messages_received:0\r\n\
         total_cluster_links_buffer_limit_exceeded:0\r\n",
        SLOTS - slots_ok,
    )
}

const HELP: &[&str] = &[
    "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "COUNTKEYSINSLOT <slot>",
    "    Return the number of keys in <slot>. Walks over all keys.",
    "GETKEYSINSLOT <slot> <count>",
    "    Return up to <count> keys in <slot>. Walks over all keys.",
    "INFO",
    "    Return information about the cluster.",
    "KEYSLOT <key>",
    "    Return the hash slot for <key>.",
    "LINKS",
    "    Return an empty list: nodes do not speak this protocol with each other.",
    "MYID",
    "    Return the node id.",
    "MYSHARDID",
    "    Return the shard id.",
    "NODES",
    "    Return cluster configuration seen by node. Output format:",
    "    <id> <ip:port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
    "REPLICAS <node-id>",
    "    Return <node-id> replicas.",
    "SHARDS",
    "    Return information about slot range mappings and the nodes associated with them.",
    "SLOTS",
    "    Return information about slots range mappings. Each range is made of:",
    "    start, end, master and replicas IP addresses, ports and ids",
    "HELP",
    "    Prints this help.",
];
