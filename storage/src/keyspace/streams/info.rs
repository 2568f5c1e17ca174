//! XINFO: what is known of a stream, its groups, and their consumers.

use super::super::command::{Args, Flags as F, Spec};
use super::super::container;
use super::super::number::{self, integer};
use super::super::reply::NO_SUCH_KEY;
use super::super::sequence::Sharer;
use super::super::{Reader, Reply};
use super::group::{Consumer, Delivery, Group};
use super::id::Id;
use super::past::Past;
use super::trim::NODE_ENTRIES;
use super::value::show;
use super::{Stream, no_such_group};

/// The subcommands of XINFO.
pub(super) const XINFO: &[Spec] = &[
    Spec::session("xinfo|consumers", 4)
        .with(&[F::READONLY, F::CAT_STREAM])
        .keys_at(2, 2, 1)
        .key_flags(&["RO access"])
        .doc("stream", "5.0.0")
        .tips(&["nondeterministic_output"]),
    Spec::session("xinfo|groups", 3)
        .with(&[F::READONLY, F::CAT_STREAM])
        .keys_at(2, 2, 1)
        .key_flags(&["RO access"])
        .doc("stream", "5.0.0"),
    Spec::session("xinfo|help", 2)
        .with(&[F::LOADING, F::STALE, F::CAT_STREAM])
        .doc("stream", "5.0.0"),
    Spec::session("xinfo|stream", -3)
        .with(&[F::READONLY, F::CAT_STREAM])
        .keys_at(2, 2, 1)
        .key_flags(&["RO access"])
        .doc("stream", "5.0.0"),
];

/// How many entries and pending ones FULL shows of each, unless told otherwise.
const COUNT: usize = 10;

pub(super) fn xinfo(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let row = container::subcommand("xinfo", XINFO, args.from(0))?;
    let (key, name) = (args.at(1), args.at(2));
    let stream = reader.kind::<Stream>(key)?.ok_or(NO_SUCH_KEY)?;
    Ok(match row.short_name() {
        "consumers" => {
            let group = stream.group(name).ok_or_else(|| no_such_group(key, name))?;
            let shown = group.consumers().map(|consumer| known_of(consumer, reader.clock));
            Reply::Array(shown.collect())
        }
        "groups" => {
            let past = stream.past();
            let shown = stream.groups().iter().map(|(name, group)| {
                map([
                    ("name", Reply::Bulk(name.clone())),
                    ("consumers", number::reply(group.consumers_len())),
                    ("pending", number::reply(group.pending().len())),
                    ("last-delivered-id", group.last_id.reply()),
                    ("entries-read", number_or_null(group.entries_read)),
                    ("lag", number_or_null(past.lag(group.entries_read, group.last_id))),
                ])
            });
            Reply::Array(shown.collect())
        }
        _ => match args.from(2) {
            [] => outline(stream),
            [full] if full.eq_ignore_ascii_case(b"full") => in_full(stream, COUNT),
            [full, word, count]
                if full.eq_ignore_ascii_case(b"full") && word.eq_ignore_ascii_case(b"count") =>
            {
                in_full(
                    stream,
                    match integer(count)? {
                        ..0 => COUNT,
                        0 => usize::MAX,
                        count => usize::try_from(count).unwrap_or(usize::MAX),
                    },
                )
            }
            _ => return Err(Reply::unknown_subcommand_or_arity("xinfo", args.at(0))),
        },
    })
}

fn map<const N: usize>(fields: [(&str, Reply); N]) -> Reply {
    Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}

fn number_or_null(number: Option<i64>) -> Reply {
    number.map_or(Reply::Null, Reply::Integer)
}

fn known_of(consumer: &Consumer, now: u64) -> Reply {
    map([
        ("name", Reply::Bulk(consumer.name.clone())),
        ("pending", number::reply(consumer.pending().len())),
        ("idle", number::reply(now.saturating_sub(consumer.seen))),
    ])
}

/// Returns what is told in either form. There is no radix tree here: what is told of it is what
/// Redis has for as many entries in full nodes.
fn head(stream: &Stream) -> [(&'static str, Reply); 7] {
    let Past { added, left, first, last, max_deleted } = stream.past();
    let nodes = left.div_ceil(NODE_ENTRIES as u64);
    [
        ("length", number::reply(left)),
        ("radix-tree-keys", number::reply(nodes)),
        ("radix-tree-nodes", number::reply(nodes + 1)),
        ("last-generated-id", last.reply()),
        ("max-deleted-entry-id", max_deleted.reply()),
        // Signed, as Redis tells it.
        ("entries-added", Reply::Integer(added as i64)),
        ("recorded-first-entry-id", first.reply()),
    ]
}

fn outline(stream: &Stream) -> Reply {
    let (all, mut sharer) = (stream.places(Id::MIN, Id::MAX), Sharer::default());
    let first = stream.iter(all.clone()).next().map(|piece| show(&piece, &mut sharer));
    let last = stream.iter_back(all).next().map(|piece| show(&piece, &mut sharer));
    let [length, keys, nodes, last_id, max_deleted, added, first_id] = head(stream);
    map([
        length,
        keys,
        nodes,
        last_id,
        max_deleted,
        added,
        first_id,
        ("groups", number::reply(stream.groups().len())),
        ("first-entry", first.unwrap_or(Reply::Null)),
        ("last-entry", last.unwrap_or(Reply::Null)),
    ])
}

fn in_full(stream: &Stream, count: usize) -> Reply {
    let (all, mut sharer) = (stream.places(Id::MIN, Id::MAX), Sharer::default());
    let entries = stream.iter(all).take(count).map(|piece| show(&piece, &mut sharer)).collect();
    let past = stream.past();
    let groups = stream.groups().iter().map(|(name, group)| {
        map([
            ("name", Reply::Bulk(name.clone())),
            ("last-delivered-id", group.last_id.reply()),
            ("entries-read", number_or_null(group.entries_read)),
            ("lag", number_or_null(past.lag(group.entries_read, group.last_id))),
            ("pel-count", number::reply(group.pending().len())),
            ("pending", pending(group, count)),
            ("consumers", Reply::Array(consumers(group, count))),
        ])
    });
    let groups = groups.collect();
    let [length, keys, nodes, last_id, max_deleted, added, first_id] = head(stream);
    map([
        length,
        keys,
        nodes,
        last_id,
        max_deleted,
        added,
        first_id,
        ("entries", Reply::Array(entries)),
        ("groups", Reply::Array(groups)),
    ])
}

fn pending(group: &Group, count: usize) -> Reply {
    let shown = group.pending().iter().take(count).map(|piece| {
        let delivery = Delivery::of(piece.as_bytes());
        let consumer = group.numbered(delivery.consumer).map(|consumer| consumer.name.clone());
        Reply::Array(vec![
            delivery.id.reply(),
            Reply::Bulk(consumer.unwrap_or_default()),
            number::reply(delivery.time),
            Reply::Integer(delivery.count),
        ])
    });
    Reply::Array(shown.collect())
}

fn consumers(group: &Group, count: usize) -> Vec<Reply> {
    let of_one = |consumer: &Consumer| {
        let ids = consumer.pending().iter().take(count);
        let deliveries = ids.filter_map(|piece| group.delivery(Id::of(piece.as_bytes())));
        let shown = deliveries.map(|delivery| {
            Reply::Array(vec![
                delivery.id.reply(),
                number::reply(delivery.time),
                Reply::Integer(delivery.count),
            ])
        });
        map([
            ("name", Reply::Bulk(consumer.name.clone())),
            ("seen-time", number::reply(consumer.seen)),
            ("pel-count", number::reply(consumer.pending().len())),
            ("pending", Reply::Array(shown.collect())),
        ])
    };
    group.consumers().map(of_one).collect()
}
