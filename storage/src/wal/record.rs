//! What a batch is made of: records, each with the same head.
//!
//! ```text
//!   0        1         2        4         8        16        24
//!   +--------+---------+--------+---------+---------+---------+-----------------+
//!   | kind   | payload | 0      | length  | term    | index   | length bytes    |
//!   +--------+---------+--------+---------+---------+---------+-----------------+
//!   1 hard state   term, and as bytes the name behind its length that got the vote; index 0
//!   2 entry        payload: 0 no-op, 1 command, 2 configuration
//!   3 reset        the log is empty after this entry: a snapshot up to it was installed
//!   4 cut          the log ends with this entry: what stands behind it was replaced
//!   5 padding      zeros, which say nothing; term and index 0
//! ```
//!
//! A cut is written by the log itself in front of an entry that replaces others, in the same batch.
//! It names the entry that stays, so that replay can tell a cut that belongs here from one that
//! does not, and knows the term before the first entry even when all that came before has been
//! compacted away.

use std::borrow::Cow;

use bytes::Bytes;

use super::Record;
use crate::encoding::{self, Fields};
use crate::types::{Entry, EntryId, HardState, Payload};

/// The length of what stands before a record's bytes.
pub(super) const HEAD: usize = 24;

const HARD_STATE: u8 = 1;
const ENTRY: u8 = 2;
const RESET: u8 = 3;
const CUT: u8 = 4;
const PADDING: u8 = 5;

const NOOP: u8 = 0;
const COMMAND: u8 = 1;
const CONFIGURATION: u8 = 2;

/// A record as it will stand on disk; a command's bytes are not copied.
pub(super) struct Encoded<'a> {
    pub(super) head: [u8; HEAD],
    pub(super) body: Cow<'a, [u8]>,
}

impl<'a> Encoded<'a> {
    pub(super) fn new(record: &Record<'a>) -> Self {
        match *record {
            Record::HardState(HardState { term, vote }) => {
                let mut body = Vec::new();
                encoding::put_node(&mut body, vote);
                Self::with(HARD_STATE, 0, EntryId { term, index: 0 }, Cow::Owned(body))
            }
            Record::Entry(entry) => {
                let (payload, body) = match &entry.payload {
                    Payload::Noop => (NOOP, Cow::Borrowed(&[][..])),
                    Payload::Command(bytes) => (COMMAND, Cow::Borrowed(&bytes[..])),
                    Payload::Configuration(configuration) => {
                        let mut body = Vec::new();
                        encoding::put_configuration(&mut body, configuration);
                        (CONFIGURATION, Cow::Owned(body))
                    }
                };
                Self::with(ENTRY, payload, entry.id, body)
            }
            Record::Reset(id) => Self::with(RESET, 0, id, Cow::Borrowed(&[])),
            Record::Padding(length) => {
                Self::with(PADDING, 0, EntryId::default(), Cow::Owned(vec![0; length]))
            }
        }
    }

    pub(super) fn cut(id: EntryId) -> Self {
        Self::with(CUT, 0, id, Cow::Borrowed(&[]))
    }

    fn with(kind: u8, payload: u8, id: EntryId, body: Cow<'a, [u8]>) -> Self {
        let mut head = [0; HEAD];
        head[0] = kind;
        head[1] = payload;
        // A body that does not fit into 32 bits is refused by its length before it is written.
        head[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
        head[8..16].copy_from_slice(&id.term.to_le_bytes());
        head[16..24].copy_from_slice(&id.index.to_le_bytes());
        Self { head, body }
    }

    pub(super) fn len(&self) -> usize {
        HEAD + self.body.len()
    }
}

/// A record as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    HardState(HardState),
    Entry(Entry),
    Reset(EntryId),
    Cut(EntryId),
    Padding(usize),
}

/// Reads the next record; `None` when these are not the bytes of one.
pub(super) fn decode(fields: &mut Fields<'_>) -> Option<Decoded> {
    let (kind, payload, zero) = (fields.u8()?, fields.u8()?, fields.u16()?);
    let length = fields.u32()?;
    let id = fields.entry_id()?;
    let mut body = Fields(fields.bytes(length as usize)?);
    let decoded = match (kind, payload, zero) {
        (HARD_STATE, 0, 0) if id.index == 0 => {
            Decoded::HardState(HardState { term: id.term, vote: body.node()? })
        }
        (ENTRY, NOOP, 0) => Decoded::Entry(Entry { id, payload: Payload::Noop }),
        (ENTRY, COMMAND, 0) => {
            let bytes = Bytes::copy_from_slice(body.bytes(length as usize)?);
            Decoded::Entry(Entry { id, payload: Payload::Command(bytes) })
        }
        (ENTRY, CONFIGURATION, 0) => {
            let configuration = body.configuration()?;
            Decoded::Entry(Entry { id, payload: Payload::Configuration(configuration) })
        }
        (RESET, 0, 0) => Decoded::Reset(id),
        (CUT, 0, 0) => Decoded::Cut(id),
        (PADDING, 0, 0) if id == EntryId::default() => {
            Decoded::Padding(body.bytes(length as usize)?.len())
        }
        _ => return None,
    };
    body.0.is_empty().then_some(decoded)
}
