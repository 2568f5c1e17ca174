//! What is pending, against a model; and streams as bytes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::collection::{Content, Kind};
use super::super::command::{Batch, Stamp, lookup};
use super::super::{Keyspace, Reader};
use super::group::{Delivery, Group};
use super::id::Id;
use super::{Stream, block_ms, pinned};

const GROUPS: [&[u8]; 2] = [b"", b"group"];
const CONSUMERS: [&[u8]; 4] = [b"", b"a", b"b", b"c"];

/// What is done to a stream. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Add(u64),
    Remove(u64),
    See(usize),
    Deliver {
        id: u64,
        consumer: usize,
        time: u64,
        count: i64,
    },
    Acknowledge(u64),
    RemoveConsumer(usize),
    RemoveGroup,
    /// Somebody keeps a frozen view.
    Freeze,
}

fn steps(ids: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3u64).prop_map(Step::Add),
        2 => (0..ids).prop_map(Step::Remove),
        1 => (0..CONSUMERS.len()).prop_map(Step::See),
        8 => (0..ids, 0..CONSUMERS.len(), any::<u64>(), any::<i64>())
            .prop_map(|(id, consumer, time, count)| Step::Deliver { id, consumer, time, count }),
        4 => (0..ids).prop_map(Step::Acknowledge),
        1 => (0..CONSUMERS.len()).prop_map(Step::RemoveConsumer),
        1 => Just(Step::RemoveGroup),
        1 => Just(Step::Freeze),
    ];
    proptest::collection::vec(step, 0..400)
}

/// What is pending under each ID, and who is known.
#[derive(Default)]
struct Model {
    pending: BTreeMap<Id, (Vec<u8>, u64, i64)>,
    consumers: BTreeSet<Vec<u8>>,
}

fn id(number: u64) -> Id {
    Id { ms: number / 3, sequence: number % 3 }
}

fn apply(stream: &mut Stream, model: &mut Model, step: &Step) {
    let name = GROUPS[0];
    if stream.group(name).is_none() {
        stream.add_group(name, Group::default());
        *model = Model::default();
    }
    let (group, _) = stream.group_mut(name).expect("a group that was made");
    match *step {
        Step::See(consumer) => {
            group.see(CONSUMERS[consumer], 7);
            model.consumers.insert(CONSUMERS[consumer].to_vec());
        }
        Step::Deliver { id: number, consumer, time, count } => {
            let name = CONSUMERS[consumer];
            let (id, consumer) = (id(number), group.see(name, time));
            group.deliver(Delivery { id, consumer, time, count });
            model.consumers.insert(name.to_vec());
            model.pending.insert(id, (name.to_vec(), time, count));
        }
        Step::Acknowledge(number) => {
            let id = id(number);
            assert_eq!(group.acknowledge(id), model.pending.remove(&id).is_some());
        }
        Step::RemoveConsumer(consumer) => {
            let name = CONSUMERS[consumer];
            let before = model.pending.len();
            model.pending.retain(|_, (owner, ..)| owner != name);
            let is_known = model.consumers.remove(name);
            let removed = is_known.then_some(before - model.pending.len());
            assert_eq!(group.remove_consumer(name), removed);
        }
        Step::RemoveGroup => stream.remove_group(name),
        Step::Add(gap) => {
            let next = stream.last_id.next().expect("few IDs");
            stream.append(Id { ms: next.ms + gap, ..next }, &[b"field", b"value"]);
        }
        Step::Remove(number) => drop(stream.remove(id(number))),
        Step::Freeze => {}
    }
}

/// What is pending in the group is pending in the one consumer that it names, and nowhere else.
fn check(group: &Group, model: &Model) {
    let names: Vec<_> = group.consumers().map(|consumer| consumer.name.to_vec()).collect();
    assert_eq!(names, model.consumers.iter().cloned().collect::<Vec<_>>());
    let found = group.pending().iter().map(|piece| {
        let Delivery { id, consumer, time, count } = Delivery::of(piece.as_bytes());
        let consumer = group.numbered(consumer).expect("it is somebody's");
        (id, (consumer.name.to_vec(), time, count))
    });
    assert!(found.eq(model.pending.iter().map(|(id, of)| (*id, of.clone()))));
    for consumer in group.consumers() {
        let found = consumer.pending().iter().map(|piece| Id::of(piece.as_bytes()));
        let of_it = model.pending.iter().filter(|(_, (name, ..))| *name == consumer.name[..]);
        assert!(found.eq(of_it.map(|(id, _)| *id)));
    }
}

fn bytes_of(stream: &Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.write_to(&mut bytes).expect("memory takes all that is written to it");
    bytes
}

/// Returns the stream that bytes are, if they are one and no more.
fn read(mut bytes: &[u8]) -> Option<Stream> {
    Stream::read_from(&mut bytes).ok().filter(|_| bytes.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pending_lists_are_those_of_the_model(steps in steps(120)) {
        let (mut stream, mut model) = (Stream::default(), Model::default());
        let mut frozen = Vec::new();
        for step in &steps {
            apply(&mut stream, &mut model, step);
            if let Step::Freeze = step {
                frozen.push((stream.clone(), bytes_of(&stream)));
            }
            if let Some(group) = stream.group(GROUPS[0]) {
                check(group, &model);
            }
        }
        for (view, bytes) in frozen {
            prop_assert!(bytes_of(&view) == bytes, "a view has changed");
        }
        let bytes = bytes_of(&stream);
        let copy = read(&bytes).expect("what was written is read");
        prop_assert_eq!(bytes_of(&copy), bytes);
        // What is restored goes on as what was not.
        let mut copy = copy;
        let mut copied = Model::default();
        (copied.pending, copied.consumers) = (model.pending.clone(), model.consumers.clone());
        for step in steps.iter().take(50) {
            apply(&mut stream, &mut model, step);
            apply(&mut copy, &mut copied, step);
        }
        prop_assert_eq!(bytes_of(&copy), bytes_of(&stream));
    }

    /// Damaged bytes are refused, or are another stream in its one form.
    #[test]
    fn damaged_bytes_are_refused(
        steps in steps(12),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut stream, mut model) = (Stream::default(), Model::default());
        steps.iter().for_each(|step| apply(&mut stream, &mut model, step));
        if stream.group(GROUPS[1]).is_none() {
            stream.add_group(GROUPS[1], Group::new(Id::MAX, Some(3)));
        }
        let mut bytes = bytes_of(&stream);
        prop_assert!(read(&bytes[..cut.index(bytes.len())]).is_none());
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(stream) = read(&bytes) {
            prop_assert_eq!(bytes_of(&stream), bytes);
        }
    }
}

/// Many entries, given and acknowledged one by one: were it not logarithmic, it would not end.
#[test]
fn acknowledging_takes_no_time_that_grows() {
    let mut group = Group::default();
    let consumer = group.see(b"consumer", 1);
    for ms in 1..=200_000 {
        let id = Id { ms, sequence: 0 };
        group.deliver(Delivery { id, consumer, time: 1, count: 1 });
    }
    for ms in (1..=200_000).rev() {
        assert!(group.acknowledge(Id { ms, sequence: 0 }));
    }
    assert!(group.pending().is_empty());
}

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

#[test]
fn a_call_that_waits_can_be_made_again() {
    let mut keyspace = Keyspace::default();
    let mut batch = Batch::new();
    for line in ["xadd s 5-1 a b", "xgroup create n g 0 mkstream", "set x v"] {
        let words = words(line);
        batch.push(lookup(words[0]).expect("a command"), &words[1..]);
    }
    let payload = batch.into_parts(Stamp { time_ms: 9, seed: 0 }).1.expect("writes");
    keyspace.apply(1, &payload);
    let reader = Reader { store: keyspace.database.store(), now: 9, clock: 9, seed: 0 };
    for (line, expected) in [
        ("BLOCK 0 STREAMS s n m x $ $ $ $", "BLOCK 0 STREAMS s n m x 5-1 0-0 0-0 $"),
        ("STREAMS $ s 0 $", "STREAMS $ s 0 5-1"),
        ("GROUP g c STREAMS s >", "GROUP g c STREAMS s >"),
        ("STREAMS s s $", "STREAMS s s $"),
    ] {
        let pinned = pinned(&reader, &words(line));
        assert_eq!(String::from_utf8(pinned.join(&b' ')).expect("a line"), expected);
    }
    for (line, milliseconds) in [
        ("BLOCK 0 STREAMS s $", Some(0)),
        ("COUNT 1 block 50 STREAMS block 7", Some(50)),
        ("GROUP BLOCK 5 BLOCK 7 NOACK STREAMS s >", Some(7)),
        ("STREAMS BLOCK 9", None),
        ("BLOCK -1 STREAMS s $", None),
        ("BLOCK", None),
    ] {
        assert_eq!(block_ms(&words(line)), milliseconds, "{line}");
    }
}
