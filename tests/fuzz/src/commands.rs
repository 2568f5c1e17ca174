//! The application of commands, on two replicas: one plays all entries, the other is written into a
//! snapshot and read back in the middle. Replies, digests and bytes are the same; and no view sees
//! what is written after it.

use bytes::Bytes;
use raftkv_storage::keyspace::command::{Batch, Spec, Stamp, by_id, is_valid};
use raftkv_storage::keyspace::{Keyspace, View};

use super::input::Input;

/// What arguments are often made of: keys, the empty one too, numbers at their limits, options.
const WORDS: &str = "\
    a b c d e {a}b {a}c  0 1 2 3 10 -1 -2 100 9223372036854775807 -9223372036854775808 \
    18446744073709551615 1.5 -0.1 1e300 3.0e-5 inf nan 4611686018427387904 EX PX EXAT PXAT \
    NX XX GT LT GET KEEPTTL PERSIST REPLACE DB MATCH COUNT TYPE string IDX LEN MINMATCHLEN \
    WITHMATCHLEN ENCODING REFCOUNT FREQ IDLETIME HELP ASYNC SYNC * + a* [a-d] \\* >a 1000 \
    1000000 1500000000 1500000000000";

/// The same state twice, by different ways.
#[derive(Default)]
struct Twins {
    straight: Keyspace,
    restored: Keyspace,
    index: u64,
    time_ms: u64,
    /// Views, and what they held when they were taken.
    views: Vec<(View, Vec<u8>)>,
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut twins = Twins::default();
    while !input.is_empty() {
        match input.below(8) {
            0 => twins.restore(),
            1 => twins.look(),
            2 => {
                let payload = Bytes::copy_from_slice(input.bytes());
                if is_valid(&payload) {
                    twins.apply(&payload);
                }
            }
            _ => {
                let stamp = twins.stamp(&mut input);
                twins.execute(batch(&mut input), stamp);
            }
        }
    }
    twins.end();
}

/// Draws a few commands.
pub(crate) fn batch(input: &mut Input<'_>) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..=input.below(4) {
        let spec = command(input);
        // Mostly as many as it takes.
        let arity = usize::from(spec.arity.unsigned_abs()) - 1;
        let count = match input.below(8) {
            0 => input.below(8),
            more => arity + if spec.arity < 0 { more - 1 } else { 0 },
        };
        let args: Vec<&[u8]> = (0..count).map(|_| arg(input)).collect();
        batch.push(spec, &args);
    }
    batch
}

fn command(input: &mut Input<'_>) -> &'static Spec {
    // SET, when the number is nobody's.
    by_id(u16::from(input.byte())).or(by_id(1)).unwrap()
}

fn arg<'a>(input: &mut Input<'a>) -> &'a [u8] {
    match WORDS.split(' ').nth(input.byte().into()) {
        Some(word) => word.as_bytes(),
        None => input.bytes(),
    }
}

fn bytes_of(view: &View) -> Vec<u8> {
    let mut bytes = Vec::new();
    view.write_to(&mut bytes).unwrap();
    bytes
}

impl Twins {
    fn stamp(&mut self, input: &mut Input<'_>) -> Stamp {
        let more = input.number();
        self.time_ms = self.time_ms.saturating_add(more);
        Stamp { time_ms: self.time_ms, seed: u64::from(input.byte()) }
    }

    fn execute(&mut self, batch: Batch, stamp: Stamp) {
        let (reads, payload) = batch.into_parts(stamp);
        let replies = self.straight.read(&reads, stamp.time_ms);
        assert_eq!(self.restored.read(&reads, stamp.time_ms), replies);
        assert_eq!(self.restored.view().read(&reads, stamp.time_ms), replies);
        if let Some(payload) = payload {
            self.apply(&payload);
        }
    }

    fn apply(&mut self, payload: &Bytes) {
        self.index += 1;
        let replies = self.straight.apply(self.index, payload);
        assert_eq!(self.restored.apply(self.index, payload), replies);
        while self.straight.take_garbage().is_some() {}
        self.compare();
    }

    fn compare(&self) {
        let (straight, restored) = (&self.straight, &self.restored);
        assert_eq!(straight.view().digest(), restored.view().digest());
        assert_eq!(straight.view().len(), restored.view().len());
        assert_eq!(straight.view().expiring(), restored.view().expiring());
        assert_eq!(straight.next_deadline(), restored.next_deadline());
        assert_eq!(straight.time_ms(), restored.time_ms());
        assert_eq!(straight.applied(), restored.applied());
    }

    fn restore(&mut self) {
        let bytes = bytes_of(&self.restored.view());
        let mut rest = &bytes[..];
        self.restored = Keyspace::read_from(&mut rest).expect("a snapshot can be read");
        assert!(rest.is_empty());
        self.compare();
    }

    /// Takes views of both; of a few at most, for all are kept.
    fn look(&mut self) {
        if self.views.len() < 8 {
            for view in [self.straight.view(), self.restored.view()] {
                let bytes = bytes_of(&view);
                self.views.push((view, bytes));
            }
        }
    }

    fn end(&self) {
        assert_eq!(bytes_of(&self.straight.view()), bytes_of(&self.restored.view()));
        for (view, bytes) in &self.views {
            assert!(bytes_of(view) == *bytes, "a view changes when the keyspace does");
        }
    }
}
