//! Every conversion between the core's messages and the bytes of `proto/raft.proto`.
//!
//! What comes from a peer is checked here once: missing fields, names that no server can have, ids
//! of the wrong length.

use std::collections::BTreeSet;

use bytes::Bytes;
use raftkv_storage::types::{
    ClusterId, Configuration, Entry, EntryId, NodeId, Payload, SnapshotMeta,
};

use crate::raft::{Envelope, Message};

/// The code that `proto/build.rs` generates.
#[expect(missing_docs, clippy::pedantic, reason = "generated")]
pub mod proto {
    tonic::include_proto!("raftkv.raft.v1");
}

/// A message that no server of ours would send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

/// Who speaks to whom, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's cluster, if it knows it.
    pub cluster: Option<ClusterId>,
    /// The sender.
    pub from: NodeId,
    /// The addressee.
    pub to: NodeId,
    /// The sender's term.
    pub term: u64,
}

impl Header {
    /// Returns the header of an envelope.
    #[must_use]
    pub fn of(envelope: &Envelope, cluster: Option<ClusterId>) -> Self {
        Self { cluster, from: envelope.from, to: envelope.to, term: envelope.term }
    }

    /// Checks and decodes a header.
    pub fn decode(header: Option<proto::Header>) -> Result<Self, Malformed> {
        let header = header.ok_or(Malformed("no header"))?;
        Ok(Self {
            cluster: decode_cluster(&header.cluster)?,
            from: decode_node(&header.from)?,
            to: decode_node(&header.to)?,
            term: header.term,
        })
    }

    fn encode(self) -> Option<proto::Header> {
        Some(proto::Header {
            cluster: encode_cluster(self.cluster),
            from: self.from.to_string(),
            to: self.to.to_string(),
            term: self.term,
        })
    }

    fn envelope(self, message: Message) -> Envelope {
        Envelope { from: self.from, to: self.to, term: self.term, message }
    }
}

/// An envelope in the form of the call it belongs to.
#[derive(Debug)]
pub enum Outgoing {
    /// Starts a RequestVote call.
    RequestVote(proto::RequestVoteRequest),
    /// Answers one.
    RequestVoteResponse(proto::RequestVoteResponse),
    /// Goes into the AppendEntries stream to a follower.
    AppendEntries(proto::AppendEntriesRequest),
    /// Goes into the answers of the AppendEntries stream from a leader.
    AppendEntriesResponse(proto::AppendEntriesResponse),
    /// Starts an InstallSnapshot call.
    InstallSnapshot,
    /// Answers one.
    InstallSnapshotResponse(proto::InstallSnapshotResponse),
}

/// Encodes an envelope for the call it belongs to. A heartbeat also says which members are
/// `silent`.
#[must_use]
pub fn encode(
    envelope: Envelope,
    cluster: Option<ClusterId>,
    silent: &BTreeSet<NodeId>,
) -> Outgoing {
    use proto::append_entries_request::Message as Request;
    use proto::append_entries_response::Message as Response;

    let header = Header::of(&envelope, cluster).encode();
    let request = |message| {
        Outgoing::AppendEntries(proto::AppendEntriesRequest {
            header: header.clone(),
            message: Some(message),
        })
    };
    let response = |message| {
        Outgoing::AppendEntriesResponse(proto::AppendEntriesResponse {
            header: header.clone(),
            message: Some(message),
        })
    };
    match envelope.message {
        Message::RequestVote { pre, last, transfer } => {
            let last = Some(encode_id(last));
            Outgoing::RequestVote(proto::RequestVoteRequest { header, pre, last, transfer })
        }
        Message::RequestVoteResponse { pre, granted } => {
            Outgoing::RequestVoteResponse(proto::RequestVoteResponse { header, pre, granted })
        }
        Message::AppendEntries { prev, entries, commit } => {
            request(Request::Append(proto::Append {
                prev: Some(encode_id(prev)),
                entries: entries.into_iter().map(encode_entry).collect(),
                commit,
            }))
        }
        Message::Heartbeat { commit, round } => {
            let silent = encode_nodes(silent);
            request(Request::Heartbeat(proto::Heartbeat { commit, round, silent }))
        }
        Message::TimeoutNow => request(Request::TimeoutNow(proto::TimeoutNow {})),
        Message::AppendEntriesResponse { matched } => {
            response(Response::Appended(proto::Appended { matched }))
        }
        Message::AppendEntriesRejected { rejected, hint } => {
            response(Response::Rejected(proto::Rejected { rejected, hint: Some(encode_id(hint)) }))
        }
        Message::HeartbeatResponse { round, last, promise_us } => {
            response(Response::Heartbeat(proto::HeartbeatResponse { round, last, promise_us }))
        }
        Message::RequestRecovery { nonce, last } => {
            response(Response::Recovery(proto::RequestRecovery { nonce, last }))
        }
        Message::RequestRecoveryResponse { nonce, last } => {
            request(Request::Recovery(proto::RequestRecoveryResponse { nonce, last }))
        }
        Message::InstallSnapshot { .. } => Outgoing::InstallSnapshot,
        Message::InstallSnapshotResponse { matched } => {
            Outgoing::InstallSnapshotResponse(proto::InstallSnapshotResponse { header, matched })
        }
    }
}

/// Encodes one chunk of a snapshot; the first carries `meta`.
#[must_use]
pub fn encode_chunk(
    header: Header,
    meta: Option<&SnapshotMeta>,
    offset: u64,
    data: Bytes,
    done: bool,
    hurry: bool,
) -> proto::InstallSnapshotRequest {
    let meta = meta.map(|meta| proto::SnapshotMeta {
        last: Some(encode_id(meta.last)),
        configuration: Some(encode_configuration(&meta.configuration)),
    });
    proto::InstallSnapshotRequest { header: header.encode(), meta, offset, data, done, hurry }
}

/// Checks and decodes a vote request.
pub fn decode_request_vote(
    request: proto::RequestVoteRequest,
) -> Result<(Header, Envelope), Malformed> {
    let header = Header::decode(request.header)?;
    let last = decode_id(request.last)?;
    let proto::RequestVoteRequest { pre, transfer, .. } = request;
    Ok((header, header.envelope(Message::RequestVote { pre, last, transfer })))
}

/// Checks and decodes the answer to a vote request.
pub fn decode_request_vote_response(
    response: proto::RequestVoteResponse,
) -> Result<(Header, Envelope), Malformed> {
    let header = Header::decode(response.header)?;
    let message = Message::RequestVoteResponse { pre: response.pre, granted: response.granted };
    Ok((header, header.envelope(message)))
}

/// Checks and decodes one message of a leader's stream, and, if it is a heartbeat, which members
/// the leader calls silent.
pub fn decode_append_entries(
    request: proto::AppendEntriesRequest,
) -> Result<(Header, Envelope, Option<BTreeSet<NodeId>>), Malformed> {
    use proto::append_entries_request::Message as Request;

    let header = Header::decode(request.header)?;
    let mut silent = None;
    let message = match request.message.ok_or(Malformed("no message"))? {
        Request::Append(append) => Message::AppendEntries {
            prev: decode_id(append.prev)?,
            entries: append.entries.into_iter().map(decode_entry).collect::<Result<_, _>>()?,
            commit: append.commit,
        },
        Request::Heartbeat(heartbeat) => {
            silent = Some(decode_nodes(&heartbeat.silent)?);
            Message::Heartbeat { commit: heartbeat.commit, round: heartbeat.round }
        }
        Request::TimeoutNow(proto::TimeoutNow {}) => Message::TimeoutNow,
        Request::Recovery(proto::RequestRecoveryResponse { nonce, last }) => {
            Message::RequestRecoveryResponse { nonce, last }
        }
    };
    Ok((header, header.envelope(message), silent))
}

/// Checks and decodes one answer of a follower.
pub fn decode_append_entries_response(
    response: proto::AppendEntriesResponse,
) -> Result<(Header, Envelope), Malformed> {
    use proto::append_entries_response::Message as Response;

    let header = Header::decode(response.header)?;
    let message = match response.message.ok_or(Malformed("no message"))? {
        Response::Appended(appended) => {
            Message::AppendEntriesResponse { matched: appended.matched }
        }
        Response::Rejected(rejected) => Message::AppendEntriesRejected {
            rejected: rejected.rejected,
            hint: decode_id(rejected.hint)?,
        },
        Response::Heartbeat(proto::HeartbeatResponse { round, last, promise_us }) => {
            Message::HeartbeatResponse { round, last, promise_us }
        }
        Response::Recovery(proto::RequestRecovery { nonce, last }) => {
            Message::RequestRecovery { nonce, last }
        }
    };
    Ok((header, header.envelope(message)))
}

/// Checks and decodes what a snapshot says of itself.
pub fn decode_snapshot_meta(meta: Option<proto::SnapshotMeta>) -> Result<SnapshotMeta, Malformed> {
    let meta = meta.ok_or(Malformed("no snapshot meta"))?;
    let configuration = meta.configuration.ok_or(Malformed("no configuration"))?;
    Ok(SnapshotMeta {
        last: decode_id(meta.last)?,
        configuration: decode_configuration(configuration)?,
    })
}

/// Checks and decodes the answer to a snapshot.
pub fn decode_install_snapshot_response(
    response: proto::InstallSnapshotResponse,
) -> Result<(Header, Envelope), Malformed> {
    let header = Header::decode(response.header)?;
    let message = Message::InstallSnapshotResponse { matched: response.matched };
    Ok((header, header.envelope(message)))
}

fn encode_id(id: EntryId) -> proto::EntryId {
    proto::EntryId { term: id.term, index: id.index }
}

fn decode_id(id: Option<proto::EntryId>) -> Result<EntryId, Malformed> {
    let id = id.ok_or(Malformed("no entry id"))?;
    Ok(EntryId { term: id.term, index: id.index })
}

fn encode_entry(entry: Entry) -> proto::Entry {
    use proto::entry::Payload as Encoded;

    let payload = match entry.payload {
        Payload::Noop => Encoded::Noop(proto::Noop {}),
        Payload::Command(command) => Encoded::Command(command),
        Payload::Configuration(configuration) => {
            Encoded::Configuration(encode_configuration(&configuration))
        }
    };
    proto::Entry { id: Some(encode_id(entry.id)), payload: Some(payload) }
}

fn decode_entry(entry: proto::Entry) -> Result<Entry, Malformed> {
    use proto::entry::Payload as Encoded;

    let payload = match entry.payload.ok_or(Malformed("no payload"))? {
        Encoded::Noop(proto::Noop {}) => Payload::Noop,
        Encoded::Command(command) => Payload::Command(command),
        Encoded::Configuration(configuration) => {
            Payload::Configuration(decode_configuration(configuration)?)
        }
    };
    Ok(Entry { id: decode_id(entry.id)?, payload })
}

fn encode_configuration(configuration: &Configuration) -> proto::Configuration {
    proto::Configuration {
        cluster: encode_cluster(configuration.cluster),
        voters: encode_nodes(&configuration.voters),
        outgoing: encode_nodes(&configuration.outgoing),
        learners: encode_nodes(&configuration.learners),
    }
}

fn decode_configuration(configuration: proto::Configuration) -> Result<Configuration, Malformed> {
    let decoded = Configuration {
        cluster: decode_cluster(&configuration.cluster)?,
        voters: decode_nodes(&configuration.voters)?,
        outgoing: decode_nodes(&configuration.outgoing)?,
        learners: decode_nodes(&configuration.learners)?,
    };
    if decoded.voters.is_empty() {
        return Err(Malformed("a configuration without voters"));
    }
    Ok(decoded)
}

fn encode_nodes(ids: &BTreeSet<NodeId>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn decode_nodes(names: &[String]) -> Result<BTreeSet<NodeId>, Malformed> {
    names.iter().map(|name| decode_node(name)).collect()
}

fn decode_node(name: &str) -> Result<NodeId, Malformed> {
    name.parse().map_err(|_| Malformed("invalid node id"))
}

fn encode_cluster(cluster: Option<ClusterId>) -> Bytes {
    cluster.map(|id| Bytes::copy_from_slice(&id.0.to_be_bytes())).unwrap_or_default()
}

fn decode_cluster(bytes: &[u8]) -> Result<Option<ClusterId>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bytes = bytes.try_into().map_err(|_| Malformed("a cluster id that is not 16 bytes"))?;
    Ok(Some(ClusterId(u128::from_be_bytes(bytes))))
}
