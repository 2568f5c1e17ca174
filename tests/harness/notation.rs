//! How messages and servers are written down: `n1@2 → n3 AppendEntries prev=4@1 [5@2] commit=4`.

use raftkv::raft::{Envelope, Message, ProgressState, Role, Status, Write};
use raftkv_storage::types::{Configuration, Entry, HardState, NodeId, Payload, Term};

use super::Cluster;

pub(crate) fn envelope(envelope: &Envelope) -> String {
    let Envelope { from, to, term, message } = envelope;
    format!("{from}@{term} → {to} {}", self::message(message))
}

fn message(message: &Message) -> String {
    let question = |pre: &bool| if *pre { "PreVote" } else { "RequestVote" };
    match message {
        Message::RequestVote { pre, last, transfer } => {
            let transfer = if *transfer { " transfer" } else { "" };
            format!("{} last={last}{transfer}", question(pre))
        }
        Message::RequestVoteResponse { pre, granted } => {
            format!("{}Response {}", question(pre), if *granted { "granted" } else { "refused" })
        }
        Message::AppendEntries { prev, entries, commit } => {
            format!("AppendEntries prev={prev} [{}] commit={commit}", ids(entries))
        }
        Message::AppendEntriesResponse { matched } => {
            format!("AppendEntriesResponse matched={matched}")
        }
        Message::AppendEntriesRejected { rejected, hint } => {
            format!("AppendEntriesRejected rejected={rejected} hint={hint}")
        }
        Message::Heartbeat { commit, round } => format!("Heartbeat commit={commit} round={round}"),
        Message::HeartbeatResponse { round, last, promise_us } => {
            let promise = match promise_us {
                0 => String::new(),
                us => format!(" promise={} ms", us / 1_000),
            };
            format!("HeartbeatResponse round={round} last={last}{promise}")
        }
        Message::TimeoutNow => "TimeoutNow".to_owned(),
        Message::RequestRecovery { last, .. } => format!("RequestRecovery last={last}"),
        Message::RequestRecoveryResponse { last, .. } => {
            format!("RequestRecoveryResponse last={last}")
        }
        Message::InstallSnapshot { meta } => format!("InstallSnapshot last={}", meta.last),
        Message::InstallSnapshotResponse { matched } => {
            format!("InstallSnapshotResponse matched={matched}")
        }
    }
}

fn ids(entries: &[Entry]) -> String {
    entries.iter().map(|entry| entry.id.to_string()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn entry(entry: &Entry) -> String {
    let payload = match &entry.payload {
        Payload::Noop => "no-op".to_owned(),
        Payload::Command(command) => String::from_utf8_lossy(command).into_owned(),
        Payload::Configuration(configuration) => self::configuration(configuration),
    };
    format!("{} {payload}", entry.id)
}

pub(crate) fn configuration(configuration: &Configuration) -> String {
    let names = |set: &std::collections::BTreeSet<NodeId>| {
        set.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let mut text = format!("voters({})", names(&configuration.voters));
    if !configuration.outgoing.is_empty() {
        text += &format!(" outgoing({})", names(&configuration.outgoing));
    }
    if !configuration.learners.is_empty() {
        text += &format!(" learners({})", names(&configuration.learners));
    }
    text
}

pub(crate) fn role(id: NodeId, term: Term, role: Role) -> String {
    let role = match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    };
    format!("{id}@{term} is {role}")
}

pub(crate) fn write(id: NodeId, write: &Write) -> String {
    let mut text = format!("{id} syncs");
    if let Some(meta) = &write.snapshot {
        text += &format!(" snapshot={}", meta.last);
    }
    if let Some(HardState { term, vote }) = write.hard_state {
        let vote = vote.map_or("none".to_owned(), |vote| vote.to_string());
        text += &format!(" term={term} vote={vote}");
    }
    if !write.entries.is_empty() {
        text += &format!(" [{}]", ids(&write.entries));
    }
    if write.recovered {
        text += " recovered";
    }
    text
}

/// Writes down one server.
pub(crate) fn status(cluster: &Cluster, id: NodeId) -> String {
    let node = cluster.node(id);
    let Some(raft) = &node.raft else { return format!("{id} is down") };
    let Status {
        term, leader, commit, applied, last, persisted, snapshot, recovering, peers, ..
    } = raft.status();
    let leader = leader.map_or("none".to_owned(), |leader| leader.to_string());
    let mut text = role(id, term, raft.role());
    text += &format!(" leader={leader} last={last} persisted={persisted}");
    text += &format!(" commit={commit} applied={applied} snapshot={snapshot}");
    if recovering {
        text += " recovering";
    }
    if raft.has_lease() {
        text += " lease";
    }
    for (peer, progress) in peers {
        let state = match progress.state {
            ProgressState::Probe => "probe",
            ProgressState::Replicate => "replicate",
            ProgressState::Snapshot => "snapshot",
            ProgressState::Lost => "lost",
        };
        let silent = if progress.active { "" } else { " silent" };
        let (matched, next) = (progress.match_index, progress.next_index);
        text += &format!("\n  {peer}: {state} match={matched} next={next}{silent}");
    }
    text
}

/// Writes down a server's log.
pub(crate) fn log(cluster: &Cluster, id: NodeId) -> String {
    let image = &cluster.node(id).image.recovered;
    let log = format!("{id} log: {} | {}", image.base, ids(&image.entries));
    log.trim_end().to_owned()
}
