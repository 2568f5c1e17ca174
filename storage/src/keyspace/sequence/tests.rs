//! A sequence against a plain vector, and its views against what they were.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    RemoveIf(usize, usize, u8),
    Push(usize, Vec<u8>),
    View,
}

fn entry() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), 100..700),
        1 => (900usize..3000).prop_map(|length| vec![7; length]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<usize>(), entry()).prop_map(|(at, entry)| Step::Insert(at, entry)),
        2 => (any::<usize>(), entry()).prop_map(|(at, entry)| Step::Replace(at, entry)),
        3 => (any::<usize>(), 1usize..4).prop_map(|(at, count)| Step::Remove(at, count)),
        1 => (any::<usize>(), 1usize..200).prop_map(|(at, count)| Step::Remove(at, count)),
        1 => (any::<usize>(), 1usize..2000, 1u8..=255).prop_map(|(at, count, share)| {
            Step::RemoveIf(at, count, share)
        }),
        2 => (1usize..300, entry()).prop_map(|(count, entry)| Step::Push(count, entry)),
        1 => Just(Step::View),
    ]
}

fn content(sequence: &Sequence) -> Vec<Vec<u8>> {
    sequence.iter().map(|piece| piece.as_bytes().to_vec()).collect()
}

/// All leaves at one depth, counts that are right, no node too large and none empty.
fn check(sequence: &Sequence) {
    fn depth(node: &Node, is_root: bool) -> usize {
        match node {
            Node::Leaf(leaf) => {
                assert!(leaf.count() > 0 || is_root);
                assert!(leaf.size() <= leaf::BYTES_MAX || leaf.count() == 1);
                assert_eq!(leaf.ranges().count(), leaf.count());
                0
            }
            Node::Inner(children) => {
                assert!(children.len() > usize::from(is_root) && children.len() <= 32);
                let depths: Vec<_> =
                    children.iter().map(|child| depth(&child.node, false)).collect();
                assert!(depths.iter().all(|depth| *depth == depths[0]), "{depths:?}");
                assert!(children.iter().all(|child| child.count == child.node.count()));
                depths[0] + 1
            }
        }
    }
    depth(&sequence.root, true);
    assert_eq!(sequence.root.count(), sequence.len);
}

proptest! {
    #[test]
    fn a_sequence_is_a_vector(steps in prop::collection::vec(step(), 1..120)) {
        let mut sequence = Sequence::default();
        let mut model: Vec<Vec<u8>> = Vec::new();
        let mut views = Vec::new();
        for step in steps {
            match step {
                Step::Insert(at, entry) => {
                    let at = at % (model.len() + 1);
                    sequence.insert(at, &entry);
                    model.insert(at, entry);
                }
                Step::Replace(at, entry) if !model.is_empty() => {
                    let at = at % model.len();
                    sequence.replace(at, &entry);
                    model[at] = entry;
                }
                Step::Remove(at, count) if !model.is_empty() => {
                    let at = at % model.len();
                    let end = (at + count).min(model.len());
                    sequence.remove_range(at..end);
                    model.drain(at..end);
                }
                Step::RemoveIf(at, count, share) if !model.is_empty() => {
                    let at = at % model.len();
                    let end = (at + count).min(model.len());
                    // Some of them, whatever they are: all, many in a row, or here and there.
                    let is_chosen = |number: usize| number * 101 % 256 <= usize::from(share);
                    let gone: Vec<_> = (at..end).filter(|at| is_chosen(*at)).collect();
                    let mut place = at;
                    let removed = sequence.remove_if(at..end, |entry| {
                        assert_eq!(entry, &model[place]);
                        place += 1;
                        is_chosen(place - 1)
                    });
                    prop_assert_eq!(removed, gone.len());
                    for place in gone.into_iter().rev() {
                        model.remove(place);
                    }
                }
                Step::Push(count, entry) => {
                    for _ in 0..count {
                        sequence.push(&entry);
                        model.push(entry.clone());
                    }
                }
                Step::View => views.push((sequence.clone(), model.clone())),
                Step::Replace(..) | Step::Remove(..) | Step::RemoveIf(..) => {}
            }
            check(&sequence);
        }
        prop_assert_eq!(content(&sequence), model.clone());
        for at in [0, model.len() / 3, model.len()] {
            let entries = |pieces: Vec<Piece<'_>>| -> Vec<Vec<u8>> {
                pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect()
            };
            prop_assert_eq!(entries(sequence.iter_from(at).collect()), model[at..].to_vec());
            let back: Vec<_> = model[..at].iter().rev().cloned().collect();
            prop_assert_eq!(entries(sequence.iter_back_from(at).collect()), back);
            let found = sequence.get(at).map(|piece| piece.as_bytes().to_vec());
            prop_assert_eq!(found, model.get(at).cloned());
        }
        for (view, then) in views {
            prop_assert_eq!(content(&view), then);
        }
    }

    #[test]
    fn what_is_in_order_is_found(numbers in prop::collection::btree_set(0u32..100_000, 0..2000)) {
        let mut sequence = Sequence::default();
        for number in &numbers {
            sequence.push(&number.to_be_bytes());
        }
        let numbers: Vec<u32> = numbers.into_iter().collect();
        for sought in (0..100_000).step_by(997).chain(numbers.iter().copied()) {
            let found = sequence.search(|entry| entry.cmp(&sought.to_be_bytes()[..]));
            prop_assert_eq!(found, numbers.binary_search(&sought));
            let before = sequence.partition_point(|entry| entry < &sought.to_be_bytes()[..]);
            prop_assert_eq!(before, numbers.partition_point(|number| *number < sought));
        }
    }

    #[test]
    fn what_is_written_is_read(entries in prop::collection::vec(entry(), 0..200)) {
        let mut sequence = Sequence::default();
        entries.iter().for_each(|entry| sequence.push(entry));
        let mut bytes = Vec::new();
        sequence.write_to(&mut bytes).expect("memory takes all that is written to it");
        let mut read = Vec::new();
        let mut take = |entry: &[u8]| {
            read.push(entry.to_vec());
            Ok(())
        };
        Sequence::read_from(&mut &bytes[..], &mut take).expect("as written");
        prop_assert!(Sequence::read_from(&mut &bytes[..bytes.len() - 1], |_| Ok(())).is_err());
        prop_assert_eq!(read, entries);
    }
}

/// Who fills it from one end, as queues do, wastes little memory.
#[test]
fn leaves_are_full_when_filled_from_one_end() {
    for at_front in [false, true] {
        let mut sequence = Sequence::default();
        for number in 0..100_000usize {
            let at = if at_front { 0 } else { number };
            sequence.insert(at, &number.to_be_bytes());
        }
        check(&sequence);
        fn leaves(node: &Node) -> usize {
            match node {
                Node::Leaf(_) => 1,
                Node::Inner(children) => children.iter().map(|child| leaves(&child.node)).sum(),
            }
        }
        let needed = 100_000 * 9 / leaf::BYTES_MAX;
        let leaves = leaves(&sequence.root);
        assert!(leaves <= needed + needed / 50, "{leaves} leaves where {needed} would do");
    }
}

/// Replies take along the memory they lie in, and a write after that does not change them.
#[test]
fn what_is_shared_stays_as_it_was() {
    let mut sequence = Sequence::default();
    sequence.push(b"first");
    sequence.push(b"second");
    let mut sharer = Sharer::default();
    let shared: Vec<_> = sequence.iter().map(|piece| sharer.share(&piece, 1..4)).collect();
    sequence.replace(0, b"other");
    assert_eq!(shared, [&b"irs"[..], b"eco"]);
    assert_eq!(content(&sequence), [&b"other"[..], b"second"]);
}
