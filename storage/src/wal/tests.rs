//! What only the inside can show: the table, line by line, and the bytes of a batch.

use super::recovery::{Decision, Reads, decide};

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
