//! The bytes between servers: what goes in comes out, and what no server would send is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use prost::Message as _;
use raftkv::raft::{Envelope, Message};
use raftkv::transport::wire::{self, Header, Outgoing, proto};
use raftkv_storage::types::{
    ClusterId, Configuration, Entry, EntryId, NodeId, Payload, SnapshotMeta,
};

fn node() -> impl Strategy<Value = NodeId> {
    "[A-Za-z0-9_.-]{1,32}".prop_map(|name| name.parse().unwrap())
}

fn cluster() -> impl Strategy<Value = Option<ClusterId>> {
    proptest::option::of(any::<u128>().prop_map(ClusterId))
}

fn id() -> impl Strategy<Value = EntryId> {
    (any::<u64>(), any::<u64>()).prop_map(|(term, index)| EntryId { term, index })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let nodes = |range| btree_set(node(), range);
    (cluster(), nodes(1..5), nodes(0..5), nodes(0..3)).prop_map(
        |(cluster, voters, outgoing, learners)| Configuration {
            cluster,
            voters,
            outgoing,
            learners,
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let payload = prop_oneof![
        Just(Payload::Noop),
        vec(any::<u8>(), 0..200).prop_map(|bytes| Payload::Command(Bytes::from(bytes))),
        configuration().prop_map(Payload::Configuration),
    ];
    (id(), payload).prop_map(|(id, payload)| Entry { id, payload })
}

/// Every message but InstallSnapshot, which travels as chunks.
fn message() -> impl Strategy<Value = Message> {
    let n = any::<u64>;
    prop_oneof![
        (any::<bool>(), id(), any::<bool>())
            .prop_map(|(pre, last, transfer)| Message::RequestVote { pre, last, transfer }),
        Just(Message::TimeoutNow),
        (any::<bool>(), any::<bool>())
            .prop_map(|(pre, granted)| Message::RequestVoteResponse { pre, granted }),
        (id(), vec(entry(), 0..5), n())
            .prop_map(|(prev, entries, commit)| Message::AppendEntries { prev, entries, commit }),
        n().prop_map(|matched| Message::AppendEntriesResponse { matched }),
        (n(), id()).prop_map(|(rejected, hint)| Message::AppendEntriesRejected { rejected, hint }),
        (n(), n()).prop_map(|(commit, round)| Message::Heartbeat { commit, round }),
        (n(), n(), n()).prop_map(|(round, last, promise_us)| {
            Message::HeartbeatResponse { round, last, promise_us }
        }),
        (n(), n()).prop_map(|(nonce, last)| Message::RequestRecovery { nonce, last }),
        (n(), n()).prop_map(|(nonce, last)| Message::RequestRecoveryResponse { nonce, last }),
        n().prop_map(|matched| Message::InstallSnapshotResponse { matched }),
    ]
}

/// Sends a message through its bytes.
fn through(outgoing: Outgoing) -> (Header, Envelope) {
    match outgoing {
        Outgoing::RequestVote(message) => wire::decode_request_vote(reparse(&message)).unwrap(),
        Outgoing::RequestVoteResponse(message) => {
            wire::decode_request_vote_response(reparse(&message)).unwrap()
        }
        Outgoing::AppendEntries(message) => {
            let (header, envelope, _) = wire::decode_append_entries(reparse(&message)).unwrap();
            (header, envelope)
        }
        Outgoing::AppendEntriesResponse(message) => {
            wire::decode_append_entries_response(reparse(&message)).unwrap()
        }
        Outgoing::InstallSnapshotResponse(message) => {
            wire::decode_install_snapshot_response(reparse(&message)).unwrap()
        }
        Outgoing::InstallSnapshot => unreachable!("travels as chunks"),
    }
}

fn reparse<M: prost::Message + Default>(message: &M) -> M {
    M::decode(Bytes::from(message.encode_to_vec())).unwrap()
}

proptest! {
    #[test]
    fn a_message_arrives_as_it_was_sent(
        from in node(), to in node(), term in any::<u64>(), cluster in cluster(),
        message in message(), silent in btree_set(node(), 0..5),
    ) {
        let envelope = Envelope { from, to, term, message };
        let (header, arrived) = through(wire::encode(envelope.clone(), cluster, &silent));
        prop_assert_eq!(&arrived, &envelope);
        prop_assert_eq!(header, Header { cluster, from, to, term });
    }

    /// Who is silent travels with heartbeats and with nothing else, and is nothing to the core.
    #[test]
    fn a_heartbeat_says_who_is_silent(
        from in node(), message in message(), silent in btree_set(node(), 0..5),
    ) {
        let is_heartbeat = matches!(message, Message::Heartbeat { .. });
        let envelope = Envelope { from, to: from, term: 1, message };
        let with = wire::encode(envelope.clone(), None, &silent);
        let without = wire::encode(envelope, None, &BTreeSet::new());
        match (with, without) {
            (Outgoing::AppendEntries(with), Outgoing::AppendEntries(without)) if is_heartbeat => {
                let with = wire::decode_append_entries(reparse(&with)).unwrap();
                let without = wire::decode_append_entries(reparse(&without)).unwrap();
                prop_assert_eq!((with.0, with.1), (without.0, without.1));
                prop_assert_eq!((with.2, without.2), (Some(silent), Some(BTreeSet::new())));
            }
            (with, without) => prop_assert_eq!(format!("{with:?}"), format!("{without:?}")),
        }
    }

    #[test]
    fn a_snapshot_meta_arrives_as_it_was_sent(
        from in node(), last in id(), configuration in configuration(),
        data in vec(any::<u8>(), 0..100),
    ) {
        let meta = SnapshotMeta { last, configuration };
        let header = Header { cluster: None, from, to: from, term: 1 };
        let bytes = Bytes::from(data.clone());
        let chunk = wire::encode_chunk(header, Some(&meta), 7, bytes, true, true);
        let chunk = reparse(&chunk);
        prop_assert_eq!(wire::decode_snapshot_meta(chunk.meta).unwrap(), meta);
        prop_assert_eq!((chunk.offset, &chunk.data[..], chunk.done), (7, &data[..], true));
        prop_assert!(chunk.hurry);
    }

    /// Whatever bytes a stranger sends, decoding ends with a message or an error.
    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        if let Ok(message) = proto::AppendEntriesRequest::decode(bytes.clone()) {
            let _ = wire::decode_append_entries(message);
        }
        if let Ok(message) = proto::RequestVoteRequest::decode(bytes.clone()) {
            let _ = wire::decode_request_vote(message);
        }
        if let Ok(message) = proto::InstallSnapshotRequest::decode(bytes) {
            let _ = wire::decode_snapshot_meta(message.meta);
        }
    }
}

#[test]
fn what_no_server_would_send_is_refused() {
    let header =
        || Some(proto::Header { from: "A".into(), to: "B".into(), term: 1, ..Default::default() });
    let vote = |header, last| proto::RequestVoteRequest { header, last, ..Default::default() };
    let last = Some(proto::EntryId::default());
    assert!(wire::decode_request_vote(vote(header(), last)).is_ok());
    assert!(wire::decode_request_vote(vote(None, last)).is_err(), "no header");
    assert!(wire::decode_request_vote(vote(header(), None)).is_err(), "no last entry");
    for from in ["", "a b", &"x".repeat(33), "ä"] {
        let header = proto::Header { from: from.into(), ..header().unwrap() };
        assert!(wire::decode_request_vote(vote(Some(header), last)).is_err(), "{from:?}");
    }
    let header_of = |cluster: &'static [u8]| {
        Some(proto::Header { cluster: Bytes::from_static(cluster), ..header().unwrap() })
    };
    assert!(wire::decode_request_vote(vote(header_of(&[1; 15]), last)).is_err(), "15 bytes");
    assert!(wire::decode_request_vote(vote(header_of(&[1; 16]), last)).is_ok());
    let empty = proto::AppendEntriesRequest { header: header(), message: None };
    assert!(wire::decode_append_entries(empty).is_err(), "no message");
    let beat = |silent: &str| proto::AppendEntriesRequest {
        header: header(),
        message: Some(proto::append_entries_request::Message::Heartbeat(proto::Heartbeat {
            silent: vec![silent.into()],
            ..Default::default()
        })),
    };
    assert!(wire::decode_append_entries(beat("C")).is_ok());
    assert!(wire::decode_append_entries(beat("no name")).is_err(), "silent: no name");
    let nobody = proto::SnapshotMeta { last, configuration: Some(proto::Configuration::default()) };
    assert!(wire::decode_snapshot_meta(Some(nobody)).is_err(), "no voters");
}
