//! What only the inside can show: the table, line by line, and the bytes of a batch.

use std::path::Path;

use super::batch::{self, Checksum};
use super::header::{HEADER, Header};
use super::record::Encoded;
use super::recovery::{Decision, Reads, Replay, decide};
use super::{Record, SEGMENT_BYTES_MIN};
use crate::error::Error;
use crate::types::{EntryId, HardState};

/// The log is opened by one thread and handed to another.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<super::Wal>();
};

/// Every case of the decision table, spelled out.
#[test]
fn the_table_decides_every_case() {
    use Decision::{Cut, End, Keep, Refuse};
    use Reads::{Invalid, Skips, Valid, Zeros};
    let cases = [
        // reads, a later batch is valid, last segment
        (Valid, false, false, Keep),
        (Valid, false, true, Keep),
        (Valid, true, false, Keep),
        (Valid, true, true, Keep),
        (Zeros, false, false, End),
        (Zeros, false, true, End),
        (Invalid, false, true, Cut),
        (Invalid, true, true, Refuse),
        (Invalid, false, false, Refuse),
        (Invalid, true, false, Refuse),
        (Skips, false, false, Refuse),
        (Skips, false, true, Refuse),
        (Skips, true, false, Refuse),
        (Skips, true, true, Refuse),
    ];
    for (reads, later, last, expected) in cases {
        assert_eq!(decide(reads, || later, last), expected, "{reads:?} {later} {last}");
    }
}

fn header() -> Header {
    Header {
        sequence: 1,
        segment_bytes: SEGMENT_BYTES_MIN as u64,
        salt: 0x5a17,
        first_batch: 1,
        base: EntryId::default(),
        hard_state: HardState::default(),
        node: "A".parse().expect("a node id"),
        cluster: None,
    }
}

/// A segment with a batch for each of these sequences, each holding these bytes.
fn segment(batches: &[(u64, &[u8])]) -> Vec<u8> {
    let header = header();
    let mut segment = header.encode();
    for (sequence, records) in batches {
        let mut checksum = Checksum::new(&header, segment.len(), *sequence);
        checksum.update(records);
        segment.extend_from_slice(&checksum.head(records.len(), *sequence));
        segment.extend_from_slice(records);
        segment.resize(batch::align(segment.len()), 0);
    }
    segment.resize(SEGMENT_BYTES_MIN, 0);
    segment
}

fn record(term: u64) -> Vec<u8> {
    let hard_state = HardState { term, vote: None };
    let encoded = Encoded::new(&Record::HardState(hard_state));
    [&encoded.head[..], &encoded.body].concat()
}

fn replay(segment: &[u8]) -> Result<(usize, Replay), Error> {
    let mut replay = Replay::new(None);
    let end = replay.segment(Path::new("segment"), segment, true, &mut |_| Ok(()))?;
    Ok((end, replay))
}

#[test]
fn sequence_that_skips_is_refused_wherever_it_stands() {
    let (first, second) = (record(1), record(2));
    let (_, whole) = replay(&segment(&[(1, &first), (2, &second)])).expect("a whole log");
    assert_eq!((whole.hard_state.term, whole.next_batch), (2, 3));
    for sequences in [[1, 3], [2, 3], [1, 1], [1, u64::MAX]] {
        let bytes = segment(&[(sequences[0], &first), (sequences[1], &second)]);
        assert!(matches!(replay(&bytes), Err(Error::Corrupt { .. })), "{sequences:?}");
    }
}

/// A checksum that is right says that these bytes were written, not that they make sense.
#[test]
fn batch_of_nonsense_is_refused() {
    let mut unknown = record(1);
    unknown[0] = 9;
    let mut longer = record(1);
    longer[4] = 200;
    let mut dangling = record(1);
    dangling.extend_from_slice(&[1; 8]);
    let gap = Encoded::cut(EntryId { term: 1, index: 7 }).head.to_vec();
    for records in [unknown, longer, dangling, gap, vec![0; 24]] {
        let bytes = segment(&[(1, &records)]);
        match replay(&bytes).map(drop) {
            Err(Error::Corrupt { offset, .. }) => assert_eq!(offset, HEADER as u64),
            other => panic!("{other:?}"),
        }
    }
}

/// Bytes made to look like many batches cannot make recovery take for ever: it gives up, on the
/// safe side.
#[test]
fn search_for_a_later_batch_is_bounded() {
    let mut segment = vec![0; 1 << 20];
    for at in (HEADER..segment.len() - 16).step_by(16) {
        let length = u32::try_from(segment.len() - at - 16).expect("a short segment");
        segment[at..at + 4].copy_from_slice(&length.to_le_bytes());
        segment[at + 8..at + 16].copy_from_slice(&6_u64.to_le_bytes());
    }
    let found = batch::find_later(&segment, &header(), HEADER, 5);
    assert!(found.is_some_and(|offset| offset < HEADER + 16 * 32), "{found:?}");
    segment[HEADER..].fill(0);
    assert_eq!(batch::find_later(&segment, &header(), HEADER, 5), None);
}
