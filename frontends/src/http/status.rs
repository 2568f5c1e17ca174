//! The node as it sees itself. No key is touched and no leader is needed: this is what one asks
//! when things go wrong.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use raftkv_storage::types::{Index, Term};
use serde::Serialize;
use tokio::time::timeout;

use super::error::Failure;
use super::router::App;
use super::{body, params};
use crate::{Cluster, Error, Kv, Member, PeerStatus, Unavailable};

/// The answer of `GET /status`.
#[derive(Serialize)]
struct Status<'a> {
    id: &'a str,
    cluster_id: Option<String>,
    version: &'a str,
    role: &'a str,
    term: Term,
    leader: Option<Leader<'a>>,
    loading: bool,
    recovering: bool,
    read_mode: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_held: Option<bool>,
    commit_index: Index,
    applied_index: Index,
    last_log_index: Index,
    snapshot_index: Index,
    log_bytes: usize,
    keys: usize,
    expiring_keys: usize,
    peers: Vec<Peer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

#[derive(Serialize)]
struct Leader<'a> {
    id: &'a str,
    http: &'a str,
    resp: String,
}

#[derive(Serialize)]
struct Peer<'a> {
    id: &'a str,
    live: bool,
    match_index: Option<Index>,
    behind: Option<u64>,
    state: Option<&'a str>,
}

impl<'a> Leader<'a> {
    fn new(member: &'a Member) -> Self {
        let (host, port) = (&member.resp_host, member.resp_port);
        let resp = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        Self { id: member.id.as_str(), http: &member.http_url, resp }
    }
}

impl<'a> Peer<'a> {
    fn new(peer: &'a PeerStatus) -> Self {
        let PeerStatus { id, live, match_index, behind, state } = peer;
        let (id, live, match_index, behind) = (id.as_str(), *live, *match_index, *behind);
        Self { id, live, match_index, behind, state: *state }
    }
}

/// Returns the leader, if it is known and can be found.
fn leader(cluster: &Cluster) -> Option<&Member> {
    cluster.leader.and_then(|id| cluster.member(id))
}

/// `GET /status`, and with `?digest=true` a digest of all keys at `applied_index`, which costs a
/// walk over them.
pub(super) async fn status<K: Kv>(
    State(app): State<Arc<App<K>>>,
    uri: Uri,
) -> Result<Response, Failure> {
    let [digest] = params::query(&uri, ["digest"])?;
    let digest = match digest.as_deref() {
        None | Some(b"false") => false,
        Some(b"true") => true,
        Some(_) => {
            let message = "digest is true or false".to_owned();
            return Err(Failure::Invalid("invalid_query", message));
        }
    };
    let figures = app.kv.status(digest).await.map_err(Failure::Store)?;
    let cluster = app.kv.cluster().borrow().clone();
    let status = Status {
        id: cluster.node.as_str(),
        cluster_id: cluster.cluster.map(|id| id.to_string()),
        version: env!("CARGO_PKG_VERSION"),
        role: cluster.role.as_str(),
        term: cluster.term,
        leader: leader(&cluster).map(Leader::new),
        loading: cluster.loading,
        recovering: figures.recovering,
        read_mode: if figures.lease.is_some() { "lease" } else { "read-index" },
        lease_held: figures.lease.map(|lease| lease.held),
        commit_index: figures.commit_index,
        applied_index: figures.applied_index,
        last_log_index: figures.last_log_index,
        snapshot_index: figures.snapshot_index,
        log_bytes: figures.log_bytes,
        keys: figures.keys,
        expiring_keys: figures.expiring_keys,
        peers: figures.peers.iter().map(Peer::new).collect(),
        digest: figures.digest.map(|digest| format!("{digest:032x}")),
    };
    Ok(body::json(StatusCode::OK, body::text(&status)?))
}

/// `GET /livez`: whether the node's loop still turns. A node that loads its log is alive.
pub(super) async fn livez<K: Kv>(State(app): State<Arc<App<K>>>) -> Result<Response, Failure> {
    match timeout(app.options.probe_timeout, app.kv.status(false)).await {
        Ok(Ok(_) | Err(Error::Unavailable(Unavailable::Loading))) => {
            Ok(body::json(StatusCode::OK, r#"{"status":"live"}"#))
        }
        Ok(Err(error)) => Err(Failure::Store(error)),
        Err(_) => Err(Failure::Stalled),
    }
}

/// `GET /readyz`: whether requests for keys can be answered here, or at a leader this node can
/// point to.
pub(super) async fn readyz<K: Kv>(State(app): State<Arc<App<K>>>) -> Result<Response, Failure> {
    let cluster = app.kv.cluster().borrow().clone();
    if cluster.loading {
        return Err(Failure::Store(Error::Unavailable(Unavailable::Loading)));
    }
    let Some(leader) = leader(&cluster) else { return Err(Failure::Store(Error::NoLeader)) };
    // A node id is made of letters, digits, and `_.-`: nothing in it needs an escape.
    let ready = format!(r#"{{"status":"ready","leader":"{}"}}"#, leader.id);
    Ok(body::json(StatusCode::OK, ready))
}
