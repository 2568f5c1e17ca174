//! HTTP/2 frames that carry nothing, found in a stream to set its pace.
//!
//! SETTINGS and PING want an answer each, RST_STREAM takes a stream down that was just set up: a
//! few bytes from whoever reaches the port, and work for the loop that leads (CVE-2019-9512,
//! CVE-2019-9515, CVE-2023-44487). A peer that means well sends a few of them a second. One that
//! sends more is read more slowly; if it goes on, our pings find it without an answer, and it is
//! cut off.

/// The type of a frame that carries what the protocol is there for (RFC 9113, section 6.1).
const DATA: u8 = 0;
/// The flag of a frame that is filled up with bytes that say nothing. Our peers do not do so.
const PADDED: u8 = 8;
/// What comes before the payload: its length in three bytes, then the type, flags and stream.
const HEAD_BYTES: usize = 9;

/// Finds the frames in a stream of bytes.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES],
    /// How much of the head has come.
    filled: usize,
    /// What is still to come of the payload.
    payload: usize,
}

impl Frames {
    /// Returns how many frames have begun in these bytes, but for those with data in them.
    pub(super) fn count(&mut self, mut bytes: &[u8]) -> u32 {
        let mut count = 0;
        while !bytes.is_empty() {
            let of_payload = self.payload.min(bytes.len());
            self.payload -= of_payload;
            bytes = &bytes[of_payload..];
            let of_head = (HEAD_BYTES - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + of_head].copy_from_slice(&bytes[..of_head]);
            self.filled += of_head;
            bytes = &bytes[of_head..];
            if self.filled == HEAD_BYTES {
                let [high, middle, low, kind, flags, ..] = self.head;
                self.filled = 0;
                self.payload = u32::from_be_bytes([0, high, middle, low]) as usize;
                let has_data = kind == DATA && self.payload > 0 && flags & PADDED == 0;
                count += u32::from(!has_data);
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: u8 = 4;
    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 0], payload].concat()
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let stream = [
            frame(SETTINGS, 0, &[0, 4, 0, 1, 0, 0]),
            frame(DATA, 0, &[PING; 300]),
            frame(DATA, 0, &[]),
            frame(DATA, PADDED, &[2, 0, 0]),
            frame(PING, 0, &[0; 8]),
            frame(SETTINGS, 0, &[]),
        ]
        .concat();
        for piece in 1..=stream.len() {
            let mut frames = Frames::default();
            let count: u32 = stream.chunks(piece).map(|bytes| frames.count(bytes)).sum();
            assert_eq!(count, 5, "in pieces of {piece}");
        }
    }
}
